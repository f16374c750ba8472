package otp

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/store"
)

// Kind is the outbox kind of messages that carry a code.
const Kind outbox.Kind = "otp"

// State of a verification. The words are those of the Verify shape.
type State string

// The states. All but Pending are ends.
const (
	Pending   State = "pending"
	Approved  State = "approved"
	Canceled  State = "canceled"
	Expired   State = "expired"
	MaxChecks State = "max_attempts_reached"
	Failed    State = "failed" // nothing of it could be handed to the network
)

// Channels that a start may name.
const (
	ChannelSMS  = "sms"
	ChannelCall = "call"
	ChannelAuto = "auto" // the service's route
)

// Verification is one attempt to prove that a person holds a phone number.
// It never holds the code.
type Verification struct {
	ID         string            `json:"id"` // "VE" and 32 hex digits
	Service    string            `json:"service"`
	ServiceSID string            `json:"service_sid"`
	To         contact.Phone     `json:"to"`
	Subject    contact.SubjectID `json:"subject,omitzero"`
	OnBehalfOf string            `json:"on_behalf_of,omitempty"`
	Order      string            `json:"order,omitempty"`     // as outbox.Message has it
	Reference  string            `json:"reference,omitempty"` // the action that the code is bound to
	Request    string            `json:"request,omitempty"`   // the id by which whoever asked finds it again
	Amount     int64             `json:"amount,omitempty"`    // cents, for billing
	Payee      string            `json:"payee,omitempty"`
	Locale     string            `json:"locale"`
	Channel    string            `json:"channel"` // as asked for last
	State      State             `json:"state"`
	Client     string            `json:"client"`             // id of the actor that started it
	Staff      bool              `json:"staff,omitempty"`    // started by authenticated staff
	Asserted   bool              `json:"asserted,omitempty"` // proven by the client's word only
	Custom     string            `json:"custom,omitempty"`   // a code that the client brought; dropped at the end
	Mode       contact.Mode      `json:"mode"`
	Place      string            `json:"place,omitempty"` // as outbox.Message has it

	Salt       []byte `json:"salt"`
	Generation int    `json:"generation"` // grows when a resend carries a new code
	Epoch      uint32 `json:"epoch"`      // of the code key

	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Updated time.Time `json:"updated"`

	Sends  []Send `json:"sends"`
	Checks int    `json:"checks"` // codes compared so far, over all generations
}

// Send is one text or call asked for.
type Send struct {
	ID      string    `json:"id"` // "VL" and 32 hex digits
	At      time.Time `json:"at"`
	Channel string    `json:"channel"`
	Message string    `json:"message"` // id in the outbox
}

// String tells the verification without number, subject or reference.
func (v Verification) String() string {
	return fmt.Sprintf("verification %s of %s, %s", v.ID, v.Service, v.State)
}

// GoString is String.
func (v Verification) GoString() string { return v.String() }

// LogValue is String.
func (v Verification) LogValue() slog.Value { return slog.StringValue(v.String()) }

// at gives the verification as it stands at an instant: what nobody has ended
// yet may be over by time.
func (v Verification) at(now time.Time) Verification {
	if v.State == Pending && !now.Before(v.Expires) {
		v.State = Expired
	}
	return v
}

// Actions of this room's audit entries. The state that an entry leads to is
// its attribute "state".
const (
	ActionStart   store.Action = "verification.start"
	ActionResend  store.Action = "verification.resend"
	ActionCheck   store.Action = "verification.check"
	ActionCancel  store.Action = "verification.cancel"
	ActionApprove store.Action = "verification.approve" // by the client's word
	ActionEnd     store.Action = "verification.end"     // expired or failed
	ActionDeny    store.Action = "verification.deny"    // the person said in a call that the code was not asked for: perhaps a fraud
	ActionPurge   store.Action = "verification.purge"   // records past their time, deleted
)

// keep is how long a verification can be looked up after its life; what it did
// stays in the audit.
const keep = 7 * 24 * time.Hour

var (
	verifications = store.NewTable[Verification]("otp.verifications", store.Queue()) // key: the 16 bytes of the id
	// current finds what is going on, of several people's what was started last: key = blinded number, then blinded
	// service and reference; value = id.
	current = store.NewTable[string]("otp.current", store.Blinded(0, 16),
		store.Bookkeeping("finds the verification that is going on for a number; the verification has its own entries"))
	// ofNumber lists the verifications of a number; key = blinded number, instant of
	// the start, id.
	ofNumber = store.NewTable[struct{}]("otp.numbers", store.Blinded(0),
		store.Bookkeeping("lists the verifications of a number; each has its own entries"))
	// byRequest finds the latest verification of a service and a request, or a reference.
	byRequest = store.NewTable[string]("otp.requests", store.Blinded(0), store.Blinded(0),
		store.Bookkeeping("finds a verification by the id of its request; the verification has its own entries"))
	// due orders verifications by when something has to be done about them.
	due = store.NewTable[struct{}]("otp.due",
		store.Bookkeeping("finds verifications whose life has ended; ending them is an entry"))
)

// newVerificationID gives ids that rise with time, with 80 random bits: what goes on at one time then
// lies together in the file, and a start or a check costs the same however many records there are.
func newVerificationID(now time.Time) string {
	var b [16]byte
	rand.Read(b[6:])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(b[:6], ms[2:])
	return "VE" + hex.EncodeToString(b[:])
}

func idKey(id string) ([]byte, bool) {
	if len(id) != 34 || id[:2] != "VE" {
		return nil, false
	}
	key, err := hex.DecodeString(id[2:])
	return key, err == nil
}

func numberKey(tx *store.Tx, to contact.Phone) []byte { return tx.Blind("otp.to", to.E164()) }

func currentKey(tx *store.Tx, service string, to contact.Phone, reference string) []byte {
	return append(append([]byte{}, numberKey(tx, to)...), tx.Blind("otp.reference", service+"\x00"+reference)...)
}

func ofNumberKey(tx *store.Tx, v Verification, id []byte) []byte {
	k := append([]byte{}, numberKey(tx, v.To)...)
	return append(binary.BigEndian.AppendUint64(k, uint64(v.Created.UnixNano())), id...)
}

func dueKey(at time.Time, id []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano())), id...)
}

// Get returns a verification by id, in its state of this moment, for keep
// after its life.
func Get(tx *store.Tx, id string) (Verification, error) {
	v, err := load(tx, id)
	return v.at(tx.Now()), err
}

func load(tx *store.Tx, id string) (Verification, error) {
	key, ok := idKey(id)
	if !ok {
		return Verification{}, ErrNotFound
	}
	v, ok, err := verifications.Get(tx, key)
	if err != nil {
		return Verification{}, fmt.Errorf("read verification: %w", err)
	}
	if !ok {
		return Verification{}, ErrNotFound
	}
	return v, nil
}

// Find returns the verification that is going on for a service, number and
// reference; one whose checks are used up counts as going on until its life
// ends.
func Find(tx *store.Tx, service string, to contact.Phone, reference string) (Verification, error) {
	s, err := FindService(tx, service)
	if err != nil {
		return Verification{}, err
	}
	return findCurrent(tx, s.Name, to, reference)
}

func findCurrent(tx *store.Tx, service string, to contact.Phone, reference string) (Verification, error) {
	id, ok, err := current.Get(tx, currentKey(tx, service, to, reference))
	if err != nil {
		return Verification{}, fmt.Errorf("find verification: %w", err)
	}
	if !ok {
		return Verification{}, ErrNotFound
	}
	v, err := load(tx, id)
	if err != nil {
		return Verification{}, err
	}
	if !v.going(tx.Now()) {
		return Verification{}, ErrNotFound
	}
	return v, nil
}

// going reports whether starts and checks of this number meet this
// verification.
func (v Verification) going(now time.Time) bool {
	return (v.State == Pending || v.State == MaxChecks) && now.Before(v.Expires)
}

// PendingOf lists what is pending for a number, over all services and everybody who shares it, the last started first.
func PendingOf(tx *store.Tx, to contact.Phone) ([]Verification, error) {
	all, err := Of(tx, to)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(v Verification) bool { return v.State != Pending || !v.going(tx.Now()) }), nil
}

func requestKey(tx *store.Tx, service, id string) []byte {
	return tx.Blind("otp.request", service+"\x00"+id)
}

// requestIDs are by what FindRequest finds v.
func (v Verification) requestIDs() (ids []string) {
	for _, id := range []string{v.Request, v.Reference} {
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// FindRequest returns the latest verification of a service that was started with this reference or for
// this request, in its state of this moment, for keep after its life: an engine that asked by HL7 knows no
// other id of it.
func FindRequest(tx *store.Tx, service, request string) (Verification, error) {
	s, err := FindService(tx, service)
	if err != nil {
		return Verification{}, err
	}
	id, ok, err := byRequest.Get(tx, requestKey(tx, s.Name, request))
	if err != nil {
		return Verification{}, fmt.Errorf("find verification: %w", err)
	}
	if !ok || request == "" {
		return Verification{}, ErrNotFound
	}
	return Get(tx, id)
}

// maxOf bounds Of.
const maxOf = 200

// Of lists the verifications of a number over all services, newest first, for
// keep after their lives.
func Of(tx *store.Tx, to contact.Phone) ([]Verification, error) {
	var out []Verification
	err := ofNumber.Each(tx, store.Range{Prefix: numberKey(tx, to), Reverse: true}, func(key []byte, _ struct{}) error {
		v, ok, err := verifications.Get(tx, key[len(key)-16:])
		if err != nil {
			return err
		}
		if ok {
			out = append(out, v.at(tx.Now()))
		}
		if len(out) == maxOf {
			return store.Stop
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list verifications: %w", err)
	}
	return out, nil
}

// save writes a verification. A new one, or one that ends, changes the indexes
// by itself: see begin and end.
func save(tx *store.Tx, v Verification) error {
	key, ok := idKey(v.ID)
	if !ok {
		return ErrNotFound
	}
	if err := verifications.Put(tx, key, v); err != nil {
		return fmt.Errorf("write verification: %w", err)
	}
	return nil
}

// begin writes a new verification and its indexes.
func begin(tx *store.Tx, v Verification) error {
	if err := save(tx, v); err != nil {
		return err
	}
	key, _ := idKey(v.ID)
	if err := due.Put(tx, dueKey(v.Expires, key), struct{}{}); err != nil {
		return fmt.Errorf("index verification: %w", err)
	}
	if err := becomeCurrent(tx, v); err != nil {
		return err
	}
	for _, id := range v.requestIDs() {
		if err := byRequest.Put(tx, requestKey(tx, v.Service, id), v.ID); err != nil {
			return fmt.Errorf("index verification: %w", err)
		}
	}
	if err := ofNumber.Put(tx, ofNumberKey(tx, v, key), struct{}{}); err != nil {
		return fmt.Errorf("index verification: %w", err)
	}
	return nil
}

// becomeCurrent notes that v is the one whose code was asked for last of its number.
func becomeCurrent(tx *store.Tx, v Verification) error {
	if err := current.Put(tx, currentKey(tx, v.Service, v.To, v.Reference), v.ID); err != nil {
		return fmt.Errorf("index verification: %w", err)
	}
	return nil
}

// end brings a verification to an end: what still waits in the outbox is
// cancelled, a custom code is dropped, and but for used-up checks the number
// is free for another.
func end(tx *store.Tx, v Verification, state State) (Verification, error) {
	v.State, v.Updated, v.Custom = state, tx.Now(), ""
	if err := save(tx, v); err != nil {
		return v, err
	}
	if err := withdraw(tx, v); err != nil {
		return v, err
	}
	if state == MaxChecks {
		return v, nil
	}
	return v, release(tx, v)
}

// withdraw stops what the outbox still holds of v.
func withdraw(tx *store.Tx, v Verification) error {
	if _, err := outbox.CancelRef(tx, v.ID); err != nil {
		return fmt.Errorf("withdraw code: %w", err)
	}
	return nil
}

// release forgets that v is what is going on for its number.
func release(tx *store.Tx, v Verification) error {
	key := currentKey(tx, v.Service, v.To, v.Reference)
	id, ok, err := current.Get(tx, key)
	if err != nil {
		return fmt.Errorf("find verification: %w", err)
	}
	if ok && id == v.ID {
		if err := current.Delete(tx, key); err != nil {
			return fmt.Errorf("index verification: %w", err)
		}
	}
	return nil
}

// record writes the entry of a step of v.
func record(tx *store.Tx, v Verification, action store.Action, outcome store.Outcome, attrs ...store.Attr) error {
	if v.Order != "" {
		attrs = append(attrs, attr("order", v.Order))
	}
	return tx.Record(store.Entry{
		Action: action, Outcome: outcome, Object: v.ID, Subject: v.Subject.Key(),
		Attrs: append([]store.Attr{{Key: "service", Value: v.Service}, {Key: "state", Value: string(v.State)}}, attrs...),
	})
}

func attr(key, value string) store.Attr { return store.Attr{Key: key, Value: value} }
