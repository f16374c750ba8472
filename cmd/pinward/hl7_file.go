package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// hl7Part is how much of a file goes to the daemon at once, in bytes and in messages.
const (
	hl7Part     = 2 << 20
	hl7Messages = 200
)

func (c *client) hl7Lint() *cobra.Command {
	listener := ""
	cmd := &cobra.Command{
		Use: "lint FILE", Short: "Tell what messages would do and why, without doing it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := hl7File(args[0])
			if err != nil {
				return err
			}
			var list []struct{ ID, Type, Peer, Ack, Where, Rule, Did, Why string }
			show, err := c.call(cmd.Context(), http.MethodPost, "/hl7/lint", map[string]any{"listener": listener, "file": file}, &list)
			if !show || err != nil {
				return err
			}
			wrong := 0
			for _, v := range list {
				fmt.Printf("%s  %s  would be answered %s", v.ID, v.Type, orNone(v.Ack))
				if v.Where != "" {
					fmt.Printf(" at %s", v.Where)
				}
				fmt.Printf("\n  peer  %s\n  rule  %s\n  does  %s\n  why   %s\n", orNone(v.Peer), orNone(v.Rule), orNone(v.Did), orNone(v.Why))
				if v.Ack == "AE" || v.Ack == "AR" {
					wrong++
				}
			}
			if wrong > 0 {
				return fmt.Errorf("%d of %d messages would be refused", wrong, len(list))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&listener, "listener", "", "the listener of pinward.toml, where there are several")
	return cmd
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// loadReport is what a part of a first load found.
type loadReport struct {
	Messages, Loaded, Older, Skipped, Wrong int
	Usable, Landline, Shared                int
	NoNumber                                int `json:"no_number"`
	NoLanguage                              int `json:"no_language"`
	NoConsent                               int `json:"no_consent"`
}

func (r *loadReport) add(o loadReport) {
	r.Messages += o.Messages
	r.Loaded += o.Loaded
	r.Older += o.Older
	r.Skipped += o.Skipped
	r.Wrong += o.Wrong
	r.Usable += o.Usable
	r.Landline += o.Landline
	r.Shared += o.Shared
	r.NoNumber += o.NoNumber
	r.NoLanguage += o.NoLanguage
	r.NoConsent += o.NoConsent
}

func (c *client) hl7Load() *cobra.Command {
	listener := ""
	cmd := &cobra.Command{
		Use: "load FILE", Short: "Take a first load of contacts; never sends a text", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := hl7File(args[0])
			if err != nil {
				return err
			}
			parts := hl7Parts(file)
			if len(parts) == 0 {
				return errors.New("there is no message in the file (MSH at the beginning of a line)")
			}
			show := func(uint64, uint64) {}
			if !c.json && term.IsTerminal(int(os.Stderr.Fd())) {
				show = progress("loaded")
				defer fmt.Fprint(os.Stderr, "\r\x1b[K")
			}
			done := 0
			var all loadReport
			for _, part := range parts {
				var r loadReport
				quiet := *c
				quiet.json = false // the sum is what is printed
				if _, err := quiet.call(cmd.Context(), http.MethodPost, "/hl7/load", map[string]any{"listener": listener, "file": part}, &r); err != nil {
					return fmt.Errorf("after %d messages, which are loaded: %w", all.Messages, err)
				}
				all.add(r)
				done += len(part)
				show(uint64(done), uint64(len(file)))
			}
			if c.json {
				return printJSON(all)
			}
			fmt.Printf("%d messages: %d loaded, %d older than what is known, %d without a contact, %d wrong\n", all.Messages, all.Loaded, all.Older, all.Skipped, all.Wrong)
			fmt.Printf("of those loaded: %d usable, %d landline only, %d without a number, %d shared, %d without a language, %d without consent\n",
				all.Usable, all.Landline, all.NoNumber, all.Shared, all.NoLanguage, all.NoConsent)
			return nil
		},
	}
	cmd.Flags().StringVar(&listener, "listener", "", "the listener of pinward.toml, where there are several")
	return cmd
}

// hl7Parts cuts a file where a message begins.
func hl7Parts(file []byte) (parts [][]byte) {
	start, messages := -1, 0
	for i := 0; i < len(file); {
		n := bytes.Index(file[i:], []byte("MSH"))
		if n < 0 {
			break
		}
		at := i + n
		i = at + 3
		if at > 0 && bytes.IndexByte([]byte("\r\n\x0b"), file[at-1]) < 0 {
			continue
		}
		switch {
		case start < 0:
			start = at
		case messages == hl7Messages || at-start > hl7Part:
			parts = append(parts, file[start:at])
			start, messages = at, 0
		}
		messages++
	}
	if start >= 0 {
		parts = append(parts, file[start:])
	}
	return parts
}
