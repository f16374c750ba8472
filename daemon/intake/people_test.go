package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// Each sentence of the issue about people, through a real MLLP port.

func pid(mrn, phones, rest string) string {
	return "PID|1||" + mrn + "^^^RIV^MR||||19700101||||||" + phones + rest
}

func textable(b *box, mrn string) (to string) {
	b.View(func(tx *store.Tx) error {
		p, ok, err := contact.Textable(tx, contact.SubjectID{Authority: "RIV", MRN: mrn})
		if ok {
			to = p.E164()
		}
		return err
	})
	return to
}

// Subject and number are two things: two people share a phone, one has two, and what happens to one of the
// people changes nothing for the other.
func TestSubjectAndNumberAreTwoThings(t *testing.T) {
	b, w := engineBox(t)
	w.sends(lines("ADT^A04", pid("1", "6175551234^PRN^CP~6175559999^PRN^CP", "")))
	w.sends(lines("ADT^A04", pid("2", "6175551234^PRN^CP", "")))
	var sharing []contact.SubjectID
	b.View(func(tx *store.Tx) (err error) {
		p := b.phone("+16175551234")
		sharing, err = contact.SubjectsOf(tx, p)
		return err
	})
	if len(sharing) != 2 || len(b.numbers("1")) != 2 {
		t.Fatalf("%d share the number, the first has %d", len(sharing), len(b.numbers("1")))
	}
	w.sends(lines("ADT^A08", pid("1", "6175550000^PRN^CP~6175559999^PRN^CP", "")))
	w.sends(lines("ADT^A03", pid("1", "", strings.Repeat("|", 17)+"Y")))
	if s, _ := b.subject("2"); s.Dead != nil || textable(b, "2") != "+16175551234" {
		t.Error("the other holder of the phone was changed too")
	}
}

// phone reads a number.
func (b *box) phone(e164 string) (p contact.Phone) {
	b.T.Helper()
	if err := p.UnmarshalText([]byte(e164)); err != nil {
		b.T.Fatal(err)
	}
	return p
}

// NK1 may name a proxy: where the site says by which relationship, a minor's proxy is told first, and an
// adult's only where the adult has no number.
func TestNK1MayNameAProxy(t *testing.T) {
	mother, cousin := "NK1|1|DOE^ANN|MTH||6175552222^PRN^CP", "NK1|2|DOE^BOB|EXF||6175553333^PRN^CP"
	child := strings.Replace(pid("1", "6175551234^PRN^CP", ""), "19700101", time.Now().AddDate(-9, 0, 0).Format("20060102"), 1)
	for _, c := range []struct {
		name    string
		proxies []string
		message string
		then    string // a second message
		want    string
	}{
		{"as shipped nobody is one", nil, lines("ADT^A04", child, mother), "", "+16175551234"},
		{"mother of a child", []string{"MTH"}, lines("ADT^A04", child, cousin, mother), "", "+16175552222"},
		{"by the contact role", []string{"E"}, lines("ADT^A04", child, "NK1|1|DOE^ANN|||6175552222^PRN^CP||E"), "", "+16175552222"},
		{"adult with a number", []string{"MTH"}, lines("ADT^A04", pid("1", "6175551234^PRN^CP", ""), mother), "", "+16175551234"},
		{"adult without", []string{"MTH"}, lines("ADT^A04", pid("1", "", ""), mother), "", "+16175552222"},
		{"only for a time", []string{"MTH"}, lines("ADT^A04", child, mother+"||||20200101"), "", "+16175551234"},
		{"mobile in NK1-40 of v2.7", []string{"MTH"}, lines("ADT^A04", child, "NK1|1|DOE^ANN|MTH"+strings.Repeat("|", 37)+"6175552222^PRN^CP"), "", "+16175552222"},
		{"a message without NK1 leaves it", []string{"MTH"}, lines("ADT^A04", child, mother), lines("ADT^A08", child), "+16175552222"},
		{"one with another NK1 takes it off", []string{"MTH"}, lines("ADT^A04", child, mother), lines("ADT^A08", child, cousin), "+16175551234"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, w := engineBox(t)
			b.policy(Policy{Proxies: c.proxies, Releasable: []string{"*"}})
			w.sends(c.message)
			if c.then != "" {
				w.sends(c.then)
			}
			if got := textable(b, "1"); got != c.want {
				t.Errorf("texted is %s", got)
			}
			result := lines("ORU^R01", "PID|1||1^^^RIV^MR", "OBR|1|||GLU|||||||||||||||||||||F", "OBX|1|NM|GLU||5||||||F")
			w.sends(result)
			told, minor := b.whats() == "result.ready", strings.Contains(c.message, child)
			if proxy := c.want == "+16175552222"; told != (proxy || !minor) {
				t.Errorf("of a result: %q, %s", b.whats(), b.last().Why)
			}
		})
	}
}

// A number of a text telephone is not called, and is texted.
func TestTDDIsNotCalledAndNotDropped(t *testing.T) {
	for _, equipment := range []string{"TDD", "TTY"} {
		b, w := engineBox(t)
		w.sends(lines("ADT^A04", pid("1", "6175551234^PRN^"+equipment, "")))
		if got := textable(b, "1"); got != "+16175551234" {
			t.Errorf("%s: texted is %q", equipment, got)
		}
		b.View(func(tx *store.Tx) error {
			c, err := contact.Of(tx, b.phone("+16175551234"))
			if !c.NoVoice {
				t.Errorf("%s: it would be called", equipment)
			}
			return err
		})
	}
}

// Extensions are kept, and nothing is texted to a switchboard.
func TestExtensionsAreKept(t *testing.T) {
	for _, field := range []string{"617-555-1234 x22", "^PRN^PH^^^617^5551234^22"} {
		b, w := engineBox(t)
		w.sends(lines("ADT^A04", pid("1", field, "")))
		s, _ := b.subject("1")
		if len(s.Phones) != 1 || s.Phones[0].Extension != "22" || textable(b, "1") != "" {
			t.Errorf("%d numbers", len(s.Phones))
		}
		w.sends(lines("ADT^A08", pid("1", "", ""), "ZNT|1|OTP^login|R1"))
		if b.whats() != "" {
			t.Errorf("a code for the switchboard: %q", b.whats())
		}
	}
}

// A wrong death can be taken back: by the feed, with a newer message, and by a person, where the feed never
// says so. Reminders that were withdrawn come back, and who did it is on record.
func TestAWrongDeathIsTakenBack(t *testing.T) {
	// PID-29 and 30.
	dead, alive := jane+strings.Repeat("|", 17)+"Y", jane+strings.Repeat("|", 17)+"N"
	visit := siu("S12", time.Now().Add(50*time.Hour), "")
	for name, back := range map[string]func(*box, *wire) string{
		"by the feed": func(_ *box, w *wire) string {
			w.sends("ADT^A08\n" + alive)
			return "adt/EPIC^RIVERSIDE"
		},
		"by an event that moves them": func(_ *box, w *wire) string {
			w.sends("ADT^A02\n" + alive + "\nPV1|1|I|3W")
			return "adt/EPIC^RIVERSIDE"
		},
		"by a person": func(b *box, _ *wire) string {
			did, err := b.in.Living(context.Background(), operator, contact.SubjectID{MRN: "4711"})
			if err != nil || !strings.Contains(strings.Join(did, ";"), "reminders scheduled") {
				b.T.Errorf("%v, did %q", err, did)
			}
			return operator.ID
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, w := engineBox(t)
			w.sends(visit)
			before := b.whats()
			w.sends("ADT^A08\n" + dead)
			if b.whats() != "" || before == "" {
				t.Fatalf("of the dead %q waits, before %q", b.whats(), before)
			}
			by := back(b, w)
			if n := len(strings.Fields(b.whats())); n != len(strings.Fields(before)) {
				t.Errorf("of the living %q waits, before %q", b.whats(), before)
			}
			entries := b.Entries()
			var last store.Record
			for _, r := range entries {
				if r.Entry.Action == contact.ActionSubjectDead {
					last = r
				}
			}
			if last.Actor.ID != by || outboxtest.Attr(last.Entry, "dead") != "no" {
				t.Errorf("taken back by %q", last.Actor.ID)
			}
		})
	}
	b := newBox(t)
	if _, err := b.in.Living(context.Background(), operator, contact.SubjectID{MRN: "nobody"}); !errors.Is(err, ErrNotDead) {
		t.Errorf("of nobody: %v", err)
	}
}

// A02 A06 A07 A12 A13 A17 keep ward and class, and nothing but that; so do the events that tell all, and a
// discharge takes the ward off. An older event changes nothing.
func TestWardAndClassAreKept(t *testing.T) {
	b, w := engineBox(t)
	at := func(mrn string) string {
		s, _ := b.subject(mrn)
		return s.Ward + "/" + s.Class
	}
	now := time.Now()
	for i, c := range []struct{ event, pv1, want string }{
		{"A01", "PV1|1|I|3W^12^A", "3W/I"},
		{"A02", "PV1|1|I|ICU^1^A|||3W^12^A", "ICU/I"},
		{"A12", "PV1|1|I|3W^12^A|||ICU^1^A", "3W/I"},
		{"A07", "PV1|1|O|CLINIC", "CLINIC/O"},
		{"A06", "PV1|1|I|4E", "4E/I"},
		{"A03", "PV1|1|I|4E", "/I"},
		{"A13", "PV1|1|I|4E", "4E/I"},
		{"A02", "PV1|1||", "4E/I"},
		{"A02", "PV1|1||\"\"", "/I"},
	} {
		evn := "EVN||" + ts(now.Add(time.Duration(i-20)*time.Minute))
		w.sends(lines("ADT^"+c.event, evn, "PID|1||1^^^RIV^MR", c.pv1))
		if got := at("1"); got != c.want {
			t.Errorf("after %d %s: %s, not %s (%s)", i, c.event, got, c.want, b.last().Why)
		}
	}
	w.sends(lines("ADT^A02", "EVN||"+ts(now.Add(-time.Hour)), "PID|1||1^^^RIV^MR", "PV1|1|I|9N"))
	if at("1") != "/I" || !strings.Contains(b.last().Why, "older") {
		t.Errorf("an older event: %s, %s", at("1"), b.last().Why)
	}
	w.sends(lines("ADT^A17", "PID|1||1^^^RIV^MR", "PV1|1|I|5S", "PID|2||2^^^RIV^MR", "PV1|1|I|6N"))
	if at("1") != "5S/I" || at("2") != "6N/I" {
		t.Errorf("two swapped beds: %s and %s", at("1"), at("2"))
	}
	w.sends(lines("ADT^A04", pid("3", "6175551234^PRN^CP", ""), "PV1|1|E|ED"))
	w.sends(lines("ADT^A02", pid("3", "6175559999^PRN^CP", ""), "PV1|1|I|3W"))
	if got := strings.Join(b.numbers("3"), " "); got != "+16175551234" || at("3") != "3W/I" {
		t.Errorf("a transfer changed numbers to %q, %s", got, at("3"))
	}
}

// A transfer, or an appointment of another feed that says nothing of numbers, does not swallow what a registration of a minute before says
// of numbers and wishes.
func TestAMoveSwallowsNoRegistration(t *testing.T) {
	now := time.Now()
	for name, newer := range map[string]string{
		"A02": lines("ADT^A02", "EVN||"+ts(now), "PID|1||4711^^^RIV^MR", "PV1|1|I|3W"),
		"S12": lines("SIU^S12", "SCH|P1^EPIC|A77^EPIC|||||||30|MIN|^^^"+ts(now.Add(50*time.Hour)), "PID|1||4711^^^RIV^MR"),
	} {
		b, w := engineBox(t)
		w.sends(lines("ADT^A04", "EVN||"+ts(now.Add(-time.Hour)), jane))
		w.sends(newer)
		w.sends(lines("ADT^A08", "EVN||"+ts(now.Add(-time.Minute)), pid("4711", "6175550000^PRN^CP", ""), "PD1||||||||||||Y"))
		if s, _ := b.subject("4711"); strings.Join(b.numbers("4711"), " ") != "+16175550000" || !s.NoTexts {
			t.Errorf("%s: %q, no texts %v: %s", name, b.numbers("4711"), s.NoTexts, b.last().Why)
		}
	}
}

// EVN-5, SCH-20, ORC-10 and ORC-12 are the person on whose behalf it came, in each entry of the message.
func TestOnBehalfOfWhomItCame(t *testing.T) {
	visit := siu("S12", time.Now().Add(50*time.Hour), "")
	withSCH20 := strings.Replace(visit, "||||||||||||||\n", "|||||||||S20^SCHED\n", 1)
	if withSCH20 == visit {
		t.Fatal("SCH is of another form")
	}
	for _, c := range []struct{ name, message, want string }{
		{"EVN-5", lines("ADT^A04", "EVN|A04||||E5^NURSE", pid("1", "6175551234^PRN^CP", "")), "E5"},
		{"SCH-20", withSCH20, "S20"},
		{"ORC-10", lines("OMG^O19", pid("1", "6175551234^PRN^CP", ""), "ORC|NW|R1||||||||O10^CLERK||O12^DOC", "OBR|1|||login"), "O10"},
		{"ORC-12", lines("OMG^O19", pid("1", "6175551234^PRN^CP", ""), "ORC|NW|R1||||||||||O12^DOC", "OBR|1|||login"), "O12"},
		{"nobody", lines("ADT^A04", pid("1", "6175551234^PRN^CP", "")), ""},
	} {
		b, w := engineBox(t)
		n := len(b.Entries())
		w.sends(c.message)
		entries := b.Entries()[n:]
		if len(entries) == 0 {
			t.Errorf("%s: no entry", c.name)
		}
		for _, r := range entries {
			if r.Entry.Action != "store.key.made" && r.Actor.OnBehalfOf != c.want {
				t.Errorf("%s: %s is on behalf of %q", c.name, r.Entry.Action, r.Actor.OnBehalfOf)
			}
		}
	}
}

// A verification that a Z segment or an order started is found again by its service and the request's id,
// and checked with it.
func TestAVerificationIsFoundByItsRequest(t *testing.T) {
	for name, message := range map[string]string{
		"Z segment": lines("ADT^A04", pid("1", "6175551234^PRN^CP", ""), "ZNT|1|OTP^login|REQ-123"),
		"order":     lines("OMG^O19", pid("1", "6175551234^PRN^CP", ""), "ORC|NW|REQ-123", "OBR|1|||login"),
	} {
		b, w := engineBox(t)
		w.sends(message)
		b.Do(func(tx *store.Tx) error {
			v, err := otp.FindRequest(tx, "portal-login", "REQ-123")
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if v.To != b.phone("+16175551234") || v.State != otp.Pending {
				t.Errorf("%s: another verification is found", name)
			}
			if _, err := otp.FindRequest(tx, "patient-signup", "REQ-123"); !errors.Is(err, otp.ErrNotFound) {
				t.Errorf("%s: of another service: %v", name, err)
			}
			if _, _, err := otp.Check(tx, otp.CheckRequest{ID: v.ID, Reference: "REQ-124", Code: "000000"}); !errors.Is(err, otp.ErrReference) {
				t.Errorf("%s: with another request: %v", name, err)
			}
			_, _, err = otp.Check(tx, otp.CheckRequest{ID: v.ID, Reference: "REQ-123", Code: "x"})
			return err
		})
	}
}

// TestLateWordOfNoVIP: an event that comes late does not take back, for its own texts either, what a newer one said.
func TestLateWordOfNoVIP(t *testing.T) {
	b := newBox(t)
	now := time.Now()
	sendOK(t, b, header("ADT^A08", "M1", now.Add(-time.Minute))+"\n"+jane+"\nPV1|1|O|X|||||||||||||VIP")
	late := siu("S12", now.Add(50*time.Hour), "") + "\nPV1|1|O|X|||||||||||||\"\""
	sendOK(t, b, header("SIU^S12", "M2", now.Add(-2*time.Minute))+strings.TrimPrefix(late, "SIU^S12"))
	if b.plan() != "" || !strings.Contains(b.explain("M2")[0].Why, "marked as VIP") {
		t.Errorf("%q, %s", b.plan(), b.explain("M2")[0].Why)
	}
}
