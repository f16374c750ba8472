package hl7

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

var statusOrder = Order{
	Peer: "engine", App: "EPIC", Facility: "RIVERSIDE", OurApp: "PINWARD", OurFacility: "BOX", Processing: "P",
	Placer: "REQ|123", PlacerNS: "EPIC",
	Patient: CX{ID: "12345", Authority: HD{"RIV", "1.2.3", "ISO"}, Type: "MR"},
}

// The form is the one that section 2.5 of the reference gives.
func TestStatusIsTheReportOfTheReference(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 30, 0, 0, time.FixedZone("", -5*3600))
	for _, c := range []struct {
		delivery Delivery
		result   string
		class    string
	}{
		{DeliveryQueued, "P", "queued"}, {DeliverySent, "P", "sent"}, {DeliveryDelivered, "F", "delivered"},
		{DeliveryFailed, "X", "failed"}, {DeliveryRefused, "X", "failed"}, {DeliveryExpired, "X", "failed"},
		{DeliveryCanceled, "X", "failed"}, {DeliveryUnknown, "X", "failed"},
	} {
		s := Status{Order: statusOrder, ControlID: "PW1", Filler: "SM01", At: at, Delivery: c.delivery}
		raw := ORU(s)
		want := strings.Join([]string{
			`MSH|^~\&|PINWARD|BOX|EPIC|RIVERSIDE|20261122093000-0500||ORU^R01^ORU_R01|PW1|P|2.5.1||||||UNICODE UTF-8`,
			`PID|1||12345^^^RIV&1.2.3&ISO^MR||`,
			`OBR|1|REQ\F\123^EPIC|SM01|TEXTSTATUS^Patient text status^L|||20261122093000-0500|||||||||||||||20261122093000-0500|||` + c.result,
			`OBX|1|CE|DLV^Delivery^L||` + string(c.delivery) + `^^L||||||` + c.result + `|||20261122093000-0500`,
			``}, "\r")
		if string(raw) != want {
			t.Errorf("%s:\n%s\nnot\n%s", c.delivery, strings.ReplaceAll(string(raw), "\r", "\n"), strings.ReplaceAll(want, "\r", "\n"))
		}
		if !bytes.Equal(raw, ORU(s)) {
			t.Errorf("%s: a repeat has other bytes", c.delivery)
		}
		if got := c.delivery.Class(); got != c.class {
			t.Errorf("%s is of class %s", c.delivery, got)
		}
		m, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{"OBR-2.1": "REQ|123", "OBR-22": "20261122093000-0500", "OBR-25": c.result, "PID-3.4.2": "1.2.3", "OBX-14": "20261122093000-0500"} {
			if got := m.Get(path); got != want {
				t.Errorf("%s: %s is %q", c.delivery, path, got)
			}
		}
	}
}

func TestAWishIsAReportOfItsOwn(t *testing.T) {
	order := statusOrder
	order.Placer, order.PlacerNS = "", ""
	at := time.Date(2026, 11, 22, 9, 30, 0, 0, time.FixedZone("", -5*3600))
	for wish, words := range map[Wish]string{WishOut: "Wants no texts", WishIn: "Takes texts again"} {
		s := Status{Order: order, ControlID: "PW2", At: at, Wish: wish}
		want := strings.Join([]string{
			`MSH|^~\&|PINWARD|BOX|EPIC|RIVERSIDE|20261122093000-0500||ORU^R01^ORU_R01|PW2|P|2.5.1||||||UNICODE UTF-8`,
			`PID|1||12345^^^RIV&1.2.3&ISO^MR||`,
			`OBR|1|||TEXTSTATUS^Patient text status^L|||20261122093000-0500|||||||||||||||20261122093000-0500|||F`,
			`OBX|1|CE|OPTOUT^Opt-out of texts^L||` + string(wish) + `^` + words + `^L||||||F|||20261122093000-0500`,
			``}, "\r")
		if raw := string(ORU(s)); raw != want || s.Class() != ClassOptOut {
			t.Errorf("%s, of class %s:\n%s\nnot\n%s", wish, s.Class(), strings.ReplaceAll(raw, "\r", "\n"), strings.ReplaceAll(want, "\r", "\n"))
		}
	}
}

func TestStatusOfAnOrderThatSaysLittle(t *testing.T) {
	raw := string(ORU(Status{Order: Order{Placer: "C1", Patient: CX{ID: "7"}}, Delivery: DeliveryRefused, Why: "number opted out"}))
	for _, want := range []string{`|P|2.5.1|`, "PID|1||7||\r", "OBR|1|C1||", "||REFUSED^number opted out^L||"} {
		if !strings.Contains(raw, want) {
			t.Errorf("%q is not in %q", want, raw)
		}
	}
}

func TestAnOrderIsReadAsItWasKept(t *testing.T) {
	got, err := DecodeOrder(statusOrder.Encode())
	if err != nil || got != statusOrder {
		t.Errorf("%v", err)
	}
	long := statusOrder
	long.Placer = strings.Repeat("x", 1000)
	if got, err := DecodeOrder(long.Encode()); err != nil || len(got.Placer) != maxOrderPart {
		t.Errorf("%d bytes, %v", len(got.Placer), err)
	}
	if _, err := DecodeOrder(`{"peer": 617555}`); err == nil || strings.Contains(err.Error(), "617555") {
		t.Errorf("what is no order: %v", err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, statusOrder); strings.Contains(s, "12345") || strings.Contains(s, "REQ") {
			t.Errorf("%s shows %s", format, s)
		}
		if s := fmt.Sprintf(format, Status{Order: statusOrder, Delivery: DeliverySent}); strings.Contains(s, "12345") {
			t.Errorf("%s shows %s", format, s)
		}
	}
}
