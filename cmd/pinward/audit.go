package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"pinward/store/audit"
)

func (c *client) audit() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Search, export and verify the audit"}
	cmd.AddCommand(c.auditVerify(), c.auditExport(), c.auditSearch(), c.auditOpen(), auditVerifyEntry(), c.auditWitness(),
		c.auditWitnesses(), c.auditRepository(), c.auditReport(), c.auditHold(), c.auditIncident())
	return cmd
}

// auditVerify checks a bundle offline. Without a bundle it takes one from the daemon first: that
// proves that the box is consistent with itself, and as always only the fingerprint on the sheet
// from commissioning proves whose box it is.
func (c *client) auditVerify() *cobra.Command {
	var signer, witness string
	cmd := &cobra.Command{
		Use: "verify [BUNDLE]", Short: "Prove that nothing was altered or removed", Args: cobra.MaximumNArgs(1),
		Long: "Verify checks a bundle without daemon, key or network. With --signer, the fingerprint printed at\n" +
			"commissioning, it exits 0 when the audit is whole and signed by that box; without, it says with\n" +
			"which signer the bundle is consistent, and exits 1. Without BUNDLE it exports one from the daemon.\n" +
			"--witness compares with what somebody else kept of the signed heads: a log server's file, or that of\n" +
			"pinward audit witness. That alone tells a second history from the first.",
		RunE: func(cmd *cobra.Command, args []string) error {
			signer = strings.ToLower(signer)
			if cmd.Flags().Changed("signer") && len(signer) != sha256.Size*2 {
				return errors.New("--signer: want the fingerprint of 64 hexadecimal digits from your sheet")
			}
			if len(args) == 1 {
				return c.verifyBundle(cmd.Context(), args[0], signer, witness)
			}
			tmp, err := os.MkdirTemp("", "pinward-audit-")
			if err != nil {
				return fmt.Errorf("make folder: %w", err)
			}
			defer os.RemoveAll(tmp)
			dir := tmp + "/bundle"
			if err := c.exportTo(cmd.Context(), dir, ""); err != nil {
				return err
			}
			return c.verifyBundle(cmd.Context(), dir, signer, witness)
		},
	}
	cmd.Flags().StringVar(&signer, "signer", "", "fingerprint of the box's signer")
	cmd.Flags().StringVar(&witness, "witness", "", "`FILE` of a witness to compare with")
	return cmd
}

func (c *client) verifyBundle(ctx context.Context, dir, signer, witness string) error {
	opts := audit.VerifyOptions{Signer: signer}
	if witness != "" {
		f, err := os.Open(witness)
		if err != nil {
			return fmt.Errorf("open witness file: %w", err)
		}
		defer f.Close()
		opts.Witness = f
	}
	if term.IsTerminal(int(os.Stderr.Fd())) && !c.json {
		opts.Progress = progress("verified")
		defer fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
	report, err := audit.Verify(ctx, dir, opts)
	if err != nil {
		return fmt.Errorf("NOT verified: %w", err)
	}
	if c.json {
		if err := printJSON(report); err != nil {
			return err
		}
	} else {
		if err := report.WriteText(os.Stdout); err != nil {
			return err
		}
	}
	if !report.Pinned {
		return exit(1)
	}
	return nil
}

// progress draws a bar on the terminal, at most ten times a second.
func progress(what string) func(done, total uint64) {
	var last time.Time
	return func(done, total uint64) {
		if total == 0 || time.Since(last) < 100*time.Millisecond {
			return
		}
		last = time.Now()
		const width = 30
		full := int(done * width / total)
		fmt.Fprintf(os.Stderr, "\r[%-*.*s] %3d %% %s", width, full, "##############################", done*100/total, what)
	}
}

func (c *client) auditExport() *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use: "export BUNDLE", Short: "Write the audit to a new folder that verifies offline", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{}
			for name, v := range map[string]string{"from": from, "to": to} {
				if v != "" {
					q.Set(name, v)
				}
			}
			if err := c.exportTo(cmd.Context(), args[0], q.Encode()); err != nil {
				return err
			}
			if !c.json {
				fmt.Printf("%s written; check it with: pinward audit verify --signer FINGERPRINT %[1]s\n", args[0])
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "only from this entry on, by its `NUMBER`, and those back to the signed head before it")
	cmd.Flags().StringVar(&to, "to", "", "only up to this entry, by its `NUMBER`, and those on to the next signed head")
	return cmd
}

func (c *client) exportTo(ctx context.Context, dir, query string) error {
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("%s exists already: name a new folder", dir)
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("look at bundle: %w", err)
	}
	resp, err := c.do(ctx, http.MethodGet, "/audit/export?"+query, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := audit.Unpack(resp.Body, dir); err != nil {
		return fmt.Errorf("unpack bundle: %w", err)
	}
	return nil
}

func (c *client) auditSearch() *cobra.Command {
	q := url.Values{}
	var action, actor, object, subject, from, to string
	var limit int
	var phone bool
	cmd := &cobra.Command{
		Use: "search", Short: "Look for entries; the search is an entry itself", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for name, v := range map[string]string{"action": action, "actor": actor, "object": object, "subject": subject, "from": from, "to": to, "limit": strconv.Itoa(limit)} {
				if v != "" {
					q.Set(name, v)
				}
			}
			var found foundEntries
			if phone {
				if actor != "" || object != "" || subject != "" {
					return errors.New("--phone goes with --action, --from, --to and --limit alone")
				}
				return c.searchPhone(cmd.Context(), action, from, to, limit)
			}
			show, err := c.call(cmd.Context(), http.MethodGet, "/v1/audit?"+q.Encode(), nil, &found)
			if show {
				found.print()
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&action, "action", "", "only this action, or with a dot at the end those that begin with it")
	f.StringVar(&actor, "actor", "", "only this actor, such as client:AC... or user:jane")
	f.StringVar(&object, "object", "", "only entries about this record")
	f.StringVar(&subject, "subject", "", "only entries about this patient, as AUTHORITY|MRN")
	f.StringVar(&from, "from", "", "not before, as in RFC 3339")
	f.StringVar(&to, "to", "", "not after")
	f.BoolVar(&phone, "phone", false, "only entries that name a number, which is asked for, or read from the input: never an argument, which every user of this machine sees")
	f.IntVar(&limit, "limit", 100, "at most this many, the newest")
	return cmd
}
