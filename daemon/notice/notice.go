package notice

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// Kind is the outbox kind of notices.
const Kind outbox.Kind = "notice"

// Notice is one text without a code, sent or to be sent. A new field belongs into pack.go
// as well.
type Notice struct {
	ID         string            `json:"id"` // "SM" and 32 hex digits
	Template   string            `json:"template"`
	Lang       string            `json:"lang"`
	Class      text.Class        `json:"class"`
	To         contact.Phone     `json:"to"`
	Follow     bool              `json:"follow,omitempty"` // To is the subject's number of the day
	Voice      bool              `json:"voice,omitempty"`  // To is a landline, or a call is asked for: it tells that there is a message
	Call       bool              `json:"call,omitempty"`   // a call is asked for, and no text will do
	Subject    contact.SubjectID `json:"subject,omitzero"`
	Slots      text.Slots        `json:"slots"`
	At         time.Time         `json:"at"`      // not before
	Expires    time.Time         `json:"expires"` // pointless from here on
	Urgent     bool              `json:"urgent,omitempty"`
	Hours      Hours             `json:"hours,omitzero"`
	Group      string            `json:"group,omitempty"`
	Key        string            `json:"key,omitempty"`
	Lane       outbox.Lane       `json:"lane"`
	Client     string            `json:"client"`
	OnBehalfOf string            `json:"on_behalf_of,omitempty"`
	Order      string            `json:"order,omitempty"` // as outbox.Message has it
	Staff      bool              `json:"staff,omitempty"`
	Requested  bool              `json:"requested,omitempty"`
	Mode       contact.Mode      `json:"mode"`            // when it was asked for
	From       string            `json:"from,omitempty"`  // as outbox.Message has it
	Place      string            `json:"place,omitempty"` // as outbox.Message has it
	Created    time.Time         `json:"created"`
	Message    string            `json:"message"`           // id of the latest message in the outbox
	Tried      int               `json:"tried,omitempty"`   // calls that nobody heard, made by messages before the latest
	Canceled   time.Time         `json:"canceled,omitzero"` // by a verb of this room
	Dropped    bool              `json:"dropped,omitempty"` // canceled because it may not go any more
	Cause      string            `json:"cause,omitempty"`   // why it was canceled or dropped
	Answer     string            `json:"answer,omitempty"`  // "yes" or "no"
	Answered   time.Time         `json:"answered,omitzero"`
	Once       bool              `json:"once,omitempty"`
	Door       json.RawMessage   `json:"door,omitempty"` // of the door that asked; this room does not read it
}

// String tells the notice without number, subject or slots.
func (n Notice) String() string { return "notice " + n.ID + " of " + n.Template }

// GoString is String.
func (n Notice) GoString() string { return n.String() }

// LogValue is String.
func (n Notice) LogValue() slog.Value { return slog.StringValue(n.String()) }

// Refusals of this room. Others that Send returns: *limit.Exceeded,
// *text.SlotError, and the reasons of consent.
var (
	// ErrNotFound: no such notice.
	ErrNotFound = errors.New("notice not found")
	// ErrUnknownTemplate: no template of this name, or one that notices may not
	// use (codes have their own room).
	ErrUnknownTemplate = errors.New("unknown template")
	// ErrNoNumber: the subject has no number that can be texted.
	ErrNoNumber = errors.New("no number to text")
	// ErrNoVoice: a call was asked for, and cannot be: by the template, or as no modem calls.
	ErrNoVoice = errors.New("it cannot be told by a call")
	// ErrNoCalls: a call was asked for, and the number is not to be called.
	ErrNoCalls = errors.New("the number is not to be called")
	// ErrPointless: by the time that it may go, the notice is of no use any more.
	ErrPointless = errors.New("notice would come too late")
)

// Refusal reports whether err is a decision and not trouble: it is recorded in
// the transaction, which the door must commit.
func Refusal(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*limit.Exceeded](err); ok {
		return true
	}
	if _, ok := errors.AsType[*text.SlotError](err); ok {
		return true
	}
	for _, r := range []error{ErrNotFound, ErrUnknownTemplate, ErrNoNumber, ErrNoVoice, ErrNoCalls, ErrPointless} {
		if errors.Is(err, r) {
			return true
		}
	}
	return consent.Refused(err)
}

// cause tells why something was refused: constant words and slot names only.
func cause(err error) string {
	if e, ok := errors.AsType[*limit.Exceeded](err); ok {
		return "limit " + e.Budget
	}
	return err.Error()
}

// Actions of this room's audit entries.
const (
	ActionSend   store.Action = "notice.send"
	ActionMove   store.Action = "notice.move"
	ActionCancel store.Action = "notice.cancel"
	ActionHold   store.Action = "notice.hold" // found in quiet hours, for a number that changed or has had its texts for a day: queued anew
	ActionDrop   store.Action = "notice.drop" // not sent after all
	ActionAnswer store.Action = "notice.answer"
	ActionPurge  store.Action = "notice.purge"
)

// keep is how long a notice can be looked up after it was of use.
const keep = 7 * 24 * time.Hour

var (
	notices = store.NewTable[Notice]("notice.notices", store.DecodedOnce(), store.Schema(1), store.Packed(noticeFields)) // key: the 16 bytes of the id
	// byKey finds notices by what they are about: blinded group, blinded key.
	byKey = store.NewTable[string]("notice.keys", store.Blinded(0, 16),
		store.Bookkeeping("finds notices by business key; the notice has its own entries"))
	bySubject = store.NewTable[struct{}]("notice.subjects", store.Blinded(0),
		store.Bookkeeping("finds notices by subject; the notice has its own entries"))
	due = store.NewTable[struct{}]("notice.due",
		store.Bookkeeping("orders notices by when they are deleted; deleting them is an entry"))
)

func idKey(id string) ([]byte, bool) {
	if len(id) != 34 || id[:2] != "SM" {
		return nil, false
	}
	key, err := hex.DecodeString(id[2:])
	return key, err == nil
}

func groupPrefix(tx *store.Tx, group string) []byte { return tx.Blind("notice.group", group) }

func businessKey(tx *store.Tx, group, key string) []byte {
	return append(append([]byte{}, groupPrefix(tx, group)...), tx.Blind("notice.key", key)...)
}

func subjectPrefix(tx *store.Tx, id contact.SubjectID) []byte {
	return tx.Blind("notice.subject", id.Key())
}

// Get returns a notice and where its message stands.
func Get(tx *store.Tx, id string) (Notice, outbox.State, error) {
	n, err := load(tx, id)
	if err != nil {
		return Notice{}, "", err
	}
	m, ok, err := outbox.Get(tx, n.Message)
	switch {
	case err != nil:
		return Notice{}, "", err
	case !n.Canceled.IsZero():
		return n, outbox.Canceled, nil
	case !ok:
		return n, outbox.Unknown, nil
	}
	return n, m.State, nil
}

// FindKey returns the notice of a business key: one that is not canceled, or that was to go once.
func FindKey(tx *store.Tx, group, key string) (Notice, error) {
	id, ok, err := byKey.Get(tx, businessKey(tx, group, key))
	if err != nil {
		return Notice{}, fmt.Errorf("find notice: %w", err)
	}
	if !ok {
		return Notice{}, ErrNotFound
	}
	return load(tx, id)
}

func load(tx *store.Tx, id string) (Notice, error) {
	key, ok := idKey(id)
	if !ok {
		return Notice{}, ErrNotFound
	}
	n, ok, err := notices.Get(tx, key)
	if err != nil {
		return Notice{}, fmt.Errorf("read notice: %w", err)
	}
	if !ok {
		return Notice{}, ErrNotFound
	}
	return n, nil
}

func save(tx *store.Tx, n Notice) error {
	key, ok := idKey(n.ID)
	if !ok {
		return ErrNotFound
	}
	if err := notices.Put(tx, key, n); err != nil {
		return fmt.Errorf("write notice: %w", err)
	}
	return nil
}

// begin writes a new notice and its indexes.
func begin(tx *store.Tx, n Notice) error {
	if err := save(tx, n); err != nil {
		return err
	}
	id, _ := idKey(n.ID)
	if n.Group != "" {
		if err := byKey.Put(tx, businessKey(tx, n.Group, n.Key), n.ID); err != nil {
			return fmt.Errorf("index notice: %w", err)
		}
	}
	if !n.Subject.IsZero() {
		if err := bySubject.Put(tx, append(subjectPrefix(tx, n.Subject), id...), struct{}{}); err != nil {
			return fmt.Errorf("index notice: %w", err)
		}
	}
	return dueAt(tx, n, id)
}

func dueAt(tx *store.Tx, n Notice, id []byte) error { return dueOn(tx, n.Expires.Add(keep), id) }

func dueOn(tx *store.Tx, at time.Time, id []byte) error {
	key := binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano()))
	if err := due.Put(tx, append(key, id...), struct{}{}); err != nil {
		return fmt.Errorf("index notice: %w", err)
	}
	return nil
}

// release frees the business key of a notice that is canceled, unless it was to go once.
func release(tx *store.Tx, n Notice) error {
	if n.Once {
		return nil
	}
	return free(tx, n)
}

// free frees the business key of a notice that is deleted.
func free(tx *store.Tx, n Notice) error {
	if n.Group == "" {
		return nil
	}
	key := businessKey(tx, n.Group, n.Key)
	id, ok, err := byKey.Get(tx, key)
	if err != nil {
		return fmt.Errorf("find notice: %w", err)
	}
	if ok && id == n.ID {
		if err := byKey.Delete(tx, key); err != nil {
			return fmt.Errorf("index notice: %w", err)
		}
	}
	return nil
}

// record writes the entry of a step of n.
func record(tx *store.Tx, n Notice, action store.Action, outcome store.Outcome, attrs ...store.Attr) error {
	if n.Order != "" {
		attrs = append(attrs, attr("order", n.Order))
	}
	return tx.Record(store.Entry{
		Action: action, Outcome: outcome, Object: n.ID, Subject: n.Subject.Key(),
		Attrs: append([]store.Attr{attr("template", n.Template)}, attrs...),
	})
}

func attr(key, value string) store.Attr { return store.Attr{Key: key, Value: value} }
