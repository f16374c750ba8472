package alarm

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/store"
)

// An alarm leaves in the site's order and goes on while nobody acknowledges; ACK by text ends it.
func TestEscalatesUntilAcknowledgedByText(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		b.is(Critical, "modems")
		b.run(59 * time.Second)
		if len(b.open()) != 0 {
			t.Error("it is an alarm before it has stood for a minute")
		}
		b.run(time.Minute)
		first := "Riverside alarm 1 critical: modems: cause of modems. Reply ACK 1"
		b.wantTexts(night, first)
		b.wantTexts(second)
		b.run(10 * time.Minute)
		b.wantTexts(second, first)
		b.wantOut()
		b.run(10 * time.Minute)
		b.wantOut("it@hospital.example raised 1")
		b.run(5 * time.Minute)
		b.wantOut("it@hospital.example raised 1", "pager raised 1")
		b.run(time.Hour)
		b.wantTexts(night, first, first)
		if !b.reply(second, " ack 1.") {
			t.Error("the answer of who is on call is left to others")
		}
		b.out = nil
		b.run(3 * time.Hour)
		b.wantTexts(night, first, first)
		b.wantTexts(second, first, "Riverside alarm 1 acknowledged: modems")
		b.wantOut("it@hospital.example acknowledged 1", "pager acknowledged 1")
		if a := b.only(); a.SeenBy != "sms second" || a.Seen.IsZero() {
			t.Errorf("acknowledged by %q at %v", a.SeenBy, a.Seen)
		}
	})
}

// Whoever was told hears that it is over, and the record says who was told when by what.
func TestOverIsToldToWhoWasTold(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		b.is(Critical, "modems")
		b.run(2 * time.Minute)
		b.is(Critical)
		b.run(4 * time.Minute)
		if len(b.open()) != 1 {
			t.Error("it is over before it was well for five minutes")
		}
		b.run(3 * time.Minute)
		if len(b.open()) != 0 {
			t.Error("it is not over")
		}
		b.wantTexts(night, "Riverside alarm 1 critical: modems: cause of modems. Reply ACK 1", "Riverside alarm 1 is over: modems")
		b.wantTexts(second)
		b.do(func(tx *store.Tx) error {
			past, err := Past(tx, 10)
			if err != nil || len(past) != 1 || len(past[0].Told) != 2 {
				t.Fatalf("%v: %+v", err, past)
			}
			for i, want := range []Event{Raised, Cleared} {
				if got := past[0].Told[i]; got.Event != want || got.By != SMS || got.To != "night" || got.State != Sent || got.At.IsZero() {
					t.Errorf("told %+v", got)
				}
			}
			return nil
		})
	})
}

// One root cause is one alarm: what is below it is neither told nor ended while the cause above stands.
func TestChildrenArePartOfTheirCause(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		p := ladder()
		p.WarnFrom, p.WarnTo, p.WarnHoldMinutes = "", "", 1
		b.do(func(tx *store.Tx) error { return SetPolicy(tx, p) })
		b.is(Warning, "modems/m1")
		b.run(2 * time.Minute)
		b.is(Critical, "modems") // health lists no child of a cause
		b.run(30 * time.Minute)
		if all := b.open(); len(all) != 2 || all[0].Path != "modems" {
			t.Fatalf("open are %+v", all)
		}
		if n := len(b.texts[second]); n != 1 {
			t.Errorf("second got %d texts: the modem's own alarm went on", n)
		}
		b.is(Warning, "modems/m1")
		b.run(10 * time.Minute)
		if a := b.only(); a.ID != 1 {
			t.Errorf("the modem has a new alarm: %+v", a)
		}
	})
}

// What comes and goes is one alarm, and once it has come back it has to be well for longer.
func TestFlappingIsHeld(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		for range 10 { // four minutes well, two not
			b.is(Critical, "modems")
			b.run(2 * time.Minute)
			b.is(Critical)
			b.run(4 * time.Minute)
		}
		if a := b.only(); a.ID != 1 {
			t.Errorf("alarm %d is open", a.ID)
		}
		b.run(2 * time.Minute)
		if len(b.open()) != 0 {
			t.Fatal("it is not over")
		}
		b.is(Critical, "modems")
		b.run(2 * time.Minute)
		if a := b.only(); a.Returns != 1 {
			t.Errorf("it returned %d times", a.Returns)
		}
		if n := len(b.texts[night]); !strings.HasSuffix(b.texts[night][n-1], "(it comes and goes). Reply ACK 2") {
			t.Errorf("the text is %q", b.texts[night][n-1])
		}
		b.is(Critical)
		b.run(29 * time.Minute)
		b.only()
		b.run(2 * time.Minute)
		if len(b.open()) != 0 {
			t.Error("it is not over after half an hour")
		}
	})
}

// When no modem can send, mail and webhook go at once.
func TestNoModemMailGoesAtOnce(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		b.modem = false
		b.is(Critical, "modems")
		b.run(70 * time.Second)
		b.wantOut("it@hospital.example raised 1")
		told := b.only().Told
		if len(told) != 3 || told[0].State != Failed || told[0].Cause != "no modem can send" || told[2].State != Sent {
			t.Errorf("told %+v", told)
		}
	})
}

// A modem that takes the text and does not send it holds the alarm up for a minute at most.
func TestTextThatNobodyTakesGoesOn(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		b.is(Critical, "store")
		b.run(55 * time.Second)
		b.do(pauseCodes) // by the operator
		b.run(90 * time.Second)
		b.wantTexts(night)
		b.run(60 * time.Second)
		b.wantOut("it@hospital.example raised 1")
	})
}

// An outlet that is down is tried again, and meanwhile the next step goes at once.
func TestOutletThatIsDown(t *testing.T) {
	p := ladder()
	p.Steps = p.Steps[2:]
	inBox(t, p, func(b *box) {
		b.down["it@hospital.example"] = true
		b.is(Critical, "store")
		b.run(75 * time.Second)
		b.wantOut("pager raised 1")
		b.run(30 * time.Second)
		b.down = map[string]bool{}
		b.run(5 * time.Minute)
		b.wantOut("pager raised 1", "it@hospital.example raised 1")
		tries := slices.Sorted(maps.Values(b.ids))
		if len(tries) != 2 || tries[0] != 1 || tries[1] < 3 { // each try of a delivery has its id
			t.Errorf("deliveries by id were tried %v times", tries)
		}
	})
}

// A site that tells many at once, in many words, is told and recorded all the same.
func TestManyAreTold(t *testing.T) {
	p := ladder()
	p.Steps = nil
	for i := range 4 {
		s := Step{By: Mail}
		for j := range 20 {
			s.To = append(s.To, fmt.Sprintf("it-%d-%d@hospital.example", i, j))
		}
		p.Steps = append(p.Steps, s)
	}
	inBox(t, p, func(b *box) {
		b.is(Critical, "store")
		b.found[0].Cause = strings.Repeat("many words ", 1000)
		b.run(2 * time.Minute)
		if len(b.out) != 80 {
			t.Errorf("%d are told", len(b.out))
		}
		if a := b.only(); len(a.Cause) != maxCause {
			t.Errorf("the cause has %d bytes", len(a.Cause))
		}
	})
}

// If nothing takes an alarm, that is found as a cause of its own.
func TestNobodyCouldBeTold(t *testing.T) {
	p := ladder()
	p.Steps = p.Steps[2:]
	inBox(t, p, func(b *box) {
		b.down["it@hospital.example"], b.down["pager"] = true, true
		b.is(Critical, "store")
		b.run(3 * time.Minute)
		b.do(func(tx *store.Tx) error {
			words, err := Trouble(tx)
			if words != "nobody could be told of alarm 1" {
				t.Errorf("the trouble is %q", words)
			}
			return err
		})
	})
}

// Warnings wait for the morning; what becomes a failure does not.
func TestWarningsWaitForTheirHours(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		b.is(Warning, "modems/m1")
		b.run(30 * time.Minute)
		b.only()
		b.wantTexts(night)
		b.is(Critical, "modems/m1")
		b.run(time.Minute)
		b.wantTexts(night, "Riverside alarm 1 critical: modems/m1: cause of modems/m1. Reply ACK 1")
	})
	inBox(t, ladder(), func(b *box) {
		b.is(Warning, "modems/m1")
		b.run(8*time.Hour + 20*time.Minute) // until 06:50
		b.wantTexts(night)
		b.run(15 * time.Minute)
		b.wantTexts(night, "Riverside alarm 1 warning: modems/m1: cause of modems/m1. Reply ACK 1")
	})
}

// The site's severities overrule those of health; what is ignored raises nothing.
func TestSeverities(t *testing.T) {
	p := ladder()
	p.Severities = []Rule{{Path: "modems", Severity: Ignore}, {Path: "modems/m1", Severity: Critical}}
	inBox(t, p, func(b *box) {
		b.is(Warning, "modems/m2", "modems/m1/self-test")
		b.run(2 * time.Minute)
		if a := b.only(); a.Path != "modems/m1/self-test" || a.Severity != Critical {
			t.Errorf("the alarm is %+v", a)
		}
	})
}

// Who is on call is a matter of the hour, also over midnight.
func TestOnCallByHours(t *testing.T) {
	p := ladder()
	p.OnCall = []Duty{
		{Name: "it", Phone: phone(night), Days: []string{"mon"}, From: "18:00", To: "08:00"},
		{Name: "it", Phone: phone(second), From: "08:00", To: "18:00"},
	}
	p.Steps = []Step{{By: SMS, To: []string{"it"}, WaitMinutes: 5}}
	p.RepeatMinutes = 12 * 60
	inBox(t, p, func(b *box) {
		b.run(8 * time.Hour) // 06:30 on Tuesday: still Monday's duty
		b.is(Critical, "store")
		b.run(3 * time.Minute)
		if len(b.texts[night]) != 1 || len(b.texts[second]) != 0 {
			t.Errorf("texts %v", b.texts)
		}
		b.run(12 * time.Hour) // 18:33 on Tuesday: nobody
		told := b.only().Told
		if last := told[len(told)-1]; last.State != Failed || last.Cause != "nobody is on call under this name now" {
			t.Errorf("told %+v", last)
		}
	})
}

// One that was acknowledged and still stands is told again a day later.
func TestReminder(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		b.is(Critical, "store")
		b.run(2 * time.Minute)
		b.do(func(tx *store.Tx) error { _, err := Acknowledge(tx, 1, "user", "it"); return err })
		b.run(23 * time.Hour)
		if n := len(b.texts[night]); n != 1 {
			t.Fatalf("%d texts", n)
		}
		b.run(2 * time.Hour)
		if got := b.texts[night]; len(got) != 2 || got[1] != "Riverside alarm 1 still stands: store: cause of store." {
			t.Errorf("texts %q %+v", got, b.only())
		}
	})
}

// A silence, and maintenance, keep alarms in: they are raised, and told when it ends if they still stand.
func TestSilenceAndMaintenance(t *testing.T) {
	for _, how := range []string{"silence", "maintenance"} {
		inBox(t, ladder(), func(b *box) {
			if b.maintenance = how == "maintenance"; !b.maintenance {
				b.do(func(tx *store.Tx) error {
					return SetSilence(tx, Silence{Path: "modems", Until: tx.Now().Add(time.Hour), Reason: "antenna"})
				})
			}
			b.is(Critical, "modems/m1", "modemsx")
			b.run(59 * time.Minute)
			if len(b.open()) != 2 {
				t.Errorf("%s: %d alarms are raised", how, len(b.open()))
			}
			for _, text := range b.texts[night] {
				if how == "maintenance" || strings.Contains(text, "m1") {
					t.Errorf("%s: told %q", how, text)
				}
			}
			b.maintenance = false
			b.run(3 * time.Minute)
			told := strings.Join(b.texts[night], "\n")
			if !strings.Contains(told, "modems/m1") {
				t.Errorf("%s: afterwards nobody was told: %q", how, told)
			}
		})
	}
}

// A text holds one part of the plainest alphabet, with the answer at its end, whatever the cause says.
func TestTextIsOnePart(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		b.is(Critical, "store")
		b.found[0].Cause = strings.Repeat("it says … [this] {that}, ", 20)
		b.run(2 * time.Minute)
		text := b.texts[night][0]
		if len(text) != 160 || !strings.HasSuffix(text, "... Reply ACK 1") || strings.ContainsAny(text, "[]{}…") {
			t.Errorf("%d characters: %q", len(text), text)
		}
	})
}

// An alarm that became severe after it was acknowledged begins anew.
func TestWorseBeginsAnew(t *testing.T) {
	p := ladder()
	p.WarnFrom, p.WarnTo = "", ""
	inBox(t, p, func(b *box) {
		b.is(Warning, "store")
		b.run(16 * time.Minute)
		b.do(func(tx *store.Tx) error { _, err := Acknowledge(tx, 1, "user", "it"); return err })
		b.is(Critical, "store")
		b.run(time.Minute)
		if a := b.only(); !a.Seen.IsZero() || len(b.texts[night]) != 2 {
			t.Errorf("%+v, %d texts", a, len(b.texts[night]))
		}
	})
}
