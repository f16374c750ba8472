package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"pinward/daemon/admin"
	"pinward/store"
)

// KeyIndex is how the keys of the store's records stand on the disk. Epoch 0 is a store of an older version
// whose index was never rotated.
type KeyIndex struct {
	Epoch uint32    `json:"epoch"`
	Since time.Time `json:"since,omitzero"` // the day
}

func keyIndex(s *store.Store) KeyIndex {
	i := s.Index()
	return KeyIndex{Epoch: i.Generation, Since: i.Since}
}

// rotateIndex has the live file written anew under keys that nobody had until now. Whoever asked may go
// away meanwhile: it ends all the same. A failure is an entry too; the store's own entries name what was
// made and dropped.
func rotateIndex(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	if err := decodeStrictly(r, &struct{}{}); err != nil {
		return nil, err
	}
	ctx := context.WithoutCancel(r.Context())
	failed := s.RotateIndex(ctx, by)
	if errors.Is(failed, store.ErrBusy) {
		return nil, fmt.Errorf("%w: the store is being rewritten for another reason: try again in some minutes", admin.ErrState)
	}
	outcome := store.OK
	if failed != nil {
		outcome = store.Failed
	}
	now := keyIndex(s)
	err := s.Update(ctx, by, func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: actRotate, Outcome: outcome, Object: "index",
			Attrs: []store.Attr{{Key: "epoch", Value: strconv.FormatUint(uint64(now.Epoch), 10)}}})
	})
	return now, errors.Join(failed, err)
}
