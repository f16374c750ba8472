package main

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// incident is the record of what may be a breach.
type incident struct {
	ID, What, By, Outcome string
	Discovered, Closed    time.Time
	ClosedBy              string `json:"closed_by"`
	Affected              []struct {
		Subject     struct{ Authority, MRN string }
		Texts       int
		First, Last time.Time
	}
	Clocks []struct {
		Duty, Cite string
		By         time.Time
	}
}

func (i incident) line() string {
	state := "open"
	if !i.Closed.IsZero() {
		state = "closed"
	}
	return fmt.Sprintf("%s  %-6s  discovered %s  by %s  %s", i.ID, state, i.Discovered.Local().Format(time.DateOnly), i.By, i.What)
}

func (c *client) auditIncident() *cobra.Command {
	cmd := &cobra.Command{
		Use: "incident", Short: "List the incidents; open, show or close one", Args: cobra.NoArgs,
		Long: "An incident is what may be a breach of patients' data. The box opens one by itself when somebody replies\n" +
			"that a text reached the wrong person; people open others. Show tells whom it affects and by when who has\n" +
			"to be told; close says what it was found to be.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []incident
			show, err := c.call(cmd.Context(), http.MethodGet, "/audit/incidents", nil, &list)
			if show {
				for _, i := range list {
					fmt.Println(i.line())
				}
			}
			return err
		},
	}
	cmd.AddCommand(c.incidentOpen(), c.incidentShow(), c.incidentClose())
	return cmd
}

func (c *client) incidentOpen() *cobra.Command {
	var what, discovered string
	var subjects []string
	var phone bool
	cmd := &cobra.Command{
		Use: "open", Short: "Open one by hand", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			req := map[string]any{"what": what, "subjects": subjects}
			if discovered != "" {
				req["discovered"] = discovered
			}
			if phone {
				number, err := prompt(bufio.NewReader(os.Stdin), "number", false)
				if err != nil {
					return err
				}
				req["phone"] = number
			}
			var i incident
			show, err := c.call(cmd.Context(), http.MethodPost, "/audit/incidents", req, &i)
			if show {
				fmt.Println(i.line())
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&what, "what", "", "what happened, in words, without a patient's name")
	f.StringVar(&discovered, "discovered", "", "when it was, or could have been, known, as in RFC 3339; default now")
	f.StringArrayVar(&subjects, "subject", nil, "a patient known to be affected, as AUTHORITY|MRN; again for each")
	f.BoolVar(&phone, "phone", false, "texts to a number reached the wrong person; it is asked for, or read from the input")
	return cmd
}

func (c *client) incidentShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show whom it affects, and by when who has to be told", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var i incident
			show, err := c.call(cmd.Context(), http.MethodGet, "/audit/incidents/"+url.PathEscape(args[0]), nil, &i)
			if !show {
				return err
			}
			fmt.Println(i.line())
			if !i.Closed.IsZero() {
				fmt.Printf("closed by %s on %s: %s\n", i.ClosedBy, i.Closed.Local().Format(time.DateOnly), i.Outcome)
			}
			fmt.Printf("affected %d\n", len(i.Affected))
			for _, a := range i.Affected {
				fmt.Printf("  %s|%s  %d texts", a.Subject.Authority, a.Subject.MRN, a.Texts)
				if a.Texts > 0 {
					fmt.Printf(" from %s to %s", a.First.Local().Format(time.DateTime), a.Last.Local().Format(time.DateTime))
				}
				fmt.Println()
			}
			for _, clock := range i.Clocks {
				fmt.Printf("by %s  %s (%s)\n", clock.By.Format(time.DateOnly), clock.Duty, clock.Cite)
			}
			if len(i.Clocks) > 0 {
				fmt.Println("These are outer limits of federal rules; a state's law may be shorter.")
			}
			return err
		},
	}
}

func (c *client) incidentClose() *cobra.Command {
	var outcome string
	cmd := &cobra.Command{
		Use: "close ID", Short: "Close one with what it was found to be", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var i incident
			show, err := c.call(cmd.Context(), http.MethodPost, "/audit/incidents/"+url.PathEscape(args[0])+"/close", map[string]string{"outcome": outcome}, &i)
			if show {
				fmt.Println(i.line())
			}
			return err
		},
	}
	cmd.Flags().StringVar(&outcome, "outcome", "", "what it was found to be, and why: the risk assessment, or who was told when")
	return cmd
}
