package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// simRecord is what the hospital has on record about a SIM.
type simRecord struct {
	ICCID, Number, Owner, Carrier, Plan, Note string
	Permission                                struct {
		Reference string
		On, Until time.Time
	}
	Balance struct {
		Code string
		Low  float64
	}
	Lanes       []string
	PerMinute   int `json:"per_minute"`
	PerDay      int `json:"per_day"`
	Renewal     time.Time
	PortOutLock bool `json:"port_out_lock"`
}

func (c *client) modemSIM() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sim", Short: "Keep the records of the SIMs: carrier, permission, caps, renewal",
		Long: "Each SIM has a record. A SIM without the carrier's written permission on record carries codes and\n" +
			"alarms only, never notices or campaigns: carriers block SIMs that send application texts without it.",
	}
	cmd.AddCommand(c.simList(), c.simSet(), c.simRemove())
	return cmd
}

func (c *client) simList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the records of the SIMs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []simRecord
			show, err := c.call(cmd.Context(), http.MethodGet, "/sims", nil, &all)
			if !show {
				return err
			}
			t := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintln(t, "ICCID\tNUMBER\tOWNER\tCARRIER\tPLAN\tPERMISSION\tUNTIL\tRENEWAL\tMINUTE\tDAY\tBALANCE\tPORT-OUT LOCK")
			for _, s := range all {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%v\n", s.ICCID, cmp.Or(s.Number, "-"), cmp.Or(s.Owner, "-"), cmp.Or(s.Carrier, "-"),
					cmp.Or(s.Plan, "-"), cmp.Or(s.Permission.Reference, "none"), day(s.Permission.Until), day(s.Renewal), capWords(s.PerMinute), capWords(s.PerDay), cmp.Or(s.Balance.Code, "-"), s.PortOutLock)
			}
			return t.Flush()
		},
	}
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateOnly)
}

func capWords(n int) string {
	switch n {
	case 0:
		return "default"
	case -1:
		return "none"
	}
	return fmt.Sprint(n)
}

func (c *client) simSet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "set MODEM", Short: "Change the record of the SIM that is in a modem", Args: cobra.ExactArgs(1),
		Example: "  pinward modem sim set modem1 --owner IT --carrier 'Carrier A' --number +16175551234 \\\n" +
			"      --permission 'letter of 3 March, folder 7' --permission-on 2026-03-03 --port-out-lock",
		Long: "Set changes the fields that you name and leaves the others as they are; an empty value clears one.\n" +
			"The entry says which fields changed. Dates are as in 2026-12-31.",
	}
	f := cmd.Flags()
	texts := map[string]string{
		"number": "the SIM's own number; self-tests go to it", "owner": "who signed the contract", "carrier": "the carrier's name",
		"plan": "the plan's name", "note": "anything else", "permission": "where the carrier's written permission is; empty: there is none",
	}
	for name, usage := range texts {
		f.String(name, "", usage)
	}
	f.String("permission-on", "", "when the permission was given")
	f.String("permission-until", "", "when it ends; empty: it does not")
	f.String("renewal", "", "when the plan ends unless somebody renews it")
	f.StringSlice("lanes", nil, "otp, notice, bulk: what it may carry (default: all that the permission allows)")
	f.Int("per-minute", 0, "parts a minute at the most; 0: the default of 10, -1: no cap")
	f.Int("per-day", 0, "parts a day at the most; 0: the default of 200, -1: no cap")
	f.String("balance-code", "", "USSD code of a prepaid SIM by which its carrier tells the balance; it is asked once a day")
	f.Float64("balance-low", 0, "warn at this balance or less")
	f.Bool("port-out-lock", false, "the carrier lets nobody take the number away")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := simChanges(cmd)
		if err != nil {
			return err
		}
		var s simRecord
		show, err := c.call(cmd.Context(), http.MethodPut, modemPath(args[0], "/sim"), body, &s)
		if show {
			fmt.Println("the record of SIM", s.ICCID, "is kept")
		}
		return err
	}
	return cmd
}

// simChanges are the fields whose flags were given.
func simChanges(cmd *cobra.Command) (map[string]any, error) {
	f := cmd.Flags()
	body, permission := map[string]any{}, map[string]any{}
	for _, name := range []string{"number", "owner", "carrier", "plan", "note"} {
		if f.Changed(name) {
			body[name], _ = f.GetString(name)
		}
	}
	if f.Changed("permission") {
		permission["reference"], _ = f.GetString("permission")
	}
	for flag, to := range map[string]struct {
		into map[string]any
		key  string
	}{"permission-on": {permission, "on"}, "permission-until": {permission, "until"}, "renewal": {body, "renewal"}} {
		if !f.Changed(flag) {
			continue
		}
		text, _ := f.GetString(flag)
		at := time.Time{}
		if text != "" {
			var err error
			if at, err = time.ParseInLocation(time.DateOnly, text, time.Local); err != nil {
				return nil, fmt.Errorf("--%s: want a date as in 2026-12-31", flag)
			}
		}
		to.into[to.key] = at
	}
	if f.Changed("lanes") {
		body["lanes"], _ = f.GetStringSlice("lanes")
	}
	for _, name := range []string{"per-minute", "per-day"} {
		if f.Changed(name) {
			body[strings.ReplaceAll(name, "-", "_")], _ = f.GetInt(name)
		}
	}
	balance := map[string]any{}
	if f.Changed("balance-code") {
		balance["code"], _ = f.GetString("balance-code")
	}
	if f.Changed("balance-low") {
		balance["low"], _ = f.GetFloat64("balance-low")
	}
	if len(balance) > 0 {
		body["balance"] = balance
	}
	if f.Changed("port-out-lock") {
		body["port_out_lock"], _ = f.GetBool("port-out-lock")
	}
	if len(permission) > 0 {
		body["permission"] = permission
	}
	if len(body) == 0 {
		return nil, errors.New("say what to change; see pinward modem sim set --help")
	}
	return body, nil
}

func (c *client) simRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove ICCID", Short: "Forget the record of a SIM that is out of use", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			show, err := c.callEmpty(cmd, http.MethodDelete, "/sims/"+url.PathEscape(args[0]), nil)
			if show {
				fmt.Println("removed; if the SIM is in a modem, it carries codes only")
			}
			return err
		},
	}
}
