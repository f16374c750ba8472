package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// alarm is one cause, from when it was found to when it is over.
type alarm struct {
	ID                          uint64
	Kind, Path, Severity, Cause string
	Raised                      time.Time
	Acknowledged                time.Time
	AcknowledgedBy              string `json:"acknowledged_by"`
	Cleared                     time.Time
	Returns                     int
	Told                        []told
}

type told struct {
	At                          time.Time
	Event, By, To, State, Cause string
}

type silence struct {
	Path, By, Reason string
	Until            time.Time
}

type alarmList struct {
	Open, Past      []alarm
	Silences        []silence
	Tells           bool
	TestPassed      time.Time `json:"test_passed"`
	HeartbeatPassed time.Time `json:"heartbeat_passed"`
}

func clockTime(t time.Time) string { return t.Local().Format("Jan 2 15:04") }

func (a alarm) line() string {
	what := a.Severity + "  " + a.Path + ": " + a.Cause
	if a.Kind != "alarm" {
		what = a.Kind + "  " + a.Cause
	}
	s := fmt.Sprintf("%4d  %s  %s", a.ID, clockTime(a.Raised), what)
	if a.Returns > 0 {
		s += "  (it comes and goes)"
	}
	switch {
	case !a.Cleared.IsZero():
		s += "  over " + clockTime(a.Cleared)
	case !a.Acknowledged.IsZero():
		s += "  acknowledged " + clockTime(a.Acknowledged) + " by " + a.AcknowledgedBy
	}
	return s
}

// print shows an alarm with who was told of it.
func (a alarm) print() {
	fmt.Println(a.line())
	for _, t := range a.Told {
		s := fmt.Sprintf("        %s  %s by %s to %s: %s", clockTime(t.At), t.Event, t.By, t.To, t.State)
		if t.Cause != "" {
			s += " (" + t.Cause + ")"
		}
		fmt.Println(s)
	}
}

func (l alarmList) print(past bool) {
	for _, a := range l.Open {
		a.print()
	}
	if len(l.Open) == 0 {
		fmt.Println("no alarm is open")
	}
	if past {
		for _, a := range l.Past {
			a.print()
		}
	}
	for _, s := range l.Silences {
		what := s.Path
		if what == "" {
			what = "everything"
		}
		fmt.Printf("silent until %s: %s, by %s", clockTime(s.Until), what, s.By)
		if s.Reason != "" {
			fmt.Printf(" (%s)", s.Reason)
		}
		fmt.Println()
	}
	if !l.Tells {
		fmt.Println("nobody is told: name steps in alarms of pinward config")
		return
	}
	fmt.Printf("last test that reached everybody: %s; last heartbeat: %s\n", orNever(l.TestPassed), orNever(l.HeartbeatPassed))
}

func orNever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return clockTime(t)
}

func (c *client) alarm() *cobra.Command {
	cmd := &cobra.Command{
		Use: "alarm", Short: "Show alarms; acknowledge, test or silence them",
		Long: "An alarm is one thing that is wrong with the box, until it is over. Who is told, in which order and by what\n" +
			"(sms, mail, webhook), and who is on call, is in alarms of pinward config. An alarm goes on to the next step\n" +
			"until somebody acknowledges it: here, on the page Alarms, or by answering the text with ACK and its number.",
	}
	cmd.AddCommand(c.alarmListCommand(), c.alarmAck(), c.alarmTest(), c.alarmSilence())
	return cmd
}

func (c *client) alarmListCommand() *cobra.Command {
	var past bool
	cmd := &cobra.Command{
		Use: "list", Short: "List open alarms, with who was told when; exits 1 if one waits for somebody", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var l alarmList
			show, err := c.call(cmd.Context(), http.MethodGet, "/alarms", nil, &l)
			if err != nil {
				return err
			}
			if show {
				l.print(past)
			}
			for _, a := range l.Open {
				if a.Acknowledged.IsZero() {
					return exit(1)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&past, "past", false, "also the last that are over, tests and heartbeats among them")
	return cmd
}

func (c *client) alarmAck() *cobra.Command {
	return &cobra.Command{
		Use: "ack ID...", Short: "Acknowledge alarms: nobody more is told, somebody sees to it", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, id := range args {
				if _, err := strconv.ParseUint(id, 10, 32); err != nil {
					return errors.New("an alarm is named by its number: see pinward alarm list")
				}
				var a alarm
				show, err := c.call(cmd.Context(), http.MethodPost, "/alarms/"+url.PathEscape(id)+"/acknowledge", nil, &a)
				if err != nil {
					return fmt.Errorf("alarm %s: %w", id, err)
				}
				if show {
					fmt.Println(a.line())
				}
			}
			return nil
		},
	}
}

func (c *client) alarmTest() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "test", Short: "Send a test through every outlet that the steps name; exits 1 if one did not take it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var a alarm
			if err := c.get(cmd.Context(), http.MethodPost, "/alarms/test", nil, &a); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			for a.Cleared.IsZero() {
				select {
				case <-ctx.Done():
				case <-time.After(500 * time.Millisecond):
				}
				if ctx.Err() != nil {
					break
				}
				if err := c.get(cmd.Context(), http.MethodGet, fmt.Sprintf("/alarms/%d", a.ID), nil, &a); err != nil {
					return err
				}
			}
			if c.json {
				if err := printJSON(a); err != nil {
					return err
				}
			} else {
				a.print()
			}
			if a.Cleared.IsZero() {
				return errors.New("it goes on; see pinward alarm list --past")
			}
			for _, t := range a.Told {
				if t.State != "sent" {
					return exit(1)
				}
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 2*time.Minute, "how long to wait for its end")
	return cmd
}

// bears tells whether an open alarm is of a path, or of what is below it.
func (l alarmList) bears(path string) bool {
	return slices.ContainsFunc(l.Open, func(a alarm) bool { return a.Path == path || strings.HasPrefix(a.Path, path+"/") })
}

func (c *client) alarmSilence() *cobra.Command {
	var span time.Duration
	var reason string
	var off bool
	cmd := &cobra.Command{
		Use: "silence [PATH]", Short: "Tell nobody of alarms for a time, of all or of a path and what is below it", Args: cobra.MaximumNArgs(1),
		Long: "Alarms are raised and shown all the same; what still stands when the silence ends is told then.\n" +
			"A path is as pinward alarm list shows it, such as modems/m1.",
		RunE: func(cmd *cobra.Command, args []string) error {
			req := map[string]any{"reason": reason, "until": time.Now().Add(span)}
			if off {
				req["until"] = time.Time{}
			}
			if len(args) == 1 {
				req["path"] = args[0]
			}
			var l alarmList
			show, err := c.call(cmd.Context(), http.MethodPost, "/alarms/silence", req, &l)
			if !show || err != nil {
				return err
			}
			l.print(false)
			if len(args) == 0 || off {
				return nil
			}
			var st status
			if err := c.get(cmd.Context(), http.MethodGet, "/status", nil, &st); err != nil {
				return err
			}
			if !l.bears(args[0]) && !st.Health.below("store").bears(args[0]) {
				fmt.Fprintf(os.Stderr, "note: nothing is called %s now, so nothing is silent: write it as pinward alarm list does, such as modems/NAME\n", args[0])
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.DurationVar(&span, "for", time.Hour, "how long, seven days at most")
	f.StringVar(&reason, "reason", "", "why, for the others")
	f.BoolVar(&off, "off", false, "end it")
	return cmd
}
