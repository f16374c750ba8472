package main

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// maintenance is how planned maintenance stands.
type maintenance struct {
	On          bool
	From, Until time.Time
	By, Reason  string
	Waiting     int
	OnAir       int `json:"on_air"`
}

func (m maintenance) String() string {
	if !m.On {
		return "no maintenance: the box takes codes and messages"
	}
	s := "maintenance until " + m.Until.Local().Format(time.DateTime) + ", by " + m.By
	if m.Reason != "" {
		s += " (" + m.Reason + ")"
	}
	return s + fmt.Sprintf("; under way: %d on air, %d waiting", m.OnAir, m.Waiting)
}

func (c *client) maintenance() *cobra.Command {
	cmd := &cobra.Command{
		Use: "maintenance", Short: "Take nothing new for a planned time",
		Long: "While it is on, the API and the desk answer 503 with Retry-After, HL7 connections are closed so that engines\n" +
			"keep their messages, and nobody is told of alarms. What was accepted before goes on, codes first; answers of\n" +
			"patients are read. It ends by itself, and outlives a restart.",
	}
	cmd.AddCommand(c.maintenanceOn(), c.maintenanceOff(), &cobra.Command{
		Use: "status", Short: "Show whether it is on, until when, and what is still under way", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var m maintenance
			show, err := c.call(cmd.Context(), http.MethodGet, "/maintenance", nil, &m)
			if show && err == nil {
				fmt.Println(m)
			}
			return err
		},
	})
	return cmd
}

// errWhen says how an end is given.
var errWhen = errors.New("say when it ends: --until 06:30, --until '2026-03-02 06:30', or --for 30m")

// endOf reads when it ends: an hour is the next one of that name.
func endOf(until string, span time.Duration, now time.Time) (time.Time, error) {
	switch {
	case (until == "") == (span == 0):
		return time.Time{}, errWhen
	case span != 0:
		return now.Add(span), nil
	}
	if t, err := time.ParseInLocation("15:04", until, now.Location()); err == nil {
		t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location())
		if !t.After(now) {
			t = t.AddDate(0, 0, 1)
		}
		return t, nil
	}
	for _, form := range []string{"2006-01-02 15:04", time.RFC3339} {
		if t, err := time.ParseInLocation(form, until, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errWhen
}

func (c *client) maintenanceOn() *cobra.Command {
	var until, reason string
	var span, wait time.Duration
	cmd := &cobra.Command{
		Use: "on (--until TIME | --for DURATION)", Short: "Begin it, or change when it ends", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			end, err := endOf(until, span, time.Now())
			if err != nil {
				return err
			}
			var m maintenance
			if err := c.get(cmd.Context(), http.MethodPut, "/maintenance", map[string]any{"until": end, "reason": reason}, &m); err != nil {
				return err
			}
			for stop := time.Now().Add(wait); m.On && m.Waiting+m.OnAir > 0 && time.Now().Before(stop); {
				select {
				case <-cmd.Context().Done():
					return cmd.Context().Err()
				case <-time.After(500 * time.Millisecond):
				}
				if err := c.get(cmd.Context(), http.MethodGet, "/maintenance", nil, &m); err != nil {
					return err
				}
			}
			if c.json {
				err = printJSON(m)
			} else {
				fmt.Println(m)
			}
			if err == nil && wait > 0 && m.Waiting+m.OnAir > 0 {
				return errors.New("not drained in time; it goes on")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&until, "until", "", "when it ends: 06:30, '2026-03-02 06:30', or as in RFC 3339; 72 hours ahead at most")
	f.DurationVar(&span, "for", 0, "how long it lasts")
	f.StringVar(&reason, "reason", "", "why, for the others")
	f.DurationVar(&wait, "wait", 0, "wait so long for what is under way, such as 2m")
	return cmd
}

func (c *client) maintenanceOff() *cobra.Command {
	return &cobra.Command{
		Use: "off", Short: "End it now", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var m maintenance
			show, err := c.call(cmd.Context(), http.MethodDelete, "/maintenance", nil, &m)
			if show && err == nil {
				fmt.Println(m)
			}
			return err
		},
	}
}
