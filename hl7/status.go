package hl7

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Order is what a peer knows a request of its own by, and what a status that goes back to it repeats:
// nothing but what the peer itself sent. It holds an identifier of a patient and shows itself nowhere.
type Order struct {
	redact
	Peer          string // as the configuration calls it
	App, Facility string // MSH-3.1 and MSH-4.1 of its message
	// OurApp and OurFacility are what it calls us: MSH-5.1 and MSH-6.1.
	OurApp, OurFacility string
	Processing          string // MSH-11.1
	// Placer is the id of its request (ORC-2, SCH-2 or the like), MSH-10 where it gave none; PlacerNS the
	// namespace of it.
	Placer, PlacerNS string
	Patient          CX // PID-3, the repetition that the patient goes by here
}

// orderText is the form in which an Order is kept.
type orderText struct {
	Peer  string    `json:"peer"`
	MSH   [5]string `json:"msh"`
	OBR2  [2]string `json:"obr2"`
	PID3  [5]string `json:"pid3"` // CX.1, CX.4.1 to 3, CX.5
	Check string    `json:"cx2,omitempty"`
}

// maxOrderPart bounds each value of an Order: what is longer is nobody's identifier.
const maxOrderPart = 256

// Encode gives the text that DecodeOrder reads.
func (o Order) Encode() string {
	t := orderText{
		Peer: o.Peer, MSH: [5]string{o.App, o.Facility, o.OurApp, o.OurFacility, o.Processing}, OBR2: [2]string{o.Placer, o.PlacerNS},
		PID3:  [5]string{o.Patient.ID, o.Patient.Authority.NamespaceID, o.Patient.Authority.UniversalID, o.Patient.Authority.UniversalIDType, o.Patient.Type},
		Check: o.Patient.CheckDigit,
	}
	for _, list := range [][]string{t.MSH[:], t.OBR2[:], t.PID3[:]} {
		for i, s := range list {
			list[i] = strings.ToValidUTF8(s[:min(len(s), maxOrderPart)], "")
		}
	}
	b, _ := json.Marshal(t) // strings alone: it cannot fail
	return string(b)
}

// DecodeOrder reads what Encode gave.
func DecodeOrder(s string) (Order, error) {
	var t orderText
	if json.Unmarshal([]byte(s), &t) != nil {
		return Order{}, errors.New("read order: not of the form that orders are kept in") // the error of json would quote it
	}
	return Order{
		Peer: t.Peer, App: t.MSH[0], Facility: t.MSH[1], OurApp: t.MSH[2], OurFacility: t.MSH[3], Processing: t.MSH[4],
		Placer: t.OBR2[0], PlacerNS: t.OBR2[1],
		Patient: CX{ID: t.PID3[0], CheckDigit: t.Check, Authority: HD{t.PID3[1], t.PID3[2], t.PID3[3]}, Type: t.PID3[4]},
	}, nil
}

// Delivery is how a text or call stands, as OBX-5 of a status says it.
type Delivery string

// The states of a delivery.
const (
	DeliveryQueued    Delivery = "QUEUED"
	DeliverySent      Delivery = "SENT"
	DeliveryDelivered Delivery = "DELIVERED"
	DeliveryFailed    Delivery = "FAILED"
	DeliveryRefused   Delivery = "REFUSED"  // by policy: consent, number, limit
	DeliveryExpired   Delivery = "EXPIRED"  // it found no way in its time
	DeliveryCanceled  Delivery = "CANCELED" // the occasion is gone
	DeliveryUnknown   Delivery = "UNKNOWN"  // the network gave no answer, and it is not tried again
)

// Class is what a peer asks for: "queued", "sent", "delivered", or "failed" for every way in which
// nothing more comes of it.
func (d Delivery) Class() string {
	switch d {
	case DeliveryQueued, DeliverySent, DeliveryDelivered:
		return strings.ToLower(string(d))
	}
	return "failed"
}

// result is OBR-25 (table 0123): P until it is known, F delivered, X nothing will come.
func (d Delivery) result() string {
	switch d {
	case DeliveryQueued, DeliverySent:
		return "P"
	case DeliveryDelivered:
		return "F"
	}
	return "X"
}

// Wish is what a patient said of texts, as OBX-5 of a status says it.
type Wish string

// The wishes.
const (
	WishOut Wish = "OUT" // STOP
	WishIn  Wish = "IN"  // START
)

// wishes are their words for people.
var wishes = map[Wish]string{WishOut: "Wants no texts", WishIn: "Takes texts again"}

// ClassOptOut is what a peer asks for that wants to know of wishes.
const ClassOptOut = "optout"

// Status is one report: on a request, or on a patient's wish.
type Status struct {
	Order     Order
	ControlID string // MSH-10, at most 20 characters; the same at each try
	Filler    string // OBR-3, our own id
	At        time.Time
	Delivery  Delivery
	// Why is a short reason in words of our own, beside a Delivery that failed. It holds no value.
	Why string
	// Wish stands instead of Delivery where the patient said something of texts as such. No request is
	// behind it: Order has no Placer then.
	Wish Wish
}

// Class is what a peer asks for, as of a Delivery; ClassOptOut of a wish.
func (s Status) Class() string {
	if s.Wish != "" {
		return ClassOptOut
	}
	return s.Delivery.Class()
}

// told is OBX-3 and OBX-5, and the state of both (OBX-11, OBR-25).
func (s Status) told() (what string, value [2]string, result string) {
	if s.Wish != "" {
		return "OPTOUT^Opt-out of texts^L", [2]string{string(s.Wish), wishes[s.Wish]}, "F"
	}
	return "DLV^Delivery^L", [2]string{string(s.Delivery), clipWords(s.Why, maxText)}, s.Delivery.result()
}

// ORU writes an unsolicited report (ORU^R01, v2.5.1 section 7.3.1) under the standard delimiters. Of one
// Status it gives the same bytes at each call, so that a peer knows a repeat by any means it has.
//
// PID-5, which the standard requires, stays empty: a name is not ours to tell, and `""` would delete it.
func ORU(s Status) []byte {
	w := writer{enc: standardEncoding, b: make([]byte, 0, 512)}
	o, at := s.Order, s.At.Format("20060102150405-0700")
	what, value, result := s.told()
	w.segment("MSH")
	w.raw(w.enc.msh2())
	for _, name := range []string{o.OurApp, o.OurFacility, o.App, o.Facility} {
		w.text(name)
	}
	w.raw(at)
	w.raw("")
	w.raw("ORU^R01^ORU_R01")
	w.text(clip(s.ControlID, 20))
	if o.Processing == "" {
		o.Processing = "P"
	}
	w.text(o.Processing)
	w.raw("2.5.1")
	w.fields(5)
	w.raw("UNICODE UTF-8")
	w.end()

	w.segment("PID")
	w.raw("1")
	w.raw("")
	w.patient(o.Patient)
	w.fields(2)
	w.end()

	w.segment("OBR")
	w.raw("1")
	w.b = append(w.b, w.enc.field)
	w.join(w.enc.comp, o.Placer, o.PlacerNS)
	w.text(s.Filler)
	w.raw("TEXTSTATUS^Patient text status^L")
	w.fields(2)
	w.raw(at) // OBR-7
	w.fields(14)
	w.raw(at) // OBR-22, when the status changed
	w.fields(2)
	w.raw(result) // OBR-25
	w.end()

	w.segment("OBX")
	w.raw("1")
	w.raw("CE")
	w.raw(what)
	w.raw("")
	w.b = append(w.b, w.enc.field)
	w.join(w.enc.comp, value[0], value[1], "L")
	w.fields(5)
	w.raw(result) // OBX-11, table 0085
	w.fields(2)
	w.raw(at) // OBX-14
	w.end()
	return w.b
}

// fields writes n empty ones.
func (w *writer) fields(n int) {
	for range n {
		w.b = append(w.b, w.enc.field)
	}
}

// patient writes an identifier as it was received.
func (w *writer) patient(cx CX) {
	hd := writer{enc: w.enc}
	hd.join(w.enc.sub, cx.Authority.NamespaceID, cx.Authority.UniversalID, cx.Authority.UniversalIDType)
	w.b = append(w.b, w.enc.field)
	w.join(w.enc.comp, cx.ID, cx.CheckDigit)
	if len(hd.b) == 0 && cx.Type == "" {
		return
	}
	if cx.CheckDigit == "" {
		w.b = append(w.b, w.enc.comp)
	}
	w.b = append(append(w.b, w.enc.comp, w.enc.comp), hd.b...)
	if cx.Type != "" {
		w.b = append(w.b, w.enc.comp)
		w.b = w.enc.appendEscaped(w.b, cx.Type)
	}
}

// String is the state and no more.
func (s Status) String() string { return fmt.Sprintf("status %s%s", s.Delivery, s.Wish) }
