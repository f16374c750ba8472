package outbox

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// Due is signalled when a message may have become due for a sender.
var Due = store.NewTopic("outbox.due")

// Changed is signalled when the state of a message or of a sender changed.
var Changed = store.NewTopic("outbox.changed")

// Lane is the class of service of a message. Its zero value is no lane.
type Lane uint8

// Lanes, the most urgent first. OTP is for codes that a person waits for, and only for them: half of
// every SIM's budget is theirs, and a code is sent again when its outcome is unknown.
const (
	OTP Lane = iota + 1
	Notice
	Bulk
)

var lanes = [...]Lane{OTP, Notice, Bulk}

// String gives the lane's name: otp, notice, bulk.
func (l Lane) String() string {
	switch l {
	case OTP:
		return "otp"
	case Notice:
		return "notice"
	case Bulk:
		return "bulk"
	}
	return "none"
}

// MarshalText gives the lane's name.
func (l Lane) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText takes a lane's name.
func (l *Lane) UnmarshalText(b []byte) error {
	for _, known := range lanes {
		if known.String() == string(b) {
			*l = known
			return nil
		}
	}
	if string(b) == "none" {
		*l = 0
		return nil
	}
	return fmt.Errorf("unknown lane (otp, notice or bulk)")
}

// Kind names the room that a message belongs to, and so the Source that renders it.
type Kind string

// Channel is the way that a step takes.
type Channel string

// Channels of a Step.
const (
	SMS  Channel = "sms"
	Call Channel = "call"
)

// State is where a message or one attempt stands.
type State string

// States of a Message. NotSent is one of an Attempt only: it is proved that nothing left the modem.
const (
	Queued      State = "queued"
	Sending     State = "sending"
	Sent        State = "sent"
	Delivered   State = "delivered"
	Undelivered State = "undelivered"
	Refused     State = "refused"
	Unknown     State = "unknown"
	Expired     State = "expired"
	Canceled    State = "canceled"
	NotSent     State = "notsent"
)

// Final reports whether nothing more will be done for a message in this state. Receipts may still
// change it: sent and unknown to delivered or undelivered.
func (s State) Final() bool { return s != Queued && s != Sending }

// ReceiptWait is a Step's Wait where it gives none.
const ReceiptWait = 15 * time.Second

// Step is one way on a message's route.
type Step struct {
	Channel Channel `json:"channel"`
	// Wait is how long after the network took this step's text the route waits for a receipt before
	// the next step is due; 0 is ReceiptWait.
	Wait time.Duration `json:"wait,omitempty"`
	// OtherCarrier keeps the step from SIMs of the carrier that had the attempt before it.
	OtherCarrier bool `json:"other_carrier,omitempty"`
}

func (s Step) wait() time.Duration {
	if s.Wait > 0 {
		return s.Wait
	}
	return ReceiptWait
}

// Message is one outgoing thing, a text or a call, with the route by which it may go. The caller of
// Put owns Kind to Order; ID, State, Step, Attempts, Stopped, Forced and Cause belong to this room.
type Message struct {
	ID   string `json:"id"` // "SM" and 32 lower-case hex digits, rising with the time of Put
	Kind Kind   `json:"kind"`
	Ref  string `json:"ref,omitempty"` // id of the record it was made for, found again by ByRef
	// Held says that the record holds the message's ID itself: ByRef does not find it then, and nothing
	// is written for that.
	Held bool `json:"-"`

	Lane    Lane          `json:"lane"`
	To      contact.Phone `json:"to"`
	Client  string        `json:"client,omitempty"` // whose turn it takes within its lane
	Staff   bool          `json:"staff,omitempty"`  // asked for by authenticated staff: goes first in OTP
	Route   []Step        `json:"route"`
	Due     time.Time     `json:"due"` // not before; zero is at once. Later: of the present step
	Expires time.Time     `json:"expires"`
	Replace uint8         `json:"replace,omitempty"` // TP-PID replace type 1..7, for the Source
	// Repeat allows another attempt after one whose outcome is unknown. In lane OTP it is always so:
	// the same code twice does no harm.
	Repeat bool `json:"repeat,omitempty"`
	// Mode is the strictest of what client and listener allow, and of what it says itself.
	Mode contact.Mode `json:"mode"`
	// From is the source (contact.OfListener, contact.OfClient) whose mode of the hand-over holds in place of Mode; that of a code can
	// only be stricter, as its caller was told how far it goes. "" is none: Mode stays. The site's mode of the hand-over holds always.
	From string `json:"from,omitempty"`
	// Place is where what it is about happens, by the name that the site gave it: mode pilot may let a clinic out. "" is not known.
	Place string `json:"place,omitempty"`
	// Essential messages go by any SIM, as codes do: an alarm to the operator, a self-test, the one
	// answer that a person's own text earns. All others but codes need a SIM with permission on record.
	Essential bool `json:"essential,omitempty"`
	// SIM is the ICCID of the only SIM that may take it; "" is any.
	SIM string `json:"sim,omitempty"`
	// Redials is how many more calls are made when nobody heard one, RedialAfter the time from one to the next. A route that goes on
	// after a call has no need of them.
	Redials     int           `json:"redials,omitempty"`
	RedialAfter time.Duration `json:"redial_after,omitempty"`
	// Order is whose request it carries out, in the words of the door that took it, for whoever follows
	// the audit: each entry of the message has it. "" is nobody who wants to hear of it.
	Order string `json:"order,omitempty"`

	Created  time.Time `json:"created"`
	Step     int       `json:"step"` // index into Route
	State    State     `json:"state"`
	Attempts []Attempt `json:"attempts,omitempty"`
	Forced   bool      `json:"forced,omitempty"`  // the present step was asked for by a person (Hasten)
	Stopped  bool      `json:"stopped,omitempty"` // canceled while out: no further attempt follows
	Cause    string    `json:"cause,omitempty"`   // of the present state, in plain words without values
}

// Attempt is one hand-over of the whole message to one sender.
type Attempt struct {
	At      time.Time `json:"at"`
	Settled time.Time `json:"settled,omitzero"`
	Step    int       `json:"step"`
	Sender  string    `json:"sender"`
	SIM     string    `json:"sim"`
	Carrier string    `json:"carrier,omitempty"`
	Report  bool      `json:"report,omitempty"` // a receipt was asked for
	Planned int       `json:"planned"`          // parts that the text needs
	Parts   []Part    `json:"parts,omitempty"`  // those that the network took, or whose receipt came
	Late    bool      `json:"late,omitempty"`   // the answer came after it had been settled as unknown
	Outcome State     `json:"outcome"`          // sending, sent, delivered, undelivered, refused, unknown or notsent
	Code    int       `json:"code,omitempty"`   // +CMS or +CME ERROR
	Cause   string    `json:"cause,omitempty"`
}

// Part is one SMS TPDU of an attempt.
type Part struct {
	Ref   byte  `json:"ref"`            // TP-MR, as the network gave it in +CMGS
	State State `json:"state"`          // sent, delivered or undelivered
	Code  int   `json:"code,omitempty"` // TP-ST of its receipt
	// At is when its receipt came, by our clock: a network's own is not to be relied on.
	At time.Time `json:"at,omitzero"`
}

// Saying is what a call is for, and with that its words.
type Saying string

// The sayings. All but SayCode say the same in every call of one language, so that a voicemail may hear them.
const (
	SayCode   Saying = ""       // a code, after a key
	SayNotice Saying = "notice" // that there is a message; a key says it again, another refuses such calls
	SayTest   Saying = "test"   // an operator's test, which asks for a key
)

// Spoken is what a call says. It shows nothing of itself when printed.
type Spoken struct {
	Say   Saying
	Code  string   // of SayCode: digit by digit, and only after a key was pressed
	Langs []string // BCP 47 tags, the one that is wanted first; of those that follow, the first that there are recordings of is taken
	Staff bool     // the code is for the staff in front of the person; else for nobody
	Phone string   // the hospital's own number, as it is printed
	Slow  bool     // for who needs slower speech and longer pauses
}

// String redacts.
func (s Spoken) String() string { return "spoken code" }

// GoString redacts for %#v.
func (s Spoken) GoString() string { return s.String() }

// LogValue redacts for log/slog.
func (s Spoken) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Format redacts for every verb of fmt.
func (s Spoken) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, s.String()) }

// Rendered is what a Source makes of a message. It shows nothing of the text when printed.
type Rendered struct {
	Text     string
	Call     Spoken        // of a Call step, instead of Text
	Validity time.Duration // how long the network may keep it (TP-VP); the message's own end if 0
	Replace  uint8         // TP-PID replace type 1..7, 0 for none
	Report   bool          // ask for a receipt (TP-SRR)
	// Parts is how many SMS the text needs; 0 is one. A SIM that has no room for all of them is not
	// given any, and the message is rendered again when one has.
	Parts int
}

// String redacts.
func (r Rendered) String() string { return "rendered text" }

// GoString redacts for %#v.
func (r Rendered) GoString() string { return r.String() }

// LogValue redacts for log/slog.
func (r Rendered) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Format redacts for every verb of fmt.
func (r Rendered) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, r.String()) }

// Source renders a message at the last moment, in the transaction of its hand-over. ErrGone cancels
// the message; any other error, and a panic, puts it off, and refuses it after three times. The
// error's text is not kept.
type Source func(tx *store.Tx, m Message) (Rendered, error)

// Sources are the Source of each Kind.
type Sources map[Kind]Source
