package intake

import (
	"strings"
	"testing"
	"time"

	"pinward/daemon/consent"
	"pinward/store"
)

// verifying is a box with a rule that starts a code for who is registered.
func verifying(t *testing.T, change func(*Rule)) *box {
	t.Helper()
	b := newBox(t)
	r := Rule{Name: "desk.verify", Type: "ADT", Events: []string{"A04"}, Do: []Effect{UpdateContact, StartVerify}, Verify: "patient-signup"}
	if change != nil {
		change(&r)
	}
	b.policy(Policy{}.WithRules(append([]Rule{r}, Shipped()...)))
	return b
}

// TestVerifyRuleMaxAge: a code by rule comes for an event of two minutes at most, or what the rule says.
func TestVerifyRuleMaxAge(t *testing.T) {
	for _, c := range []struct {
		max, age time.Duration
		want     string
	}{{0, time.Minute, "patient-signup"}, {0, 3 * time.Minute, ""}, {30 * time.Second, time.Minute, ""}, {10 * time.Minute, 3 * time.Minute, "patient-signup"}} {
		b := verifying(t, func(r *Rule) { r.MaxAge = Span(c.max) })
		sendOK(t, b, header("ADT^A04", "M1", time.Now().Add(-c.age))+"\n"+jane)
		if got := b.whats(); got != c.want || c.want == "" && !strings.Contains(b.explain("M1")[0].Why, "older than") {
			t.Errorf("max_age %s, %s old: %q, %s", c.max, c.age, got, b.explain("M1")[0].Why)
		}
	}
}

// TestVerifyRulePaused: a code cannot be held; it does not go.
func TestVerifyRulePaused(t *testing.T) {
	for _, c := range [][2]string{{"rule", "desk.verify"}, {"peer", "adt"}} {
		b := verifying(t, nil)
		b.pause(c[0], c[1], true)
		sendOK(t, b, "ADT^A04\n"+jane)
		if b.whats() != "" || !strings.Contains(b.last().Why, c[0]+" is paused") {
			t.Errorf("%v: %q, %s", c, b.whats(), b.last().Why)
		}
	}
}

// TestVerifyRuleHours: a code by rule goes in the hours of its rule, and outside of them not later.
func TestVerifyRuleHours(t *testing.T) {
	for from, want := range map[time.Duration]string{-time.Hour: "patient-signup", 2 * time.Hour: ""} {
		begin := time.Now().In(newYork()).Add(from)
		b := verifying(t, func(r *Rule) {
			r.Hours = Hours{From: begin.Format("15:04"), To: begin.Add(2 * time.Hour).Format("15:04")}
		})
		sendOK(t, b, "ADT^A04\n"+jane)
		if b.whats() != want || want == "" && !strings.Contains(b.last().Why, "hours") {
			t.Errorf("hours begin in %s: %q, %s", from, b.whats(), b.last().Why)
		}
	}
}

// TestRequestOfAPausedPeer: a code that a paused peer asks for does not go either.
func TestRequestOfAPausedPeer(t *testing.T) {
	b := newBox(t)
	b.pause("peer", "adt", true)
	sendOK(t, b, "ADT^A08\n"+jane+"\nZNT|1|OTP^patient-signup|R1")
	if b.whats() != "" || !strings.Contains(b.last().Why, "peer is paused") {
		t.Errorf("%q, %s", b.whats(), b.last().Why)
	}
	b.pause("peer", "adt", false)
	sendOK(t, b, "ADT^A08\n"+jane+"\nZNT|1|OTP^patient-signup|R1")
	if b.whats() != "patient-signup" {
		t.Errorf("asked again after the pause: %q, %s", b.whats(), b.last().Why)
	}
}

// TestVerifyRuleOfARestartedControlID: control ids restart; another patient's message under an old one starts their code.
func TestVerifyRuleOfARestartedControlID(t *testing.T) {
	b := verifying(t, nil)
	first := header("ADT^A04", "1", time.Now()) + "\n" + jane
	sendOK(t, b, first)
	sendOK(t, b, first)
	sendOK(t, b, header("ADT^A04", "1", time.Now())+"\n"+bob.Replace(jane))
	if got := b.texts(); len(got) != 2 || got[0].to == got[1].to {
		t.Errorf("%d codes; %+v", len(got), b.explain("1"))
	}
}

// TestVerifyRuleIsAskedForByNobody: a code that a person asks for goes to one who wants no texts; one that a rule thinks of does not.
func TestVerifyRuleIsAskedForByNobody(t *testing.T) {
	stopped := verifying(t, nil)
	stopped.Do(func(tx *store.Tx) error {
		_, err := consent.Incoming(tx, consent.In{From: stopped.phone("+16175551234"), Body: "STOP", SIM: "8901", At: tx.Now()})
		return err
	})
	protected := verifying(t, nil)
	for name, b := range map[string]*box{"after STOP": stopped, "PD1-12 is Y": protected} {
		message := jane
		if b == protected {
			message += "\nPD1||||||||||||Y"
		}
		sendOK(t, b, "ADT^A04\n"+message)
		if strings.Contains(b.whats(), "patient-signup") || b.last().Why == "" {
			t.Errorf("%s: %q, %s", name, b.whats(), b.last().Why)
		}
		sendOK(t, b, "ADT^A08\n"+message+"\nZNT|1|OTP^patient-signup|R1")
		if !strings.Contains(b.whats(), "patient-signup") {
			t.Errorf("%s, asked for: %q, %s", name, b.whats(), b.last().Why)
		}
	}
}

// TestVerifyRuleBreaker: a rule that would start far more codes than its usual starts no more until a person has looked.
func TestVerifyRuleBreaker(t *testing.T) {
	b := verifying(t, func(r *Rule) { r.Max = 2 })
	another := func(n string) string {
		return strings.NewReplacer("4711", "V"+n, "6175551234", "617555234"+n).Replace("ADT^A04\n" + jane)
	}
	for _, n := range []string{"1", "2", "3", "4"} {
		sendOK(t, b, another(n))
	}
	if got := b.whats(); got != "patient-signup patient-signup" || !strings.Contains(b.last().Why, "breaker is open") {
		t.Errorf("%q, %s", got, b.last().Why)
	}
	if list := b.held(); len(list) != 1 || list[0].Rule != "desk.verify" || list[0].Count != 0 || list[0].Open.IsZero() {
		t.Errorf("held %+v", list)
	}
	b.release("desk.verify")
	sendOK(t, b, another("5"))
	if got := len(b.texts()); got != 3 || len(b.held()) != 0 {
		t.Errorf("after the release %d codes, %+v; %s", got, b.held(), b.last().Why)
	}
}

// TestVerifyRuleBreakerAfterANight: messages that are too old for a code open no breaker; the next that is not has its code.
func TestVerifyRuleBreakerAfterANight(t *testing.T) {
	b := verifying(t, func(r *Rule) { r.Max = 2 })
	another := func(n string, age time.Duration) string {
		return strings.NewReplacer("4711", "V"+n, "6175551234", "617555234"+n).Replace(header("ADT^A04", "M"+n, time.Now().Add(-age)) + "\n" + jane)
	}
	for _, n := range []string{"1", "2", "3", "4"} {
		sendOK(t, b, another(n, time.Hour))
	}
	sendOK(t, b, another("5", 0))
	if b.whats() != "patient-signup" || len(b.held()) != 0 {
		t.Errorf("%q, %s, held %+v", b.whats(), b.explain("M5")[0].Why, b.held())
	}
}
