package intake

import (
	"context"
	"errors"
	"fmt"

	"pinward/daemon/contact"
	"pinward/hl7"
	"pinward/store"
)

// ErrNotDead refuses to take back what nobody said.
var ErrNotDead = errors.New("nobody of this number is recorded as dead")

// Living takes back, at a person's word, that a patient died: a feed that marked the wrong one may never say
// so. Their appointments are reminded of again. It tells what was done, in words. A later message can mark
// them as dead again.
func (in *Intake) Living(ctx context.Context, by store.Actor, id contact.SubjectID) (did []string, err error) {
	in.Refresh()
	g, err := in.standOn(ctx)
	if err != nil {
		return nil, err
	}
	if id.Authority == "" {
		id.Authority = g.site.Authority
	}
	err = in.store.Update(ctx, by, func(tx *store.Tx) error {
		s, known, err := contact.Find(tx, id)
		if err != nil {
			return err
		}
		if !known || s.Dead == nil {
			return ErrNotDead
		}
		w := &work{tx: tx, reading: &reading{ground: g, sender: &sender{}, zone: g.zone, m: &hl7.Message{}, source: "operator", mode: g.mode, from: g.from}}
		if _, err := contact.MarkDead(tx, s.ID, tx.Now(), false); err != nil {
			return err
		}
		if err := w.revive(s.ID); err != nil {
			return err
		}
		did = w.done
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("take back a death: %w", err)
	}
	return did, nil
}
