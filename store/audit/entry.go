// Package audit is the form of the audit log: what an entry says, how it is encoded and hashed into
// an RFC 6962 Merkle tree, how a head of that tree is signed, and how an exported bundle is verified
// by somebody who has no key of the box.
//
// It is pure: it knows no database, holds no key and starts no network connection. Package store
// keeps the entries, supplies the hashes and has the heads signed.
//
// What a log of this form proves: between two heads nothing was altered, removed, inserted or
// reordered. What it cannot prove: that an entry was true when it was made, and that whoever controls
// the live box and its signing key has not kept a second history since the last head that somebody
// else holds. [Report] says so in its own words.
package audit

import (
	"fmt"
	"time"
)

// ActorKind says what sort of actor asked for something.
type ActorKind string

// The kinds of actors.
const (
	KindUser    ActorKind = "user"    // a person with an account
	KindClient  ActorKind = "client"  // an API client; ID is its account SID
	KindPeer    ActorKind = "peer"    // an HL7 sender; ID is the peer's name
	KindDaemon  ActorKind = "daemon"  // the daemon itself; ID is the part of it that acted
	KindRoot    ActorKind = "root"    // the machine's root, before anybody can log in
	KindPatient ActorKind = "patient" // somebody who texted or pressed a key; ID is an opaque id
)

// Actor is who asked for what an entry records.
type Actor struct {
	Kind ActorKind
	// ID is stable for the life of the actor: a user name, a SID, a peer's name. Never a number or
	// a patient's name: the header of each entry carries a keyed pseudonym of Kind and ID.
	ID string
	// OnBehalfOf names the person for whom a machine speaks, empty if none.
	OnBehalfOf string
}

// Action names what was done, dotted, for example "verification.start". The room that does it
// declares the constant. It stands in clear in the header. Form: lower-case ASCII letters, digits,
// '.', '_' and '-', beginning with a letter, at most 64 bytes.
type Action string

// Outcome is how an action ended. The zero value is no outcome and is refused.
type Outcome uint8

// The outcomes.
const (
	OK      Outcome = iota + 1 // done
	Refused                    // not done, because policy or the state of things forbids it
	Failed                     // tried, and did not succeed
)

// String returns "ok", "refused" or "failed".
func (o Outcome) String() string {
	switch o {
	case OK:
		return "ok"
	case Refused:
		return "refused"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// Attr is one detail of an entry.
type Attr struct{ Key, Value string }

// Entry is what a room says about one decision. Everything but Action and Outcome is sealed.
type Entry struct {
	Action  Action
	Outcome Outcome
	Object  string // id of the record acted on, empty if none
	Subject string // "authority|MRN" of the person concerned, empty if none
	Attrs   []Attr // further details, in the order given
}

// Record is an entry as it stands in the log, opened.
type Record struct {
	Seq    uint64
	Time   time.Time // UTC, exact; Header.Second is its whole second
	Actor  Actor
	Entry  Entry
	Header Header
	// Shredded says that the key of the body was dropped: of Time whole seconds are left, of Entry action and
	// outcome, of Actor nothing but the header's pseudonym.
	Shredded bool
}

// MaxAttrs is how many attributes an entry may have.
const MaxAttrs = 64

// The size limits of an entry. They keep every part of a record far below what a verifier reads at
// once.
const (
	maxAction = 64
	maxString = 4096 // each of Actor.ID, OnBehalfOf, Object, Subject, Attr.Key, Attr.Value
)

// Validate says what keeps e by a from being recorded, in words without any value of theirs.
func (e *Entry) Validate(a Actor) error {
	if !validAction(e.Action) {
		return fmt.Errorf("check entry: action is not a dotted lower-case name of at most %d bytes", maxAction)
	}
	if !validOutcome(e.Outcome) {
		return fmt.Errorf("check entry %s: it has no outcome", e.Action)
	}
	if a.Kind == "" || a.ID == "" {
		return fmt.Errorf("check entry %s: it has no actor", e.Action)
	}
	if len(e.Attrs) > MaxAttrs {
		return fmt.Errorf("check entry %s: more than %d attributes", e.Action, MaxAttrs)
	}
	long := len(a.Kind) > maxString || len(a.ID) > maxString || len(a.OnBehalfOf) > maxString ||
		len(e.Object) > maxString || len(e.Subject) > maxString
	for _, at := range e.Attrs {
		long = long || len(at.Key) > maxString || len(at.Value) > maxString
	}
	if long {
		return fmt.Errorf("check entry %s: a text is longer than %d bytes", e.Action, maxString)
	}
	return nil
}

func validOutcome(o Outcome) bool { return o >= OK && o <= Failed }

func validAction[T Action | []byte](a T) bool {
	if len(a) == 0 || len(a) > maxAction || a[0] < 'a' || a[0] > 'z' {
		return false
	}
	for i := range len(a) {
		switch c := a[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// String names the kind only: an id may be a person's name.
func (a Actor) String() string { return string(a.Kind) }

// GoString names the kind only.
func (a Actor) GoString() string { return "audit.Actor{" + string(a.Kind) + "}" }

// String names action and outcome only; what is sealed on disk stays out of logs.
func (e Entry) String() string { return string(e.Action) + " " + e.Outcome.String() }

// GoString is String.
func (e Entry) GoString() string { return "audit.Entry{" + e.String() + "}" }

// String names the place, action and outcome only.
func (r Record) String() string { return fmt.Sprintf("%d %s", r.Seq, r.Entry) }

// GoString is String.
func (r Record) GoString() string { return "audit.Record{" + r.String() + "}" }
