package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"pinward/daemon/admin"
	"pinward/store"
	"pinward/tpm"
)

// The states of the box. READY=1 holds in each of them but the first: a box that waits for its
// operator is no reason to restart it.
const (
	Starting = "starting" // it asks the TPM and opens the store: a moment
	Empty    = "empty"    // no keys yet: it waits to be commissioned
	Sealed   = "sealed"   // keys locked: it waits to be unsealed
	Open     = "open"     // working
	// Decommissioned is the end: the keys are destroyed, and the certificate is all that is left.
	Decommissioned = "decommissioned"
)

// State is where the box stands, why, and what the operator should do.
type State struct {
	Name  string
	Cause string
	Next  string
	Since time.Time
}

// String is the one line that `systemctl status` shows.
func (s State) String() string {
	if s.Cause == "" {
		return s.Name
	}
	return s.Name + ": " + s.Cause
}

func (b *box) enter(name, cause, next string) {
	b.state.Store(&State{Name: name, Cause: cause, Next: next, Since: time.Now()})
	b.log.Info("state", "state", name, "cause", cause)
	if name == Sealed {
		b.sealed.add(sealedEvent{Event: "state", State: name, Cause: cause})
	}
}

func (b *box) statePath() string { return filepath.Join(b.cfg.Box.State, "tpm.json") }
func (b *box) storePath() string { return filepath.Join(b.cfg.Box.State, "store") }

// bringUp opens the box if the keys can be had without a person.
func (b *box) bringUp(ctx context.Context) {
	b.turning.Lock()
	defer b.turning.Unlock()
	if b.opts.Keys != nil {
		b.open(ctx, b.opts.Keys, nil)
		return
	}
	if b.ended(ctx) {
		return
	}
	st, err := tpm.LoadState(b.statePath())
	switch {
	case errors.Is(err, os.ErrNotExist) && exists(b.unfinishedPath()):
		if err := b.discardUnfinished(); err != nil {
			b.enter(Sealed, "a set-up or a restore was broken off, and what it left cannot be removed: "+err.Error(), "see that "+b.cfg.Box.State+" can be written to, then restart")
			return
		}
		b.enter(Empty, "a set-up or a restore was broken off before its keys were saved; nothing of it is left", "run: pinward setup, or: pinward restore FILE")
	case errors.Is(err, os.ErrNotExist) && exists(b.storePath()):
		b.enter(Sealed, "a store is here, and the sealed keys to it are not ("+b.statePath()+")",
			"restore the keys from the backup, then restart; if this box was never commissioned, move "+b.storePath()+" away")
	case errors.Is(err, os.ErrNotExist):
		b.enter(Empty, "this box has not been commissioned", "run: pinward setup")
	case err != nil:
		b.enter(Sealed, err.Error(), "restore "+b.statePath()+" from the backup, then restart")
	default:
		if !b.discarding() {
			if err := b.endUnfinished(); err != nil { // it had come to saving its keys
				b.log.Error("start", "error", err)
			}
		}
		b.unsealTPM(ctx, st, "")
	}
}

// unsealTPM asks the TPM for the root key; what it says decides what the operator reads.
func (b *box) unsealTPM(ctx context.Context, st tpm.State, passphrase string) {
	resumed := false
	keys, err := b.keys(ctx, func(dev *tpm.Device) (*tpm.Keys, error) {
		after, keys, err := tpm.Unseal(ctx, dev, st, passphrase)
		if err != nil || after.Equal(st) {
			return keys, err
		}
		resumed = true
		return b.keep(after, keys)
	})
	b.retry(err)
	if err != nil {
		b.enter(Sealed, err.Error(), remedy(err))
		return
	}
	if b.discarding() {
		if err := b.discardKeys(ctx, keys); err != nil {
			b.retry(err)
			b.enter(Sealed, "set-up was to be begun again, and what was there cannot be given up: "+err.Error(), "restart")
			return
		}
		b.enter(Empty, "set-up was to be begun again, and was cut off", "run: pinward setup")
		return
	}
	b.own(ctx, keys)
	b.open(ctx, keys, nil)
	if h := b.house.Load(); h != nil && resumed {
		err := h.store.Update(ctx, self, func(tx *store.Tx) error {
			return tx.Record(store.Entry{Action: actResume, Outcome: store.OK})
		})
		if err != nil {
			b.log.Error("record end of suspension", "error", err)
		}
	}
}

// own keeps other programs from the TPM. Where it cannot, the box works all the same.
func (b *box) own(ctx context.Context, keys *tpm.Keys) {
	if err := keys.Own(ctx); err != nil {
		b.log.Warn("tpm", "error", err)
	}
}

// remedy is what opens a box that could not be unsealed for this reason.
func remedy(err error) string {
	switch {
	case errors.Is(err, tpm.ErrCleared):
		return "run: pinward key unseal --kit" + newTPM
	case errors.Is(err, tpm.ErrPCRChanged):
		return "run: pinward key unseal --kit"
	}
	return "run: pinward key unseal"
}

// newTPM is what a person says who knows why the chip is another one.
const newTPM = " --new-tpm, if you know that the TPM was cleared or replaced"

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// keys opens the TPM and gets keys from it; the device stays open with the keys that sign through it.
func (b *box) keys(ctx context.Context, get func(*tpm.Device) (*tpm.Keys, error)) (*tpm.Keys, error) {
	if b.device == nil {
		dev, err := tpm.OpenDevice(b.cfg.TPM.Device, b.cfg.TPM.Sysfs)
		if err != nil {
			return nil, err
		}
		b.device = dev
	}
	return get(b.device)
}

// keep saves the state that keys belong to, before anything is opened with them.
func (b *box) keep(st tpm.State, keys *tpm.Keys) (*tpm.Keys, error) {
	if err := tpm.SaveState(b.statePath(), st); err != nil {
		return nil, errors.Join(err, keys.Close())
	}
	return keys, nil
}

// open opens the house. A store that cannot be opened leaves the box sealed with the reason: the
// doors stay open and say so.
func (b *box) open(ctx context.Context, keys store.Keys, accept *store.Acceptance) {
	h, err := b.openHouse(ctx, keys, accept)
	if err != nil {
		b.log.Error("open store", "error", err)
		b.retry(err)
		b.enter(Sealed, "the store cannot be opened: "+err.Error(), storeRemedy(err))
		return
	}
	b.house.Store(h)
	b.enter(Open, "", "")
}

// unseal opens a sealed box for the operator: by passphrase, or by two shares of the recovery kit,
// which also seals the root key anew to the TPM as it is now. A try that fails is kept for the audit.
func (b *box) unseal(ctx context.Context, req admin.Unseal) error {
	b.turning.Lock()
	defer b.turning.Unlock()
	err := b.unsealBy(ctx, req)
	if err != nil && b.house.Load() == nil {
		b.sealed.add(sealedEvent{Event: "unseal", Cause: err.Error()})
	}
	return err
}

func (b *box) unsealBy(ctx context.Context, req admin.Unseal) error {
	if st := b.state.Load(); st.Name != Sealed {
		return fmt.Errorf("%w: it is %s, not sealed", admin.ErrState, st.Name)
	}
	st, err := tpm.LoadState(b.statePath())
	if err != nil {
		return fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	if len(req.Shares) == 0 && req.AcceptRollback != "" {
		return fmt.Errorf("%w: only two shares of the recovery kit take an older store", admin.ErrState)
	}
	places := ""
	switch len(req.Shares) {
	case 0:
		b.unsealTPM(ctx, st, req.Passphrase)
	case 1:
		if places, err = b.gather(ctx, st, req); err != nil || places == "" {
			return err
		}
	default:
		if err := b.recover(ctx, st, req); err != nil {
			return fmt.Errorf("%w: %w", admin.ErrState, err)
		}
	}
	now := b.state.Load()
	if now.Name != Open {
		return fmt.Errorf("%w: still %s: %s", admin.ErrState, now.Name, now.Cause)
	}
	h := b.house.Load()
	return h.store.Update(ctx, store.Actor{Kind: "root", ID: "unseal"}, func(tx *store.Tx) error {
		attrs := []store.Attr{{Key: "by", Value: "passphrase"}}
		if len(req.Shares) > 0 {
			attrs[0].Value = "recovery kit"
		}
		if places != "" {
			attrs = append(attrs, store.Attr{Key: "places", Value: places})
		}
		return tx.Record(store.Entry{Action: "key.unseal", Outcome: store.OK, Attrs: attrs})
	})
}

// gather takes one share, and opens the box with it and another one that is here already. places is
// where the two were given; "" and no error: it waits for another holder.
func (b *box) gather(ctx context.Context, st tpm.State, req admin.Unseal) (places string, err error) {
	number, err := tpm.CheckShare(st, req.Shares[0])
	if err == nil {
		err = b.given.add(number, req.Shares[0], cmp.Or(req.Place, "control socket"))
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	b.sealed.add(sealedEvent{Event: "unseal", Cause: fmt.Sprintf("share %d was given", number)})
	if req.Shares, places = b.given.all(); len(req.Shares) < 2 {
		return "", nil
	}
	if err := b.recover(ctx, st, req); err != nil {
		b.given.remove(number) // it is given again with what was missing: the passphrase, --new-tpm
		return "", fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	b.given.remove(0)
	return places, nil
}

func (b *box) recover(ctx context.Context, st tpm.State, req admin.Unseal) error {
	recovered, err := tpm.Recover(ctx, st, req.Shares)
	if err != nil {
		return err
	}
	defer recovered.Close()
	keys, err := b.keys(ctx, func(dev *tpm.Device) (*tpm.Keys, error) {
		resealed, keys, err := tpm.Reseal(ctx, dev, recovered, st, tpm.ResealOptions{
			Mode: tpm.Mode(b.cfg.TPM.Unseal), Passphrase: req.Passphrase, NewTPM: req.NewTPM,
		})
		if err != nil {
			return nil, err
		}
		return b.keep(resealed, keys)
	})
	if errors.Is(err, tpm.ErrCleared) && !req.NewTPM {
		return fmt.Errorf("%w: run it again with%s", err, newTPM)
	}
	if err != nil {
		return err
	}
	b.own(ctx, keys)
	b.open(ctx, keys, acceptance(req.AcceptRollback))
	return nil
}

// status is what the control socket shows.
func (b *box) status() admin.Status {
	st := b.state.Load()
	s := admin.Status{
		State: st.Name, Cause: st.Cause, Next: st.Next, Since: st.Since,
		Box: b.cfg.Box.ID, Version: b.opts.Version, Unseal: b.cfg.TPM.Unseal, Health: b.Health(),
	}
	if waits := b.given.waits(); waits != "" && st.Name == Sealed {
		s.Next = waits + ": another holder gives his by pinward key unseal --share, or on the page of pinward setup --page"
	}
	if h := b.house.Load(); h != nil {
		h.describe(b, &s)
	}
	return s
}
