package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"pinward/cmd/pinward/doctor"
)

// host is the machine that this program looks at.
type host struct {
	doctor.Host
	config string
}

func (h *host) flags(cmd *cobra.Command) {
	cmd.PreRunE = func(*cobra.Command, []string) (err error) {
		h.config, err = filepath.Abs(h.config)
		return err
	}
	cmd.Flags().StringVar(&h.config, "config", "/etc/pinward/pinward.toml", "the daemon's configuration `file`")
	cmd.Flags().StringVar(&h.Root, "root", "", "look at the machine below this `folder`, as one that was mounted")
	_ = cmd.Flags().MarkHidden("root") // it is there: two lines above
}

func (c *client) doctor() *cobra.Command {
	var h host
	var from, text, bundle string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what goes wrong on this machine, and say the next step for each", Args: cobra.NoArgs,
		Long: "Doctor looks at units, clock, disk, TPM, modems, certificates, ports, address lists and the relay, and has\n" +
			"the daemon tell what only that can see: SIM, registration, service centre, keys, who answers behind the\n" +
			"relay. It works without a daemon, too. Root sees most; a member of pinward-admin sees what needs no root.\n" +
			"It exits 0 when nothing needs anybody, 1 when something warns, 2 when something does not work.\n\n" +
			"--from tells why an address gets no answer: each list that could drop it is asked.\n" +
			"--bundle writes all that support needs into one file, without patient data: see what is in it by tar tzf.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case from != "":
				ip, err := netip.ParseAddr(from)
				if err != nil {
					return fmt.Errorf("--from wants an address, such as 10.1.2.3")
				}
				return c.tell(h.From(cmd.Context(), h.config, ip))
			case bundle != "":
				return c.writeBundle(cmd.Context(), &h, bundle)
			}
			list := c.examine(cmd.Context(), &h)
			if text != "" {
				list = append(list, c.textTo(cmd.Context(), text)...)
			}
			return c.tell(list)
		},
	}
	h.flags(cmd)
	cmd.Flags().StringVar(&from, "from", "", "say which list lets this `address` in, or drops it")
	cmd.Flags().StringVar(&text, "text", "", "send one text to this `number`, which has to be yours, by each modem that is ready")
	cmd.Flags().StringVar(&bundle, "bundle", "", "write a bundle for support to this new `file`, as box.tar.gz")
	cmd.MarkFlagsMutuallyExclusive("from", "text", "bundle")
	return cmd
}

// examine looks at the machine, and asks the daemon for what it sees.
func (c *client) examine(ctx context.Context, h *host) []doctor.Finding {
	list := h.Examine(ctx, h.config)
	var own []doctor.Finding
	if err := c.get(ctx, http.MethodGet, "/doctor", nil, &own); err != nil {
		f := doctor.Finding{Area: "daemon", State: doctor.Fail, What: err.Error(), Next: "run: systemctl status pinward; journalctl -u pinward -n 50"}
		if _, reached := c.reached(ctx); reached {
			f.State, f.Next = doctor.Unknown, "run: pinward login NAME, then this again: modems, keys and relay are not looked at without it"
		} else if errors.Is(err, os.ErrPermission) || strings.Contains(err.Error(), "pinward-admin") {
			f.State, f.Next = doctor.Unknown, "run it as root, or: usermod -aG pinward-admin NAME"
		}
		return append(list, f)
	}
	measured := func(f doctor.Finding) bool { // where both did, what the daemon meets counts
		return f.Area == "disk" && slices.ContainsFunc(own, func(o doctor.Finding) bool { return o.Area == f.Area && o.Name == f.Name })
	}
	return append(slices.DeleteFunc(list, measured), own...)
}

// reached tells whether the daemon answers at all, and how it stands.
func (c *client) reached(ctx context.Context) (st status, ok bool) {
	return st, c.get(ctx, http.MethodGet, "/status", nil, &st) == nil
}

// textTo sends a text by each ready modem, one after the other, and tells how far it came.
func (c *client) textTo(ctx context.Context, number string) (list []doctor.Finding) {
	var modems []struct {
		Name  string
		Ready bool
	}
	if err := c.get(ctx, http.MethodGet, "/modems", nil, &modems); err != nil {
		return []doctor.Finding{{Area: "text", State: doctor.Fail, What: err.Error()}}
	}
	sent := false
	for _, m := range modems {
		if !m.Ready {
			continue
		}
		sent = true
		f := doctor.Finding{Area: "text", Name: m.Name, State: doctor.OK}
		t, err := c.selfTestOf(ctx, m.Name, number, false, func(selfTest) {})
		switch {
		case err != nil:
			f.State, f.What = doctor.Fail, err.Error()
		case !t.OK:
			f.State, f.What, f.Next = doctor.Fail, t.Result, "run: pinward modem watch "+m.Name+", and this again"
		default:
			f.What = fmt.Sprintf("%s; its receipt came after %.1f s", t.Result, t.Receipt)
		}
		list = append(list, f)
	}
	if !sent {
		list = append(list, doctor.Finding{Area: "text", State: doctor.Fail, What: "no modem is ready", Next: "run: pinward modem list"})
	}
	return list
}

// Exit codes of the doctor.
const (
	doctorWarns = 1
	doctorFails = 2
)

// tell prints the findings and makes the exit code of them.
func (c *client) tell(list []doctor.Finding) error {
	if c.json {
		if err := printJSON(map[string]any{"state": doctor.Worst(list), "findings": list}); err != nil {
			return err
		}
	} else {
		printFindings(os.Stdout, list, term.IsTerminal(int(os.Stdout.Fd())))
	}
	switch doctor.Worst(list) {
	case doctor.Fail:
		return exit(doctorFails)
	case doctor.Warn:
		return exit(doctorWarns)
	}
	return nil
}

// colours of the states on a terminal.
var colours = map[doctor.State]string{doctor.OK: "32", doctor.Warn: "33", doctor.Fail: "31", doctor.Unknown: "36"}

// printFindings is a table for people: state, where, what; below it the next step.
func printFindings(w io.Writer, list []doctor.Finding, colour bool) {
	count := map[doctor.State]int{}
	for _, f := range list {
		count[f.State]++
		state := fmt.Sprintf("%-7s", f.State)
		if colour {
			state = "\x1b[" + colours[f.State] + "m" + state + "\x1b[0m"
		}
		where := strings.TrimSpace(f.Area + " " + f.Name)
		fmt.Fprintf(w, "%s %-34s %s\n", state, where, f.What)
		if f.Next != "" && f.State != doctor.OK {
			fmt.Fprintf(w, "        %-34s -> %s\n", "", f.Next)
		}
	}
	fmt.Fprintf(w, "\n%d looked at: %d fail, %d warn, %d could not be looked at\n", len(list), count[doctor.Fail], count[doctor.Warn], count[doctor.Unknown])
}
