package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"pinward/store/audit"
)

// retirement is one person's part in the end of a box.
type retirement struct {
	*client
	reason, export, noExport, keepTPM, certificate string
}

// certificate is what is left of a box.
type certificate struct {
	Text, Statement, Signature, Head, TPM, Store string
	PublicKey                                    string `json:"public_key"`
}

const decommissionLong = `Decommission takes a box out of service for good. Two persons run it, each with the same reasons in the same words, and
each types the box's name. When the second has, nothing more is sent; then it

  1. deletes the texts on every modem and SIM, and ends their forwarding,
  2. exports the audit to a new folder, and verifies it (--no-export REASON goes without); this takes the role auditor,
  3. writes and signs the certificate, and only then
  4. destroys the keys: the TPM is cleared, which takes what other programs keep in it as well (--keep-tpm REASON leaves
     it, and gives it back to them), and the store and the sealed keys are removed.

Until the certificate is written the second person can run the same again, and it goes on where it was. From then on the box
ends by itself, at the next start if need be. The certificate says what was not done: a modem that did not answer, a TPM that
could not be cleared, a store that could not be removed. Make a last backup first, and keep it
with the recovery kit for as long as somebody may have to read the audit: pinward backup FILE. Afterwards the command shows
the certificate.`

func (c *client) decommission() *cobra.Command {
	r := &retirement{client: c}
	cmd := &cobra.Command{
		Use: "decommission", Short: "Take the box out of service: destroy its keys, empty its modems, print the certificate", Args: cobra.NoArgs, Long: decommissionLong,
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&r.reason, "reason", "", "why, for an auditor")
	f.StringVar(&r.export, "export", "", "write the audit to this new `FOLDER`, off this box")
	f.StringVar(&r.noExport, "no-export", "", "export no audit, for this `REASON`")
	f.StringVar(&r.keepTPM, "keep-tpm", "", "do not clear the TPM, for this `REASON`: other programs keep keys in it")
	f.StringVar(&r.certificate, "certificate", "", "write the certificate to this new `FILE` as well")
	cmd.MarkFlagsMutuallyExclusive("export", "no-export")
	return cmd
}

func (r *retirement) run(ctx context.Context) error {
	var st status
	if err := r.get(ctx, http.MethodGet, "/status", nil, &st); err != nil {
		return err
	}
	if st.State == "decommissioned" {
		return r.show(ctx)
	}
	switch {
	case r.reason == "":
		return errors.New("--reason is needed")
	case r.export == "" && r.noExport == "":
		return errors.New("name a folder for the audit with --export, or say why there is none with --no-export")
	case r.certificate != "" && exists(r.certificate):
		return fmt.Errorf("%s exists already", r.certificate)
	}
	fmt.Fprintf(os.Stderr, "This ends the box %s. After the second person nothing can be undone.\n", st.Box)
	in := bufio.NewReader(os.Stdin)
	typed, err := prompt(in, "the name of the box", false)
	if err != nil {
		return err
	}
	var begun struct {
		Waits    bool
		NoExport string `json:"no_export"`
		Exported uint64
	}
	order := map[string]string{"box": strings.TrimSpace(typed), "reason": r.reason, "no_export": r.noExport, "keep_tpm": r.keepTPM}
	if err := r.get(ctx, http.MethodPost, "/decommission", order, &begun); err != nil {
		return err
	}
	if begun.Waits {
		fmt.Println("Another person has to run the same within a day, with the same reasons in the same words.")
		return nil
	}
	return r.finish(ctx, st, order["box"], begun.NoExport == "" && begun.Exported == 0)
}

// finish does what is left after the second person's word.
func (r *retirement) finish(ctx context.Context, st status, box string, export bool) error {
	var e struct {
		Emptied []struct{ Modem, SIM, Storage, Forward string }
		Spares  []struct{ SIM, Carrier string }
	}
	if err := r.get(ctx, http.MethodPost, "/decommission/modems", struct{}{}, &e); err != nil {
		return err
	}
	for _, m := range e.Emptied {
		fmt.Fprintf(os.Stderr, "%-10s SIM %s: texts %s; forwarding %s\n", m.Modem, cmp.Or(m.SIM, "not seen"), m.Storage, m.Forward)
	}
	for _, m := range e.Spares {
		fmt.Fprintf(os.Stderr, "%-10s SIM %s, %s: on record, and in no modem\n", "", m.SIM, cmp.Or(m.Carrier, "carrier not known"))
	}
	if export {
		if r.export == "" {
			return errors.New("it was begun with an export: name a folder with --export")
		}
		if !exists(r.export) { // it may be there since a run that was cut off; then it has to verify
			if err := r.exportTo(ctx, r.export, ""); err != nil {
				return fmt.Errorf("export audit (it takes the role auditor; the other person may go on): %w", err)
			}
		}
		report, err := audit.Verify(ctx, r.export, audit.VerifyOptions{Signer: st.Signer})
		if err != nil {
			return fmt.Errorf("the bundle in %s is NOT verified, and nothing was destroyed; name another folder: %w", r.export, err)
		}
		if err := r.get(ctx, http.MethodPost, "/decommission/exported", map[string]uint64{"entries": report.From + report.Entries}, nil); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s holds the audit, %d entries, verified\n", r.export, report.Entries)
	}
	if err := r.get(ctx, http.MethodPost, "/decommission/end", map[string]string{"box": box}, nil); err != nil {
		return err
	}
	return r.show(ctx)
}

// show prints the certificate, which is on the box's disk as well. What was not done makes it an error.
func (r *retirement) show(ctx context.Context) error {
	var c certificate
	if err := r.get(ctx, http.MethodGet, "/decommission", nil, &c); err != nil {
		return err
	}
	if err := r.print(c); err != nil {
		return err
	}
	if strings.HasPrefix(c.TPM, "NOT ") || strings.HasPrefix(c.Store, "NOT ") {
		return errors.New("the box has ended, and not all of it was destroyed: see TPM and Store on the certificate")
	}
	return nil
}

func (r *retirement) print(c certificate) error {
	if r.json {
		return printJSON(c)
	}
	paper := fmt.Sprintf("%s\nTPM: %s\nStore: %s\n\nSigned statement:\n\n%s\nSignature (ECDSA P-256, SHA-256, base64): %s\n\n%s\nLast head of the audit:\n\n%s",
		c.Text, cmp.Or(c.TPM, "not known"), cmp.Or(c.Store, "not known"), c.Statement, c.Signature, c.PublicKey, c.Head)
	fmt.Println(paper)
	if r.certificate == "" {
		return nil
	}
	f, err := os.OpenFile(r.certificate, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	_, err = fmt.Fprintln(f, paper)
	return errors.Join(err, f.Sync(), f.Close())
}
