package intake

import (
	"strings"
	"testing"
	"time"
)

func videoVisit(event string, start time.Time, status, rest string) string {
	return strings.Replace(siu(event, start, status), "|||||||30|", "||||||VIDEO^Video visit|30|", 1) + rest
}

func videoBox(t *testing.T) *box {
	b := newBox(t)
	b.policy(Policy{Video: []string{"VIDEO"}, Join: "https://portal.example.org/join"})
	return b
}

// joins lists when the links to a video visit go, after now.
func (b *box) joins() (list []time.Duration) {
	for _, q := range b.texts() {
		if q.what == joinText {
			list = append(list, time.Until(q.due).Round(time.Minute))
		}
	}
	return list
}

// The link to a video visit goes a quarter of an hour before, moves and ends with the visit, and goes again
// when the clinic begins.
func TestLinkToAVideoVisit(t *testing.T) {
	b := videoBox(t)
	start := time.Now().Add(3 * time.Hour)
	sendOK(t, b, videoVisit("S12", start, "", ""))
	if got := b.joins(); len(got) != 1 || got[0] != 165*time.Minute {
		t.Fatalf("the link goes in %v: %s", got, b.last().Why)
	}
	sendOK(t, b, videoVisit("S14", start, "", ""))
	if got := b.joins(); len(got) != 1 {
		t.Errorf("after an update it goes in %v", got)
	}
	sendOK(t, b, videoVisit("S13", start.Add(time.Hour), "", ""))
	if got := b.joins(); len(got) != 1 || got[0] != 225*time.Minute {
		t.Errorf("after a reschedule it goes in %v", got)
	}
	sendOK(t, b, videoVisit("S14", start.Add(time.Hour), "STARTED", ""))
	if got := b.joins(); len(got) != 1 || got[0] != 0 {
		t.Errorf("when it begins it goes in %v: %s", got, b.last().Why)
	}
	if b.whats() != joinText {
		t.Errorf("beside it %q waits", b.whats())
	}

	b = videoBox(t)
	sendOK(t, b, videoVisit("S12", start, "", ""))
	sendOK(t, b, videoVisit("S15", start, "CANCELLED", ""))
	if got := b.joins(); len(got) != 0 {
		t.Errorf("of a cancelled visit it goes in %v", got)
	}
	b = videoBox(t)
	sendOK(t, b, videoVisit("S12", start, "", ""))
	sendOK(t, b, siu("S14", start, ""))
	if got := b.joins(); len(got) != 0 {
		t.Errorf("of a visit in person it goes in %v", got)
	}
}

func TestWhatIsAVideoVisit(t *testing.T) {
	start := time.Now().Add(3 * time.Hour)
	for _, c := range []struct {
		name, message string
		want          int
		why           string
	}{
		{"by its type", videoVisit("S12", start, "", ""), 1, ""},
		{"by its service", siu("S12", start, "") + "\nAIS|1|A|VIDEO^Video", 1, ""},
		{"by its place", siu("S12", start, "") + "\nAIL|1|A|VIDEO^^^RIV", 1, ""},
		{"in person", siu("S12", start, ""), 0, ""},
		{"at once where it is near", videoVisit("S12", time.Now().Add(8*time.Minute), "", ""), 1, ""},
		{"over", videoVisit("S12", time.Now().Add(-time.Hour), "", ""), 0, ""},
		{"started long ago", "SIU^S14\nEVN||" + ts(time.Now().Add(-3*time.Hour)) + "\n" + strings.TrimPrefix(videoVisit("S14", time.Now(), "STARTED", ""), "SIU^S14\n"), 0, "older than"},
		{"of a VIP", videoVisit("S12", start, "", "\nPV1|1|O||||||||||||||V"), 0, "VIP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := videoBox(t)
			sendOK(t, b, c.message)
			if got := b.joins(); len(got) != c.want || !strings.Contains(b.last().Why, c.why) {
				t.Errorf("links go in %v: %s", got, b.last().Why)
			}
		})
	}
	b := newBox(t)
	b.policy(Policy{Video: []string{"VIDEO"}, Join: "https://elsewhere.example.net/"})
	sendOK(t, b, videoVisit("S12", start, "", ""))
	if got := b.joins(); len(got) != 0 || !strings.Contains(b.last().Why, "no page to join") {
		t.Errorf("to a host that is not listed links go in %v: %s", got, b.last().Why)
	}
}
