package audit

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// anchoredLog is a log that a TPM anchors, as a box would have made it. What a test sets in chip is
// what the TPM says from then on.
type anchoredLog struct {
	*testLog
	chip    Anchor
	anchors []AnchorEntry
}

// newAnchoredLog is a log that was just bound to the counter of a new TPM.
func newAnchoredLog(t testing.TB) *anchoredLog {
	l := &anchoredLog{newTestLog(t), Anchor{Counter: 1 << 33, Clock: 5000, Safe: true, ResetCount: 7, RestartCount: 1, Index: [34]byte{0, 11, 9}}, nil}
	l.tell(ActionStart, OK)
	l.tell(ActionCounter, OK)
	return l
}

// wait lets so much time go by, on the box and on the TPM.
func (l *anchoredLog) wait(d time.Duration) {
	l.at = l.at.Add(d)
	l.chip.Clock += uint64(d.Milliseconds())
}

// tell appends an entry of how the log is kept.
func (l *anchoredLog) tell(a Action, o Outcome) {
	seq := l.edge.Size()
	l.record(Header{Sequence: seq, Second: l.at.Unix()}, seq, Entry{Action: a, Outcome: o})
}

// certify signs a head and has the TPM certify what chip says together with it.
func (l *anchoredLog) certify() {
	l.t.Helper()
	l.chip.NoteHash = NoteHash(l.sign())
	l.certified()
}

// certified is certify of what chip says as it is.
func (l *anchoredLog) certified() {
	l.anchors = append(l.anchors, AnchorEntry{l.edge.Size(), canonical(l.t, attest(l.t, l.key, l.chip, false))})
	l.tell(ActionAnchor, OK)
}

// hour lets an hour of work go by, and anchors it.
func (l *anchoredLog) hour() {
	l.add(6)
	l.wait(time.Hour)
	l.chip.Counter++
	l.certify()
}

func (l *anchoredLog) source() Source {
	s := l.testLog.source()
	s.Anchors = all(l.anchors)
	return s
}

// part is what an export of the entries after the given head is made from.
func (l *anchoredLog) part(head int) Source {
	l.t.Helper()
	h, _, _, err := ParseNote(l.notes[head])
	if err != nil {
		l.t.Fatal(err)
	}
	s := l.source()
	for _, leaf := range l.leaves[:h.Size] {
		s.Base.Append(leaf.Hash(), nil)
	}
	s.Heads, s.Leaves = all(l.notes[head:len(l.notes)-1]), all(l.leaves[h.Size:])
	from := slices.IndexFunc(l.anchors, func(a AnchorEntry) bool { return a.Seq >= h.Size })
	s.Anchors = all(l.anchors[from:])
	return s
}

// bundle writes a bundle into a new folder.
func bundle(t testing.TB, s Source) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := WriteBundle(dir, s); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestAnchorRules: each rule about anchors has a log that the box's own key signed and that breaks
// that rule alone, and where an honest box may come near it, one that does not. want is a part of the
// refusal; found, of a finding; both are empty where all is well.
func TestAnchorRules(t *testing.T) {
	for name, c := range map[string]struct {
		do          func(l *anchoredLog)
		want, found string
	}{
		"an honest day": {do: func(l *anchoredLog) {
			for range 24 {
				l.hour()
			}
		}},
		"counter jumps":      {do: func(l *anchoredLog) { l.chip.Counter++ }, want: "anchors are missing, or the store was set back"},
		"counter repeated":   {do: func(l *anchoredLog) { l.chip.Counter-- }, want: "anchors are missing, or the store was set back"},
		"counter goes back":  {do: func(l *anchoredLog) { l.chip.Counter -= 9 }, want: "anchors are missing, or the store was set back"},
		"counter jumps to 0": {do: func(l *anchoredLog) { l.chip.Counter = ^uint64(0) }, want: "anchors are missing, or the store was set back"},
		"counter jumps as told": {do: func(l *anchoredLog) {
			l.chip.Counter += 2
			l.tell(ActionAnchorLost, Failed)
			l.tell(ActionAnchorLost, Failed)
		}},
		"counter jumps further than told": {do: func(l *anchoredLog) {
			l.chip.Counter += 2
			l.tell(ActionAnchorLost, Failed)
		}, want: "anchors are missing, or the store was set back"},
		"counter jumps less than told": {do: func(l *anchoredLog) { l.tell(ActionAnchorLost, Failed) }, want: "anchors are missing, or the store was set back"},
		"counter raised by another": {do: func(l *anchoredLog) {
			l.chip.Counter += 5
			l.tell(ActionCounter, Failed)
		}, found: "raised by somebody else"},
		"a store put back, and taken": {do: func(l *anchoredLog) {
			l.chip.Counter += 5
			l.tell(ActionRollback, OK)
		}, found: "older than the TPM's counter"},
		"a restore": {do: func(l *anchoredLog) {
			l.chip = Anchor{Clock: 100, ResetCount: 1, Safe: true}
			l.tell(ActionRestored, OK)
		}, found: "came out of a backup"},
		"clock goes back":         {do: func(l *anchoredLog) { l.chip.Clock -= 3 * 3600_000 }, want: "TPM's clock goes back"},
		"clock stands still":      {do: func(l *anchoredLog) { l.chip.Clock -= 3600_000 }, want: "TPM's clock goes back"},
		"clock goes back, unsafe": {do: func(l *anchoredLog) { l.chip.Clock, l.chip.Safe = l.chip.Clock-3*3600_000, false }, want: "TPM's clock goes back"},
		"clock at another pace":   {do: func(l *anchoredLog) { l.chip.Clock -= 45 * 60_000 }, found: "the box's was set, or it slept"},
		"clock goes back, after a power cut": {do: func(l *anchoredLog) {
			l.chip.Clock, l.chip.Safe, l.chip.ResetCount = l.chip.Clock-3601_000, false, 8
			l.tell(ActionStart, OK)
		}},
		"clock goes back, after a power cut, safe": {do: func(l *anchoredLog) {
			l.chip.Clock, l.chip.ResetCount = l.chip.Clock-3601_000, 8
			l.tell(ActionStart, OK)
		}, want: "TPM's clock goes back"},
		"a reset without a start": {do: func(l *anchoredLog) { l.chip.ResetCount++ }, want: "no entry says that the daemon started"},
		"a reset with a start": {do: func(l *anchoredLog) {
			l.chip.ResetCount += 2
			l.tell(ActionStart, OK)
		}},
		"resets go back":         {do: func(l *anchoredLog) { l.chip.ResetCount-- }, want: "count of restarts goes back"},
		"wake-ups go back":       {do: func(l *anchoredLog) { l.chip.RestartCount-- }, want: "count of restarts goes back"},
		"a wake-up":              {do: func(l *anchoredLog) { l.chip.RestartCount++ }},
		"another counter":        {do: func(l *anchoredLog) { l.chip.Index[33]++ }, want: "another counter than the one before"},
		"another counter, bound": {do: func(l *anchoredLog) { l.chip.Index[33]++; l.tell(ActionCounter, OK) }},
		"three hours without, unexplained": {do: func(l *anchoredLog) {
			for range 3 {
				l.add(2)
				l.wait(time.Hour)
			}
		}, want: "there is no anchor, and no entry says why"},
		"three hours without a single entry": {do: func(l *anchoredLog) { l.wait(3 * time.Hour) }, want: "there is no anchor, and no entry says why"},
		"three hours without, explained": {do: func(l *anchoredLog) {
			l.wait(AnchorLate)
			l.tell(ActionAnchorLate, Failed)
			l.wait(time.Hour)
		}, found: "for over two hours there was no anchor"},
		"three hours without, explained too late": {do: func(l *anchoredLog) {
			l.wait(3 * time.Hour)
			l.add(1)
			l.wait(time.Minute)
			l.tell(ActionAnchorLate, Failed)
			l.add(1)
			l.wait(3 * time.Hour)
		}, want: "there is no anchor, and no entry says why"},
		"a night switched off": {do: func(l *anchoredLog) {
			l.wait(9 * time.Hour)
			l.chip.ResetCount++
			l.tell(ActionStart, OK)
		}, found: "then the daemon was started anew"},
		"entries of a night, then a start": {do: func(l *anchoredLog) {
			l.wait(9 * time.Hour)
			l.add(1)
			l.wait(time.Second)
			l.chip.ResetCount++
			l.tell(ActionStart, OK)
		}, found: "then the daemon was started anew"},
		"a crash at the anchor, and a night switched off": {do: func(l *anchoredLog) {
			l.chip.Counter++
			l.wait(9 * time.Hour)
			l.tell(ActionAnchorLost, Failed)
			l.chip.ResetCount++
			l.tell(ActionStart, OK)
		}, found: "then the daemon was started anew"},
		"a lost anchor that nobody started for": {do: func(l *anchoredLog) {
			l.chip.Counter++
			l.wait(9 * time.Hour)
			l.tell(ActionAnchorLost, Failed)
			l.wait(time.Hour)
			l.tell(ActionStart, OK)
		}, want: "there is no anchor, and no entry says why"},
		"an entry without its anchor": {do: func(l *anchoredLog) { l.tell(ActionAnchor, OK) }, want: "is missing"},
		"an anchor that failed":       {do: func(l *anchoredLog) { l.tell(ActionAnchor, Failed) }, want: "no anchor that this program writes"},
		"an anchor of no head": {do: func(l *anchoredLog) {
			l.wait(time.Hour)
			l.chip.Counter++
			l.chip.NoteHash[0] ^= 1
			l.certified()
		}, want: "is of no head of this log"},
		"an anchor of another signer": {do: func(l *anchoredLog) {
			key := l.key
			l.key = newTestLog(t).key
			l.chip.Counter++
			l.certified()
			l.key = key
		}, want: "is not signed by a signer of this bundle"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newAnchoredLog(t)
			for range 3 {
				l.hour()
			}
			c.do(l)
			l.hour()
			l.hour()
			l.sign()
			r, err := verify(t, bundle(t, l.source()), l.fingerprint())
			switch {
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %q", err, c.want)
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "" && (len(r.Findings) != 0) != (c.found != ""):
				t.Errorf("findings %q, want %q", r.Findings, c.found)
			case c.found != "" && !strings.Contains(strings.Join(r.Findings, "\n"), c.found):
				t.Errorf("findings %q, want %q", r.Findings, c.found)
			case c.want == "" && r.Anchors != len(l.anchors):
				t.Errorf("%d anchors of %d", r.Anchors, len(l.anchors))
			}
		})
	}
}

// TestAnchorsEndTooSoon: a log that goes on for hours after its last anchor says so, or does not verify.
func TestAnchorsEndTooSoon(t *testing.T) {
	l := newAnchoredLog(t)
	l.hour()
	l.wait(AnchorLate + anchorGrace + time.Minute)
	l.add(1)
	l.sign()
	if _, err := verify(t, bundle(t, l.source()), l.fingerprint()); err == nil || !strings.Contains(err.Error(), "up to the last entry") {
		t.Errorf("error %v", err)
	}
}

// TestAnchorOfALaterHead: an anchor says nothing of a head that came after its entry.
func TestAnchorOfALaterHead(t *testing.T) {
	l := newAnchoredLog(t)
	l.hour()
	l.add(1)
	l.chip.Counter++
	seq := l.edge.Size()
	l.tell(ActionAnchor, OK)
	l.chip.NoteHash = NoteHash(l.sign())
	l.anchors = append(l.anchors, AnchorEntry{seq, canonical(t, attest(t, l.key, l.chip, false))})
	if _, err := verify(t, bundle(t, l.source()), l.fingerprint()); err == nil || !strings.Contains(err.Error(), "is of no head of this log") {
		t.Errorf("error %v", err)
	}
}

// TestTailCutToAnEarlierHead: a bundle whose tail was cut off at an earlier head is a true one of an
// earlier day, and it verifies as that: its report ends there, counter included, and says what it does
// not prove. A witness's later head shows it, and so does the counter that the box has now.
func TestTailCutToAnEarlierHead(t *testing.T) {
	l := newAnchoredLog(t)
	for range 6 {
		l.hour()
	}
	l.sign()
	var lines strings.Builder
	for _, note := range l.notes {
		line, err := HeadLine(note)
		if err != nil {
			t.Fatal(err)
		}
		lines.WriteString(line + "\n")
	}
	full, err := verify(t, bundle(t, l.source()), l.fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	for k := range len(l.notes) - 1 {
		h, _, _, err := ParseNote(l.notes[k])
		if err != nil {
			t.Fatal(err)
		}
		s := l.source()
		s.Checkpoint, s.Heads, s.Leaves = l.notes[k], all(l.notes[:k]), all(l.leaves[:h.Size])
		s.Anchors = all(l.anchors[:k])
		dir := bundle(t, s)
		r, err := verify(t, dir, l.fingerprint())
		if err != nil || r.Entries != h.Size || r.Counter >= full.Counter || !r.Last.Before(full.Last) {
			t.Errorf("cut to head %d: %+v, %v", k, r, err)
		}
		var text strings.Builder
		if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "its tail cut off at an earlier") {
			t.Errorf("%q does not say so; %v", text.String(), err)
		}
		_, err = Verify(t.Context(), dir, VerifyOptions{Signer: l.fingerprint(), Witness: strings.NewReader(lines.String())})
		if err == nil || !strings.Contains(err.Error(), "its tail was cut off") {
			t.Errorf("cut to head %d: with a witness: %v", k, err)
		}
	}
}
