package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pinward/store/audit"
)

// auditOpen opens one entry to somebody without a key.
func (c *client) auditOpen() *cobra.Command {
	return &cobra.Command{
		Use: "open NUMBER FILE", Short: "Write one entry, opened, to a file that anybody can check; it tells nothing of other entries", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			resp, err := c.do(cmd.Context(), http.MethodGet, "/audit/open/"+url.PathEscape(args[0]), nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
			if err != nil {
				return fmt.Errorf("read entry: %w", err)
			}
			if err := new(audit.Opening).UnmarshalText(text); err != nil {
				return fmt.Errorf("read entry: %w", err)
			}
			f, err := os.OpenFile(args[1], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("write entry: %w", err)
			}
			_, err = f.Write(text)
			return errors.Join(err, f.Close())
		},
	}
}

// auditVerifyEntry checks the file of auditOpen offline. As for a bundle, only the fingerprint from
// the sheet says whose box it was.
func auditVerifyEntry() *cobra.Command {
	var signer string
	cmd := &cobra.Command{
		Use: "verify-entry FILE", Short: "Check one opened entry, without daemon, key or network", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if signer = strings.ToLower(signer); signer != "" && len(signer) != sha256.Size*2 {
				return errors.New("--signer: want the fingerprint of 64 hexadecimal digits from your sheet")
			}
			text, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("read entry: %w", err)
			}
			var o audit.Opening
			if err := o.UnmarshalText(text); err != nil {
				return fmt.Errorf("NOT verified: %w", err)
			}
			key, err := audit.ParseKey(o.Signer)
			if err != nil {
				return fmt.Errorf("NOT verified: %w", err)
			}
			r, err := audit.VerifyOpening(&o, key)
			if err != nil {
				return fmt.Errorf("NOT verified: %w", err)
			}
			by := audit.Fingerprint(key)
			if signer != "" && by != signer {
				return fmt.Errorf("NOT verified: it is signed by %s, and not by the signer given", by)
			}
			verdict := "VERIFIED, signed by " + by
			if signer == "" {
				verdict = "CONSISTENT WITH SIGNER " + by + ": compare with your sheet"
			}
			fmt.Printf("%s\nentry %d, %s\n%s:%s %s, %s\n", verdict, r.Seq, r.Time.Format(time.RFC3339Nano), r.Actor.Kind, r.Actor.ID, r.Entry.Action, r.Entry.Outcome)
			for _, line := range [][2]string{{"for", r.Actor.OnBehalfOf}, {"record", r.Entry.Object}, {"patient", r.Entry.Subject}} {
				if line[1] != "" {
					fmt.Printf("  %s: %s\n", line[0], line[1])
				}
			}
			for _, a := range r.Entry.Attrs {
				fmt.Printf("  %s: %s\n", a.Key, a.Value)
			}
			if signer == "" {
				return exit(1)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&signer, "signer", "", "fingerprint of the box's signer")
	return cmd
}

func (c *client) auditReport() *cobra.Command {
	var subjects []string
	var from, to, out, signer string
	cmd := &cobra.Command{
		Use: "report KIND", Short: "Make a report as CSV: disclosures, activity, incidents or ocr", Args: cobra.ExactArgs(1),
		Long: "The report ocr is the evidence for an audit: users and roles, access reviews, failed logins, settings,\n" +
			"drills, incidents. With --out it becomes a folder that also holds the activity review, the incidents,\n" +
			"the audit as a bundle, and the verdict on it.",
		Example: "  pinward audit report disclosures --subject 'HOSP|77001' > disclosures.csv\n" +
			"  pinward audit report ocr --from 2026-01-01T00:00:00Z --out pack --signer FINGERPRINT",
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{"subject": subjects}
			for name, v := range map[string]string{"from": from, "to": to} {
				if v != "" {
					q.Set(name, v)
				}
			}
			if !c.json || out != "" {
				q.Set("format", "csv")
			}
			if out != "" {
				if args[0] != "ocr" {
					return errors.New("--out goes with the report ocr")
				}
				return c.evidencePack(cmd.Context(), out, strings.ToLower(signer), q)
			}
			resp, err := c.do(cmd.Context(), http.MethodGet, "/audit/report/"+url.PathEscape(args[0])+"?"+q.Encode(), nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.Copy(os.Stdout, resp.Body)
			return err
		},
	}
	cmd.Flags().StringArrayVar(&subjects, "subject", nil, "the patient as AUTHORITY|MRN; again for each id of a merged one")
	cmd.Flags().StringVar(&from, "from", "", "not before, as in RFC 3339")
	cmd.Flags().StringVar(&to, "to", "", "before, as in RFC 3339")
	cmd.Flags().StringVar(&out, "out", "", "with ocr: a new `FOLDER` for the whole pack")
	cmd.Flags().StringVar(&signer, "signer", "", "with --out: fingerprint of the box's signer, from your sheet")
	return cmd
}

func (c *client) auditHold() *cobra.Command {
	var matter, from, to, subject, lift string
	cmd := &cobra.Command{
		Use: "hold", Short: "List the holds, place one with --matter, or lift one with --lift; two people lift it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case lift != "":
				var done struct{ Lifted bool }
				show, err := c.call(cmd.Context(), http.MethodPost, "/audit/holds/"+url.PathEscape(lift)+"/lift", struct{}{}, &done)
				if show && done.Lifted {
					fmt.Println("lifted")
				} else if show {
					fmt.Println("noted: it is lifted when another person asks for it too")
				}
				return err
			case matter != "":
				req := map[string]string{"matter": matter}
				for name, v := range map[string]string{"from": from, "to": to, "subject": subject} {
					if v != "" {
						req[name] = v
					}
				}
				var h struct{ ID string }
				show, err := c.call(cmd.Context(), http.MethodPost, "/audit/holds", req, &h)
				if show {
					fmt.Println(h.ID)
				}
				return err
			}
			var list []map[string]json.RawMessage
			show, err := c.call(cmd.Context(), http.MethodGet, "/audit/holds", nil, &list)
			if show {
				for _, h := range list {
					fmt.Printf("%s  %s  by %s at %s\n", h["id"], h["matter"], h["by"], h["at"])
				}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&matter, "matter", "", "place a hold for this matter, such as a docket number")
	f.StringVar(&from, "from", "", "hold entries from this time on, as in RFC 3339")
	f.StringVar(&to, "to", "", "hold entries before this time")
	f.StringVar(&subject, "subject", "", "hold what is about this patient, as AUTHORITY|MRN")
	f.StringVar(&lift, "lift", "", "ask to lift the hold of this `ID`")
	return cmd
}

// witness is somebody who keeps the signed heads.
type witness struct {
	Name    string
	OffBox  bool `json:"off_box"`
	Size    uint64
	At      time.Time
	Behind  uint64
	Trouble string
}

func (w witness) String() string {
	where, has := "on this box", "no head yet"
	if w.OffBox {
		where = "off the box"
	}
	if !w.At.IsZero() {
		has = fmt.Sprintf("%d entries since %s", w.Size, w.At.Local().Format(time.DateTime))
	}
	line := fmt.Sprintf("%-16s %s  %s, %d behind", w.Name, where, has, w.Behind)
	if w.Trouble != "" {
		line += ": " + w.Trouble
	}
	return line
}

func (c *client) auditWitnesses() *cobra.Command {
	return listCommand[witness](c, "witnesses", "List who keeps the signed heads, and which they have", "/audit/witnesses")
}
