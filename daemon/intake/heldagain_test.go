package intake

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/notice"
	"pinward/daemon/outbox"
	"pinward/store"
)

// pause holds or lets go, for the next message.
func (b *box) pause(kind, name string, on bool) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) error { return Pause(tx, kind, name, on) })
	b.in.ground.Store(nil)
}

// bob is what is said of Jane, of another patient.
var bob = strings.NewReplacer("4711", "4712", "6175551234", "6175559876")

// TestHeldIsOfTheSamePatient: an appointment that was given to another patient while its texts were held is told to that one alone.
func TestHeldIsOfTheSamePatient(t *testing.T) {
	b := newBox(t)
	start := time.Now().Add(50 * time.Hour)
	sendOK(t, b, siu("S12", start, ""))
	b.pause("rule", "siu.book", true)
	sendOK(t, b, siu("S13", start.Add(time.Hour), ""))
	sendOK(t, b, bob.Replace(siu("S14", start.Add(time.Hour), "")))
	if sent, dropped := b.release("siu.book"); sent != 2 || dropped != 3 {
		t.Errorf("released %d, dropped %d", sent, dropped)
	}
	for _, text := range b.texts() {
		if text.to != "+16175559876" {
			t.Errorf("%s %s goes to the patient who had the appointment", text.what, text.key)
		}
	}
	// A merge is no other patient.
	b = newBox(t)
	b.pause("peer", "adt", true)
	sendOK(t, b, siu("S12", start, ""))
	sendOK(t, b, bob.Replace("ADT^A04\n"+jane))
	sendOK(t, b, "ADT^A40\n"+bob.Replace(jane)+"\nMRG|4711^^^RIV^MR")
	if sent, dropped := b.release("siu.book"); sent != 2 || dropped != 0 {
		t.Errorf("after a merge: released %d, dropped %d", sent, dropped)
	}
}

// TestHeldIsOfTheSamePlace: a text that was held does not name a place where the appointment is not any more.
func TestHeldIsOfTheSamePlace(t *testing.T) {
	b := newBox(t)
	b.policy(Policy{Places: map[string]string{"ELM": "Elm Building", "OAK": "Oak Building"}})
	start := time.Now().Add(50 * time.Hour)
	b.pause("rule", "siu.book", true)
	sendOK(t, b, siu("S12", start, "")+"\nAIL|1|A|ELM")
	sendOK(t, b, siu("S14", start, "")+"\nAIL|1|A|OAK")
	if sent, dropped := b.release("siu.book"); sent != 3 || dropped != 2 { // word of the place, and two reminders
		t.Errorf("released %d, dropped %d", sent, dropped)
	}
	b.View(func(tx *store.Tx) error {
		page, _, err := outbox.List(tx, outbox.Filter{Limit: 10}, "")
		for _, m := range page {
			n, _, err := notice.Get(tx, m.Ref)
			if err != nil {
				return err
			}
			if n.Slots["site"] != "Oak Building" {
				t.Errorf("%s names %q", n.Template, n.Slots["site"])
			}
		}
		return err
	})
}

// TestHeldOfAVIP: who was marked while a text was held gets it as little as what waited in the outbox.
func TestHeldOfAVIP(t *testing.T) {
	b := newBox(t)
	b.policy(releasing)
	b.pause("rule", "oru.result", true)
	sendOK(t, b, result)
	sendOK(t, b, "ADT^A08\n"+jane+"\nPV1|1|O|X|||||||||||||VIP")
	if sent, dropped := b.release("oru.result"); sent != 0 || dropped != 1 || b.whats() != "" {
		t.Errorf("released %d, dropped %d: %q", sent, dropped, b.whats())
	}
}

// TestHeldOrderIsTakenBack: CA takes back a text that is held as one that waits; a release brings none.
func TestHeldOrderIsTakenBack(t *testing.T) {
	b := newBox(t)
	b.pause("peer", "adt", true)
	sendOK(t, b, orderer+"ORC|NW|REQ-1\nOBR|1|||result.ready\nORC|NW|REQ-2\nOBR|2|||result.ready")
	sendOK(t, b, orderer+"ORC|CA|REQ-2")
	if did := b.last().Did; did != "notice cancelled" {
		t.Errorf("did %q, why %q", did, b.last().Why)
	}
	if list := b.held(); len(list) != 1 || list[0].Count != 1 {
		t.Errorf("held %+v", list)
	}
	sendOK(t, b, orderer+"ORC|CA|REQ-2")
	if why := b.last().Why; !strings.Contains(why, "nothing of this id waits") {
		t.Errorf("cancelled twice: %s", why)
	}
	if sent, dropped := b.release("request"); sent != 1 || dropped != 0 {
		t.Errorf("released %d, dropped %d", sent, dropped)
	}
}

// TestTakenBackOrderLeavesTheBreaker: a sender that takes its order back does not let its feed go on; a person does.
func TestTakenBackOrderLeavesTheBreaker(t *testing.T) {
	b := newBox(t)
	b.policy(Policy{BreakerFloor: 1})
	sendOK(t, b, orderer+"ORC|NW|REQ-1\nOBR|1|||result.ready")
	sendOK(t, b, orderer+"ORC|NW|REQ-2\nOBR|2|||result.ready")
	sendOK(t, b, orderer+"ORC|CA|REQ-2")
	if list := b.held(); len(list) != 1 || list[0].Open.IsZero() || list[0].Count != 0 {
		t.Errorf("held %+v", list)
	}
	b.release("request")
	if list := b.held(); len(list) != 0 {
		t.Errorf("after the release %+v", list)
	}
}

// TestHeldOverMidnightIsOnce: what goes once in a day goes once however long it was held.
func TestHeldOverMidnightIsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		b.policy(releasing)
		time.Sleep(23 * time.Hour) // the clock of a bubble begins at midnight
		b.pause("rule", "oru.result", true)
		sendOK(t, b, result)
		time.Sleep(2 * time.Hour)
		sendOK(t, b, result)
		if sent, dropped := b.release("oru.result"); sent != 1 || dropped != 1 || b.whats() != "result.ready" {
			t.Errorf("released %d, dropped %d: %q", sent, dropped, b.whats())
		}
	})
}

// TestHeldRemindersAreOne: of the reminders whose time has come while they were held the last one goes.
func TestHeldRemindersAreOne(t *testing.T) {
	for wait, want := range map[time.Duration]string{20 * time.Hour: "24h 2h", 40 * time.Hour: "24h 2h", 49 * time.Hour: "2h"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBox(t)
			b.pause("rule", "siu.book", true)
			sendOK(t, b, siu("S12", time.Now().Add(50*time.Hour), ""))
			time.Sleep(wait)
			if b.release("siu.book"); b.whats() != want {
				t.Errorf("%s before: %q", 50*time.Hour-wait, b.whats())
			}
		})
	}
}

// TestBreakerOutsideOfTheHours: what a night brings waits for the rule's hours, and goes at once when they begin: it is counted.
func TestBreakerOutsideOfTheHours(t *testing.T) {
	b := newBox(t)
	now := time.Now().In(newYork())
	list := releasing.Rules()
	for i := range list {
		if list[i].Name == "oru.result" {
			list[i].Hours = Hours{From: now.Add(2 * time.Hour).Format("15:04"), To: now.Add(3 * time.Hour).Format("15:04")}
		}
	}
	p := releasing.WithRules(list)
	p.BreakerFloor = 3
	b.policy(p)
	for i := range 10 {
		sendOK(t, b, resultOf(i))
	}
	if held := b.held(); len(b.texts()) != 3 || len(held) != 1 || held[0].Count != 7 || held[0].Open.IsZero() {
		t.Errorf("%d texts wait for the hours, held %+v", len(b.texts()), held)
	}
}

// TestReasonsDoNotVary: how late each of a night's messages is makes no reasons of their own, which would leave no place for others.
func TestReasonsDoNotVary(t *testing.T) {
	var s PeerState
	for _, why := range []string{
		"notice: its time is over by 3h0m1s (or the message's clock or zone is wrong)", "notice: its time is over by 3h0m2s (or the message's clock or zone is wrong)",
		"result.ready refused: budget notice.number.asked is used up, retry after 23h1m0s", "result.ready refused: budget notice.number.asked is used up, retry after 22h59m0s",
	} {
		s.because(why, 1)
	}
	if len(s.Reasons) != 2 || s.Reasons["notice: its time is over (or the message's clock or zone is wrong)"] != 2 ||
		s.Reasons["result.ready refused: budget notice.number.asked is used up"] != 2 {
		t.Errorf("%v", s.Reasons)
	}
}
