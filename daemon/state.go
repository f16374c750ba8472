package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/contact"
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
}

func (b *box) statePath() string { return filepath.Join(b.cfg.Box.State, "tpm.json") }
func (b *box) storePath() string { return filepath.Join(b.cfg.Box.State, "store") }

// bringUp opens the box if the keys can be had without a person.
func (b *box) bringUp(ctx context.Context) {
	b.turning.Lock()
	defer b.turning.Unlock()
	if b.opts.Keys != nil {
		b.open(ctx, b.opts.Keys)
		return
	}
	st, err := tpm.LoadState(b.statePath())
	switch {
	case errors.Is(err, os.ErrNotExist) && exists(b.storePath()):
		b.enter(Sealed, "a store is here, and the sealed keys to it are not ("+b.statePath()+")",
			"restore the keys from the backup, then restart; if this box was never commissioned, move "+b.storePath()+" away")
	case errors.Is(err, os.ErrNotExist):
		b.enter(Empty, "this box has not been commissioned", "run: pinward setup")
	case err != nil:
		b.enter(Sealed, err.Error(), "restore "+b.statePath()+" from the backup, then restart")
	default:
		b.unsealTPM(ctx, st, "")
	}
}

// unsealTPM asks the TPM for the root key; what it says decides what the operator reads.
func (b *box) unsealTPM(ctx context.Context, st tpm.State, passphrase string) {
	keys, err := b.keys(ctx, func(dev *tpm.Device) (*tpm.Keys, error) { return tpm.Unseal(ctx, dev, st, passphrase) })
	if err != nil {
		b.enter(Sealed, err.Error(), remedy(err))
		return
	}
	b.open(ctx, keys)
}

// remedy is what opens a box that could not be unsealed for this reason.
func remedy(err error) string {
	if errors.Is(err, tpm.ErrPCRChanged) || errors.Is(err, tpm.ErrCleared) {
		return "run: pinward key unseal --kit"
	}
	return "run: pinward key unseal"
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// keys opens the TPM and gets keys from it; the device stays open with the keys that sign through it.
func (b *box) keys(ctx context.Context, get func(*tpm.Device) (*tpm.Keys, error)) (*tpm.Keys, error) {
	if b.device == nil {
		dev, err := tpm.OpenDevice(b.cfg.TPM.Device)
		if err != nil {
			return nil, err
		}
		b.device = dev
	}
	return get(b.device)
}

// open opens the house. A store that cannot be opened leaves the box sealed with the reason: the
// doors stay open and say so.
func (b *box) open(ctx context.Context, keys store.Keys) {
	h, err := b.openHouse(ctx, keys)
	if err != nil {
		b.log.Error("open store", "error", err)
		b.enter(Sealed, "the store cannot be opened: "+err.Error(), "restore the store from the backup, then restart")
		return
	}
	b.house.Store(h)
	b.enter(Open, "", "")
}

// commission makes the keys of an empty box, opens it, and makes its first person.
//
// The state file is written last: without it the box has no keys, so nobody meets a box that is open
// and has no person who may enter. If we crash before, a store is left that no key opens, and the
// next start says so; if after, the box is open and only the answer with the kit may be lost.
func (b *box) commission(ctx context.Context, req admin.Setup) (admin.Kit, error) {
	b.turning.Lock()
	defer b.turning.Unlock()
	if st := b.state.Load(); st.Name != Empty {
		return admin.Kit{}, fmt.Errorf("%w: it is %s, and only an empty box can be commissioned", admin.ErrState, st.Name)
	}
	hash, err := b.passwords.Hash(ctx, req.Admin.Password)
	if err != nil {
		return admin.Kit{}, fmt.Errorf("%w: admin password: %w", admin.ErrState, err)
	}
	if err := req.Site.Check(); err != nil {
		return admin.Kit{}, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	var st tpm.State
	var kit tpm.Kit
	keys, err := b.keys(ctx, func(dev *tpm.Device) (keys *tpm.Keys, err error) {
		st, kit, keys, err = tpm.Commission(ctx, dev, tpm.CommissionOptions{
			Mode: tpm.Mode(b.cfg.TPM.Unseal), Passphrase: req.Passphrase, BoxID: b.cfg.Box.ID,
		})
		return keys, err
	})
	if err != nil {
		return admin.Kit{}, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	h, err := b.openStore(ctx, keys)
	if err != nil {
		return admin.Kit{}, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	if err := b.found(ctx, h.store, req, hash); err != nil {
		err = errors.Join(err, h.store.Close(), os.RemoveAll(b.storePath())) // made by this very call
		return admin.Kit{}, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	if err := tpm.SaveState(b.statePath(), st); err != nil {
		err = errors.Join(err, h.store.Close(), os.RemoveAll(b.storePath()))
		return admin.Kit{}, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	h.furnish(b)
	b.house.Store(h)
	b.enter(Open, "", "")
	return admin.Kit{Box: b.cfg.Box.ID, Signer: h.store.Fingerprint(), Shares: []string{kit.Share(1), kit.Share(2), kit.Share(3)}}, nil
}

// found writes what a new box begins with: its site and its first person.
func (b *box) found(ctx context.Context, s *store.Store, req admin.Setup, hash access.PasswordHash) error {
	return s.Update(ctx, store.Actor{Kind: "root", ID: "setup"}, func(tx *store.Tx) error {
		if err := contact.SetSite(tx, req.Site); err != nil {
			return err
		}
		_, err := access.CreateUser(tx, req.Admin.Name, hash, []access.Role{access.Admin, access.Auditor, access.Operator})
		return err
	})
}

// unseal opens a sealed box for the operator: by passphrase, or by two shares of the recovery kit,
// which also seals the root key anew to the TPM as it is now.
func (b *box) unseal(ctx context.Context, req admin.Unseal) error {
	b.turning.Lock()
	defer b.turning.Unlock()
	if st := b.state.Load(); st.Name != Sealed {
		return fmt.Errorf("%w: it is %s, not sealed", admin.ErrState, st.Name)
	}
	st, err := tpm.LoadState(b.statePath())
	if err != nil {
		return fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	if len(req.Shares) == 0 {
		b.unsealTPM(ctx, st, req.Passphrase)
	} else if err := b.recover(ctx, st, req); err != nil {
		return fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	if now := b.state.Load(); now.Name != Open {
		return fmt.Errorf("%w: still sealed: %s", admin.ErrState, now.Cause)
	}
	h := b.house.Load()
	return h.store.Update(ctx, store.Actor{Kind: "root", ID: "unseal"}, func(tx *store.Tx) error {
		how := "passphrase"
		if len(req.Shares) > 0 {
			how = "recovery kit"
		}
		return tx.Record(store.Entry{Action: "key.unseal", Outcome: store.OK, Attrs: []store.Attr{{Key: "by", Value: how}}})
	})
}

func (b *box) recover(ctx context.Context, st tpm.State, req admin.Unseal) error {
	recovered, err := tpm.Recover(ctx, st, req.Shares)
	if err != nil {
		return err
	}
	defer recovered.Close()
	keys, err := b.keys(ctx, func(dev *tpm.Device) (*tpm.Keys, error) {
		resealed, keys, err := tpm.Reseal(ctx, dev, recovered, tpm.ResealOptions{
			Mode: tpm.Mode(b.cfg.TPM.Unseal), Passphrase: req.Passphrase, NewTPM: req.NewTPM,
		})
		if err != nil {
			return nil, err
		}
		return keys, tpm.SaveState(b.statePath(), resealed)
	})
	if err != nil {
		return err
	}
	b.open(ctx, keys)
	return nil
}

// status is what the control socket shows.
func (b *box) status() admin.Status {
	st := b.state.Load()
	s := admin.Status{
		State: st.Name, Cause: st.Cause, Next: st.Next, Since: st.Since,
		Box: b.cfg.Box.ID, Version: b.opts.Version, Health: b.Health(),
	}
	if h := b.house.Load(); h != nil {
		h.describe(&s)
	}
	return s
}
