package consent

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/text"
	"pinward/store"
)

// Reasons for which a number gets nothing. A door branches on them; each text
// is safe to show outside.
var (
	// ErrOptedOut: the number sent STOP (or staff recorded it) and the text
	// was not asked for by the person.
	ErrOptedOut = errors.New("number has opted out of texts")
	// ErrOptedOutOfCodes: the number answered a code with STOP; a voice call
	// is still allowed.
	ErrOptedOutOfCodes = errors.New("number has opted out of texts with codes")
	// ErrNoOptIn: marketing without a recorded opt-in.
	ErrNoOptIn = errors.New("number has not opted in")
	// ErrWrongNumber: whoever holds the number said that it is not the
	// patient's.
	ErrWrongNumber = errors.New("number is flagged as wrong")
	// ErrDead: the subject is recorded as dead; nothing is sent.
	ErrDead = errors.New("subject is recorded as dead")
	// ErrNoTexts: the subject's record says that no texts are wanted.
	ErrNoTexts = errors.New("subject wants no texts")
)

// Refused reports whether err is one of this room's reasons.
func Refused(err error) bool {
	for _, e := range []error{ErrOptedOut, ErrOptedOutOfCodes, ErrNoOptIn, ErrWrongNumber, ErrDead, ErrNoTexts} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Choice is what a number decided about one kind of text.
type Choice string

// The choices. Unset is the state before anybody said anything.
const (
	Unset   Choice = ""
	OptedIn Choice = "in"
	Out     Choice = "out"
)

// ByVoice stands where a class of texts does for the calls that tell who cannot be texted of a message: allowed until Out, which key 9
// of such a call says. Calls with a code that was asked for go on.
const ByVoice text.Class = "voice"

// Consent is what one number chose.
type Consent struct {
	Phone     contact.Phone `json:"phone"`
	Texts     Choice        `json:"texts,omitempty"`     // care texts: allowed until Out
	Codes     Choice        `json:"codes,omitempty"`     // texts with a code: allowed until Out
	Marketing Choice        `json:"marketing,omitempty"` // allowed from OptedIn on
	Voice     Choice        `json:"voice,omitempty"`     // ByVoice
	Lang      string        `json:"lang,omitempty"`      // language of the last word by which a choice was made
	Changed   time.Time     `json:"changed"`
}

// Change is one line of a number's history.
type Change struct {
	At     time.Time  `json:"at"`
	Class  text.Class `json:"class"`
	Choice Choice     `json:"choice"`
	Source string     `json:"source"` // "sms", "api", "hl7", "console", "admin"
	Actor  string     `json:"actor"`  // id of the actor of the transaction
}

// Actions of this room's audit entries.
const (
	ActionStop       store.Action = "consent.stop"
	ActionStart      store.Action = "consent.start"
	ActionSet        store.Action = "consent.set"
	ActionHelp       store.Action = "consent.help"
	ActionDoubtful   store.Action = "consent.doubtful"
	ActionWrong      store.Action = "consent.wrong_number"
	ActionUnread     store.Action = "text.unread"
	ActionWiped      store.Action = "text.wiped"
	ActionItemOpened store.Action = "work.opened"
	ActionItemClosed store.Action = "work.closed"
)

// Sources of a change.
const (
	SourceSMS     = "sms"
	SourceAPI     = "api"
	SourceHL7     = "hl7"
	SourceConsole = "console"
	SourceAdmin   = "admin"
	SourceCall    = "call"
)

var (
	consents = store.NewTable[Consent]("consent.numbers", store.Blinded(0), store.Consents())
	// key: blinded number, then the instant in nanoseconds, then 4 random bytes.
	history = store.NewTable[Change]("consent.history", store.Blinded(0), store.Consents())
)

func numberKey(tx *store.Tx, p contact.Phone) []byte {
	return tx.Blind("consent.number", p.E164())
}

// Of returns what the number chose; the zero choices where it never did.
func Of(tx *store.Tx, p contact.Phone) (Consent, error) {
	c, ok, err := consents.Get(tx, numberKey(tx, p))
	if err != nil {
		return Consent{}, fmt.Errorf("read consent: %w", err)
	}
	if !ok {
		c.Phone = p
	}
	return c, nil
}

// Allowed says whether the number may get a text of this class: nil, or one of
// the reasons above. Requested means that the person asked for this very text
// (a code for a login that is going on): a STOP does not hold it back, unless
// the STOP answered a code.
func Allowed(tx *store.Tx, p contact.Phone, class text.Class, requested bool) error {
	if class == text.System {
		return nil // the confirmation of a STOP must reach who stopped
	}
	known, err := contact.Of(tx, p)
	if err != nil {
		return err
	}
	if known.WrongNumber {
		return ErrWrongNumber
	}
	c, err := Of(tx, p)
	if err != nil {
		return err
	}
	switch class {
	case text.Code:
		if c.Codes == Out {
			return ErrOptedOutOfCodes
		}
		if c.Texts == Out && !requested {
			return ErrOptedOut
		}
	case ByVoice:
		if c.Texts == Out || c.Voice == Out {
			return ErrOptedOut
		}
	case text.Marketing:
		if c.Texts == Out || c.Marketing == Out {
			return ErrOptedOut
		}
		if c.Marketing != OptedIn {
			return ErrNoOptIn
		}
	default: // care, and any class this room does not know: until opt-out
		if c.Texts == Out {
			return ErrOptedOut
		}
	}
	return nil
}

// AllowedSubject says whether texts of this class may be about this subject.
// A subject that is not known is allowed: who it is, is not this room's
// question.
func AllowedSubject(tx *store.Tx, id contact.SubjectID, class text.Class) error {
	if id == (contact.SubjectID{}) {
		return nil
	}
	s, ok, err := contact.Find(tx, id)
	if err != nil {
		return err
	}
	if !ok {
		return nil
	}
	if s.Dead != nil {
		return ErrDead
	}
	if s.NoTexts && class != text.Code && class != text.System {
		return ErrNoTexts
	}
	return nil
}

// Set records a choice that came by another way than a text: a form, a desk,
// an HL7 message. The source is one of the Source constants.
func Set(tx *store.Tx, p contact.Phone, class text.Class, choice Choice, source string) error {
	changed, err := change(tx, p, class, choice, source, "")
	if err != nil {
		return err
	}
	cause := "changed"
	if !changed {
		cause = "unchanged"
	}
	return tx.Record(store.Entry{Action: ActionSet, Outcome: store.OK, Attrs: []store.Attr{
		{Key: "phone", Value: p.E164()}, {Key: "class", Value: string(class)}, {Key: "choice", Value: string(choice)},
		{Key: "source", Value: source}, {Key: "cause", Value: cause},
	}})
}

// History lists the changes of a number, oldest first.
func History(tx *store.Tx, p contact.Phone) ([]Change, error) {
	var out []Change
	err := history.Each(tx, store.Range{Prefix: numberKey(tx, p)}, func(_ []byte, c Change) error {
		out = append(out, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read consent history: %w", err)
	}
	return out, nil
}

// change writes one choice and its line of history; it says whether the choice
// is another one than before.
func change(tx *store.Tx, p contact.Phone, class text.Class, choice Choice, source, lang string) (bool, error) {
	c, err := Of(tx, p)
	if err != nil {
		return false, err
	}
	field := &c.Texts
	switch class {
	case text.Code:
		field = &c.Codes
	case text.Marketing:
		field = &c.Marketing
	case ByVoice:
		field = &c.Voice
	}
	if *field == choice {
		return false, nil
	}
	*field = choice
	c.Changed = tx.Now()
	if lang != "" {
		c.Lang = lang
	}
	key := numberKey(tx, p)
	if err := consents.Put(tx, key, c); err != nil {
		return false, fmt.Errorf("write consent: %w", err)
	}
	line := Change{At: tx.Now(), Class: class, Choice: choice, Source: source, Actor: tx.Actor().ID}
	if err := history.Put(tx, historyKey(tx, key), line); err != nil {
		return false, fmt.Errorf("write consent history: %w", err)
	}
	return true, nil
}

// historyKey orders the lines of one number by time; the random end keeps two
// changes of one instant apart.
func historyKey(tx *store.Tx, number []byte) []byte {
	k := append([]byte{}, number...)
	k = binary.BigEndian.AppendUint64(k, uint64(tx.Now().UnixNano()))
	var end [4]byte
	rand.Read(end[:])
	return append(k, end[:]...)
}
