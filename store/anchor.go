package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"pinward/store/audit"
)

// Errors of the counter. The first two are what [Open] says; the third is what [Keys.Anchor] says.
var (
	// ErrRollback means that the store is older than the TPM's counter: somebody put a copy back, or
	// the disk lost what it had promised to keep. Options.AcceptRollback opens it all the same.
	ErrRollback = errors.New("store is older than the TPM's counter: a copy of it was put back, or its end was cut off")
	// ErrCounterGone means that the TPM's counter is not there any more, or stands lower than it did:
	// the TPM was cleared, replaced, or somebody made the counter anew. Keys wrap it into their errors.
	ErrCounterGone = errors.New("the TPM's counter is gone or was made anew")
	// ErrAnchorSoon means that the counter was raised less than an hour ago, and nothing was done.
	ErrAnchorSoon = errors.New("the TPM's counter was raised less than an hour ago")
)

// counted is how far the store knows the counter.
type counted struct {
	Signer string // fingerprint of the key that certifies this counter; another key has another counter
	// Value is what the counter stands at, or while Pending is set, what it stands at once the increment
	// that is under way is done. It is durable before the TPM is asked: so a counter that stands higher
	// than Value was raised by a later state of this store.
	Value   uint64
	Pending bool
	At      time.Time // of the last anchor, or of when counting began
}

var (
	counters = NewTable[counted]("store.counter",
		Bookkeeping("how far the TPM's counter is known; each anchor is an entry"))
	anchors = NewTable[[]byte]("store.anchors", // by sequence of the entry
		Bookkeeping("what the TPM said at each anchor; the anchor is an entry"))
	counterKey = []byte("tpm")
)

// Acceptance is who takes a store that is older than the TPM's counter, and why.
type Acceptance struct {
	By  audit.Actor
	Why string
	// Also runs in the transaction that takes the store; it may be nil. It is for what must not go on
	// from an old state as if nothing had happened.
	Also func(*Tx) error
}

// counterPatience bounds one visit to the TPM; anchorTick is how often the loop looks.
const (
	counterPatience = 2 * time.Minute
	anchorTick      = time.Minute
	anchorRetry     = 5 * time.Minute
)

// AnchorStatus is how the anchors stand, for health.
type AnchorStatus struct {
	Counted bool      // the keys have a counter
	At      time.Time // of the last anchor, or of when counting began
	Counter uint64
	Trouble error // why the last try failed; nil if it did not
}

// Anchors tells how the anchors stand.
func (s *Store) Anchors() AnchorStatus {
	if st := s.anchored.Load(); st != nil {
		return *st
	}
	return AnchorStatus{}
}

// readCounter returns what is known of the counter; ok is false in a store that never counted.
func (s *Store) readCounter(ctx context.Context) (st counted, ok bool, err error) {
	err = s.View(ctx, func(tx *Tx) error {
		st, ok, err = counters.Get(tx, counterKey)
		return err
	})
	return st, ok, err
}

func (s *Store) askCounter(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, counterPatience)
	defer cancel()
	return s.keys.Counter(ctx)
}

// checkCounter compares the store with the counter before anything is written to it, and returns what
// has to be recorded once it is open; nil for nothing. A TPM that does not answer keeps the store
// closed: an old copy must not be had by unplugging the TPM.
func (s *Store) checkCounter(ctx context.Context, o Options) (func(*Tx) error, error) {
	n, err := s.askCounter(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("compare with counter: %w", err)
	}
	st, known, err := s.readCounter(ctx)
	if err != nil {
		return nil, err
	}
	s.anchored.Store(&AnchorStatus{Counted: true, At: st.At, Counter: n})
	switch {
	case !known || st.Signer != s.Fingerprint():
		return func(tx *Tx) error { return s.bind(tx, n, audit.OK) }, nil
	case n == st.Value && !st.Pending:
		return nil, nil
	case n == st.Value, n+1 == st.Value && st.Pending:
		return func(tx *Tx) error { return s.finish(tx, st, n) }, nil
	case n > st.Value && o.AcceptRollback != nil:
		return func(tx *Tx) error { return s.accept(tx, st, n, *o.AcceptRollback) }, nil
	case n > st.Value:
		return nil, fmt.Errorf("%w: the counter stands at %d, and this store knows of %d", ErrRollback, n, st.Value)
	}
	return nil, fmt.Errorf("%w: it stands at %d, and stood at %d", ErrCounterGone, n, st.Value)
}

// bind ties the log to the counter as it stands.
func (s *Store) bind(tx *Tx, n uint64, how audit.Outcome) error {
	if err := tx.record(self, audit.Entry{Action: audit.ActionCounter, Outcome: how, Attrs: []audit.Attr{{Key: "counter", Value: decimal(n)}}}); err != nil {
		return err
	}
	return s.keep(tx, n)
}

// finish ends an increment that was under way: the counter stands at n, one below what was to come or
// at it.
func (s *Store) finish(tx *Tx, st counted, n uint64) error {
	if n == st.Value {
		err := tx.record(self, audit.Entry{Action: audit.ActionAnchorLost, Outcome: audit.Failed, Attrs: []audit.Attr{{Key: "counter", Value: decimal(n)}}})
		if err != nil {
			return err
		}
		return s.keep(tx, n)
	}
	st.Value, st.Pending = n, false
	return counters.Put(tx, counterKey, st)
}

func (s *Store) accept(tx *Tx, st counted, n uint64, by Acceptance) error {
	err := tx.record(by.By, audit.Entry{Action: audit.ActionRollback, Outcome: audit.OK, Attrs: []audit.Attr{
		{Key: "counter", Value: decimal(n)}, {Key: "known", Value: decimal(st.Value)}, {Key: "why", Value: by.Why},
	}})
	if err != nil {
		return err
	}
	if tx.actor = by.By; by.Also != nil {
		if err := by.Also(tx); err != nil {
			return err
		}
	}
	return s.keep(tx, n)
}

// keep notes that the counter stands at n, as of now.
func (s *Store) keep(tx *Tx, n uint64) error {
	s.anchored.Store(&AnchorStatus{Counted: true, At: tx.now, Counter: n})
	return counters.Put(tx, counterKey, counted{Signer: s.Fingerprint(), Value: n, At: tx.now})
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// anchor has the TPM bind a head to its counter.
func (s *Store) anchor(ctx context.Context) error {
	if err := s.settleCounter(ctx); err != nil {
		return err
	}
	if err := s.signHead(ctx); err != nil {
		return err
	}
	st, _, err := s.readCounter(ctx)
	if err != nil {
		return err
	}
	head := s.durable.Load().head
	st.Value, st.Pending = st.Value+1, true
	if err := s.note(ctx, st); err != nil {
		return err
	}
	// If we crash here the counter stands at Value-1 at the next start: nothing happened.
	asking, cancel := context.WithTimeout(ctx, counterPatience)
	defer cancel()
	hash := audit.NoteHash(head.note)
	attestation, err := s.keys.Anchor(asking, hash)
	if errors.Is(err, ErrAnchorSoon) {
		st.Value, st.Pending = st.Value-1, false
		return errors.Join(err, s.note(ctx, st))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("anchor head: %w", err), s.settleCounter(ctx))
	}
	// If we crash here it stands at Value: the next start records that what the TPM said is lost.
	attestation, err = audit.CanonicalAnchor(attestation)
	if err != nil {
		return fmt.Errorf("anchor head: %w", err)
	}
	a, err := audit.ParseAnchor(s.keys.Signer(), attestation)
	if err != nil {
		return fmt.Errorf("anchor head: %w", err)
	}
	if a.Counter != st.Value || a.NoteHash != hash {
		return errors.Join(errors.New("anchor head: the TPM certified something else"), s.settleCounter(ctx))
	}
	return s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		if err := anchors.Put(tx, binary.BigEndian.AppendUint64(nil, tx.seq), attestation); err != nil {
			return err
		}
		err := tx.Record(audit.Entry{Action: audit.ActionAnchor, Outcome: audit.OK, Attrs: []audit.Attr{
			{Key: "counter", Value: decimal(a.Counter)}, {Key: "entries", Value: decimal(head.size)},
		}})
		if err != nil {
			return err
		}
		return s.keep(tx, a.Counter)
	})
}

func (s *Store) note(ctx context.Context, st counted) error {
	return s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error { return counters.Put(tx, counterKey, st) })
}

// settleCounter finds out what became of an increment whose end was not seen. A counter that somebody
// else raised meanwhile is an entry; the store goes on from it.
func (s *Store) settleCounter(ctx context.Context) error {
	st, _, err := s.readCounter(ctx)
	if err != nil || !st.Pending {
		return err
	}
	n, err := s.askCounter(ctx)
	if err != nil {
		return fmt.Errorf("read counter: %w", err)
	}
	return s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		if n == st.Value || n+1 == st.Value {
			return s.finish(tx, st, n)
		}
		return s.bind(tx, n, audit.Failed)
	})
}
