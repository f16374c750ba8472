package daemon

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/record"
	"pinward/store"
)

// ringRoutes are what an operator sees and does of the keys on the ring.
func ringRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "GET /key/list", May: access.StatusRead, Do: listKeys},
		{Pattern: "POST /key/shred", May: access.SiteWrite, Do: shredMonth},
		{Pattern: "POST /key/rotate/index", May: access.SiteWrite, Do: rotateIndex},
	}
}

// RingKey is a line of `pinward key list`. The key itself is in no answer. That of the purpose "index" is
// for no time in particular: it has no To and no Seen.
type RingKey struct {
	Purpose string    `json:"purpose"`
	Epoch   uint32    `json:"epoch"`
	From    time.Time `json:"from,omitzero"`
	To      time.Time `json:"to,omitzero"`
	Seen    time.Time `json:"seen,omitzero"` // the day on which it was last known to be in use, within a week; no day for audit keys
	// Shredded says that the key is gone for good.
	Shredded bool `json:"shredded"`
	// Held says that a hold keeps the key of a month's entries from being shredded.
	Held bool `json:"held"`
}

func listKeys(r *http.Request, s *store.Store, _ store.Actor) (any, error) {
	i := keyIndex(s)
	list := []RingKey{{Purpose: "index", Epoch: i.Epoch, From: i.Since}}
	err := s.View(r.Context(), func(tx *store.Tx) error {
		for _, k := range s.KeyInfos() {
			row := RingKey{Purpose: k.Purpose.String(), Epoch: k.Epoch, From: k.From, To: k.To, Seen: k.Seen, Shredded: k.Shredded}
			if k.Purpose == store.PurposeAudit && !k.Shredded {
				var err error
				if row.Held, err = record.Held(tx, k.From, k.To); err != nil {
					return err
				}
			}
			list = append(list, row)
		}
		return nil
	})
	return list, err
}

// shredMonth drops the keys of a month's entries. There is one, or more where the store was restored
// within the month. If we crash between two, the rest is done by asking again.
func shredMonth(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	var req struct {
		Month string `json:"month"` // 2026-11
	}
	if err := decodeStrictly(r, &req); err != nil {
		return nil, err
	}
	month, err := time.Parse("2006-01", req.Month)
	if err != nil {
		return nil, fmt.Errorf("%w: a month is a year and a month, such as 2026-11", admin.ErrState)
	}
	shredded, known := 0, false
	for _, k := range s.KeyInfos() {
		if k.Purpose != store.PurposeAudit || !k.From.Equal(month) {
			continue
		}
		if known = true; k.Shredded {
			continue
		}
		if err := s.Shred(r.Context(), by, k.Purpose, k.Epoch, notHeld); err != nil {
			if errors.Is(err, store.ErrKept) {
				err = fmt.Errorf("%w: %w", admin.ErrState, err)
			}
			return nil, err
		}
		shredded++
	}
	switch {
	case !known:
		return nil, fmt.Errorf("%w: no entries of %s are in this log", admin.ErrState, req.Month)
	case shredded == 0:
		return nil, fmt.Errorf("%w: %s was shredded already", admin.ErrState, req.Month)
	}
	return map[string]int{"keys": shredded}, nil
}

// errHeld is why a key is kept although its time is over.
var errHeld = errors.New("a hold covers that month: pinward audit hold list")

// notHeld is the predicate of a shredding: it runs in the same transaction, so no hold can come between.
func notHeld(tx *store.Tx, k store.KeyInfo) error {
	held, err := record.Held(tx, k.From, k.To)
	if err == nil && held {
		err = errHeld
	}
	return err
}
