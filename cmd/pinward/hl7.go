package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// hl7 is about what interface engines send. Nothing that it prints holds a value of a message.
func (c *client) hl7() *cobra.Command {
	cmd := &cobra.Command{Use: "hl7", Short: "Follow what interface engines sent"}
	cmd.AddCommand(c.hl7Explain(), c.hl7Peers(), c.hl7Lint(), c.hl7Load(), c.hl7Held(),
		c.hl7End("release", "Send what a rule holds, as far as it is still of use", "Send what %s holds to patients"),
		c.hl7End("drop", "Forget what a rule holds", "Forget what %s holds"),
		c.hl7Pause("pause", "Hold the texts of a rule or a peer", true),
		c.hl7Pause("resume", "Let the texts of a rule or a peer go again; what is held waits for release", false),
		c.hl7Living(),
		c.hl7Live("live", "Let a listener reach patients, with a second person", true),
		c.hl7Live("shadow", "Take a listener back: it sends nothing", false))
	return cmd
}

func (c *client) hl7Explain() *cobra.Command {
	return &cobra.Command{
		Use: "explain PEER MSH-10", Short: "Tell what became of a message and why", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var found []struct {
				At                   time.Time
				Type, Ack, Rule, Did string
				Why, Later           string
			}
			q := url.Values{"peer": {args[0]}, "id": {args[1]}}
			show, err := c.call(cmd.Context(), http.MethodGet, "/hl7/explain?"+q.Encode(), nil, &found)
			if show {
				for _, e := range found {
					fmt.Printf("%s  %s  answered %s  %s %s  %s\n", e.At.Local().Format(time.DateTime), e.Type, e.Ack, e.Rule, e.Did, e.Why)
					if e.Later != "" {
						fmt.Printf("  since then: %s\n", e.Later)
					}
				}
			}
			if err == nil && len(found) == 0 {
				return errors.New("no such message is on record")
			}
			return err
		},
	}
}

// hl7Peer is one line of `pinward hl7 peers`.
type hl7Peer struct {
	Listener, Peer, Mode                                  string
	Paused                                                bool
	Messages, Duplicates, Acted, Ignored, Refused, Failed uint64
	Last, Error                                           time.Time
	LastType                                              string `json:"last_type"`
	ErrorWhy                                              string `json:"error_why"`
	Reasons                                               map[string]uint64
	Back                                                  []string // the states that it is told of
	Way                                                   *hl7Way  `json:"way_back"`
}

// hl7Way is how the way back to a peer does.
type hl7Way struct {
	Place                        string
	Sent, Refused, Backlog       uint64
	Last, Refusal, Oldest, Since time.Time
	RefusedBy                    string `json:"refused_by"`
	Trouble                      string
}

// String is the line below the table.
func (w *hl7Way) String() string {
	s := fmt.Sprintf("%d taken, last %s; %d refused", w.Sent, when(w.Last, ""), w.Refused)
	if w.Refused > 0 {
		s += ", last " + when(w.Refusal, "with "+w.RefusedBy)
	}
	if w.Trouble != "" {
		s += fmt.Sprintf("; %d entries wait", w.Backlog)
		if !w.Oldest.IsZero() {
			s += " since " + w.Oldest.Local().Format(time.DateTime)
		}
		s += ": " + w.Trouble
	}
	return s
}

func (c *client) hl7Peers() *cobra.Command {
	why := false
	cmd := &cobra.Command{
		Use: "peers", Short: "Who sends, how much, when last, and what went wrong", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []hl7Peer
			show, err := c.call(cmd.Context(), http.MethodGet, "/hl7/peers", nil, &list)
			if !show || err != nil {
				return err
			}
			w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "LISTENER\tPEER\tMODE\tMESSAGES\tREPEATS\tACTED\tIGNORED\tREFUSED\tFAILED\tLAST\tLAST ERROR")
			for _, p := range list {
				mode := p.Mode
				if p.Paused {
					mode += ", paused"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", p.Listener, p.Peer, mode, p.Messages, p.Duplicates,
					p.Acted, p.Ignored, p.Refused, p.Failed, when(p.Last, p.LastType), when(p.Error, p.ErrorWhy))
			}
			if err := w.Flush(); err != nil {
				return err
			}
			for _, p := range list {
				if p.Way != nil {
					fmt.Printf("\n%s is told at %q of %s: %s\n", p.Peer, p.Way.Place, cmp.Or(strings.Join(p.Back, ", "), "nothing"), p.Way)
				}
			}
			if !why {
				return nil
			}
			for _, p := range list {
				fmt.Printf("\n%s: why not more was done\n", p.Peer)
				for _, reason := range mostFirst(p.Reasons) {
					fmt.Printf("%8d  %s\n", p.Reasons[reason], reason)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&why, "why", false, "also tell why not more was done, and how often")
	return cmd
}

func mostFirst(counts map[string]uint64) []string {
	list := slices.Sorted(maps.Keys(counts))
	slices.SortStableFunc(list, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
	return list
}

func when(at time.Time, what string) string {
	if at.IsZero() {
		return "never"
	}
	return at.Local().Format(time.DateTime) + " " + what
}
