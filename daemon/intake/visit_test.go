package intake

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/hl7"
	"pinward/store"
)

const jane = "PID|1||4711^^^RIV^MR||DOE^JANE||19700101|F|||||6175551234^PRN^CP"

// siu writes an event about appointment A77.
func siu(event string, start time.Time, status string) string {
	return "SIU^" + event + "\nSCH|P1^EPIC|A77^EPIC|||||||30|MIN|^^^" + ts(start) + "||||||||||||||" + status + "\n" + jane
}

func sendOK(t *testing.T, b *box, message string) {
	t.Helper()
	if a := b.send(message); a.code != hl7.AA {
		t.Fatalf("answered %s: %s", a.code, a.text)
	}
}

// TestWaitsForATimeAgain withdraws the reminders of an appointment whose patient was put on a list, and brings them back.
func TestWaitsForATimeAgain(t *testing.T) {
	b := newBox(t)
	start := time.Now().Add(50 * time.Hour)
	sendOK(t, b, "SIU^S12\nSCH|P1^EPIC|A77^EPIC|||||||30|MIN"+strings.Repeat("|", 15)+"Waitlist\n"+jane) // who waits has no time
	sendOK(t, b, siu("S12", start, "Booked"))
	if got := b.texts(); len(got) != 2 {
		t.Fatalf("%d reminders", len(got))
	}
	sendOK(t, b, siu("S14", start, "Waitlist"))
	if got := b.texts(); len(got) != 0 {
		t.Errorf("%d reminders of a time that does not hold", len(got))
	}
	sendOK(t, b, siu("S14", start, "Booked"))
	if got := b.texts(); len(got) != 2 {
		t.Errorf("%d reminders, booked again", len(got))
	}
}

// TestWaitedForATime: whoever knows of the time that held before is told of another, and that there is none any more.
func TestWaitedForATime(t *testing.T) {
	at := clock(3, 9)
	for _, c := range []struct{ then, want string }{
		{siu("S15", at, ""), "cancelled@09/cancelled"}, {siu("S17", at, ""), ""},
		{siu("S14", at.Add(time.Hour), "Booked"), "moved@10/moved reminder@10/24h reminder@10/2h"},
		{siu("S14", at, "Waitlist"), ""},
	} {
		b := newBox(t)
		sendOK(t, b, siu("S12", at, "Booked"))
		sendOK(t, b, siu("S14", at, "Waitlist"))
		sendOK(t, b, c.then)
		if got := b.plan(); !sameWords(strings.Fields(got), strings.Fields(c.want)) {
			t.Errorf("waiting are %q, want %q", got, c.want)
		}
	}
}

// TestReminderTimes holds reminders to the appointment: they go a day and two hours before, and are of
// no use when it begins.
func TestReminderTimes(t *testing.T) {
	b := newBox(t)
	start := time.Now().Add(50 * time.Hour).Truncate(time.Second)
	sendOK(t, b, siu("S12", start, "Booked"))
	texts := b.texts()
	if len(texts) != 2 {
		t.Fatalf("%d texts wait", len(texts))
	}
	for i, lead := range []time.Duration{24 * time.Hour, 2 * time.Hour} {
		if d := texts[i].due.Sub(start.Add(-lead)); d != 0 || texts[i].to != "+16175551234" || texts[i].mode != contact.Live {
			t.Errorf("reminder %s is %s off, goes to %q in mode %s", texts[i].key, d, texts[i].to, texts[i].mode)
		}
	}
	b.View(func(tx *store.Tx) error {
		a, ok, err := contact.FindAppointment(tx, contact.AppointmentID{Authority: "EPIC", Number: "A77"})
		if !ok || a.Minutes != 30 || !a.Start.Equal(start) {
			t.Errorf("appointment is %d min at %s", a.Minutes, a.Start)
		}
		return err
	})
}

// TestManyVisits: what is booked ahead uses up none of what a number may get today, and who had much
// today still hears of every cancellation.
func TestManyVisits(t *testing.T) {
	b := newBox(t)
	const visits = 14
	visit := func(i int, event string) string {
		start := time.Now().Add(time.Duration(i+3) * 24 * time.Hour).Truncate(time.Second)
		return strings.ReplaceAll(siu(event, start, ""), "A77", fmt.Sprint("V", i))
	}
	for i := range visits {
		sendOK(t, b, visit(i, "S12"))
		if e := b.last(); !strings.Contains(e.Did, "2 reminders scheduled") {
			t.Fatalf("visit %d: did %q, why %q", i, e.Did, e.Why)
		}
	}
	for i := range visits {
		sendOK(t, b, visit(i, "S15"))
	}
	b.handOver()
	sent := 0
	b.View(func(tx *store.Tx) error {
		page, _, err := outbox.List(tx, outbox.Filter{Limit: 1000}, "")
		for _, m := range page {
			if m.State == outbox.Sent {
				sent++
			}
		}
		return err
	})
	if sent != visits {
		t.Errorf("%d cancellations went out, want %d; waiting are %q", sent, visits, b.whats())
	}
}

// TestZoneOfStart reads a start without a zone in the site's, and in the listener's where it has one.
func TestZoneOfStart(t *testing.T) {
	for zone, want := range map[string]string{"": "America/New_York", "America/Los_Angeles": "America/Los_Angeles"} {
		l := Listener{Name: "adt", Mode: contact.Live}
		if zone != "" {
			l.Zone, _ = time.LoadLocation(zone)
		}
		b := newBoxIn(t, l)
		day := time.Now().AddDate(0, 0, 5).Format("20060102")
		sendOK(t, b, "SIU^S12\nSCH||A77|||||||||^^^"+day+"0915\n"+jane)
		in, _ := time.LoadLocation(want)
		start, _ := time.ParseInLocation("200601021504", day+"0915", in)
		if texts := b.texts(); len(texts) != 2 || !texts[1].due.Equal(start.Add(-2*time.Hour)) {
			t.Errorf("zone %q: reminders %v", zone, texts)
		}
	}
}

// TestDayWithoutHour schedules no reminder for "at 12:00 AM".
func TestDayWithoutHour(t *testing.T) {
	b := newBox(t)
	for _, start := range []string{"20991231", "20991231000000"} {
		day := time.Now().AddDate(0, 0, 5).Format("20060102") + strings.TrimPrefix(start, "20991231")
		sendOK(t, b, "SIU^S12\nSCH||D"+start+"|||||||||^^^"+day+"\n"+jane)
		if got := b.whats(); got != "" || !strings.Contains(b.last().Why, "no time of day") {
			t.Errorf("%s: texts %q, %q", start, got, b.last().Why)
		}
	}
}

// TestMidnightOfAnotherClock reminds of an evening visit that a sender in UTC writes as its midnight, and of none whose day alone is known.
func TestMidnightOfAnotherClock(t *testing.T) {
	b := newBox(t)
	b.policy(Policy{Peers: map[string]PeerPolicy{"adt": {Zone: "UTC"}}})
	day := time.Now().UTC().AddDate(0, 0, 5).Format("20060102")
	sendOK(t, b, "SIU^S12\nSCH||D1|||||||||^^^"+day+"\n"+jane)
	if got := b.whats(); got != "" || !strings.Contains(b.last().Why, "no time of day") {
		t.Errorf("a day alone: texts %q, why %q", got, b.last().Why)
	}
	sendOK(t, b, "SIU^S12\nSCH||D2|||||||||^^^"+day+"000000\n"+jane)
	if got := b.whats(); got != "24h 2h" {
		t.Errorf("an evening: texts %q, why %q", got, b.last().Why)
	}
}

func TestReschedule(t *testing.T) {
	b := newBox(t)
	first := time.Now().Add(50 * time.Hour).Truncate(time.Second)
	second := first.Add(48 * time.Hour)
	sendOK(t, b, siu("S12", first, ""))
	sendOK(t, b, siu("S14", first, "")) // a modification that moves nothing
	if got := b.whats(); got != "24h 2h" || b.last().Did != "appointment updated" {
		t.Fatalf("after an update texts are %q, did %q", got, b.last().Did)
	}
	sendOK(t, b, siu("S13", second, ""))
	if got := b.whats(); got != "appointment.moved 24h 2h" {
		t.Fatalf("texts are %q", got)
	}
	if due := b.texts()[1].due; !due.Equal(second.Add(-24 * time.Hour)) {
		t.Errorf("the reminder is for %s", due)
	}
}

// TestRescheduleAfterReminder reminds again when the first reminder has gone for the old time.
func TestRescheduleAfterReminder(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, siu("S12", time.Now().Add(time.Hour), ""))
	b.handOver() // the one that goes at once
	later := time.Now().Add(time.Hour + 10*time.Minute).Truncate(time.Second)
	sendOK(t, b, siu("S13", later, ""))
	if got := b.whats(); got != "appointment.moved" {
		t.Fatalf("texts are %q: the word of the move is the reminder", got)
	}
	b.handOver()
	far := time.Now().Add(100 * time.Hour).Truncate(time.Second)
	sendOK(t, b, siu("S13", far, ""))
	b.handOver()
	if got := b.whats(); got != "24h 2h" {
		t.Fatalf("texts are %q", got)
	}
	sendOK(t, b, siu("S13", later.Add(time.Minute), ""))
	b.handOver()
	sendOK(t, b, siu("S13", far, ""))
	if got := b.whats(); !strings.HasSuffix(got, "24h 2h") {
		t.Errorf("texts are %q: what was withdrawn comes back", got)
	}
}

// TestCancellation tells the patient only where it was booked, is to come, and was cancelled.
func TestCancellation(t *testing.T) {
	start := time.Now().Add(50 * time.Hour)
	for _, c := range []struct{ event, status, did, texts string }{
		{"S15", "Cancelled", "appointment cancelled", "appointment.cancelled"},
		{"S16", "Dc", "appointment cancelled", ""},
		{"S17", "Deleted", "appointment deleted", ""},
		{"S26", "Noshow", "appointment noshow", ""},
		{"S14", "Cancelled", "appointment cancelled", "appointment.cancelled"},
		{"S14", "Complete", "appointment completed", ""},
		{"S14", "Started", "appointment has started", ""},
	} {
		t.Run(c.event+" "+c.status, func(t *testing.T) {
			b := newBox(t)
			sendOK(t, b, siu("S12", start, ""))
			sendOK(t, b, siu(c.event, start, c.status))
			if got := b.whats(); got != c.texts {
				t.Errorf("texts are %q, want %q", got, c.texts)
			}
			if e := b.last(); !strings.HasPrefix(e.Did, c.did) {
				t.Errorf("did %q", e.Did)
			}
		})
	}
}

// TestTombstone keeps a booking that comes after its cancellation from coming back.
func TestTombstone(t *testing.T) {
	b := newBox(t)
	start := time.Now().Add(50 * time.Hour)
	sendOK(t, b, siu("S15", start, ""))
	old := header("SIU^S12", "OLD", time.Now().Add(-time.Hour))
	sendOK(t, b, strings.Replace(siu("S12", start, ""), "SIU^S12", old, 1))
	if got := b.whats(); got != "" {
		t.Errorf("texts are %q", got)
	}
	if e := b.explain("OLD"); len(e) != 1 || !strings.Contains(e[0].Why, "older than what is known") {
		t.Errorf("explained as %+v", e)
	}
	sendOK(t, b, siu("S12", start, "")) // booked anew
	if got := b.whats(); got != "24h 2h" {
		t.Errorf("texts are %q after a new booking", got)
	}
}

// TestNightFlush brings what is known up to date, and sends no text about yesterday.
func TestNightFlush(t *testing.T) {
	b := newBox(t)
	start := time.Now().Add(90 * time.Hour)
	at := func(event string, ago time.Duration, start time.Time) string {
		b.next++
		return strings.Replace(siu(event, start, ""), "SIU^"+event, header("SIU^"+event, fmt.Sprint("N", b.next), time.Now().Add(-ago)), 1)
	}
	sendOK(t, b, at("S12", 50*time.Hour, start))
	sendOK(t, b, at("S13", 40*time.Hour, start.Add(time.Hour)))
	if got := b.whats(); got != "24h 2h" {
		t.Errorf("texts are %q", got)
	}
	sendOK(t, b, at("S15", 30*time.Hour, start))
	if got := b.whats(); got != "" {
		t.Errorf("texts are %q", got)
	}
}

// TestLateNumber schedules the reminders when the patient's number comes after the appointment.
func TestLateNumber(t *testing.T) {
	b := newBox(t)
	start := time.Now().Add(50 * time.Hour)
	sendOK(t, b, strings.Replace(siu("S12", start, ""), "6175551234^PRN^CP", "", 1))
	if got := b.whats(); got != "" {
		t.Fatalf("texts are %q", got)
	}
	sendOK(t, b, "ADT^A08\n"+jane)
	if got := b.whats(); got != "24h 2h" {
		t.Errorf("texts are %q, explained %+v", got, b.last())
	}
	sendOK(t, b, "ADT^A08\n"+jane)
	if got := b.whats(); got != "24h 2h" {
		t.Errorf("texts are %q after the same again", got)
	}
}

// TestPlaces prints the site's name of a place, its brand where it has none, and never the location or
// a word of the message.
func TestPlaces(t *testing.T) {
	b := newBox(t)
	b.policy(Policy{Places: map[string]string{"RIV/ONC3": "Elm Building", "DOEWARD": "Doe Center"}})
	start := time.Now().Add(time.Hour)
	for _, c := range []struct{ location, want string }{
		{"ONC3^12^A^RIV", "at Elm Building on"},
		{"DOEWARD", "at Riverside on"}, // the patient's name is in it
		{"ONCOLOGY", "at Riverside on"},
		{"", "at Riverside on"},
	} {
		b.next++
		sendOK(t, b, fmt.Sprintf("SIU^S12\nSCH||L%d|||||||||^^^%s\n%s\nAIL|1||%s", b.next, ts(start), jane, c.location))
		if got := b.handOver(); !strings.Contains(got, c.want) {
			t.Errorf("at %q the text is %q", c.location, got)
		}
	}
}

// TestVIP sends nothing on our own about somebody who is marked so, and what was asked for.
func TestVIP(t *testing.T) {
	b := newBox(t)
	start := time.Now().Add(50 * time.Hour)
	sendOK(t, b, siu("S12", start, ""))
	sendOK(t, b, "ADT^A08\n"+jane+"\nPV1|1|O||||||||||||||VIP")
	if got := b.whats(); got != "" {
		t.Errorf("texts are %q", got)
	}
	sendOK(t, b, siu("S13", start.Add(time.Hour), ""))
	if got := b.whats(); got != "" || !strings.Contains(b.last().Why, "VIP") {
		t.Errorf("texts are %q, why %q", got, b.last().Why)
	}
	sendOK(t, b, "ADT^A08\n"+jane+"\nZNT|1|OTP^login|R1")
	if got := b.whats(); got != "portal-login" {
		t.Errorf("texts are %q", got)
	}
}

// handOver plays the sender: it takes every text that is due, and gives the last one's words.
func (b *box) handOver() (words string) {
	b.T.Helper()
	for {
		var job outbox.Job
		var ok bool
		b.Do(func(tx *store.Tx) (err error) {
			job, ok, err = outbox.Next(tx, "m1", sources)
			return err
		})
		if !ok {
			return words
		}
		words = job.Rendered.Text
		b.Do(func(tx *store.Tx) error {
			return outbox.Settle(tx, job.Message.ID, job.Attempt, outbox.Result{Outcome: outbox.Sent, Parts: []outbox.Part{{Ref: 1, State: outbox.Sent}}})
		})
	}
}

// TestPilotClinic: in pilot mode the texts about what happens at a clinic that takes part go out, to anybody; others, and those of no place,
// do not. A code that is asked for with a visit there does too.
func TestPilotClinic(t *testing.T) {
	b := newBoxIn(t, Listener{Name: "adt", Mode: contact.Pilot})
	b.policy(Policy{Places: map[string]string{"ELM": "Elm Building", "OAK": "Oak Street"}, Releasable: []string{"*"}})
	b.site(func(s *contact.Site) { s.PilotPlaces = []string{"Elm Building"} })
	b.in.ground.Store(nil)
	visit := func(id, patient, place string) string { // within the last lead, so that a word of it goes at once
		return fmt.Sprintf("SIU^S12\nSCH||%s|||||||||^^^%s\n%s%s", id, ts(time.Now().Add(time.Hour)), strings.NewReplacer("4711", patient, "5551234", "555"+patient).Replace(jane), place)
	}
	for i, c := range []struct{ message, want string }{
		{visit("P1", "2301", "\nAIL|1||ELM"), "Riverside: "},
		{visit("P2", "2302", "\nAIL|1||OAK"), ""},
		{visit("P3", "2303", ""), ""},
		{strings.Replace(result, "\nORC", "\nPV1|1|O|OAK\nORC", 1), ""},
		{strings.Replace(resultOf(1), "\nORC", "\nPV1|1|O|ELM\nORC", 1), "Riverside: "},
		{"ADT^A08\n" + jane + "\nPV1|1|O|OAK\nZNT|1|OTP^login|R1", ""},
		{"ADT^A08\n" + strings.Replace(jane, "5551234", "5552299", 1) + "\nPV1|1|O|ELM\nZNT|1|OTP^login|R2", "Riverside: "},
	} {
		sendOK(t, b, c.message)
		if got := b.handOver(); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("message %d: %q went, want %q; %s", i, got, c.want, b.last().Why)
		}
	}
}
