package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func (c *client) modemReset() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "reset NAME", Short: "Restart a modem; what it has on air becomes unknown", Args: cobra.ExactArgs(1),
		Long: "Reset restarts a modem whatever it is doing. A part that is on air becomes unknown: a code is sent\n" +
			"again by another modem, a notice only if its template allows it. It takes 10 to 60 s to come back.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				if err := confirm("restart " + args[0] + "; what it has on air becomes unknown"); err != nil {
					return err
				}
			}
			show, err := c.callEmpty(cmd, http.MethodPost, modemPath(args[0], "/reset"), nil)
			if show {
				fmt.Println(args[0], "is restarting; pinward modem list shows when it is back")
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// confirm asks a person; a script has to say --yes.
func confirm(what string) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return errors.New(what + ": say --yes, as there is no terminal to ask on")
	}
	answer, err := prompt(bufio.NewReader(os.Stdin), what+"? [y/N]", false)
	if err != nil {
		return err
	}
	if a := strings.ToLower(answer); a != "y" && a != "yes" {
		return errors.New("not done")
	}
	return nil
}

// callEmpty is call for an answer without content; under --json it prints an empty object, so that what
// reads it always reads JSON.
func (c *client) callEmpty(cmd *cobra.Command, method, path string, body any) (show bool, err error) {
	resp, err := c.do(cmd.Context(), method, path, body)
	if err != nil {
		return false, err
	}
	resp.Body.Close()
	if c.json {
		fmt.Println("{}")
		return false, nil
	}
	return true, nil
}

func (c *client) modemForward() *cobra.Command {
	var off, ask bool
	cmd := &cobra.Command{
		Use: "forward NAME [NUMBER]", Short: "Have the carrier forward calls to this SIM, for patients who ring back", Args: cobra.RangeArgs(1, 2),
		Long: "Patients ring the number that texted them. Such a call is hung up within one ring and counted; with\n" +
			"forward the carrier sends it to NUMBER, such as the switchboard, and the modem never rings. --off ends\n" +
			"it, --show asks the network where calls go. The network takes seconds, in which the modem sends\n" +
			"nothing.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 2) == (off || ask) || off && ask {
				return errors.New("say a NUMBER, or --off, or --show")
			}
			var now struct{ To string }
			var show bool
			var err error
			switch {
			case ask:
				show, err = c.call(cmd.Context(), http.MethodGet, modemPath(args[0], "/forward"), nil, &now)
			case off:
				show, err = c.call(cmd.Context(), http.MethodPut, modemPath(args[0], "/forward"), map[string]string{"to": ""}, &now)
			default:
				show, err = c.call(cmd.Context(), http.MethodPut, modemPath(args[0], "/forward"), map[string]string{"to": args[1]}, &now)
			}
			if show && now.To == "" {
				fmt.Println("calls are not forwarded")
			} else if show {
				fmt.Println("calls are forwarded to", now.To)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "end it")
	cmd.Flags().BoolVar(&ask, "show", false, "ask the network")
	return cmd
}

func (c *client) modemAccept() *cobra.Command {
	return &cobra.Command{
		Use: "accept NAME", Short: "Make the SIM that is in a modem now the right one", Args: cobra.ExactArgs(1),
		Long: "Another SIM than the last accepted one is an alarm, because whoever changes a SIM can read what is\n" +
			"texted back and send in the hospital's name. Accept ends it. The new SIM carries codes; before it\n" +
			"carries notices it needs a record: pinward modem sim set.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var now struct{ SIM string }
			show, err := c.call(cmd.Context(), http.MethodPost, modemPath(args[0], "/accept"), nil, &now)
			if show {
				fmt.Printf("SIM %s is the one that belongs to %s\n", now.SIM, args[0])
			}
			return err
		},
	}
}

// modemWatch shows the conversation with a modem until it is interrupted or the daemon ends.
func (c *client) modemWatch() *cobra.Command {
	var tail bool
	cmd := &cobra.Command{
		Use: "watch NAME", Short: "Show the conversation with a modem, masked, as it goes on", Args: cobra.ExactArgs(1),
		Long: "Watch shows the last lines between the daemon and a modem and then each one as it comes, until ^C.\n" +
			"Numbers, texts, PDUs, PINs and serial numbers are masked. With --json each line is an object.\n" +
			"> is what the daemon wrote, < what the modem did.",
		RunE: func(cmd *cobra.Command, args []string) error {
			path := modemPath(args[0], "/watch")
			if tail {
				path += "?tail=1"
			}
			resp, err := c.do(cmd.Context(), http.MethodGet, path, nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if c.json {
				_, err := io.Copy(os.Stdout, resp.Body)
				return err
			}
			for dec := json.NewDecoder(resp.Body); ; {
				var l struct {
					At   time.Time
					Out  bool
					Text string
					Lost int
				}
				if err := dec.Decode(&l); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return fmt.Errorf("watch %s: the daemon ended it: %w", args[0], err)
				}
				if l.Lost > 0 {
					fmt.Printf("             ... %d lines are missing\n", l.Lost)
				}
				arrow := "<"
				if l.Out {
					arrow = ">"
				}
				fmt.Printf("%s %s %s\n", l.At.Local().Format("15:04:05.000"), arrow, l.Text)
			}
		},
	}
	cmd.Flags().BoolVar(&tail, "tail", false, "show the last lines only, and end")
	return cmd
}
