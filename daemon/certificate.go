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
	// TPM and Store say what became of the TPM, and of the sealed keys and the store on the disk. They are not signed: when it is
	// known, nothing can sign any more.
	TPM   string `json:"tpm,omitempty"`
	Store string `json:"store,omitempty"`
	// KeepTPM is why the TPM is to be left as it is; "": it is to be cleared.
	KeepTPM string `json:"keep_tpm,omitempty"`
}

// certificatePath is the certificate, and the mark of a box that has ended: from the moment it is there the keys are to go,
// by whoever finds it.
func (b *box) certificatePath() string { return filepath.Join(b.cfg.Box.State, "decommissioned.json") }

// What the certificate says until it is known.
const (
	tpmUnknown   = "not known: if this stays, clear it in the firmware's menu"
	storeUnknown = "not known: if this stays, wipe the disk"
	storeRemoved = "removed from the disk"
)

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
		return nil, fmt.Errorf("%w: %w; nothing was destroyed", admin.ErrState, err)
	}
	if err := b.saveCertificate(c); err != nil {
		return nil, b.takeBack(err)
	}
	b.house.Store(nil)
	closing, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	if err := h.close(closing); err != nil {
		b.log.Error("close at the end", "error", err) // what it holds is destroyed
	}
	c.TPM = giveUp(ctx, keys, c.KeepTPM)
	if err := errors.Join(b.finishEnd(&c), keys.Close()); err != nil {
		b.log.Error("end of the box", "error", err) // the certificate says it
	}
	return c, nil
}

// takeBack removes a certificate that could not be saved, and may be there all the same: the next start would end the box, of
// which its operators have just been told that it goes on.
func (b *box) takeBack(failed error) error {
	err := os.Remove(b.certificatePath())
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, syncFolder(b.cfg.Box.State)); err != nil {
		return fmt.Errorf("%w: %w; nothing was destroyed, but %s may be there (%w): the next start ends the box", admin.ErrState, failed, b.certificatePath(), err)
	}
	return fmt.Errorf("%w: %w; nothing was destroyed: mend that, and run it again", admin.ErrState, failed)
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
	c.PublicKey = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	c.TPM, c.Store, c.KeepTPM = tpmUnknown, storeUnknown, e.KeepTPM
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
	say("\nWith this the keys that are sealed on this machine go, and the store with all that is in it. What became of them and of")
	say("the TPM stands beside this text, unsigned: when it is known nothing can sign any more.\n")
	for _, m := range e.Emptied {
		say("Modem      %s, %s: texts %s; forwarding %s", m.Modem, m.At.Format(time.RFC3339), m.Storage, m.Forward)
		say("           SIM %s, %s: end its contract, or block it, and destroy the card", cmp.Or(m.SIM, "not seen"), cmp.Or(m.Carrier, "carrier not known"))
	}
	for _, m := range e.Spares {
		say("SIM        %s, %s: on record, and in no modem. Find it, end its contract, and destroy the card", m.SIM, cmp.Or(m.Carrier, "carrier not known"))
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
