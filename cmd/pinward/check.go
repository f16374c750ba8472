package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes of monitoring plugins.
const (
	pluginOK       = 0
	pluginWarning  = 1
	pluginCritical = 2
	pluginUnknown  = 3
)

// probe is one thing that `pinward check` can look at by itself.
type probe struct {
	name, short string
	warn, crit  string // thresholds where none are given; of what, short says
	look        func(st status, fs scrape, warn, crit threshold) verdict
}

// probes are those of `pinward check NAME`.
var probes = []probe{
	{"modem", "Modems that cannot send: how many", "0", "", checkModems},
	{"signal", "The weakest signal of a modem, in dBm", "-105:", "-111:", checkSignal},
	{"queue", "Messages that wait: age of the oldest code, in seconds", "10", "30", checkQueue},
	{"hl7", "HL7 messages that were refused or not taken, in percent since the daemon started", "5", "20", checkHL7},
	{"tpm", "The TPM: hours since its counter was bound to the audit", "3", "25", checkTPM},
	{"cert", "Certificates: days until the first runs out", "30:", "7:", checkCertificates},
	{"backup", "Backups: hours since the last whole one", "36", "72", checkBackup},
	{"alarm", "Alarms: minutes that the oldest one waits for somebody to acknowledge it", "5", "60", checkAlarms},
	{"heartbeat", "The daily heartbeat: hours since it last reached everybody it is for", "25", "49", checkHeartbeat},
	{"clock", "The clock: trusted, and kept by a time server", "", "", checkClock},
	{"disk", "Free space of the state folder, in MB", "2048:", "600:", checkDisk},
	{"follower", "Witnesses, audit repository, engines: seconds that the one furthest behind waits", "3600", "86400", checkFollowers},
}

// check is one line and an exit code for Nagios, Icinga, CheckMK and their kin.
func (c *client) check() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Answer a monitoring plugin: one line, exit 0, 1, 2 or 3", Args: cobra.NoArgs,
		Long: "Check answers as the Monitoring Plugins guidelines want it: a line of text with performance data, and exit\n" +
			"0 (OK), 1 (WARNING), 2 (CRITICAL) or 3 (UNKNOWN). Alone it judges the whole box: CRITICAL when a code would\n" +
			"not be accepted, WARNING when health has anything against it. With a name it judges that alone, by the\n" +
			"thresholds -w and -c, which are ranges (10, 10:, ~:10, 10:20, @10:20). It needs no login, and the right to\n" +
			"open the control socket: put the plugin's user into the group pinward-admin.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.plugin("PINWARD", func(st status) (verdict, error) { return st.judged(), nil }, cmd)
		},
	}
	for _, p := range probes {
		cmd.AddCommand(c.probe(p))
	}
	return cmd
}

func (c *client) probe(p probe) *cobra.Command {
	var warn, crit string
	cmd := &cobra.Command{
		Use: p.name, Short: p.short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := parseThreshold(warn)
			if err == nil {
				var cr threshold
				if cr, err = parseThreshold(crit); err == nil {
					return c.plugin("PINWARD "+strings.ToUpper(p.name), func(st status) (verdict, error) {
						fs, err := c.scrape(cmd.Context())
						if err != nil {
							return verdict{}, err
						}
						if st.State != "open" {
							return verdict{code: pluginUnknown, text: "the box is " + st.State}, nil
						}
						return p.look(st, fs, w, cr), nil
					}, cmd)
				}
			}
			fmt.Println("PINWARD UNKNOWN:", err)
			return exit(pluginUnknown)
		},
	}
	if p.warn == "" { // yes or no: there is nothing to set
		return cmd
	}
	cmd.Flags().StringVarP(&warn, "warning", "w", p.warn, "WARNING outside of this `range`")
	cmd.Flags().StringVarP(&crit, "critical", "c", p.crit, "CRITICAL outside of this `range`")
	return cmd
}

// plugin asks the daemon, and answers as a plugin whatever comes of it.
func (c *client) plugin(service string, look func(status) (verdict, error), cmd *cobra.Command) error {
	var st status
	var v verdict
	err := c.get(cmd.Context(), http.MethodGet, "/status", nil, &st)
	if err == nil {
		v, err = look(st)
	}
	if err != nil {
		v = verdict{code: pluginUnknown, text: err.Error()}
	}
	if c.json {
		perf := map[string]float64{}
		for _, p := range v.perf {
			perf[p.label] = p.value
		}
		if err := printJSON(map[string]any{"status": pluginWords[v.code], "code": v.code, "text": v.text, "figures": perf}); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(os.Stdout, v.line(service))
	}
	return done(v.code)
}

func done(code int) error {
	if code == pluginOK {
		return nil
	}
	return exit(code)
}

// judged is the verdict on the whole box.
func (st status) judged() (v verdict) {
	ready := 0
	for _, m := range st.Modems {
		if m.Ready {
			ready++
		}
	}
	waiting := 0
	for _, n := range st.Queue {
		waiting += n
	}
	v.perf = []perf{
		{label: "modems_ready", value: float64(ready), min: "0", max: fmt.Sprint(len(st.Modems))},
		{label: "waiting", value: float64(waiting), min: "0"},
		{label: "entries", value: float64(st.Entries), unit: "c"},
	}
	switch {
	case st.State != "open":
		v.code, v.text = pluginCritical, "the box is "+st.State
		return v
	case st.Maintenance != nil:
		v.code, v.text = pluginWarning, st.Maintenance.String()
		return v
	case !st.Accepts:
		v.code, v.text = pluginCritical, st.Health.because("fail", "a code would not be accepted")
		return v
	}
	for _, name := range slices.Sorted(maps.Keys(st.Modems)) {
		if !st.Modems[name].Ready {
			v.code, v.text = pluginWarning, st.Health.because("warn", "modem "+name+" cannot send")
			return v
		}
	}
	v.text = "codes are accepted"
	if st.Health.first("warn") != "" || st.Health.first("fail") != "" {
		v.code, v.text = pluginWarning, st.Health.because("fail", st.Health.because("warn", "codes are accepted"))
	}
	return v
}
