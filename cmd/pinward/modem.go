package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// modemCommand is what an operator does with modems and their SIMs.
func (c *client) modemCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "modem", Short: "Look after the modems and their SIMs",
		Long: "Each order to a modem, and each change, is an entry of the audit under the name of whoever is\n" +
			"logged in. Serial numbers show their last four digits.",
	}
	cmd.AddCommand(c.modemList(), c.modemProbe(), c.modemAt(), c.modemReset(), c.modemWatch(), c.modemForward(), c.modemPIN(), c.modemAccept(),
		c.modemSelfTest(), c.modemSIM(), c.modemPlan())
	return cmd
}

// modemView is one modem as the daemon shows it.
type modemView struct {
	Name, Device, Phase, Profile    string
	Ready                           bool
	Until                           time.Time
	Troubles                        []trouble
	Vendor, Model, IMEI, SIM        string
	Carrier, Operator, Registration string
	Voice, Audio                    string
	Proven                          time.Time `json:"voice_proven"`
	Signal                          int       `json:"signal_dbm"`
	PartTime                        float64   `json:"part_seconds"`
	Storage                         [2]int
	Minute, Day                     budget
	Test                            *selfTest
	Figures                         figures
}

// calls says how the modem calls, in a word or two.
func (m modemView) calls() string {
	switch {
	case m.Voice == "" || m.Voice == "none":
		return "-"
	case m.Audio == "":
		return m.Voice + ", no sound"
	}
	best, _, _ := strings.Cut(m.Audio, ",")
	if m.Proven.IsZero() {
		return m.Voice + ", " + best + ", unproven"
	}
	return m.Voice + ", " + best + ", proven " + m.Proven.Local().Format("Jan 2")
}

type trouble struct{ Name, State, Cause, Next string }

type budget struct{ Used, Cap int }

func (b budget) String() string {
	if b.Cap == 0 {
		return fmt.Sprint(b.Used)
	}
	return fmt.Sprintf("%d/%d", b.Used, b.Cap)
}

type figures struct {
	Sent, Refused, Unknown, Parts uint64
	NotSent                       uint64 `json:"not_sent"`
	Resets, Reboots, Calls        int
}

// brief is a self-test in a table.
func (t *selfTest) brief() string {
	switch {
	case t == nil:
		return "never"
	case t.OK:
		return "ok " + t.Began.Local().Format("Jan 2 15:04")
	}
	return "failed " + t.Began.Local().Format("Jan 2 15:04")
}

func modemPath(name, rest string) string { return "/modems/" + url.PathEscape(name) + rest }

func (c *client) modemList() *cobra.Command {
	var routes bool
	cmd := &cobra.Command{
		Use: "list", Short: "Show how each modem is, and what to do about its troubles", Args: cobra.NoArgs,
		Long: "List shows each modem with its network, signal, SIM, the time that a part takes of late, how much of\n" +
			"its SIM's budget of the last minute and day is used, and its last self-test. Below stand its\n" +
			"troubles, the root cause first, each with the next step. --routes shows instead what was learned of\n" +
			"receipts, by SIM and destination prefix.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if routes {
				return c.routes(cmd)
			}
			var all []modemView
			show, err := c.call(cmd.Context(), http.MethodGet, "/modems", nil, &all)
			if show {
				printModems(os.Stdout, all)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&routes, "routes", false, "show what was learned of receipts")
	return cmd
}

// routes shows how far texts by each SIM to each prefix are proven to arrive.
func (c *client) routes(cmd *cobra.Command) error {
	var all []struct {
		SIM, Sender, Carrier, Prefix string
		Texts, Receipts, Converted   int
		Share                        float64
		Delay                        time.Duration
		Suspected                    time.Time
	}
	show, err := c.call(cmd.Context(), http.MethodGet, "/modems/routes", nil, &all)
	if !show {
		return err
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "SIM\tMODEM\tCARRIER\tPREFIX\tTEXTS\tRECEIPTS\tCODES TYPED\tDELAY\tFILTERED")
	for _, r := range all {
		filtered := "-"
		if !r.Suspected.IsZero() {
			filtered = "suspected since " + r.Suspected.Local().Format("Jan 2 15:04")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%.0f %%\t%d\t%s\t%s\n", last(r.SIM, 4), cmp.Or(r.Sender, "-"), cmp.Or(r.Carrier, "-"), r.Prefix, r.Texts,
			r.Share*100, r.Converted, r.Delay.Round(100*time.Millisecond), filtered)
	}
	return t.Flush()
}

func printModems(w io.Writer, all []modemView) {
	if len(all) == 0 {
		fmt.Fprintln(w, "no modem is configured: pinward modem probe looks for one")
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSTATE\tNETWORK\tSIGNAL\tSIM\tKIND\tCALLS\tPART\tMINUTE\tDAY\tSENT\tFAILED\tSELF-TEST")
	for _, m := range all {
		signal := "-"
		if m.Signal != 0 {
			signal = fmt.Sprintf("%d dBm", m.Signal)
		}
		failed := m.Figures.NotSent + m.Figures.Refused + m.Figures.Unknown
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.1f s\t%s\t%s\t%d\t%d\t%s\n", m.Name, m.Phase, cmp.Or(m.Operator, m.Carrier, "-"), signal,
			cmp.Or(m.SIM, "-"), cmp.Or(strings.TrimSpace(m.Vendor+" "+m.Model), "-"), m.calls(), m.PartTime, m.Minute, m.Day, m.Figures.Sent, failed, m.Test.brief())
	}
	t.Flush()
	for _, m := range all {
		for _, tr := range m.Troubles {
			fmt.Fprintf(w, "\n%s: %s: %s\n", m.Name, tr.Name, tr.Cause)
			if tr.Next != "" {
				fmt.Fprintf(w, "    %s\n", tr.Next)
			}
		}
		if !m.Until.IsZero() {
			fmt.Fprintf(w, "    it is tried again at %s\n", m.Until.Local().Format(time.TimeOnly))
		}
	}
}

func (c *client) modemAt() *cobra.Command {
	return &cobra.Command{
		Use: "at NAME COMMAND", Short: "Ask a modem one of the questions that its profile allows", Args: cobra.ExactArgs(2),
		Example: "  pinward modem at modem1 AT+CSQ\n  pinward modem at modem1 'AT+QCFG=\"ims\"'",
		Long: "At gives a modem one command of the list in its profile, letter by letter; any other is refused,\n" +
			"and the refusal names the list. Nothing of it can send, dial or change a setting.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var said struct{ Answer []string }
			show, err := c.call(cmd.Context(), http.MethodPost, modemPath(args[0], "/query"), map[string]string{"command": args[1]}, &said)
			if show {
				for _, l := range said.Answer {
					fmt.Println(l)
				}
				fmt.Println("OK")
			}
			return err
		},
	}
}
