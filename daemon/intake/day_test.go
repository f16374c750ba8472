package intake

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/outbox"
	"pinward/store"
)

// visitOf is an event about one of several appointments of the same patient.
func visitOf(name, event string, start time.Time) string {
	return strings.ReplaceAll(siu(event, start, ""), "A77", name)
}

// clock is an hour of a day some days from now, by the site's clock.
func clock(days, hour int) time.Time {
	zone := newYork()
	y, m, d := time.Now().In(zone).AddDate(0, 0, days).Date()
	return time.Date(y, m, d, hour, 0, 0, 0, zone)
}

func newYork() *time.Location {
	zone, _ := time.LoadLocation("America/New_York")
	return zone
}

// plan lists what waits as "template@hour/key".
func (b *box) plan() string {
	b.T.Helper()
	zone := newYork()
	var list []string
	b.View(func(tx *store.Tx) error {
		page, _, err := outbox.List(tx, outbox.Filter{Limit: 1000}, "")
		if err != nil {
			return err
		}
		for _, m := range page {
			if m.State != outbox.Queued {
				continue
			}
			n, _, err := notice.Get(tx, m.Ref)
			if err != nil {
				return err
			}
			at, _ := time.Parse(time.RFC3339, n.Slots["start"])
			key, _, _ := strings.Cut(n.Key, "@")
			list = append(list, strings.TrimPrefix(n.Template, "appointment.")+"@"+at.In(zone).Format("15")+"/"+key)
		}
		return nil
	})
	slices.Sort(list)
	return strings.Join(list, " ")
}

// TestOneTextADay: one patient's appointments of a day make one text at each lead, in whichever order
// they come, move and end.
func TestOneTextADay(t *testing.T) {
	b := newBox(t)
	steps := []struct {
		what, send, want string
	}{
		{"one", visitOf("B", "S12", clock(3, 11)), "reminder@11/24h reminder@11/2h"},
		{"a later one", visitOf("C", "S12", clock(3, 15)), "reminder.day@11/24h reminder.day@11/2h"},
		{"an earlier one", visitOf("A", "S12", clock(3, 9)), "reminder.day@09/24h reminder.day@09/2h"},
		{"the same again, later", visitOf("A", "S14", clock(3, 9)), "reminder.day@09/24h reminder.day@09/2h"},
		{"another day", visitOf("D", "S12", clock(4, 9)), "reminder.day@09/24h reminder.day@09/2h reminder@09/24h reminder@09/2h"},
		{"that is called off", visitOf("D", "S17", clock(4, 9)), "reminder.day@09/24h reminder.day@09/2h"},
		{"the first is deleted", visitOf("A", "S17", clock(3, 9)), "reminder.day@11/24h reminder.day@11/2h"},
		{"the second is deleted", visitOf("B", "S17", clock(3, 11)), "reminder@15/24h reminder@15/2h"},
		{"the first comes back", visitOf("A", "S12", clock(3, 9)), "reminder.day@09/24h reminder.day@09/2h"},
	}
	for _, s := range steps {
		sendOK(t, b, s.send)
		if got := b.plan(); got != s.want {
			t.Fatalf("%s: waiting are %q, want %q; did %q, why %q", s.what, got, s.want, b.last().Did, b.last().Why)
		}
	}
	b.Do(func(tx *store.Tx) error {
		a, _, err := contact.FindAppointment(tx, contact.AppointmentID{Authority: "EPIC", Number: "A"})
		if err != nil {
			return err
		}
		n, err := notice.FindKey(tx, a.Key, "24h")
		if err != nil {
			return err
		}
		if due := a.Start.Add(-24 * time.Hour); !n.At.Equal(due) || !n.Expires.Equal(a.Start.Add(-2*time.Hour)) { // when the next goes
			t.Errorf("the day's text goes at %s and is of use until %s", n.At, n.Expires)
		}
		return nil
	})
}

// TestDayMoves: what moves away leaves the rest of its day reminded, and what moves in is in its text.
func TestDayMoves(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, visitOf("A", "S12", clock(3, 9)))
	sendOK(t, b, visitOf("B", "S12", clock(3, 11)))
	sendOK(t, b, visitOf("C", "S12", clock(5, 14)))
	sendOK(t, b, visitOf("A", "S13", clock(5, 10)))
	want := "moved@10/moved reminder.day@10/24h reminder.day@10/2h reminder@11/24h reminder@11/2h"
	if got := b.plan(); got != want {
		t.Fatalf("waiting are %q, want %q", got, want)
	}
	// The second one follows before the first word went: one word tells of both.
	sendOK(t, b, visitOf("B", "S13", clock(5, 12)))
	want = "moved.day@10/moved reminder.day@10/24h reminder.day@10/2h"
	if got := b.plan(); got != want {
		t.Errorf("waiting are %q, want %q", got, want)
	}
}

// TestDayIsCancelled: the end of a whole day is one text, and the end of a part of it names the time.
func TestDayIsCancelled(t *testing.T) {
	b := newBox(t)
	for name, hour := range map[string]int{"A": 9, "B": 11, "C": 15} {
		sendOK(t, b, visitOf(name, "S12", clock(3, hour)))
	}
	sendOK(t, b, visitOf("A", "S15", clock(3, 9)))
	sendOK(t, b, visitOf("B", "S15", clock(3, 11)))
	want := "cancelled@09/cancelled cancelled@11/cancelled reminder@15/24h reminder@15/2h"
	if got := b.plan(); got != want {
		t.Fatalf("waiting are %q, want %q", got, want)
	}
	sendOK(t, b, visitOf("C", "S15", clock(3, 15)))
	if got, want := b.plan(), "cancelled.day@09/cancelled"; got != want {
		t.Errorf("waiting are %q, want %q", got, want)
	}
	text := b.handOver()
	if !strings.Contains(text, "Your visits on ") || strings.Contains(text, " AM") {
		t.Errorf("the text is %q", text)
	}
}

// TestDayAtOnce: appointments that are booked within the last lead come one after the other, and one
// text tells of those that came before it went.
func TestDayAtOnce(t *testing.T) {
	b := newBox(t)
	soon := time.Now().Add(30 * time.Minute).Truncate(time.Minute)
	if d := dayOf(soon, newYork()); !d.same(soon.Add(20 * time.Minute)) {
		soon = soon.Add(20 * time.Minute) // not over midnight
	}
	sendOK(t, b, visitOf("A", "S12", soon.Add(10*time.Minute)))
	sendOK(t, b, visitOf("B", "S12", soon))
	sendOK(t, b, visitOf("C", "S12", soon.Add(5*time.Minute)))
	if got := b.plan(); strings.Count(got, " ") != 0 || !strings.HasPrefix(got, "reminder.day@") || !strings.HasSuffix(got, "/now") {
		t.Fatalf("waiting are %q", got)
	}
	b.handOver()
	sendOK(t, b, visitOf("D", "S12", soon.Add(7*time.Minute)))
	if got := b.plan(); strings.Count(got, " ") != 0 || !strings.HasPrefix(got, "reminder@") {
		t.Errorf("after the text went, for another one waiting are %q", got)
	}
}

// TestDayOfAnother: an appointment that is given to another patient is in nobody's text but theirs.
func TestDayOfAnother(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, visitOf("A", "S12", clock(3, 9)))
	sendOK(t, b, visitOf("B", "S12", clock(3, 11)))
	other := strings.NewReplacer("4711", "4712", "6175551234", "6175554321")
	sendOK(t, b, other.Replace(visitOf("A", "S14", clock(3, 9))))
	for _, q := range b.texts() {
		want := "+16175554321"
		if q.due.Equal(clock(3, 9)) || q.due.Equal(clock(3, 11).Add(-24*time.Hour)) {
			want = "+16175551234"
		}
		if q.to != want || q.what != "appointment.reminder" {
			t.Errorf("%s (%s) due at %s goes to another", q.what, q.key, q.due)
		}
	}
	if got := b.plan(); got != "reminder@09/24h reminder@09/2h reminder@11/24h reminder@11/2h" {
		t.Errorf("waiting are %q", got)
	}
}

// TestDayHeld: reminders that were held for a person are one text a day when they are let go.
func TestDayHeld(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error { return Pause(tx, "rule", "siu.book", true) })
	b.in.ground.Store(nil)
	sendOK(t, b, visitOf("B", "S12", clock(3, 11)))
	sendOK(t, b, visitOf("A", "S12", clock(3, 9)))
	if held := b.held(); len(held) != 1 || held[0].Count != 4 {
		t.Fatalf("held %+v", held)
	}
	if sent, dropped := b.release("siu.book"); sent != 2 || dropped != 2 {
		t.Errorf("released %d, dropped %d", sent, dropped)
	}
	if got, want := b.plan(), "reminder.day@09/24h reminder.day@09/2h"; got != want {
		t.Errorf("waiting are %q, want %q", got, want)
	}
}
