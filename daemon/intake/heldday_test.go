package intake

import (
	"strings"
	"testing"
)

// TestHeldCancellationsOfADay: the end of a whole day that was held is one text, and so is its move; the end of a part of
// it names the time.
func TestHeldCancellationsOfADay(t *testing.T) {
	for name, c := range map[string]struct {
		rule string
		then []string // what comes while the rule is paused
		want string   // of what waits beside reminders
	}{
		"the whole day":    {"siu.cancel", []string{visitOf("B", "S15", clock(3, 11)), visitOf("A", "S15", clock(3, 9)), visitOf("C", "S15", clock(3, 15))}, "cancelled.day@09/cancelled"},
		"a part of it":     {"siu.cancel", []string{visitOf("B", "S15", clock(3, 11)), visitOf("A", "S15", clock(3, 9))}, "cancelled@09/cancelled cancelled@11/cancelled"},
		"one of it":        {"siu.cancel", []string{visitOf("B", "S15", clock(3, 11))}, "cancelled@11/cancelled"},
		"all to one day":   {"siu.book", []string{visitOf("B", "S13", clock(5, 12)), visitOf("A", "S13", clock(5, 10)), visitOf("C", "S13", clock(5, 16))}, "moved.day@10/moved"},
		"to another hour":  {"siu.book", []string{visitOf("B", "S13", clock(3, 12))}, "moved@12/moved"},
		"of another, both": {"siu.cancel", []string{visitOf("A", "S15", clock(3, 9)), bob.Replace(visitOf("D", "S12", clock(3, 9))), bob.Replace(visitOf("D", "S15", clock(3, 9)))}, "cancelled@09/cancelled cancelled@09/cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			for _, v := range []string{visitOf("A", "S12", clock(3, 9)), visitOf("B", "S12", clock(3, 11)), visitOf("C", "S12", clock(3, 15))} {
				sendOK(t, b, v)
			}
			b.pause("rule", c.rule, true)
			for _, m := range c.then {
				sendOK(t, b, m)
			}
			b.pause("rule", c.rule, false)
			b.release(c.rule)
			var words []string
			for _, w := range strings.Fields(b.plan()) {
				if !strings.HasPrefix(w, "reminder") {
					words = append(words, w)
				}
			}
			if got := strings.Join(words, " "); got != c.want {
				t.Errorf("waiting are %q, want %q", got, c.want)
			}
		})
	}
}
