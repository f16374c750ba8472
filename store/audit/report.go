package audit

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Report is what a verification found. It names no person: actors are pseudonyms.
type Report struct {
	Origin  string   // the log's name
	From    uint64   // sequence of the first entry: 0 but in an export of a part
	Entries uint64   // how many, all verified
	Heads   int      // signed heads, the last one included
	Signer  string   // fingerprint of who signed the last head
	Signers []string // fingerprints of all who signed, in the order in which they came into use
	Pinned  bool     // Signer is the one that the caller named
	First   time.Time
	Last    time.Time

	Anchors    int       // statements of the TPM, all verified
	LastAnchor time.Time // time of the entry that tells of the last one; zero if there is none
	Counter    uint64    // what the TPM's counter stood at then
	Witnessed  int       // heads that the witness saw and that are these; 0 without a witness
	WitnessEnd uint64    // entries covered by the last of them
	Findings   []string  // what is proved, and yet somebody should look into

	Actions []ActionCount // in alphabetical order
	Actors  []ActorCount  // most entries first
}

// ActionCount is how often an action is in the log, by outcome.
type ActionCount struct {
	Action              Action
	OK, Refused, Failed uint64
}

// ActorCount is how many entries an actor has.
type ActorCount struct {
	Actor   Pseudonym
	Entries uint64
}

// String is the pseudonym in hex.
func (p Pseudonym) String() string { return hex.EncodeToString(p[:]) }

// MarshalText is String.
func (p Pseudonym) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// reportActors is how many actors WriteText lists.
const reportActors = 20

// WriteText writes the report for people: the verdict, what was proved, and what was not.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	if r.Pinned {
		fmt.Fprintf(&b, "VERIFIED: %d entries of %s, signed by %s\n", r.Entries, r.Origin, r.Signer)
	} else {
		fmt.Fprintf(&b, "CONSISTENT WITH SIGNER %s: compare with your sheet\n", r.Signer)
		fmt.Fprintf(&b, "%d entries of %s. Until the signer is compared nothing is proved: anybody can\nmake such a log with a key of his own. Give the fingerprint from the commissioning sheet.\n", r.Entries, r.Origin)
	}
	for _, s := range r.Signers[:len(r.Signers)-1] {
		fmt.Fprintf(&b, "An earlier signer was %s: compare with your sheets.\n", s)
	}
	fmt.Fprintf(&b, "\nFirst entry %s, last entry %s, %d signed heads.\n", r.First.Format(time.RFC3339), r.Last.Format(time.RFC3339), r.Heads)
	if r.From > 0 {
		fmt.Fprintf(&b, "This is a part: it begins with entry %d. The %d before it are bound in as one hash and were not\nlooked at.\n", r.From, r.From)
	}
	r.writeProved(&b)
	b.WriteString("\nEntries by action (ok, refused, failed):\n")
	for _, a := range r.Actions {
		fmt.Fprintf(&b, "  %-40s %10d %10d %10d\n", a.Action, a.OK, a.Refused, a.Failed)
	}
	b.WriteString("\nEntries by actor (pseudonym):\n")
	for _, a := range r.Actors[:min(len(r.Actors), reportActors)] {
		fmt.Fprintf(&b, "  %s %10d\n", a.Actor, a.Entries)
	}
	if more := len(r.Actors) - reportActors; more > 0 {
		fmt.Fprintf(&b, "  and %d more\n", more)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeProved says in plain words what the verification proved, what it found, and what it could not
// prove.
func (r *Report) writeProved(b *strings.Builder) {
	b.WriteString(`
Proved, if the signer is yours:
  - No entry was altered, removed, added or moved since the first signed head that covers it.
  - No head was left out between the first and the last.
  - The sequence has no gap, and no entry is dated before the one before it.
`)
	if r.Anchors > 0 {
		fmt.Fprintf(b, `  - %d times the box's TPM bound a head to its counter, which nobody can set back, and to its own
    clock: the counter grew by one each time, and no two hours are without such an anchor unless
    an entry says so. The last one was at %s; the counter stood at %d.
`, r.Anchors, r.LastAnchor.Format(time.RFC3339), r.Counter)
	}
	if r.Witnessed > 0 {
		fmt.Fprintf(b, "  - %d heads that the witness kept are heads of this log: up to entry %d there is no other history,\n    whoever was root on the box, as long as the witness is not theirs too.\n", r.Witnessed, r.WitnessEnd)
	}
	if len(r.Findings) > 0 {
		b.WriteString("\nLook into these:\n")
		for _, f := range r.Findings {
			fmt.Fprintf(b, "  - %s.\n", f)
		}
	}
	b.WriteString(`
Not proved by this:
  - That an entry was true when it was made, or that what happened was recorded at all: whoever
    controlled the box, or was root on it while it ran, could lie before an entry was made.
`)
	switch {
	case r.Witnessed == 0:
		b.WriteString(`  - That there is no second history: whoever was root on the running box could have had another one
    signed from any point on. A head kept elsewhere rules that out for all entries up to it: give
    the witness's file with --witness.
`)
	case r.WitnessEnd < r.From+r.Entries:
		fmt.Fprintf(b, "  - That there is no second history of the entries from %d on: the witness saw no later head.\n", r.WitnessEnd)
	}
	if r.Anchors == 0 {
		b.WriteString("  - That the log was not set back to an older copy and went on from there: it has no anchors.\n")
	}
	b.WriteString(`  - Entries after the last head given here: a bundle can be old, or its tail cut off at an earlier
    head. Compare the last entry's date, the counter with that of "pinward status", or a witness.
  - What the sealed part of an entry says: it is committed to, and is checked when it is opened.
`)
}

// counts are entries by action and by actor.
type counts struct {
	actions map[string]*[Failed + 1]uint64
	actors  map[Pseudonym]*uint64
}

func newCounts() counts {
	return counts{map[string]*[Failed + 1]uint64{}, map[Pseudonym]*uint64{}}
}

func (c *counts) count(action []byte, h *Header) {
	a := c.actions[string(action)]
	if a == nil {
		a = new([Failed + 1]uint64)
		c.actions[string(action)] = a
	}
	a[h.Outcome]++
	n := c.actors[h.Actor]
	if n == nil {
		n = new(uint64)
		c.actors[h.Actor] = n
	}
	*n++
}

func (c *counts) add(o *counts) {
	for k, from := range o.actions {
		to := c.actions[k]
		if to == nil {
			to = new([Failed + 1]uint64)
			c.actions[k] = to
		}
		for i := range from {
			to[i] += from[i]
		}
	}
	for k, from := range o.actors {
		to := c.actors[k]
		if to == nil {
			to = new(uint64)
			c.actors[k] = to
		}
		*to += *from
	}
}

func (c *counts) byAction() []ActionCount {
	var out []ActionCount
	for _, a := range slices.Sorted(maps.Keys(c.actions)) {
		n := c.actions[a]
		out = append(out, ActionCount{Action(a), n[OK], n[Refused], n[Failed]})
	}
	return out
}

func (c *counts) byActor() []ActorCount {
	var out []ActorCount
	for a, n := range c.actors {
		out = append(out, ActorCount{a, *n})
	}
	slices.SortFunc(out, func(a, b ActorCount) int {
		return cmp.Or(cmp.Compare(b.Entries, a.Entries), bytes.Compare(a.Actor[:], b.Actor[:]))
	})
	return out
}
