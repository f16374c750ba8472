package daemon

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/store"
	"pinward/tpm"
)

// actRotate is the end of a rotation of the root key: the kit of before opens nothing of this box any
// more but its backups. With the object "index" it is one of the index.
const actRotate store.Action = "key.rotate"

// rotation is a new root key that nobody depends on yet: its kit is on its way to the holders. It is
// in memory only. If we crash, nothing has happened. Once its state is saved, it can only be finished.
type rotation struct {
	state   tpm.State
	keys    *tpm.Keys
	holders []string
}

func (b *box) rotateRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "POST /key/rotate", May: access.SiteWrite, Do: b.rotate},
		{Pattern: "POST /key/rotate/finish", May: access.SiteWrite, Do: b.finishRotation},
	}
}

// rotate makes a new root key and hands out its kit. The keys in use stay what they are until two
// shares of the new kit were tried.
func (b *box) rotate(r *http.Request, _ *store.Store, _ store.Actor) (any, error) {
	var req struct {
		Passphrase string   `json:"passphrase"`
		Holders    []string `json:"holders"`
	}
	if err := decodeStrictly(r, &req); err != nil {
		return nil, err
	}
	if len(req.Holders) != kitShares {
		return nil, fmt.Errorf("%w: name %d holders of the recovery kit, each another person", admin.ErrState, kitShares)
	}
	b.turning.Lock()
	defer b.turning.Unlock()
	h, keys, st, err := b.sealedKeys()
	if err != nil {
		return nil, err
	}
	if st.Rotating() { // the keys of the one before may be those in use by now
		return nil, fmt.Errorf("%w: a rotation did not end: run pinward key rotate --continue", admin.ErrState)
	}
	b.dropRotation()
	o := tpm.RotateOptions{Passphrase: req.Passphrase}
	copy(o.Holders[:], req.Holders)
	after, kit, fresh, err := tpm.RotateRoot(r.Context(), b.device, keys, st, o)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	defer kit.Wipe()
	b.rotation = &rotation{after, fresh, req.Holders}
	return b.handOut(kit, h.store.Fingerprint(), req.Holders)
}

// handOut is a kit as its holders get it.
func (b *box) handOut(kit tpm.Kit, signer string, holders []string) (admin.Kit, error) {
	k := admin.Kit{
		Box: b.cfg.Box.ID, Signer: signer, Holders: holders, Warning: notProtected(b.cfg.TPM.Unseal),
		Shares: []string{kit.Share(1), kit.Share(2), kit.Share(3)},
	}
	var err error
	k.Page, err = kitPage(k)
	return k, err
}

// dropRotation forgets a rotation that was begun and not finished.
func (b *box) dropRotation() {
	if b.rotation != nil {
		if err := b.rotation.keys.Close(); err != nil {
			b.log.Warn("close unused root key", "error", err)
		}
		b.rotation = nil
	}
}

// finishRotation makes the new root key the one in use, once two shares of its kit were tried; or ends
// one that a crash cut short, which needs no shares: then the state has both root keys already.
func (b *box) finishRotation(r *http.Request, _ *store.Store, by store.Actor) (any, error) {
	var req struct {
		Shares []string `json:"shares"`
	}
	if err := decodeStrictly(r, &req); err != nil {
		return nil, err
	}
	b.turning.Lock()
	defer b.turning.Unlock()
	h, keys, st, err := b.sealedKeys()
	if err != nil {
		return nil, err
	}
	// One that was broken off after its state was saved, by an error or a crash, goes on from there.
	if !st.Rotating() {
		if b.rotation == nil {
			return nil, fmt.Errorf("%w: no rotation is under way; one that was begun before the last start, or before the keys were changed, has to begin anew", admin.ErrState)
		}
		if st, err = tpm.Drill(b.rotation.state, req.Shares, time.Now()); err != nil {
			return nil, fmt.Errorf("%w: nothing was changed: %w", admin.ErrState, err)
		}
		// If we crash after this, the next start has keys that open the store under either root key, and
		// the rotation is finished without the kit of before.
		if err := tpm.SaveState(b.statePath(), st); err != nil {
			return nil, err
		}
	}
	var holders []string
	if b.rotation != nil {
		keys, holders = b.rotation.keys, b.rotation.holders
	}
	if err := b.rewrap(context.WithoutCancel(r.Context()), h, by, keys, st, holders); err != nil {
		return nil, err
	}
	b.rotation = nil
	return map[string]string{"done": string(actRotate)}, nil
}

// rewrap has the store depend on the new root key alone, and gives the old one up.
func (b *box) rewrap(ctx context.Context, h *house, by store.Actor, keys *tpm.Keys, st tpm.State, holders []string) error {
	if err := h.store.Rewrap(ctx, by, counting(keys)); err != nil {
		return err
	}
	if former, ok := h.keys.(*tpm.Keys); ok && former != keys {
		if err := former.Close(); err != nil {
			b.log.Warn("close former root key", "error", err)
		}
	}
	h.keys = keys
	after, err := tpm.Retire(st, keys)
	if err != nil {
		return err
	}
	if err := tpm.SaveState(b.statePath(), after); err != nil {
		return err
	}
	return h.store.Update(ctx, by, func(tx *store.Tx) error {
		var attrs []store.Attr
		if holders != nil {
			c, _, err := progress(tx)
			if err != nil {
				return err
			}
			c.Holders, c.Drilled, c.Begun, c.Seen = holders, tx.Now(), tx.Now(), [kitShares]time.Time{}
			c.saw(st.LastDrill)
			for i, holder := range holders {
				attrs = append(attrs, store.Attr{Key: fmt.Sprintf("holder%d", i+1), Value: holder})
			}
			if err := setups.Put(tx, setupKey, c); err != nil {
				return err
			}
		}
		return tx.Record(store.Entry{Action: actRotate, Outcome: store.OK, Attrs: attrs})
	})
}
