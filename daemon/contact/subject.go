package contact

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"pinward/store"
)

// SubjectID names a person as the hospital does: the assigning authority of PID-3.4 and the medical
// record number. It prints as "subject"; Key is for the sealed part of an entry.
type SubjectID struct {
	Authority, MRN string
}

// IsZero reports whether id names nobody.
func (id SubjectID) IsZero() bool { return id == SubjectID{} }

// maxID bounds each half of an id (CX.1 and CX.4 are far shorter): an entry has to hold several.
const maxID = 256

func (id SubjectID) usable() bool {
	return !id.IsZero() && len(id.Authority) <= maxID && len(id.MRN) <= maxID
}

// Key gives "authority|MRN" for store.Entry.Subject, "" for nobody. It is PHI.
func (id SubjectID) Key() string {
	if id.IsZero() {
		return ""
	}
	return id.Authority + "|" + id.MRN
}

// String redacts; so do GoString, LogValue and Format.
func (id SubjectID) String() string {
	if id.IsZero() {
		return "subject:none"
	}
	return "subject:redacted"
}

// GoString redacts for %#v.
func (id SubjectID) GoString() string { return id.String() }

// LogValue redacts for log/slog.
func (id SubjectID) LogValue() slog.Value { return slog.StringValue(id.String()) }

// Format redacts for every verb of fmt.
func (id SubjectID) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, id.String()) }

// blind is the id as a key of a table. The length keeps ("a|b", "c") apart from ("a", "b|c").
func (id SubjectID) blind(tx *store.Tx) []byte {
	return tx.Blind("contact.subject", strconv.Itoa(len(id.Authority))+":"+id.Key())
}

// Number is one of a subject's phone numbers. A new field belongs into pack.go
// as well.
type Number struct {
	Phone     Phone
	Use       string   // XTN-2, HL7 table 0201: PRN ORN WPN VHN ASN EMR NET BPN PRS
	Equipment string   // XTN-3, HL7 table 0202: PH FX MD CP BP SAT TDD TTY
	Rank      int      // 1 is the person's own first choice; 0 is no choice
	Type      LineType // what a source said; LineUnknown leaves it to the numbering plan
	Source    string   // who said so: "hl7:engine1", "desk", "patient"
	// Extension is behind the number: a switchboard answers there, so that it is kept for people to dial
	// and no text goes to it.
	Extension string
	// Proxy says that the number is somebody's who is told in the person's place, and what they are to
	// them (HL7 tables 0063 and 0131, such as MTH); "" is the person's own.
	Proxy string
	// Business says that the number came in PID-14, where some senders put a mobile: another one there takes its place.
	Business bool

	Since    time.Time // when this number became the subject's, by the store's clock
	Verified time.Time // when the person last proved to hold it; zero is never
}

// textable reports whether a text to this device can reach a person, if the line takes texts.
func (n Number) textable() bool {
	switch n.Equipment {
	case "FX", "MD", "BP", "NET", "Internet": // a TDD or TTY is not called, but may be texted
		return false
	}
	return n.Extension == ""
}

func (n Number) line() LineType {
	if n.Type != LineUnknown {
		return n.Type
	}
	if n.Equipment == "CP" || n.Use == "PRS" {
		return LineMobile
	}
	return n.Phone.Line()
}

// order sorts numbers for texting: the person's choice, then CP, PRS, mobile by plan, the rest; a proxy's
// come last unless they are ranked.
func (n Number) order() int {
	switch {
	case n.Rank > 0:
		return n.Rank
	case n.Proxy != "":
		return 2000
	case n.Equipment == "CP":
		return 1000
	case n.Use == "PRS":
		return 1001
	case n.line() == LineMobile:
		return 1002
	}
	return 1003
}

// Subject is a person whom messages are about. A new field belongs into pack.go
// as well.
type Subject struct {
	ID       SubjectID
	Phones   []Number
	Language string // BCP 47 tag, "" unknown
	BornYear int    // 0 unknown; enough to tell a minor

	Dead    *time.Time // when we were told; nil is living as far as is known
	NoTexts bool       // the hospital's record says so: Unwanted or Protected; a STOP is consent's
	NoVoice bool
	VIP     bool // PV1-16: suppressed unless a rule says otherwise
	// Ward and Class are where the person is now (PV1-3, the point of care) and as what (PV1-2, table 0004:
	// I, O, E); "" is not known, or nowhere.
	Ward, Class  string
	Confidential bool // nothing about this person goes to a number that was theirs before
	Unwanted     bool // PD1-11
	Protected    bool // PD1-12; a message that says one of the two leaves the other as it was

	AsOf       time.Time  // the last event that told any of the above; Earlier has what it did not speak of
	Earlier    []earlier  // what was last told before AsOf; what is not in it is as of AsOf
	DeadAsOf   time.Time  // the last event that spoke of death, either way
	Removed    *time.Time // the hospital deleted the person (A23, A29); a newer event brings them back
	MergedInto *SubjectID // this id is retired (A40)
	MergedAsOf time.Time  // the event of the last merge that this id was part of
	Feeds      []string   // sources of HL7 that told of the person, the first maxFeeds
}

// best returns the first number that is usable, or no number.
func (s Subject) best(usable func(Number) (bool, error)) (Phone, error) {
	order := slices.Clone(s.Phones)
	slices.SortStableFunc(order, func(a, b Number) int { return a.order() - b.order() })
	for _, n := range order {
		ok, err := usable(n)
		if err != nil {
			return Phone{}, err
		}
		if ok {
			return n.Phone, nil
		}
	}
	return Phone{}, nil
}

// SubjectUpdate is what one event or form says of a person. What is nil was not said and stays.
type SubjectUpdate struct {
	ID           SubjectID
	At           time.Time // of the event; zero is now
	Source       string    // "hl7:engine1", "desk", "api"
	Hearsay      bool      // of a source that is no master of it: whatever a master says is newer, however late it comes
	Phones       *[]Number // the whole list; an empty one deletes all (HL7 sends "")
	Language     *string
	BornYear     *int
	Dead         *bool
	NoTexts      *bool // Subject.Unwanted
	Protected    *bool
	NoVoice      *bool
	VIP          *bool
	Confidential *bool
	Ward, Class  *string
}

// Change says what an event did to a subject, for whoever has to act on it.
type Change struct {
	Created bool
	Stale   bool // older than what is known, or about a retired id: not applied
	Partly  bool // some of it is older than what is known, and was not applied
	Died    bool // was living and is dead: suppress everything, call nobody
	Revived bool // was taken for dead, by mistake

	Fields []string // names of what changed, "phones", "language"

	// NumberChanged says that another number is texted now. Old is zero when there was none, New when
	// none is left. What waits for Old has to be cancelled: never text both.
	NumberChanged bool
	Old, New      Phone
	Dropped       []Phone // numbers that are no longer this subject's, Old among them if it is one
}

// Actions of this room about subjects.
const (
	ActionSubjectCreate store.Action = "subject.create"
	ActionSubjectUpdate store.Action = "subject.update"
	ActionSubjectMerge  store.Action = "subject.merge"
	ActionSubjectDead   store.Action = "subject.dead"
	ActionSubjectRemove store.Action = "subject.remove"
	ActionSubjectVerify store.Action = "subject.verify"
)

var (
	subjects = store.NewTable[Subject]("contact.subjects", store.Blinded(0), store.DecodedOnce(), store.Schema(1), store.Packed(subjectFields))
	// byPhone is keyed by blinded phone, then blinded subject: shared phones are normal.
	byPhone = store.NewTable[SubjectID]("contact.subjects-by-phone", store.Blinded(0, 16), store.Schema(1), store.Packed(subjectIDFields))
)

// record adds the entry that every change of this room carries.
func record(tx *store.Tx, e store.Entry) error {
	e.Outcome = store.OK
	if err := tx.Record(e); err != nil {
		return fmt.Errorf("record %s: %w", e.Action, err)
	}
	return nil
}

// maxMerges bounds how long a trail of merges is followed; Merge makes no rings.
const maxMerges = 64

// Find returns the subject, following merges to the survivor, whose ID the result bears. A removed
// subject is not found.
func Find(tx *store.Tx, id SubjectID) (Subject, bool, error) {
	s, ok, err := load(tx, id)
	for n := 0; err == nil && ok && s.MergedInto != nil; n++ {
		if n == maxMerges {
			return Subject{}, false, fmt.Errorf("find subject: merged more than %d times", maxMerges)
		}
		s, ok, err = load(tx, *s.MergedInto)
	}
	if err != nil || !ok || s.Removed != nil {
		return Subject{}, false, err
	}
	return s, true, nil
}

func load(tx *store.Tx, id SubjectID) (Subject, bool, error) {
	s, ok, err := subjects.Get(tx, id.blind(tx))
	if err != nil {
		return Subject{}, false, fmt.Errorf("find subject: %w", err)
	}
	return s, ok, nil
}

// keep writes s and makes the index of phones agree with it.
func keep(tx *store.Tx, old, s Subject) error {
	key := s.ID.blind(tx)
	if err := subjects.Put(tx, key, s); err != nil {
		return fmt.Errorf("keep subject: %w", err)
	}
	for _, p := range dropped(old.Phones, s.Phones) {
		if err := byPhone.Delete(tx, phoneSubjectKey(tx, p, key)); err != nil {
			return fmt.Errorf("unlink phone: %w", err)
		}
	}
	for _, p := range dropped(s.Phones, old.Phones) {
		if err := byPhone.Put(tx, phoneSubjectKey(tx, p, key), s.ID); err != nil {
			return fmt.Errorf("link phone: %w", err)
		}
	}
	return nil
}

func (p Phone) blind(tx *store.Tx) []byte { return tx.Blind("contact.phone", p.E164()) }

func phoneSubjectKey(tx *store.Tx, p Phone, subject []byte) []byte {
	return append(slices.Clip(p.blind(tx)), subject...)
}

// dropped lists the phones of old that are not in now.
func dropped(old, now []Number) []Phone {
	var gone []Phone
	for _, n := range old {
		if !slices.ContainsFunc(now, func(m Number) bool { return m.Phone == n.Phone }) {
			gone = append(gone, n.Phone)
		}
	}
	return gone
}

// SubjectsOf lists who shares a phone.
func SubjectsOf(tx *store.Tx, p Phone) ([]SubjectID, error) {
	var ids []SubjectID
	err := byPhone.Each(tx, store.Range{Prefix: p.blind(tx)}, func(_ []byte, id SubjectID) error {
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list subjects of phone: %w", err)
	}
	return ids, nil
}

// Textable returns the number to text about a subject, false when there is none or nothing may be
// texted: the person is dead, removed, or the hospital's record forbids it. Numbers that somebody
// said are wrong, and landlines, are passed over. Consent is asked elsewhere.
func Textable(tx *store.Tx, id SubjectID) (Phone, bool, error) {
	s, ok, err := Find(tx, id)
	if err != nil || !ok || s.Dead != nil || s.NoTexts {
		return Phone{}, false, err
	}
	p, err := s.best(reachable(tx))
	return p, !p.IsZero(), err
}

// reachable passes over numbers known to be wrong, and landlines.
func reachable(tx *store.Tx) func(Number) (bool, error) {
	return func(n Number) (bool, error) {
		if !n.textable() {
			return false, nil
		}
		c, err := Of(tx, n.Phone)
		return !c.WrongNumber && n.lineAt(c, tx.Now()) != LineLandline, err
	}
}

// phonesAttr is how entries name numbers. The body of an entry is sealed, and an accounting of
// disclosures needs them.
func phonesAttr(key string, numbers []Number) store.Attr {
	var list []string
	for _, n := range numbers {
		list = append(list, n.Phone.E164())
	}
	return store.Attr{Key: key, Value: strings.Join(list, ",")}
}
