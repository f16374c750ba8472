package daemon

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pinward/daemon/admin"
	"pinward/store"
	"pinward/tpm"
)

// Certificate says that a box was taken out of service. It is signed by the key that signed the audit, before that key goes.
type Certificate struct {
	Text string `json:"text"`
	// Statement is what is signed: it names the box and the SHA-256 of Text.
	Statement string `json:"statement"`
	Signature string `json:"signature"` // ECDSA P-256 over the SHA-256 of Statement, ASN.1 DER, base64
	PublicKey string `json:"public_key"`
	Head      string `json:"head"` // the last signed head, over the entry that bears the sum of Text
	// TPM says what became of the TPM; it is not signed, as it is known only when nothing can sign any more.
	TPM string `json:"tpm,omitempty"`
}

// certificatePath is the certificate, and the mark of a box that has ended: from the moment it is there the keys are to go,
// by whoever finds it.
func (b *box) certificatePath() string { return filepath.Join(b.cfg.Box.State, "decommissioned.json") }

// tpmUnknown is what the certificate says until the TPM was asked.
const tpmUnknown = "not known: if this stays, clear it in the firmware's menu"

// endBox certifies the end and destroys the keys. Each step leaves what the next start goes on from: before the certificate
// is durable the box is as it was; from then on it ends, whatever happens.
func (b *box) endBox(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	var req struct {
		Box string `json:"box"`
	}
	if err := decodeStrictly(r, &req); err != nil {
		return nil, err
	}
	if req.Box != b.cfg.Box.ID {
		return nil, fmt.Errorf("%w: this box is not the one that was named", admin.ErrState)
	}
	ctx := context.WithoutCancel(r.Context()) // who hangs up now has the certificate on the disk
	_, e, err := b.begun(ctx, s)
	switch {
	case err != nil:
		return nil, err
	case len(e.Emptied) == 0 && len(b.cfg.Modems) > 0:
		return nil, fmt.Errorf("%w: the modems were not emptied yet", admin.ErrState)
	case e.Exported == 0 && e.NoExport == "":
		return nil, fmt.Errorf("%w: the audit was not exported yet", admin.ErrState)
	}
	b.turning.Lock()
	defer b.turning.Unlock()
	h, keys, st, err := b.sealedKeys()
	if err != nil {
		return nil, err
	}
	c, err := b.certify(ctx, h, by, st, e)
	if err != nil {
		return nil, err
	}
	if err := b.saveCertificate(c); err != nil {
		return nil, err
	}
	b.house.Store(nil)
	closing, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	if err := h.close(closing); err != nil {
		b.log.Error("close at the end", "error", err) // what it holds is destroyed
	}
	if e.KeepTPM == "" {
		c.TPM = cleared(keys.Destroy(ctx))
	}
	return c, errors.Join(b.finishEnd(c), keys.Close())
}

func cleared(err error) string {
	if err != nil {
		return "NOT cleared: clear it in the firmware's menu before the machine leaves the house"
	}
	return "cleared: no copy of what was sealed to it opens any more"
}

// certify writes the certificate, binds it into the audit, has the last head signed over that, and signs it.
func (b *box) certify(ctx context.Context, h *house, by store.Actor, st tpm.State, e ending) (c Certificate, err error) {
	var holders []string
	if err := h.store.View(ctx, func(tx *store.Tx) error {
		c, _, err := progress(tx)
		holders = c.Holders
		return err
	}); err != nil {
		return c, err
	}
	c.Text = b.certificateText(h, st, e, holders)
	sum := sha256.Sum256([]byte(c.Text))
	c.Statement = fmt.Sprintf("pinward decommission certificate/v1\nbox %s\nsha256 %s\n", b.cfg.Box.ID, hex.EncodeToString(sum[:]))
	if err := h.store.Update(ctx, by, func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: actCertified, Outcome: store.OK, Attrs: []store.Attr{{Key: "sha256", Value: hex.EncodeToString(sum[:])}}})
	}); err != nil {
		return c, err
	}
	sig, err := h.keys.SignHead(ctx, []byte(c.Statement))
	if err != nil {
		return c, fmt.Errorf("sign certificate: %w", err)
	}
	c.Signature = base64.StdEncoding.EncodeToString(sig)
	if err := h.store.Sign(ctx); err != nil {
		return c, fmt.Errorf("sign last head: %w", err)
	}
	der, err := h.store.Signer()
	if err != nil {
		return c, err
	}
	c.PublicKey, c.TPM = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), tpmUnknown
	if e.KeepTPM != "" {
		c.TPM = "left as it is: " + e.KeepTPM + "; a copy of the state folder of before opens on this machine"
	}
	return c, h.store.View(ctx, func(tx *store.Tx) error {
		c.Head = string(tx.Head())
		return nil
	})
}

// certificateText is what people read.
func (b *box) certificateText(h *house, st tpm.State, e ending, holders []string) string {
	var w strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&w, format+"\n", args...) }
	day := time.Now().UTC()
	say("CERTIFICATE OF DECOMMISSION\n")
	say("Box        %s (log %s)", b.cfg.Box.ID, h.store.Origin())
	say("When       %s", day.Format(time.RFC3339))
	say("By         %s", strings.Join(e.By, " and "))
	say("Reason     %s", e.Reason)
	say("Version    pinward %s", b.opts.Version)
	say("Signer     %s", h.store.Fingerprint())
	say("Audit      %d entries when it began", e.Since)
	if e.NoExport != "" {
		say("Export     none: %s", e.NoExport)
	} else {
		say("Export     a bundle of %d entries was written and verified", e.Exported)
	}
	say("\nThe keys that were sealed on this machine, the store and all that was in it are destroyed with this.\n")
	for _, m := range e.Emptied {
		say("Modem      %s: texts %s; forwarding %s", m.Modem, m.Storage, m.Forward)
		say("           SIM %s, %s: end its contract, or block it, and destroy the card", m.SIM, m.Carrier)
	}
	say("\nWhat remains, and what to do with it:")
	say("- Recovery kit %s: two of its three shares open every backup of this box. Holders: %s.", hex.EncodeToString(st.Kit.ID), strings.Join(holders, ", "))
	say("- Backups: those in %s%s, and all copies elsewhere.", cmp.Or(b.cfg.Backup.Folder, "no folder of this box"), b.backupNames())
	say("- The audit is to be kept until %s. Its bundle proves it without any key; to read it again takes the last backup", day.AddDate(b.cfg.Box.KeepYears, 0, 1).Format(time.DateOnly))
	say("  and the kit. Keep both until then, in two places; then destroy all shares and all backups. Where nothing must be")
	say("  read again, destroy the shares now: then nobody opens anything.")
	say("- The clients' tokens, the HL7 engines' routes and the directory's account of this box: remove them.")
	return w.String()
}

func (b *box) backupNames() string {
	if b.cfg.Backup.Folder == "" {
		return ""
	}
	names, err := b.backupFolder().list()
	if err != nil || len(names) == 0 {
		return " (none is there now)"
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// saveCertificate makes the certificate durable.
func (b *box) saveCertificate(c Certificate) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("encode certificate: %w", err)
	}
	part := b.certificatePath() + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(text)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err == nil {
		err = errors.Join(os.Rename(part, b.certificatePath()), syncFolder(b.cfg.Box.State))
	}
	if err != nil {
		return fmt.Errorf("save certificate: %w", err)
	}
	return nil
}

// finishEnd removes all that is left of the box but the certificate. It may be done again.
func (b *box) finishEnd(c Certificate) error {
	err := errors.Join(b.saveCertificate(c), os.RemoveAll(b.statePath()), os.RemoveAll(b.storePath()), os.RemoveAll(b.storePath()+".restoring"),
		os.RemoveAll(b.rehearsalPath()), os.RemoveAll(b.rehearsalPath()+".restoring"), os.RemoveAll(filepath.Join(b.cfg.Box.State, "sealed.jsonl")),
		os.RemoveAll(b.unfinishedPath()), syncFolder(b.cfg.Box.State))
	b.enter(Decommissioned, "this box was taken out of service; the TPM was "+c.TPM,
		"the certificate is "+b.certificatePath()+"; pinward decommission shows it. To use the machine for a new box, keep that file elsewhere, remove it here and restart")
	if err != nil {
		return fmt.Errorf("remove what is left of the box: %w", err)
	}
	return nil
}

// ended goes on with an end that was certified, at a start. It reports whether the box has one.
func (b *box) ended(ctx context.Context) bool {
	text, err := os.ReadFile(b.certificatePath())
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	var c Certificate
	if err = errors.Join(err, json.Unmarshal(text, &c)); err != nil {
		b.enter(Sealed, "the certificate of this box's end cannot be read: "+err.Error(), "look at "+b.certificatePath())
		return true
	}
	if st, err := tpm.LoadState(b.statePath()); err == nil && c.TPM == tpmUnknown {
		keys, err := b.keys(ctx, func(dev *tpm.Device) (*tpm.Keys, error) {
			_, keys, err := tpm.Unseal(ctx, dev, st, "")
			return keys, err
		})
		switch {
		case err == nil:
			c.TPM = cleared(keys.Destroy(ctx))
			err = keys.Close()
		case errors.Is(err, tpm.ErrCleared):
			c.TPM, err = cleared(nil), nil
		default:
			c.TPM = cleared(err)
		}
		if err != nil {
			b.log.Error("end of the box", "error", err)
		}
	}
	if err := b.finishEnd(c); err != nil {
		b.log.Error("end of the box", "error", err)
	}
	return true
}

// certificate is shown in the last state of a box, to whoever may open the control socket.
func (b *box) certificate() (any, error) {
	var c Certificate
	text, err := os.ReadFile(b.certificatePath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: this box was not taken out of service", admin.ErrState)
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	return c, err
}
