package record

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"pinward/store"
	"pinward/store/audit"
)

// Witness is somebody who keeps the signed heads of the log where root on this box cannot reach them:
// the only thing that tells a second history from the first.
type Witness struct {
	Name string
	// OffBox says that what it keeps lies on another machine.
	OffBox bool
	// Give hands a head over, as the one line of [audit.HeadLine]; it returns nil once the witness has
	// it, as far as can be told. A witness that pulls has none.
	Give func(ctx context.Context, line string) error
}

// WitnessStatus is what a witness has.
type WitnessStatus struct {
	Name    string    `json:"name"`
	OffBox  bool      `json:"off_box"`
	Size    uint64    `json:"size"`             // entries under the last head that it has
	At      time.Time `json:"at"`               // when it got that head
	Behind  uint64    `json:"behind"`           // entries under a signed head that it has not
	Lag     int64     `json:"lag"`              // how long it has been behind, in seconds; 0 if it is not
	Trouble string    `json:"trouble,omitzero"` // why the last try failed
}

// witnessed is the receipt of one witness.
type witnessed struct {
	OffBox  bool      `json:"off_box"`
	Size    uint64    `json:"size"`
	At      time.Time `json:"at"`
	Behind  time.Time `json:"behind,omitzero"` // since when a newer head waits for it
	Trouble string    `json:"trouble,omitzero"`
}

var witnesses = store.NewTable[witnessed]("record.witnesses",
	store.Bookkeeping("which head each witness has; heads are signed, and each names the one before"))

// witnessEvery is how often a witness is offered the latest head, if it has not got it.
const witnessEvery = 15 * time.Second

// Witnesses lists what the witnesses have, those whose names are given and those that pull.
func Witnesses(tx *store.Tx) ([]WitnessStatus, error) {
	size, err := headed(tx)
	if err != nil {
		return nil, err
	}
	var list []WitnessStatus
	err = witnesses.Each(tx, store.Range{}, func(name []byte, w witnessed) error {
		st := WitnessStatus{Name: string(name), OffBox: w.OffBox, Size: w.Size, At: w.At, Behind: size - min(size, w.Size), Trouble: w.Trouble}
		if st.Behind > 0 && !w.Behind.IsZero() {
			st.Lag = int64(tx.Now().Sub(w.Behind) / time.Second)
		}
		list = append(list, st)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read witnesses: %w", err)
	}
	slices.SortFunc(list, func(a, b WitnessStatus) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// headed is how many entries are under the latest head.
func headed(tx *store.Tx) (uint64, error) {
	note := tx.Head()
	if note == nil {
		return 0, nil
	}
	h, _, _, err := audit.ParseNote(note)
	return h.Size, err
}

// Received notes that a witness has the head over size entries: also for one that pulls.
func Received(tx *store.Tx, name string, offBox bool, size uint64) error {
	w, _, err := witnesses.Get(tx, []byte(name))
	if err != nil {
		return fmt.Errorf("read witness: %w", err)
	}
	if size < w.Size {
		return nil
	}
	return witnesses.Put(tx, []byte(name), witnessed{OffBox: offBox, Size: size, At: tx.Now()})
}

// Forget drops the receipts of witnesses that are not named any more.
func Forget(tx *store.Tx, keep func(name string) bool) error {
	return witnesses.Each(tx, store.Range{}, func(name []byte, _ witnessed) error {
		if keep(string(name)) {
			return nil
		}
		return witnesses.Delete(tx, name)
	})
}

// Feed offers a witness each new head until ctx ends. A head covers all entries before it, so of those
// that were signed while the witness was away only the latest is given. If we crash between giving and
// noting, it is given again.
func Feed(ctx context.Context, s *store.Store, by store.Actor, w Witness, log *slog.Logger) {
	headed, stop := s.Watch(store.Headed)
	defer stop()
	tick := time.NewTicker(witnessEvery) // tries again what failed
	defer tick.Stop()
	told := false
	for {
		err := feed(ctx, s, by, w)
		if err != nil && ctx.Err() == nil && !told {
			log.Warn("witness has not got the head", "witness", w.Name, "error", err)
		}
		told = err != nil
		select {
		case <-ctx.Done():
			return
		case <-headed:
		case <-tick.C:
		}
	}
}

func feed(ctx context.Context, s *store.Store, by store.Actor, w Witness) error {
	var note []byte
	var has witnessed
	var size uint64
	err := s.View(ctx, func(tx *store.Tx) (err error) {
		note = tx.Head()
		if size, err = headed(tx); err != nil {
			return err
		}
		has, _, err = witnesses.Get(tx, []byte(w.Name))
		return err
	})
	if err != nil || note == nil || size <= has.Size {
		return err
	}
	line, err := audit.HeadLine(note)
	if err != nil {
		return err
	}
	failed := w.Give(ctx, line)
	err = s.Update(ctx, by, func(tx *store.Tx) error {
		if failed == nil {
			return Received(tx, w.Name, w.OffBox, size)
		}
		if has.Trouble = failed.Error(); has.Behind.IsZero() {
			has.Behind = tx.Now()
		}
		has.OffBox = w.OffBox
		return witnesses.Put(tx, []byte(w.Name), has)
	})
	if failed != nil {
		return failed
	}
	return err
}
