package record

import (
	"bytes"
	"crypto/rand"
	_ "embed" // clocks.json
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// Incident is something that may be a breach of patients' data (45 CFR 164.402): a text that reached
// somebody else, a box that was stolen. One is opened by a person, or by the reply that a number is the
// wrong one. It is a record of what is known and by when who has to be told; what it was in the end a
// person decides and closes it with.
type Incident struct {
	ID   string `json:"id"`
	What string `json:"what"` // in words; no patient's name
	// By is who opened it; Reply, where a reply did, is the entry of the reply.
	By    string `json:"by"`
	Reply uint64 `json:"reply,omitempty"`
	// Opened is when the record was made. Discovered is the day from which the clocks run: when somebody
	// knew, or with care would have known (45 CFR 164.404(a)(2)).
	Opened     time.Time `json:"opened"`
	Discovered time.Time `json:"discovered"`
	// Phone is the number at which the wrong person was reached; Subjects are the patients named by hand.
	Phone    contact.Phone       `json:"phone,omitzero"`
	Subjects []contact.SubjectID `json:"subjects,omitempty"`
	// Closed, with who closed it and what it was found to be; zero while it is open.
	Closed   time.Time `json:"closed,omitzero"`
	ClosedBy string    `json:"closed_by,omitempty"`
	Outcome  string    `json:"outcome,omitempty"`
}

var incidentRecords = store.NewTable[Incident]("record.incidents")

// Actions on incidents.
const (
	ActionIncident       store.Action = "incident.opened"
	ActionIncidentClosed store.Action = "incident.closed"
)

// actionWrongNumber is consent's entry of a reply that this number is not the patient's.
const actionWrongNumber store.Action = "consent.wrong_number"

// Errors of incidents, for people.
var (
	ErrNoIncident     = errors.New("there is no such incident")
	ErrIncident       = errors.New("an incident needs words of at most 500 bytes for what happened, and a day of discovery that has come")
	ErrIncidentClosed = errors.New("the incident is closed already")
	ErrOutcome        = errors.New("to close an incident, say in at most 500 bytes what it was found to be and why")
)

const maxWords = 500

// OpenIncident opens one by hand. Zero Discovered is today.
func OpenIncident(tx *store.Tx, i Incident) (Incident, error) {
	if i.Discovered.IsZero() {
		i.Discovered = tx.Now()
	}
	if i.What = strings.TrimSpace(i.What); i.What == "" || len(i.What) > maxWords || i.Discovered.After(tx.Now()) {
		return i, ErrIncident
	}
	var id [5]byte
	_, _ = rand.Read(id[:]) // never fails: it ends the process instead
	i.ID = fmt.Sprintf("IH%010d", binary.BigEndian.Uint64(append(make([]byte, 3), id[:]...))%1e10)
	return i, open(tx, &i)
}

func open(tx *store.Tx, i *Incident) error {
	i.By, i.Opened = tx.Actor().ID, tx.Now()
	if err := incidentRecords.Put(tx, []byte(i.ID), *i); err != nil {
		return fmt.Errorf("open incident: %w", err)
	}
	attrs := []store.Attr{{Key: "what", Value: i.What}, {Key: "discovered", Value: stamp(i.Discovered)}}
	if !i.Phone.IsZero() {
		attrs = append(attrs, store.Attr{Key: "phone", Value: i.Phone.E164()})
	}
	subject := ""
	if len(i.Subjects) > 0 {
		subject = i.Subjects[0].Key()
	}
	return tx.Record(store.Entry{Action: ActionIncident, Outcome: store.OK, Object: i.ID, Subject: clip(subject), Attrs: attrs})
}

// openForReplies opens an incident for each reply that a number is the wrong one. The same entries may
// come again: the incident of a reply has its number.
func openForReplies(tx *store.Tx, records []store.Record) error {
	for _, r := range records {
		if r.Entry.Action != actionWrongNumber {
			continue
		}
		i := Incident{ID: fmt.Sprintf("IR%010d", r.Seq), What: "a reply says that a text reached the wrong person", Reply: r.Seq, Discovered: r.Time}
		if _, there, err := incidentRecords.Get(tx, []byte(i.ID)); err != nil || there {
			if err != nil {
				return fmt.Errorf("read incident: %w", err)
			}
			continue
		}
		if err := i.Phone.UnmarshalText([]byte(Attr(r.Entry, "phone"))); err != nil {
			continue // not a number: nothing can be said of whom it affects
		}
		if err := open(tx, &i); err != nil {
			return err
		}
	}
	return nil
}

// CloseIncident closes one with what it was found to be: the risk assessment of 45 CFR 164.402(2), or
// whom the hospital told.
func CloseIncident(tx *store.Tx, id, outcome string) (Incident, error) {
	i, err := IncidentOf(tx, id)
	if err != nil {
		return i, err
	}
	if outcome = strings.TrimSpace(outcome); outcome == "" || len(outcome) > maxWords {
		return i, ErrOutcome
	}
	if !i.Closed.IsZero() {
		return i, ErrIncidentClosed
	}
	i.Closed, i.ClosedBy, i.Outcome = tx.Now(), tx.Actor().ID, outcome
	if err := incidentRecords.Put(tx, []byte(i.ID), i); err != nil {
		return i, fmt.Errorf("close incident: %w", err)
	}
	return i, tx.Record(store.Entry{Action: ActionIncidentClosed, Outcome: store.OK, Object: i.ID, Attrs: []store.Attr{{Key: "outcome", Value: outcome}}})
}

// IncidentOf reads one.
func IncidentOf(tx *store.Tx, id string) (Incident, error) {
	if id == "" {
		return Incident{}, ErrNoIncident
	}
	i, ok, err := incidentRecords.Get(tx, []byte(clip(id)))
	if err == nil && !ok {
		err = ErrNoIncident
	}
	return i, err
}

// Incidents lists them all, those opened by hand first, each kind oldest first or in no order.
func Incidents(tx *store.Tx) (list []Incident, err error) {
	err = incidentRecords.Each(tx, store.Range{}, func(_ []byte, i Incident) error {
		list = append(list, i)
		return nil
	})
	return list, err
}

// Affected is a patient of whom something reached the number of an incident, or who was named by hand.
type Affected struct {
	Subject contact.SubjectID `json:"subject"`
	Texts   int               `json:"texts"` // that were to go to the number
	First   time.Time         `json:"first,omitzero"`
	Last    time.Time         `json:"last,omitzero"`
}

// AffectedBy lists the patients of an incident: whoever something was sent about to its number before it
// was discovered, and those named by hand. What was sent before the number was last proven to be the
// patient's is left out.
func AffectedBy(tx *store.Tx, i Incident) (list []Affected, err error) {
	for _, id := range i.Subjects {
		list = append(list, Affected{Subject: id})
	}
	if i.Phone.IsZero() {
		return list, nil
	}
	sent, err := wronglySent(tx, i.Phone, i.Discovered)
	if err != nil {
		return nil, err
	}
	at := map[string]int{}
	for n, a := range list {
		at[a.Subject.Key()] = n
	}
	for _, r := range sent {
		n, ok := at[r.Entry.Subject]
		if !ok {
			id, ok := subjectOf(r.Entry)
			if !ok {
				continue // a text about nobody: a sign-up
			}
			n = len(list)
			at[r.Entry.Subject], list = n, append(list, Affected{Subject: id})
		}
		if a := &list[n]; a.Texts == 0 || r.Time.Before(a.First) {
			a.First = r.Time
		}
		if a := &list[n]; r.Time.After(a.Last) {
			a.Last = r.Time
		}
		list[n].Texts++
	}
	return list, nil
}

// Clock is a duty with the day by which it is done at the latest. The rules say "without unreasonable
// delay" before that.
type Clock struct {
	Duty string    `json:"duty"`
	By   time.Time `json:"by"`
	Cite string    `json:"cite"`
}

// clockRule is a line of clocks.json. A state's law that is shorter is added there.
type clockRule struct {
	Duty         string `json:"duty"`
	Days         int    `json:"days"`
	FromPatients int    `json:"from_patients"` // the duty is there from so many affected on; 0 is no bound
	ToPatients   int    `json:"to_patients"`   // and up to so many
	AfterYear    bool   `json:"after_year"`    // the days run from the end of the year of discovery
	Cite         string `json:"cite"`
}

//go:embed clocks.json
var clocksFile []byte

func clockRules() (rules []clockRule, err error) {
	dec := json.NewDecoder(bytes.NewReader(clocksFile))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&rules); err != nil {
		return nil, fmt.Errorf("read clocks: %w", err)
	}
	return rules, nil
}

// Clocks are the duties of an incident that affects so many patients.
func Clocks(i Incident, patients int) (list []Clock, err error) {
	rules, err := clockRules()
	if err != nil {
		return nil, err
	}
	for _, r := range rules {
		if patients < r.FromPatients || r.ToPatients > 0 && patients > r.ToPatients {
			continue
		}
		from := i.Discovered.UTC()
		if r.AfterYear {
			from = time.Date(from.Year(), time.December, 31, 0, 0, 0, 0, time.UTC)
		}
		list = append(list, Clock{Duty: r.Duty, By: from.AddDate(0, 0, r.Days).Truncate(24 * time.Hour), Cite: r.Cite})
	}
	return list, nil
}
