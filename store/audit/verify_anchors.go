package audit

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// The actions by which a log tells how it was kept. Package store records them, the daemon the last;
// they stand in clear in the headers, so that a verifier without keys can follow.
const (
	// ActionCounter: the log is bound to the TPM's counter from here on, because it is new or because
	// the TPM is; with outcome failed, because somebody else had raised it.
	ActionCounter Action = "store.counter"
	// ActionAnchor: the counter was raised and certified together with a head.
	ActionAnchor Action = "store.anchor"
	// ActionAnchorLost: the counter was raised, and what the TPM said of it was lost.
	ActionAnchorLost Action = "store.anchor.lost"
	// ActionAnchorLate: for two hours there was no anchor.
	ActionAnchorLate Action = "store.anchor.late"
	// ActionRollback: the store was older than the counter, and people with the recovery kit took it.
	ActionRollback Action = "store.rollback.accepted"
	// ActionRestored: the store came out of a backup.
	ActionRestored Action = "store.restored"
	// ActionClock: the clock was set, or stood still.
	ActionClock Action = "clock.stepped"
	// ActionStart: the daemon started.
	ActionStart Action = "daemon.start"
)

const (
	// AnchorEvery is how often a head is anchored, and AnchorLate when one that is missing is an entry.
	AnchorEvery = time.Hour
	AnchorLate  = 2 * time.Hour
	// anchorGrace is how much later than AnchorLate the entry may be: the TPM may be slow.
	anchorGrace = 15 * time.Minute
	// clockSlack and clockShare are how far the TPM's clock and the box's may drift apart between two
	// anchors: a TPM may run 15 % fast or slow (TPM 2.0 Part 1, section 36.2).
	clockSlack = 10 * time.Minute
	clockShare = 5 // a fifth
	// anchorBehind is how many heads may lie between an anchored head and the entry that tells of it.
	anchorBehind = 256
	// maxFindings bounds what a report lists of each kind.
	maxFindings = 50
)

// attested is an anchor of the bundle, read and verified.
type attested struct {
	seq uint64
	Anchor
}

// readAnchors reads the attestations and checks each against the signers.
func (v *verifier) readAnchors(files int) error {
	var raw []AnchorEntry
	err := v.records(files, anchorsPattern, 8, func(prefix, record []byte) error {
		raw = append(raw, AnchorEntry{binary.BigEndian.Uint64(prefix), record})
		return nil
	})
	if err != nil {
		return err
	}
	v.anchors = make([]attested, len(raw))
	return parallel(len(raw), func(i int) error {
		for _, k := range slices.Backward(v.keys) {
			if a, err := ParseAnchor(k, raw[i].Attestation); err == nil {
				v.anchors[i] = attested{raw[i].Seq, a}
				return nil
			}
		}
		return refuse("the anchor of entry %d is not signed by a signer of this bundle, or is altered", raw[i].Seq)
	})
}

// anchoring is where the walk over the marks stands.
type anchoring struct {
	v       *verifier
	last    *attested // the anchor before; nil where the counter begins anew
	at      int64     // second of its entry
	lost    uint64    // increments since then of which nothing is left
	started bool      // the daemon started since then
	due     int64     // by when the next anchor, or the entry that it is late, has to come; 0 = not counted
}

// checkAnchors walks over the entries that tell of anchors, starts and clocks: the counter grows by one
// from anchor to anchor, the TPM's clock does not go back, the machine restarts only where the daemon
// says that it started, and no two hours pass without an anchor or the entry that it is late.
func (v *verifier) checkAnchors() error {
	w := anchoring{v: v}
	used := 0
	for i, m := range v.marks {
		if err := w.overdue(m, starting(v.marks[i:])); err != nil {
			return err
		}
		switch m.action {
		case ActionAnchor:
			if m.outcome != OK {
				return refuse("entry %d is no anchor that this program writes", m.seq)
			}
			if used == len(v.anchors) || v.anchors[used].seq != m.seq {
				return refuse("the anchor of entry %d is missing", m.seq)
			}
			if err := w.anchor(&v.anchors[used], m); err != nil {
				return err
			}
			used++
		default:
			w.tell(m)
		}
		if m.action != ActionClock && (w.due > 0 || m.action == ActionCounter || m.action == ActionAnchor) {
			w.due = m.second + int64((AnchorLate+anchorGrace)/time.Second)
		}
	}
	if used != len(v.anchors) {
		return refuse("it holds an anchor that no entry tells of")
	}
	if end := v.report.Last.Unix(); w.due > 0 && end > w.due {
		return refuse("after %s there is no anchor up to the last entry, and no entry says why", clockOf(w.due-int64((AnchorLate+anchorGrace)/time.Second)))
	}
	return nil
}

// starting reports whether the first mark is of a start: the daemon's own entry, or what the store
// records while it opens, before that.
func starting(marks []mark) bool {
	for _, m := range marks {
		if m.second-marks[0].second > int64(anchorGrace/time.Second) {
			return false
		}
		switch m.action {
		case ActionStart:
			return true
		case ActionAnchorLost, ActionCounter, ActionRollback, ActionRestored:
		default:
			return false
		}
	}
	return false
}

// overdue refuses a time without anchors of which no entry says that they are late. Where the daemon
// ended and started again it could not say so: then it is a finding.
func (w *anchoring) overdue(m mark, start bool) error {
	if w.due == 0 || m.action == ActionAnchorLate {
		return nil
	}
	until := m.before
	if start || m.action == ActionAnchor || m.action == ActionAnchorLost {
		until = m.second // an honest box says first that it is late, also if nothing else happened
	}
	if until <= w.due {
		return nil
	}
	since := clockOf(w.due - int64((AnchorLate+anchorGrace)/time.Second))
	if start {
		w.v.find("from %s to %s there is no anchor; then the daemon was started anew", since, clockOf(until))
		return nil
	}
	return refuse("from %s to %s there is no anchor, and no entry says why", since, clockOf(until))
}

// anchor checks one anchor against the one before and against the head that it names.
func (w *anchoring) anchor(a *attested, m mark) error {
	v := w.v
	if !v.anchored(a) {
		return refuse("the anchor of entry %d is of no head of this log", a.seq)
	}
	if p := w.last; p != nil {
		switch {
		case a.Index != p.Index:
			return refuse("the anchor of entry %d is of another counter than the one before", a.seq)
		case a.Counter != p.Counter+1+w.lost:
			return refuse("the counter goes from %d to %d at entry %d: anchors are missing, or the store was set back", p.Counter, a.Counter, a.seq)
		case a.ResetCount < p.ResetCount, a.ResetCount == p.ResetCount && a.RestartCount < p.RestartCount:
			return refuse("the TPM's count of restarts goes back at entry %d", a.seq)
		case a.ResetCount > p.ResetCount && !w.started:
			return refuse("the machine was restarted before entry %d, and no entry says that the daemon started", a.seq)
		case a.Clock <= p.Clock && (a.Safe || a.ResetCount == p.ResetCount):
			return refuse("the TPM's clock goes back at entry %d", a.seq)
		}
		if a.ResetCount == p.ResetCount && a.RestartCount == p.RestartCount {
			box, chip := time.Duration(m.second-w.at)*time.Second, time.Duration(a.Clock-p.Clock)*time.Millisecond
			if off := (box - chip).Abs(); off > clockSlack+max(box, chip)/clockShare {
				v.find("before entry %d the box's clock went on by %v and the TPM's by %v: the box's was set, or it slept", m.seq, box, chip.Round(time.Second))
			}
		}
	}
	w.last, w.at, w.lost, w.started = a, m.second, 0, false
	v.report.Anchors++
	v.report.LastAnchor, v.report.Counter = time.Unix(m.second, 0).UTC(), a.Counter
	return nil
}

// anchored reports whether an anchor's head is among those before its entry. Of a part it may be one
// from before the part, which is not there to be looked at.
func (v *verifier) anchored(a *attested) bool {
	i, _ := slices.BinarySearchFunc(v.heads, a.seq+1, func(h Head, size uint64) int {
		if h.Size < size {
			return -1
		}
		return 1
	})
	for n := 0; i > 0 && n < anchorBehind; n++ {
		if i--; v.hashes[i] == a.NoteHash {
			return true
		}
	}
	return i == 0 && v.base.size > 0
}

// tell follows the entries that explain what happens to the counter.
func (w *anchoring) tell(m mark) {
	at := clockOf(m.second)
	switch m.action {
	case ActionStart:
		w.started = true
	case ActionAnchorLost:
		w.lost++
	case ActionAnchorLate:
		w.v.find("at %s, entry %d says that for over two hours there was no anchor", at, m.seq)
	case ActionCounter:
		if m.outcome != OK {
			w.v.find("at %s, entry %d says that the TPM's counter was raised by somebody else", at, m.seq)
		}
		w.last = nil
	case ActionRollback:
		w.v.find("at %s, entry %d accepts a store that was older than the TPM's counter: entries from before it may be lost", at, m.seq)
		w.last = nil
	case ActionRestored:
		w.v.find("at %s, entry %d says that the store came out of a backup", at, m.seq)
		w.last = nil
	case ActionClock:
		w.v.find("at %s, entry %d says that the clock was set or stood still: times near it are not to be trusted", at, m.seq)
	}
}

// find adds a finding; very many of them help nobody.
func (v *verifier) find(format string, args ...any) {
	switch n := len(v.report.Findings); {
	case n < maxFindings:
		v.report.Findings = append(v.report.Findings, fmt.Sprintf(format, args...))
	case n == maxFindings:
		v.report.Findings = append(v.report.Findings, "and more of these")
	}
}

func clockOf(second int64) string { return time.Unix(second, 0).UTC().Format(time.RFC3339) }
