package intake

import (
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// TestExplainHeld: what is explained of a message whose texts were held says what became of them, whichever way
// they went, and a repeat of the message gets the answer that it had.
func TestExplainHeld(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(b *box)
		want string
	}{
		"waits":    {func(*box) {}, ""},
		"released": {func(b *box) { b.release("oru.result") }, "result.ready released ("},
		"dropped": {func(b *box) {
			b.Do(func(tx *store.Tx) error { _, _, err := Drop(tx, "oru.result"); return err })
		}, "result.ready dropped: a person dropped it ("},
		"pointless": {func(b *box) {
			sendOK(t, b, "ADT^A08\n"+jane+"\nPV1|1|I||||||||||||||VIP")
			b.release("oru.result")
		}, "result.ready dropped: the patient is marked as VIP ("},
		"refused": {func(b *box) {
			b.Do(func(tx *store.Tx) error {
				_, err := contact.MarkDead(tx, contact.SubjectID{Authority: "RIV", MRN: "4711"}, time.Now(), true)
				return err
			})
			b.release("oru.result")
		}, "result.ready refused: "},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			b.policy(releasing)
			b.pause("rule", "oru.result", true)
			m := strings.Replace(b.message(result), "C0001", "HELD", 1)
			answer := b.raw(m)
			c.do(b)
			e := b.explain("HELD")
			if len(e) != 1 || !strings.Contains(e[0].Why, "held") || !strings.HasPrefix(e[0].Later, c.want) || (c.want == "") != (e[0].Later == "") {
				t.Errorf("explained %+v", e)
			}
			if b.raw(m) != answer {
				t.Error("a repeat has another answer")
			}
		})
	}
	b := newBox(t)
	b.pause("rule", "siu.book", true)
	sendOK(t, b, siu("S12", time.Now().Add(90*time.Hour), ""))
	b.release("siu.book")
	if got := b.last().Later; strings.Count(got, "appointment.reminder released") != 2 {
		t.Errorf("of two reminders: %q", got)
	}
}
