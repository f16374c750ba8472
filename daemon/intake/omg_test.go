package intake

import (
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox/outboxtest"
	"pinward/hl7"
	"pinward/store"
)

const orderer = "OMG^O19\nPID|1||4711^^^RIV^MR||||||||||6175551234\n"

// A general order asks for a code or a text, later if it says so; each ORC is one.
func TestOrders(t *testing.T) {
	soon := time.Now().Add(2 * time.Hour).Truncate(time.Second)
	for _, c := range []struct {
		name, message string
		ack           hl7.AckCode
		texts, why    string
	}{
		{"code by its purpose", orderer + "ORC|NW|REQ-1\nOBR|1|REQ-1||login", hl7.AA, "portal-login", ""},
		{"code by its service", orderer + "ORC|NW|REQ-1^EPIC\nOBR|1|||patient-signup^Sign up^L", hl7.AA, "patient-signup", ""},
		{"text", orderer + "ORC|NW|REQ-1\nTQ1|1||||||" + ts(soon) + "\nOBR|1|||result.ready", hl7.AA, "result.ready", ""},
		{"two", orderer + "ORC|NW|REQ-1\nOBR|1|||login\nORC|NW|REQ-2\nOBR|2|||result.ready", hl7.AA, "portal-login result.ready", ""},
		{"code ahead of its time", orderer + "ORC|NW|REQ-1\nTQ1|1||||||" + ts(soon) + "\nOBR|1|||login", hl7.AA, "", "ahead of its time"},
		{"text that does not exist", orderer + "ORC|NW|REQ-1\nOBR|1|||lottery", hl7.AA, "", "unknown template"},
		{"text with a time of its own: TQ1 is not the visit's", orderer + "ORC|NW|REQ-1\nTQ1|1||||||" + ts(soon) + "\nOBR|1|||appointment.reminder", hl7.AA, "", "refused"},
		{"cancel of what never was", orderer + "ORC|CA|REQ-1", hl7.AA, "", "nothing of this id waits"},
		{"another control", orderer + "ORC|XO|REQ-1\nOBR|1|||login", hl7.AE, "", "ORC[1]-1"},
		{"no control", orderer + "ORC||REQ-1\nOBR|1|||login", hl7.AE, "", "ORC[1]-1"},
		{"no id", orderer + "ORC|NW\nOBR|1|||login", hl7.AE, "", "ORC[1]-2"},
		{"not for what", orderer + "ORC|NW|REQ-1", hl7.AE, "", "OBR[1]"},
		{"for nothing", orderer + "ORC|NW|REQ-1\nOBR|1|||", hl7.AE, "", "OBR[1]-4"},
		{"the second is not for what", orderer + "ORC|NW|REQ-1\nOBR|1|||login\nORC|NW|REQ-2", hl7.AE, "", "OBR[2]"},
		{"no order", orderer, hl7.AE, "", "ORC[1]"},
		{"what for comes first", orderer + "OBR|1|||login\nORC|NW|REQ-1", hl7.AE, "", "ORC[1]"},
		{"no time", orderer + "ORC|NW|REQ-1\nTQ1|1||||||noon\nOBR|1|||login", hl7.AE, "", "TQ1[1]-7"},
		{"for nobody", "OMG^O19\nORC|NW|REQ-1\nOBR|1|||login", hl7.AE, "", "PID[1]"},
		{"too many", orderer + strings.Repeat("ORC|NW|REQ-1\nOBR|1|||login\n", maxRequests+1), hl7.AR, "", "more orders"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			a := b.send(c.message)
			if a.code != c.ack || b.whats() != c.texts {
				t.Errorf("%s, texts %q, %s", a.code, b.whats(), b.last().Why)
			}
			if !strings.Contains(b.last().Why, c.why) {
				t.Errorf("explained by %q", b.last().Why)
			}
			if !strings.Contains(a.raw, "|ORG^O20^ORG_O20|") {
				t.Errorf("answered with %q", a.raw)
			}
		})
	}
}

// An order that comes again starts nothing; CA takes back what it started.
func TestOrdersAreTakenBack(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, orderer+"ORC|NW|REQ-1\nOBR|1|||login\nORC|NW|REQ-2\nTQ1|1||||||"+ts(time.Now().Add(time.Hour))+"\nOBR|2|||result.ready")
	sendOK(t, b, orderer+"ORC|NW|REQ-1\nOBR|1|||login\nORC|NW|REQ-2\nOBR|2|||result.ready")
	if why := b.last().Why; !strings.Contains(why, "verification: this request was made before") || !strings.Contains(why, "notice: this request was made before") {
		t.Errorf("the second try: %s", why)
	}
	sendOK(t, b, orderer+"ORC|CA|REQ-1\nORC|CA|REQ-2")
	if did := b.last().Did; !strings.Contains(did, "verification cancelled") || !strings.Contains(did, "notice cancelled") {
		t.Errorf("cancelled: %s", did)
	}
	if b.whats() != "" || b.count(otp.ActionCancel) != 1 || b.count(notice.ActionCancel) != 1 {
		t.Errorf("%q still waits", b.whats())
	}
	sendOK(t, b, orderer+"ORC|CA|REQ-1\nORC|CA|REQ-2")
	if why := b.last().Why; !strings.Contains(why, "the verification has ended") || !strings.Contains(why, "nothing of this id waits") {
		t.Errorf("cancelled twice: %s", why)
	}
}

// In enhanced mode the accept acknowledgment is an ACK; ORG is the application's.
func TestOrderInEnhancedMode(t *testing.T) {
	b := newBoxIn(t, Listener{Name: "adt", Mode: contact.Live, ACK: "enhanced"})
	m := strings.Replace(header("OMG^O19", "C1", time.Now()), "|P|2.5.1", "|P|2.5.1|||AL|NE", 1)
	a := b.send(m + "\n" + strings.TrimPrefix(orderer, "OMG^O19\n") + "ORC|NW|REQ-1\nOBR|1|||login")
	if a.code != hl7.CA || !strings.Contains(a.raw, "|ACK^O19^ACK|") {
		t.Errorf("answered with %q", a.raw)
	}
}

// orders reads the orders in the entries of an action.
func (b *box) orders(action store.Action) (list []hl7.Order) {
	b.T.Helper()
	for _, r := range b.Entries() {
		if s := outboxtest.Attr(r.Entry, "order"); r.Entry.Action == action && s != "" {
			o, err := hl7.DecodeOrder(s)
			if err != nil {
				b.T.Fatal(err)
			}
			list = append(list, o)
		}
	}
	return list
}

// A peer that asks is told by its own ids: the request's, the order's that a result answers, the
// appointment's, and MSH-10 where it gave none; and of the patient by PID-3 as it sent it.
func TestEachTextBearsTheIdsOfItsSender(t *testing.T) {
	pid := "PID|1||4711^^^RIV&1.2.3&ISO^MR||||||||||6175551234\n"
	for _, c := range []struct {
		name, message string
		action        store.Action
		placer, ns    string
	}{
		{"Z segment", "ADT^A08\n" + pid + "ZNT|1|OTP^login|REQ-1", otp.ActionStart, "REQ-1", ""},
		{"Z segment for a text", "ADT^A08\n" + pid + "ZNT|1|NOTICE^result.ready|REQ-1", notice.ActionSend, "REQ-1", ""},
		{"order", "OMG^O19\n" + pid + "ORC|NW|REQ-1^EPIC\nOBR|1|||login", otp.ActionStart, "REQ-1", "EPIC"},
		{"refused request", "ADT^A08\n" + pid + "ZNT|1|NOTICE^lottery|REQ-1", notice.ActionSend, "REQ-1", ""},
		{"request without a number", "ADT^A08\nPID|1||4711^^^RIV&1.2.3&ISO^MR\nZNT|1|OTP^login|REQ-1", otp.ActionStart, "REQ-1", ""},
		{"request that comes late", "ADT^A08\nEVN||" + ts(time.Now().Add(-time.Hour)) + "\n" + pid + "ZNT|1|OTP^login|REQ-1", ActionDecline, "REQ-1", ""},
		{"result of an order", "ORU^R01\n" + pid + "ORC|RE|ORD-7^EPIC\nOBR|1|ORD-8||GLU|||||||||||||||||||||F\nOBX|1|NM|GLU||5||||||F", notice.ActionSend, "ORD-7", "EPIC"},
		{"result of an order in OBR", "ORU^R01\n" + pid + "OBR|1|ORD-8||GLU|||||||||||||||||||||F\nOBX|1|NM|GLU||5||||||F", notice.ActionSend, "ORD-8", ""},
		{"result without an order", "ORU^R01\n" + pid + "OBR|1|||GLU|||||||||||||||||||||F\nOBX|1|NM|GLU||5||||||F", notice.ActionSend, "C0001", ""},
		{"appointment", siu("S12", time.Now().Add(50*time.Hour), ""), notice.ActionSend, "A77", "EPIC"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			b.policy(Policy{Releasable: []string{"*"}, Peers: map[string]PeerPolicy{"adt": {Back: []string{"sent"}}}})
			sendOK(t, b, c.message)
			list := b.orders(c.action)
			if len(list) == 0 {
				t.Fatalf("no order in %s: %s", c.action, b.last().Why)
			}
			o := list[0]
			if o.Peer != "adt" || o.Placer != c.placer || o.PlacerNS != c.ns || o.App != "EPIC" || o.Facility != "RIVERSIDE" || o.OurApp != "PINWARD" || o.OurFacility != "BOX" {
				t.Errorf("placer %q of %q, %q %q %q %q %q", o.Placer, o.PlacerNS, o.Peer, o.App, o.Facility, o.OurApp, o.OurFacility)
			}
			if c.name != "appointment" && (o.Patient.ID != "4711" || o.Patient.Type != "MR" || o.Patient.Authority.UniversalID != "1.2.3") {
				t.Error("the patient is not named as the peer named them")
			}
			b = newBox(t)
			b.policy(Policy{Releasable: []string{"*"}})
			sendOK(t, b, c.message)
			if list := b.orders(c.action); len(list) > 0 {
				t.Error("a peer that does not ask has its ids kept")
			}
		})
	}
}

// What the site's own settings do not allow was asked for by a peer, which hears of it.
func TestAPeerHearsOfATextThatTheSiteCannotSend(t *testing.T) {
	b := newBox(t)
	b.policy(Policy{Portal: "https://elsewhere.example.org/", Peers: map[string]PeerPolicy{"adt": {Back: []string{"failed"}}}})
	sendOK(t, b, orderer+"ORC|NW|REQ-1\nOBR|1|||result.ready")
	if list := b.orders(ActionDecline); len(list) != 1 || list[0].Placer != "REQ-1" || strings.Count(b.last().Why, "no portal") != 1 {
		t.Errorf("%d entries, explained %q", len(list), b.last().Why)
	}
}

// What a person drops was asked for by a peer, which hears of it.
func TestAPeerHearsOfATextThatAPersonDrops(t *testing.T) {
	b := newBox(t)
	b.policy(Policy{Peers: map[string]PeerPolicy{"adt": {Back: []string{"failed"}, Paused: true}}})
	sendOK(t, b, orderer+"ORC|NW|REQ-1\nOBR|1|||result.ready")
	if list := b.orders(notice.ActionSend); len(list) > 0 {
		t.Error("what is held counts as sent")
	}
	b.Do(func(tx *store.Tx) error { _, _, err := Drop(tx, "request"); return err })
	if list := b.orders(ActionDrop); len(list) != 1 || list[0].Placer != "REQ-1" {
		t.Errorf("%d entries", len(list))
	}
}

func TestAStateThatDoesNotExistIsNoPolicy(t *testing.T) {
	p := Policy{Peers: map[string]PeerPolicy{"adt": {Back: []string{"sent", "read"}}}}
	if err := p.validate(); err == nil || !strings.Contains(err.Error(), "back has a state") {
		t.Errorf("%v", err)
	}
}
