package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/store"
	"pinward/tpm"
)

// commissioning is how far set-up has come, and who holds the recovery kit. Until it is finished the
// site stays in shadow: a box whose kit nobody has tried is one dead chip away from losing all it has.
type commissioning struct {
	Holders []string     `json:"holders"` // of shares 1, 2 and 3
	Mode    contact.Mode `json:"mode"`    // of the site, once set-up is finished
	// Override is why it is live then without an acceptance; "" has it wait for that in pilot.
	Override string    `json:"override,omitempty"`
	Drilled  time.Time `json:"drilled,omitzero"`
	// Begun is when the kit was made, and Seen when each of its shares was last seen to be in order.
	Begun    time.Time            `json:"begun,omitzero"`
	Seen     [kitShares]time.Time `json:"seen"`
	Witness  string               `json:"witness,omitempty"` // the first off the box that had a head
	Finished time.Time            `json:"finished,omitzero"`
}

var setups = store.NewTable[commissioning]("daemon.setup", store.Cached())

// Actions of set-up and of the drills that follow it each year.
const (
	actSetup    store.Action = "setup.begun"
	actFinished store.Action = "setup.finished"
	actDrill    store.Action = "key.drill"
)

var setupKey = []byte("setup")

// progress tells how far set-up has come. A box without a record of it was not commissioned by
// set-up: its keys were brought by the program (the demo).
func progress(tx *store.Tx) (c commissioning, finished bool, err error) {
	c, ok, err := setups.Get(tx, setupKey)
	if err != nil {
		return c, false, fmt.Errorf("read set-up: %w", err)
	}
	return c, !ok || !c.Finished.IsZero(), nil
}

// left is what set-up still waits for, in words for the operator.
func (c commissioning) left() []string {
	var left []string
	if c.Drilled.IsZero() {
		left = append(left, "one recovery drill: two of the three shares typed in again")
	}
	if c.Witness == "" {
		left = append(left, "one witness off this box that has a head of the audit (see [[witness]] in pinward.toml)")
	}
	return left
}

// commission makes the keys of an empty box, opens it, and makes its first person. The box works in
// shadow until the kit was tried and a witness was named (finish).
//
// The state file is written last: without it the box has no keys, so nobody meets a box that is open
// and has no person who may enter. If we crash before, a store is left that no key opens, and the
// next start removes it (markUnfinished); if after, the answer with the kit may be lost: then set-up is
// done again, which an unfinished one allows.
func (b *box) commission(ctx context.Context, req admin.Setup) (admin.Kit, error) {
	b.turning.Lock()
	defer b.turning.Unlock()
	if len(req.Holders) != kitShares {
		return admin.Kit{}, fmt.Errorf("%w: name %d holders of the recovery kit, each another person", admin.ErrState, kitShares)
	}
	hash, err := b.passwords.Hash(ctx, req.Admin.Password)
	if err != nil {
		return admin.Kit{}, fmt.Errorf("%w: admin password: %w", admin.ErrState, err)
	}
	if err := req.Site.Check(); err != nil {
		return admin.Kit{}, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	if req.Override != "" {
		if err := admin.CheckOverride(req.Override); err != nil {
			return admin.Kit{}, err
		}
	}
	if err := b.mayCommission(ctx, req.Again); err != nil {
		return admin.Kit{}, err
	}
	if err := b.beginUnfinished(); err != nil {
		return admin.Kit{}, err
	}
	var st tpm.State
	var kit tpm.Kit
	keys, err := b.keys(ctx, func(dev *tpm.Device) (keys *tpm.Keys, err error) {
		st, kit, keys, err = tpm.Commission(ctx, dev, tpm.CommissionOptions{
			Mode: tpm.Mode(b.cfg.TPM.Unseal), Passphrase: req.Passphrase, BoxID: b.cfg.Box.ID,
			Holders: [kitShares]string(req.Holders),
		})
		return keys, err
	})
	if err != nil {
		return admin.Kit{}, fmt.Errorf("%w: %w", admin.ErrState, errors.Join(err, b.endUnfinished()))
	}
	h, err := b.openStore(ctx, keys, nil)
	if err != nil {
		return admin.Kit{}, fmt.Errorf("%w: %w", admin.ErrState, errors.Join(err, b.discardUnfinished()))
	}
	err = b.found(ctx, h.store, req, hash, b.chip(ctx))
	if err == nil {
		err = tpm.SaveState(b.statePath(), st)
	}
	if err != nil {
		err = errors.Join(err, h.store.Close(), b.discardUnfinished()) // made by this very call
		return admin.Kit{}, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	if err := b.endUnfinished(); err != nil {
		b.log.Error("set-up", "error", err) // the next start does it
	}
	b.own(ctx, keys)
	h.furnish(b)
	b.house.Store(h)
	b.enter(Open, "", "")
	defer kit.Wipe()
	return b.handOut(kit, h.store.Fingerprint(), req.Holders)
}

// kitShares is how many shares the recovery kit has.
const kitShares = 3

// mayCommission tells whether keys may be made now. An unfinished set-up may be done again as long as
// nobody has shown that two shares open the box: the kit may have been lost on its way to the screen,
// and nothing but shadows is in the store. That store is removed here.
func (b *box) mayCommission(ctx context.Context, again bool) error {
	st := b.state.Load()
	if st.Name == Empty {
		return nil
	}
	h := b.house.Load()
	if h == nil || !again {
		return fmt.Errorf("%w: it is %s, and only an empty box can be commissioned", admin.ErrState, st.Name)
	}
	var c commissioning
	var finished bool
	err := h.store.View(ctx, func(tx *store.Tx) (err error) {
		c, finished, err = progress(tx)
		return err
	})
	if err != nil {
		return err
	}
	if finished || !c.Drilled.IsZero() {
		return fmt.Errorf("%w: its recovery kit is in use; set-up can be done again only before the first drill", admin.ErrState)
	}
	keys, ok := h.keys.(*tpm.Keys)
	if !ok {
		return errNoTPM
	}
	// If we crash after this, the next start does the rest.
	if err := b.markUnfinished(discard); err != nil {
		return err
	}
	if err := keys.Release(ctx); err != nil {
		return fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	b.house.Store(nil)
	if err := h.close(ctx); err != nil {
		return fmt.Errorf("close unfinished store: %w", err)
	}
	if err := b.discardUnfinished(); err != nil {
		return err
	}
	b.enter(Empty, "set-up was begun again", "run: pinward setup")
	return nil
}

// chip tells which TPM it is, for the record: what it says of itself, and its maker's certificates of
// its endorsement keys, by which anybody can tell later that it was this one. Many firmware TPMs have
// none.
func (b *box) chip(ctx context.Context) (attrs []store.Attr) {
	info, err := b.device.Info(ctx)
	if err != nil {
		b.log.Warn("ask TPM what it is", "error", err)
		return nil
	}
	attrs = append(attrs, store.Attr{Key: "tpm", Value: fmt.Sprintf("%s %s, firmware %s, TPM %s", info.Manufacturer, info.Model, info.Firmware, info.Revision)})
	certs, err := b.device.EndorsementCertificates(ctx)
	if err != nil {
		b.log.Warn("read endorsement certificates of the TPM", "error", err)
	}
	for _, der := range certs {
		sum := sha256.Sum256(der)
		a := store.Attr{Key: "ek_certificate_sha256", Value: hex.EncodeToString(sum[:])}
		if text := base64.StdEncoding.EncodeToString(der); len(text) <= 4096 { // what an entry takes
			a = store.Attr{Key: "ek_certificate", Value: text}
		}
		attrs = append(attrs, a)
	}
	return attrs
}

// found writes what a new box begins with: its site and its first person.
func (b *box) found(ctx context.Context, s *store.Store, req admin.Setup, hash access.PasswordHash, chip []store.Attr) error {
	return s.Update(ctx, store.Actor{Kind: "root", ID: "setup"}, func(tx *store.Tx) error {
		wanted := req.Site.Mode
		req.Site.Mode = contact.Shadow
		if err := contact.SetSite(tx, req.Site); err != nil {
			return err
		}
		if err := setups.Put(tx, setupKey, commissioning{Holders: req.Holders, Mode: wanted, Override: req.Override, Begun: tx.Now()}); err != nil {
			return err
		}
		if _, err := access.CreateUser(tx, req.Admin.Name, hash, []access.Role{access.Admin, access.Auditor, access.Operator}); err != nil {
			return err
		}
		attrs := []store.Attr{{Key: "unseal", Value: b.cfg.TPM.Unseal}}
		for i, holder := range req.Holders {
			attrs = append(attrs, store.Attr{Key: fmt.Sprintf("holder%d", i+1), Value: holder})
		}
		return tx.Record(store.Entry{Action: actSetup, Outcome: store.OK, Attrs: append(attrs, chip...)})
	})
}
