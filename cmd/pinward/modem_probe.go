package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// candidate is a serial port as the daemon found it.
type candidate struct {
	Path, Node, USB, Product, Use, State   string
	Vendor, Model, Revision, Profile, IMEI string
	SIM                                    string
	SIMState                               string `json:"sim_state"`
	UsedBy                                 string `json:"used_by"`
	SameAs                                 string `json:"same_as"`
	Stable                                 bool
}

func (c *client) modemProbe() *cobra.Command {
	return &cobra.Command{
		Use: "probe [DEVICE]", Short: "Look for modems, and print what to put into the configuration", Args: cobra.MaximumNArgs(1),
		Long: "Probe lists the serial ports of the machine with what each is for, and asks those that may have a\n" +
			"modem whether one answers: AT, three times at most, and nothing more to a port that stays silent. A\n" +
			"port that the daemon uses is not touched. With DEVICE it asks that one, whatever it is for.\n" +
			"For each modem that nobody uses yet it prints the block for /etc/pinward/pinward.toml.",
		RunE: func(cmd *cobra.Command, args []string) error {
			req := map[string]string{}
			if len(args) == 1 {
				req["device"] = args[0]
			}
			var found []candidate
			show, err := c.call(cmd.Context(), http.MethodPost, "/modems/probe", req, &found)
			if show {
				printCandidates(os.Stdout, found)
			}
			return err
		},
	}
}

func printCandidates(w io.Writer, found []candidate) {
	if len(found) == 0 {
		fmt.Fprintln(w, "no serial port: is the modem plugged in, and has it power?")
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "DEVICE\tNODE\tUSB\tPORT FOR\tFOUND")
	for _, c := range found {
		what := c.State
		switch {
		case c.UsedBy != "":
			what = "used by " + c.UsedBy
		case c.SameAs != "":
			what = "the same modem as " + c.SameAs
		case c.State == "modem":
			what = strings.TrimSpace(fmt.Sprintf("%s %s, profile %s, %s", c.Vendor, c.Model, c.Profile, cmp.Or(c.SIMState, "SIM unknown")))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", c.Path, c.Node, cmp.Or(c.USB, "-"), cmp.Or(c.Use, "unknown"), what)
	}
	t.Flush()
	for i, c := range found {
		if c.State != "modem" || c.SameAs != "" {
			continue
		}
		fmt.Fprintf(w, "\n[[modem]]\nname = \"modem-%s\"\ndevice = %q\nimei = %q\n", cmp.Or(last(c.IMEI, 4), fmt.Sprint(i+1)), c.Path, c.IMEI)
		if !c.Stable {
			fmt.Fprintln(w, "# This device has no name that stays when it comes back: see packaging/udev for one.")
		}
		if c.SIMState == "SIM PIN" {
			fmt.Fprintln(w, "# Its SIM asks for a PIN: name a systemd credential with pin = \"...\", or run pinward modem pin.")
		}
	}
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }

func (c *client) modemPIN() *cobra.Command {
	return &cobra.Command{
		Use: "pin NAME", Short: "Give a SIM its PIN; asks for it", Args: cobra.ExactArgs(1),
		Long: "Pin asks for the PIN without showing it and gives it to the SIM once, while the SIM asks for it and at\n" +
			"least two tries are left. It is kept nowhere: after a power loss the SIM asks again, unless a systemd\n" +
			"credential holds it (pin = in the configuration).",
		RunE: func(cmd *cobra.Command, args []string) error {
			pin, err := prompt(bufio.NewReader(os.Stdin), "PIN of the SIM in "+args[0], true)
			if err != nil {
				return err
			}
			show, err := c.callEmpty(cmd, http.MethodPost, modemPath(args[0], "/pin"), map[string]string{"pin": pin})
			if show {
				fmt.Println("the SIM took it")
			}
			return err
		},
	}
}
