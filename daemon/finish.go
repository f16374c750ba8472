package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/daemon/record"
	"pinward/store"
	"pinward/tpm"
)

// drill proves that two shares of the kit open this box, without changing anything but the date of the
// last drill. One that fails is an entry as well.
func (b *box) drill(ctx context.Context, by store.Actor, shares []string) error {
	h := b.house.Load()
	if h == nil {
		return errNotOpen
	}
	tried, verdict := b.tryKit(ctx, shares)
	outcome := store.OK
	if verdict != nil {
		outcome = store.Failed
	}
	err := h.store.Update(ctx, by, func(tx *store.Tx) error {
		if err := tx.Record(store.Entry{Action: actDrill, Outcome: outcome}); err != nil || verdict != nil {
			return err
		}
		c, _, err := progress(tx)
		if err != nil {
			return err
		}
		c.Drilled = tx.Now()
		c.saw(tried)
		return setups.Put(tx, setupKey, c)
	})
	if verdict != nil {
		return errors.Join(fmt.Errorf("%w: %w", admin.ErrState, verdict), err)
	}
	if err == nil {
		err = h.store.Sign(ctx) // for the witnesses, who get it at once
	}
	return err
}

func (b *box) tryKit(ctx context.Context, shares []string) (*tpm.DrillState, error) {
	b.turning.Lock()
	defer b.turning.Unlock()
	_, keys, st, err := b.sealedKeys()
	if err != nil {
		return nil, err
	}
	recovered, err := tpm.Recover(ctx, st, shares)
	if err != nil {
		return nil, err
	}
	defer recovered.Close()
	if !recovered.Same(keys) {
		return nil, errors.New("the shares are in order, but they belong to other keys than those in use")
	}
	if st, err = tpm.Drill(st, shares, time.Now()); err != nil {
		return nil, err
	}
	return st.LastDrill, tpm.SaveState(b.statePath(), st)
}

// finish ends set-up: the site gets the mode that was asked for. It is refused, with what is left to
// do, while the kit is untried or nobody off the box has a head.
func (b *box) finish(ctx context.Context, by store.Actor) error {
	h := b.house.Load()
	if h == nil {
		return errNotOpen
	}
	return h.store.Update(ctx, by, func(tx *store.Tx) error {
		c, finished, err := progress(tx)
		if err != nil || finished {
			return err
		}
		if c.Witness == "" {
			if c.Witness, err = firstWitness(tx); err != nil {
				return err
			}
		}
		if left := c.left(); len(left) > 0 {
			return fmt.Errorf("%w: set-up is not finished, it waits for %s", admin.ErrState, inWords(left))
		}
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		// The two holders of the drill are the two persons that an override takes.
		if site.Mode = c.Mode; c.Mode == contact.Live {
			if c.Override == "" {
				site.Mode = contact.Pilot
			} else if err := tx.Record(store.Entry{Action: admin.ActOverride, Outcome: store.OK, Attrs: []store.Attr{{Key: "reason", Value: c.Override}}}); err != nil {
				return err
			}
		}
		c.Finished = tx.Now()
		if err := errors.Join(contact.SetSite(tx, site), setups.Put(tx, setupKey, c)); err != nil {
			return err
		}
		attrs := []store.Attr{{Key: "mode", Value: site.Mode.String()}, {Key: "wanted", Value: c.Mode.String()}, {Key: "witness", Value: c.Witness}}
		return tx.Record(store.Entry{Action: actFinished, Outcome: store.OK, Attrs: attrs})
	})
}

// firstWitness is one off the box that has a head; "" if none has.
func firstWitness(tx *store.Tx) (string, error) {
	all, err := record.Witnesses(tx)
	if err != nil {
		return "", err
	}
	for _, w := range all {
		if w.OffBox && w.Size > 0 {
			return w.Name, nil
		}
	}
	return "", nil
}

func inWords(list []string) string {
	out := ""
	for i, s := range list {
		if i > 0 {
			out += "; and for "
		}
		out += s
	}
	return out
}

// setupProgress is what status shows of an unfinished set-up; nil when it is finished.
func setupProgress(tx *store.Tx) (*admin.Progress, error) {
	c, finished, err := progress(tx)
	if err != nil || finished {
		return nil, err
	}
	if c.Witness == "" { // finish keeps it; what is shown is not behind
		if c.Witness, err = firstWitness(tx); err != nil {
			return nil, err
		}
	}
	return &admin.Progress{Holders: c.Holders, Drilled: c.Drilled, Witness: c.Witness, Left: c.left()}, nil
}
