package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// log is about the daemon's own log, which holds nothing of a patient's at any level.
func (c *client) log() *cobra.Command {
	cmd := &cobra.Command{Use: "log", Short: "Show or change how much the daemon's log says"}
	var span time.Duration
	level := &cobra.Command{
		Use: "level [debug|info|warn|error|usual]", Short: "Set the level for a time, after which it is the usual one again; without one, show it", Args: cobra.MaximumNArgs(1),
		Long: "Level needs no restart. It ends by itself, because a debug log that somebody forgot fills the journal; usual\n" +
			"ends it now. It is an entry of the audit. At no level does the log hold a number, a code, a name or a text.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var now struct {
				Level, Usual string
				Until        time.Time
			}
			method, body := http.MethodGet, any(nil)
			if len(args) > 0 {
				method, body = http.MethodPut, map[string]string{"level": args[0], "for": span.String()}
			}
			show, err := c.call(cmd.Context(), method, "/log", body, &now)
			if !show {
				return err
			}
			fmt.Print(now.Level)
			if !now.Until.IsZero() {
				fmt.Printf(" until %s, then %s", now.Until.Local().Format(time.DateTime), now.Usual)
			}
			fmt.Println()
			return nil
		},
	}
	level.Flags().DurationVar(&span, "for", 30*time.Minute, "how long it holds, at most a day")
	cmd.AddCommand(level)
	return cmd
}

// debug looks into the running daemon. It is for admins, and each look is an entry.
func (c *client) debug() *cobra.Command {
	cmd := &cobra.Command{
		Use: "debug", Short: "Look into the running daemon: profiles, goroutines, figures of its runtime",
		Long: "Debug is for admins, over the control socket alone; nothing of it can be reached by network. Each look is an\n" +
			"entry of the audit. Profiles and stacks hold names of functions and no values.",
	}
	var kind string
	var seconds int
	profile := &cobra.Command{
		Use: "profile FILE", Short: "Write a profile to a new file, for go tool pprof", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var p struct{ Data []byte }
			if err := c.get(cmd.Context(), http.MethodPost, "/debug/profile", map[string]any{"kind": kind, "seconds": seconds}, &p); err != nil {
				return err
			}
			f, err := os.OpenFile(args[0], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return fmt.Errorf("write profile: %w", err)
			}
			_, err = f.Write(p.Data)
			if err := errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("write profile: %w", err)
			}
			if c.json {
				return printJSON(map[string]any{"file": args[0], "kind": kind, "bytes": len(p.Data)})
			}
			fmt.Printf("%s written, %d bytes; see it by: go tool pprof -top %[1]s\n", args[0], len(p.Data))
			return nil
		},
	}
	profile.Flags().StringVar(&kind, "kind", "cpu", "cpu, heap, allocs, goroutine, mutex, block or threadcreate")
	profile.Flags().IntVar(&seconds, "seconds", 10, "how long the processor is watched")
	goroutines := &cobra.Command{
		Use: "goroutines", Short: "Show where each goroutine stands", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var g struct{ Goroutines string }
			show, err := c.call(cmd.Context(), http.MethodGet, "/debug/goroutines", nil, &g)
			if show {
				fmt.Print(g.Goroutines)
			}
			return err
		},
	}
	vars := &cobra.Command{
		Use: "vars", Short: "Show figures of the Go runtime, and how long each loop has been silent", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var v map[string]json.Number
			show, err := c.call(cmd.Context(), http.MethodGet, "/debug/vars", nil, &v)
			if !show {
				return err
			}
			width := 0
			for name := range v {
				width = max(width, len(name))
			}
			values := map[string]float64{}
			for name := range v {
				values[name] = 0
			}
			for _, name := range ordered(values) {
				fmt.Println(name + strings.Repeat(" ", width-len(name)+2) + v[name].String())
			}
			return nil
		},
	}
	cmd.AddCommand(profile, goroutines, vars)
	return cmd
}
