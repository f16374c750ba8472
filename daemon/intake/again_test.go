package intake

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/hl7"
)

// TestRefusedByWhatWasSetIsTakenLater: what was refused did nothing. Once somebody has mended what was set, the engine's next try, which
// is the same message byte by byte, is taken; and its repeat gets that answer. What is wrong in itself stays so.
func TestRefusedByWhatWasSetIsTakenLater(t *testing.T) {
	b := newBox(t)
	b.policy(Policy{Peers: map[string]PeerPolicy{"adt": {Types: []string{"SIU"}}}})
	m := b.message("ADT^A04\n" + jane)
	first := b.raw(m)
	if b.parse([]byte(first)).code != hl7.AR || b.raw(m) != first {
		t.Fatalf("answered %q, then %q", first, b.raw(m))
	}
	b.policy(Policy{})
	second := b.raw(m)
	if b.parse([]byte(second)).code != hl7.AA || len(b.numbers("4711")) != 1 {
		t.Errorf("answered %q, explained %+v", second, b.last())
	}
	if again := b.raw(m); again != second || b.count(contact.ActionSubjectCreate) != 1 {
		t.Errorf("answered %q, then %q", second, again)
	}
	if e := b.explain("C0001"); len(e) != 1 || e[0].Ack != "AA" {
		t.Errorf("explained %+v", e)
	}
	b.policy(Policy{Peers: map[string]PeerPolicy{"adt": {Types: []string{"SIU"}}}})
	if got := b.raw(m); got != second {
		t.Errorf("what was taken is answered with %q", got)
	}
}

// TestALaboratoryRevivesNobody: a death counts whoever tells of it, but only who registers patients takes it back. A laboratory that
// says PID-30 = N of everybody sends no text to the dead.
func TestALaboratoryRevivesNobody(t *testing.T) {
	flag := strings.Repeat("|", 17)
	for name, message := range map[string]string{
		"a result":       strings.Replace(result, jane, jane+flag+"N", 1),
		"an appointment": strings.Replace(siu("S12", time.Now().Add(50*time.Hour), ""), jane, jane+flag+"N", 1),
		"an order":       "OMG^O19\n" + jane + flag + "N\nORC|NW|R1\nOBR|1|||login",
	} {
		b := newBox(t)
		b.policy(releasing)
		sendOK(t, b, "ADT^A08\n"+jane+flag+"Y")
		sendOK(t, b, message)
		if s, _ := b.subject("4711"); s.Dead == nil || b.whats() != "" {
			t.Errorf("%s: dead since %v, texts are %q", name, s.Dead, b.whats())
		}
		sendOK(t, b, "ADT^A08\n"+jane+flag+"N")
		if s, _ := b.subject("4711"); s.Dead != nil {
			t.Errorf("%s: the registration could not take it back", name)
		}
	}
}

// onceIn is a box that tells a patient of results once in a span.
func onceIn(t *testing.T, span time.Duration) *box {
	t.Helper()
	b := newBox(t)
	list := releasing.Rules()
	for i := range list {
		if list[i].Name == "oru.result" {
			list[i].Notice.Once = Span(span)
		}
	}
	b.policy(releasing.WithRules(list))
	return b
}

// TestOnceInLessThanADay: the span of a rule is its own, within a day as well.
func TestOnceInLessThanADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := onceIn(t, 4*time.Hour)
		for i, want := range []int{1, 1, 2, 2, 3} { // two hours apart
			sendOK(t, b, result)
			if got := b.count(notice.ActionSend); got != want {
				t.Errorf("result %d: %d texts, want %d; %s", i, got, want, b.last().Why)
			}
			time.Sleep(2 * time.Hour)
		}
	})
}

// TestADayOfManyTextsHoldsNoneOfTheNext: how many texts of a rule one day has says nothing of the day after.
func TestADayOfManyTextsHoldsNoneOfTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := onceIn(t, 30*time.Minute)
		for range 26 {
			sendOK(t, b, result)
			time.Sleep(30 * time.Minute)
		}
		if got := b.count(notice.ActionSend); got != maxTurns {
			t.Errorf("%d texts in a day, want %d", got, maxTurns)
		}
		time.Sleep(12 * time.Hour) // past midnight
		sendOK(t, b, result)
		if got := b.count(notice.ActionSend); got != maxTurns+1 {
			t.Errorf("%d texts, want one more; %s", got, b.last().Why)
		}
	})
}
