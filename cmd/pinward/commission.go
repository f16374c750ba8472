package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// acceptanceReport is how the site's acceptance stands, and what is printed of it.
type acceptanceReport struct {
	Box, Site, Version, Signer, By string
	Made                           time.Time
	Carriers                       []string
	SIMs                           []acceptedSIM
	Passed                         bool
}

type acceptedSIM struct {
	Modem, Model, SIM, Operator string
	Passed                      bool
	Lines                       []acceptanceLine
}

type acceptanceLine struct {
	Carrier string
	Passed  bool
	Steps   []acceptanceStep
}

type acceptanceStep struct {
	Step, State, Cause, By string
	At                     time.Time
	Seconds                float64
}

// step finds a step by its name.
func (l acceptanceLine) step(name string) acceptanceStep {
	for _, s := range l.Steps {
		if s.Step == name {
			return s
		}
	}
	return acceptanceStep{Step: name}
}

// done tells whether nothing is left to do about a step.
func (s acceptanceStep) done() bool {
	return s.State == "passed" || s.State == "waived" || s.State == "none"
}

const commissionLong = `Commission is the site's acceptance: it leads through one round of every SIM in a modem with a handset of every
large carrier, and prints the report. Each round is a text, its receipt and how long it took, a STOP from the handset and
the START that lifts it, a call, the key 1 on it, and a call from the handset to the SIM. The handsets are the hospital's
own: pinward commission phone add.

It can be left at any time with ^C and goes on where it was; what has passed is not asked for again, --anew begins from the
start. A step that fails says why, and can be tried again by running commission again, or be answered for:
pinward commission waive. The report's sum is an entry of the audit, and a head is signed after it.

Going live (pinward site mode live) needs a passed acceptance of each SIM in use. With --json each step is an object a
line, and nothing is asked.`

func (c *client) commission() *cobra.Command {
	g := &guide{client: c}
	cmd := &cobra.Command{
		Use: "commission", Short: "Accept the site: each SIM by each large carrier, with a signed report", Args: cobra.NoArgs, Long: commissionLong,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&g.report, "report", "", "write the report to this `FILE`: .html and .md to print, .json as it was signed")
	f.BoolVar(&g.anew, "anew", false, "begin from the start")
	f.DurationVar(&g.wait, "wait", 3*time.Minute, "how long to wait for what a person does at a handset")
	cmd.AddCommand(c.commissionPhone(), c.commissionWaive(), &cobra.Command{
		Use: "status", Short: "Show how far the acceptance has come", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r acceptanceReport
			show, err := c.call(cmd.Context(), http.MethodGet, "/acceptance", nil, &r)
			if show {
				r.markdown(os.Stdout)
			}
			return err
		},
	})
	return cmd
}

func (c *client) commissionPhone() *cobra.Command {
	cmd := &cobra.Command{Use: "phone", Short: "The hospital's own handsets, one for each large carrier"}
	set := func(cmd *cobra.Command, carrier, number string) error {
		show, err := c.call(cmd.Context(), http.MethodPost, "/acceptance/phones", map[string]string{"carrier": carrier, "number": number}, nil)
		if show {
			fmt.Println("done")
		}
		return err
	}
	var carrier string
	add := &cobra.Command{
		Use: "add NUMBER --carrier NAME", Short: "Add the handset of a carrier, or replace it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return set(cmd, carrier, args[0]) },
	}
	add.Flags().StringVar(&carrier, "carrier", "", "the `NAME` of the carrier, as reports show it")
	cobra.CheckErr(add.MarkFlagRequired("carrier"))
	cmd.AddCommand(add,
		&cobra.Command{
			Use: "remove CARRIER", Short: "Test with this carrier no more", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return set(cmd, args[0], "") },
		},
		&cobra.Command{
			Use: "list", Short: "Show the handsets", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				var p struct {
					Phones []struct{ Carrier, Number string }
				}
				show, err := c.call(cmd.Context(), http.MethodGet, "/acceptance/policy", nil, &p)
				if show {
					for _, ph := range p.Phones {
						fmt.Printf("%-20s %s\n", ph.Carrier, ph.Number)
					}
				}
				return err
			},
		})
	return cmd
}

func (c *client) commissionWaive() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "waive MODEM CARRIER STEP --reason WHY", Short: "Answer for a step that failed; the report has the reason", Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			order := map[string]string{"modem": args[0], "carrier": args[1], "step": args[2], "reason": reason}
			show, err := c.call(cmd.Context(), http.MethodPost, "/acceptance/waive", order, nil)
			if show {
				fmt.Println("waived")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why it is no hindrance, for whoever reads the report in six years")
	cobra.CheckErr(cmd.MarkFlagRequired("reason"))
	return cmd
}

// signedReport is a report with the sum that the audit has, and the head that was signed after it.
type signedReport struct {
	Report       json.RawMessage
	SHA256, Head string
	Passed       bool
}
