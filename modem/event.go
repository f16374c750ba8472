package modem

import (
	"log/slog"
	"time"
)

// Event is one thing that came in from the network. Exactly one of Report, Text, Ring and Swap is not nil.
//
// Done must be called once for each event, with nil after the event is kept durably. For a text that is what lets the driver
// delete the SIM's copy; Done with an error, or no Done before a crash, leaves it there, and it is offered again (at the next
// poll of the storage, or after the restart). Done never blocks and may be called from any goroutine.
type Event struct {
	Report *Report
	Text   *Text
	Ring   *Ring
	Swap   *Swap
	Done   func(error)
}

// Report is an SMS-STATUS-REPORT (3GPP 23.040, 9.2.2.3): what the network says became of a TPDU sent before. It may come before
// Send has returned, twice, hours later, or never; Ref is one octet and wraps, so match by Ref, To, SIM and a window of time.
type Report struct {
	Ref       byte      // TP-MR of the SMS-SUBMIT it speaks of
	To        string    // TP-RA, with '+' if the network gave the international type of number
	Status    byte      // TP-ST: 0x00-0x1F done, 0x20-0x3F still trying, 0x40-0x5F permanent error, 0x60-0x7F given up
	SCTS      time.Time // TP-SCTS, when the service centre took the message; zero if unreadable
	Discharge time.Time // TP-DT, when it reached the handset or was given up; zero if unreadable
}

// String shows nothing of the recipient.
func (r Report) String() string { return "status report" }

// GoString shows nothing of the recipient.
func (r Report) GoString() string { return r.String() }

// LogValue shows the reference and the status, not the recipient.
func (r Report) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("ref", int(r.Ref)), slog.Int("status", int(r.Status)))
}

// Text is one incoming SMS-DELIVER (23.040, 9.2.2.1), one part of it if it is concatenated.
type Text struct {
	From string    // TP-OA: with '+' if international, digits if a short code, letters if alphanumeric
	Body string    // decoded user data of this part
	SCTS time.Time // TP-SCTS; zero if unreadable

	// Ref, Part and Parts are the concatenation element (23.040, 9.2.3.24.1 and .8); Part and Parts are 1 for a whole text.
	Ref         uint16
	Part, Parts int

	// Hash is SHA-256 over the PDU as the SIM holds it: the same stored text has the same hash after a restart.
	Hash [32]byte

	// Unreadable says that the PDU could not be decoded: From and Body are what could be saved of it, mostly "".
	Unreadable bool
}

// String shows nothing of the sender or the text.
func (t Text) String() string { return "incoming text" }

// GoString shows nothing of the sender or the text.
func (t Text) GoString() string { return t.String() }

// LogValue shows nothing of the sender or the text.
func (t Text) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("part", t.Part), slog.Int("parts", t.Parts), slog.Bool("unreadable", t.Unreadable))
}

// Ring is an incoming call. The driver has hung up already; a call makes one event, however long it rings.
type Ring struct {
	From string // calling number of +CLIP, "" if withheld or not shown
}

// String shows nothing of the caller.
func (r Ring) String() string { return "incoming call" }

// GoString shows nothing of the caller.
func (r Ring) GoString() string { return r.String() }

// LogValue shows nothing of the caller.
func (r Ring) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Swap says that another SIM is in the modem than the expected one: changed while it ran, while it was away, or before Run began
// (Options.ICCID). The modem goes on with it; whether it may carry anything is not for this package.
type Swap struct {
	Old, New string // ICCID
}

// String shows nothing of the SIMs.
func (s Swap) String() string { return "SIM swapped" }

// GoString shows nothing of the SIMs.
func (s Swap) GoString() string { return s.String() }

// LogValue shows nothing of the SIMs.
func (s Swap) LogValue() slog.Value { return slog.StringValue(s.String()) }
