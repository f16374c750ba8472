package main

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

func (c *client) hl7Held() *cobra.Command {
	return &cobra.Command{
		Use: "held", Short: "Show what waits because a rule or peer is paused, or a rule texts far more than usual", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []struct {
				Rule         string
				Count        int
				Oldest       time.Time
				Open         time.Time `json:"breaker_open"`
				Texts, Usual int
				Samples      []struct {
					At                            time.Time
					Template, Why, Patient, Place string
					Start                         time.Time
				}
			}
			show, err := c.call(cmd.Context(), http.MethodGet, "/hl7/held", nil, &list)
			if !show || err != nil {
				return err
			}
			if len(list) == 0 {
				fmt.Println("nothing is held")
			}
			for _, h := range list {
				fmt.Printf("%s: %d texts since %s\n", h.Rule, h.Count, h.Oldest.Local().Format(time.DateTime))
				if !h.Open.IsZero() {
					fmt.Printf("  its breaker opened at %s: %d texts in 15 minutes, usual are at most %d\n", h.Open.Local().Format(time.TimeOnly), h.Texts, h.Usual)
				}
				for _, s := range h.Samples {
					fmt.Printf("  %s  %s  patient %s", s.At.Local().Format(time.TimeOnly), s.Template, s.Patient)
					if !s.Start.IsZero() {
						fmt.Printf("  appointment %s %s", s.Start.Local().Format("2006-01-02 15h"), s.Place)
					}
					fmt.Printf("  (%s)\n", s.Why)
				}
				fmt.Printf("  pinward hl7 release %[1]s   or   pinward hl7 drop %[1]s\n", h.Rule)
			}
			return nil
		},
	}
}

// hl7End releases or drops what a rule holds.
func (c *client) hl7End(verb, short, sure string) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use: verb + " RULE", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				if err := confirm(fmt.Sprintf(sure, args[0])); err != nil {
					return err
				}
			}
			var done struct{ Sent, Dropped int }
			show, err := c.call(cmd.Context(), http.MethodPost, "/hl7/"+verb, map[string]string{"rule": args[0]}, &done)
			if show && err == nil {
				fmt.Printf("%d texts sent, %d dropped\n", done.Sent, done.Dropped)
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (c *client) hl7Pause(verb, short string, on bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " rule|peer NAME", Short: short, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := c.call(cmd.Context(), http.MethodPost, "/hl7/pause", map[string]any{"kind": args[0], "name": args[1], "on": on}, nil)
			return err
		},
	}
}

// hl7Live takes a listener live with a second person, or back to shadow.
func (c *client) hl7Live(verb, short string, live bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " LISTENER", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var done struct{ Live bool }
			show, err := c.call(cmd.Context(), http.MethodPost, "/hl7/live", map[string]any{"listener": args[0], "live": live}, &done)
			switch {
			case !show || err != nil:
			case done.Live:
				fmt.Println("live, as far as pinward.toml and the site's mode let it")
			case live:
				fmt.Println("asked: another person says the same within a day, and it is live")
			default:
				fmt.Println("in shadow: it decides and records, and sends nothing, nor what waits")
			}
			return err
		},
	}
}

// hl7File reads a file of messages, or a policy; "-" is standard input.
func hl7File(name string) ([]byte, error) {
	if name == "-" {
		name = "/dev/stdin"
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read input: %w", err)
	}
	return b, nil
}
