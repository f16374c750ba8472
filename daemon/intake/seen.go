package intake

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"pinward/hl7"
	"pinward/store"
)

// outcome is what became of one message. Its acknowledgment is written from it and the message, so
// that a repeat gets the same bytes; nothing of the content is in it but the type.
type outcome struct {
	At    time.Time   `json:"at"`
	Type  string      `json:"type"`
	Ack   hl7.AckCode `json:"ack"`            // AA, AE or AR
	Wrong *hl7.Error  `json:"err,omitempty"`  // place and condition of AE and AR
	Rule  string      `json:"rule,omitempty"` // empty: no rule applied
	Did   string      `json:"did,omitempty"`
	Why   string      `json:"why,omitempty"`
	AckID string      `json:"id"`              // MSH-10 of the acknowledgment
	Later string      `json:"later,omitempty"` // what became of the texts that were held
}

func newAckID() string { return rand.Text()[:20] }

// seen keeps the outcome of each message for one week at least and two at most: MSH-10 is unique in a
// sender, and a sender that had no answer sends again for as long as its operator lets it.
//
// The key is the week, the blinded peer and control ID, and the blinded fingerprint. The week
// stands first so that a week is swept as one range, and the pages that are written lie together.
var seen = store.NewTable[outcome]("intake.seen", store.Blinded(2, 18), store.Schema(1), store.Packed(outcomeFields),
	store.Bookkeeping("outcomes of messages, so that a repeat gets the same answer; what a message did has entries of its own"))

const week = 7 * 24 * time.Hour

func weekOf(at time.Time) uint16 { return uint16(at.Unix() / int64(week/time.Second)) }

func weekKey(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

func controlKey(tx *store.Tx, peer, control string) []byte {
	return tx.Blind("intake.control", fmt.Sprint(len(peer))+":"+peer+"|"+control)
}

type acquaintance int

const (
	unknown  acquaintance = iota
	repeated              // the same message, MSH-7 aside
	reused                // the same control ID with another content: control IDs restart
)

// lookUp tells whether the message was seen before, and what became of it then. The keys that it
// makes stay in rd for keepOutcome.
func lookUp(tx *store.Tx, rd *reading) (outcome, acquaintance, error) {
	control := controlKey(tx, rd.sender.Name, rd.control)
	rd.key = append(control, tx.Blind("intake.message", string(rd.fingerprint[:]))...)
	kind := unknown
	now := weekOf(tx.Now())
	for _, n := range []uint16{now, now - 1} {
		prefix := append(weekKey(n), control...)
		// One look at the range first: nearly every message is new, and some senders give all theirs
		// the same control ID.
		found, err := seen.Any(tx, prefix)
		if err != nil {
			return outcome{}, unknown, fmt.Errorf("look for message: %w", err)
		}
		if !found {
			continue
		}
		out, ok, err := seen.Get(tx, append(weekKey(n), rd.key...))
		if err != nil {
			return outcome{}, unknown, fmt.Errorf("look for message: %w", err)
		}
		if ok {
			return out, repeated, nil
		}
		if rd.control != "" {
			kind = reused
		}
	}
	return outcome{}, kind, nil
}

// keepOutcome writes what became of the message, and an entry where a rule applied or the message was
// refused. What no rule is for leaves no entry: a feed sends a hundred kinds of events.
func keepOutcome(tx *store.Tx, rd *reading, out outcome) error {
	if err := seen.Put(tx, append(weekKey(weekOf(tx.Now())), rd.key...), out); err != nil {
		return fmt.Errorf("keep outcome of message: %w", err)
	}
	if out.Rule == "" && out.Wrong == nil {
		return nil
	}
	e := store.Entry{Action: ActionMessage, Outcome: store.OK, Object: clip(rd.control), Subject: rd.person.id.Key()}
	if out.Wrong != nil {
		e.Outcome = store.Refused
	}
	for _, a := range []store.Attr{
		{Key: "type", Value: out.Type}, {Key: "ack", Value: string(out.Ack)}, {Key: "rule", Value: out.Rule},
		{Key: "did", Value: out.Did}, {Key: "why", Value: out.Why},
	} {
		if a.Value != "" {
			e.Attrs = append(e.Attrs, a)
		}
	}
	return tx.Record(e)
}

// ActionMessage is the entry of an HL7 message that a rule is for, or that was refused. Its object is
// MSH-10.
const ActionMessage store.Action = "hl7.message"

// Explanation is what became of one message, for `pinward hl7 explain`. It holds no value of the
// message.
type Explanation struct {
	At   time.Time `json:"at"`
	Type string    `json:"type"` // MSH-9, "ADT^A04"
	Ack  string    `json:"ack"`  // AA, AE or AR, whether or not it was given out
	Rule string    `json:"rule"` // the rule that applied, empty if none did
	Did  string    `json:"did"`  // what was done, in words
	Why  string    `json:"why"`  // why not more was done
	// Later is what became of texts that Why says were held.
	Later string `json:"later,omitempty"`
}

// Explain tells what became of the messages that a peer (a listener without peers is one of its name)
// sent under a control ID, oldest first. It is empty when there was none in the last week.
func Explain(tx *store.Tx, peer, controlID string) ([]Explanation, error) {
	var list []Explanation
	control := controlKey(tx, peer, controlID)
	now := weekOf(tx.Now())
	for _, n := range []uint16{now - 1, now} {
		err := seen.Each(tx, store.Range{Prefix: append(weekKey(n), control...)}, func(_ []byte, o outcome) error {
			list = append(list, Explanation{o.At, o.Type, string(o.Ack), o.Rule, o.Did, o.Why, o.Later})
			if len(list) == maxExplained {
				return store.Stop
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("explain message: %w", err)
		}
	}
	slices.SortStableFunc(list, func(a, b Explanation) int { return a.At.Compare(b.At) })
	return list, nil
}

// maxExplained bounds an answer about a control ID that a sender gives to everything.
const maxExplained = 100

// sweepAtOnce bounds one transaction of Sweep: called each minute, it forgets a million messages in a
// day.
const sweepAtOnce = 1000

// Sweep forgets what is older than the window in which a repeat is known.
func Sweep(tx *store.Tx) error {
	oldest := weekKey(weekOf(tx.Now()) - 1)
	n := 0
	for _, sweep := range []func() error{
		func() error { return sweepTable(tx, seen, oldest, &n) },
		func() error { return sweepTable(tx, requests, oldest, &n) },
	} {
		if err := sweep(); err != nil {
			return fmt.Errorf("sweep messages: %w", err)
		}
	}
	return nil
}

func sweepTable[T any](tx *store.Tx, t *store.Table[T], oldest []byte, n *int) error {
	return t.Each(tx, store.Range{}, func(key []byte, _ T) error {
		if *n == sweepAtOnce || slices.Compare(key[:2], oldest) >= 0 {
			return store.Stop
		}
		*n++
		return t.Delete(tx, key)
	})
}

// requestKey is where a request by its own id is kept.
func requestKey(tx *store.Tx, n uint16, peer, id string) []byte {
	return append(weekKey(n), tx.Blind("intake.request", hex.EncodeToString([]byte(peer))+"|"+id)...)
}
