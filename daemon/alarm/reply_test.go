package alarm

import (
	"testing"
	"time"

	"pinward/daemon/outbox"
	"pinward/store"
)

func pauseCodes(tx *store.Tx) error { return outbox.Pause(tx, outbox.OTP) }

// Only who is on call acknowledges, and only by what is meant as that; each gets an answer.
func TestReplies(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		b.is(Critical, "store", "modems")
		b.run(2 * time.Minute)
		b.texts = map[string][]string{}
		for _, other := range []string{"STOP", "YES", "12", "back at 12", "ack back soon", "", "acknowledge the sender"} {
			if b.reply(night, other) {
				t.Errorf("%q is taken as an answer", other)
			}
		}
		if b.reply("+16175551299", "ACK 1") {
			t.Error("a stranger acknowledges")
		}
		for _, wrong := range []string{"ACK", "ACK 77"} {
			if !b.reply(night, wrong) {
				t.Errorf("%q is left to others", wrong)
			}
		}
		b.run(5 * time.Second)
		b.wantTexts(night, "Riverside say which: reply ACK and one of 1, 2.", "Riverside say which: reply ACK and one of 1, 2.")
		if !b.reply(night, "Ack2") || !b.reply(night, "ACK") {
			t.Error("not taken")
		}
		b.run(5 * time.Second)
		for _, a := range b.open() {
			if a.SeenBy != "sms night" {
				t.Errorf("alarm %d is acknowledged by %q", a.ID, a.SeenBy)
			}
		}
		if !b.reply(night, "ACK 1") {
			t.Error("a second time")
		}
		refused := 0
		for _, e := range b.entries(ActionSeen) {
			if e.Outcome == store.Refused {
				refused++
			}
		}
		if refused != 3 { // ACK, ACK 77 and the second ACK 1
			t.Errorf("%d refusals are in the log", refused)
		}
		b.is(Critical)
		b.run(10 * time.Minute)
		b.texts = map[string][]string{}
		b.reply(night, "ack 1")
		b.run(5 * time.Second)
		b.wantTexts(night, "Riverside alarm 1 is over: "+"store")
	})
}

// A text on its way is taken back when somebody acknowledges first.
func TestAcknowledgedBeforeItLeft(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		b.is(Critical, "store")
		b.run(55 * time.Second)
		b.do(pauseCodes)
		b.run(20 * time.Second)
		b.do(func(tx *store.Tx) error { _, err := Acknowledge(tx, 1, "user", "it"); return err })
		b.do(func(tx *store.Tx) error { return outbox.Resume(tx, outbox.OTP) })
		b.run(time.Hour)
		b.wantTexts(night)
		b.wantOut()
	})
}
