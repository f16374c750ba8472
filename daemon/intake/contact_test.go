package intake

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/store"
)

// TestNumbers reads PID-13, PID-14 and PID-40 as feeds fill them.
func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		name, pid13, pid14, pid40 string
		want                      string // numbers in order
		why                       string
	}{
		{"empty", "", "", "", "", ""},
		{"components", "^PRN^PH^^^617^5551234", "", "", "+16175551234", ""},
		{"country too", "^PRN^CP^^1^617^5551234", "", "", "+16175551234", ""},
		{"unformatted wins", "(212)555-9999^PRN^CP^^^^^^^^^+16175551234", "", "", "+16175551234", ""},
		{"punctuation", "(617)555-1234", "", "", "+16175551234", ""},
		{"seven digits with the site's area", "5551234", "", "", "+16175551234", ""},
		{"extension is a switchboard's, and is kept", "617-555-1234 x22", "", "", "+16175551234", ""},
		{"mobile before home", "6175559876^PRN^PH~6175551234^PRN^CP", "", "", "+16175551234 +16175559876", ""},
		{"PRS is a mobile", "6175559876^PRN~6175551234^PRS", "", "", "+16175551234 +16175559876", ""},
		{"use in no table", "020 5368 1665^HOME", "", "", "", "PID-13[1]: invalid"},
		{"area missing", "0170/4711", "", "", "", "PID-13[1]: "},
		{"letter", "617-555-CARE", "", "", "", "PID-13[1]: invalid"},
		{"fiction", "6175550142^PRN^CP", "", "", "", "PID-13[1]: invalid"},
		{"all the same digit", "9999999999", "", "", "", "PID-13[1]: invalid"},
		{"premium", "9005551234", "", "", "", "PID-13[1]: premium"},
		{"abroad", "+442079460000^PRN^CP", "", "", "", "PID-13[1]: foreign"},
		{"of a country without areas, and no number in Alabama", "^PRN^CP^^65^^98765432", "", "", "", "PID-13[1]: foreign"},
		{"country and the rest", "^PRN^CP^^1^^6175551234", "", "", "+16175551234", ""},
		{"short", "911", "", "", "", "PID-13[1]: short"},
		{"second is bad", "6175551234^PRN^CP~N~123", "", "", "+16175551234", "PID-13[3]: short"},
		{"fax and e-mail", "6175551111^PRN^FX~^NET^Internet^jane@example.org", "", "", "", ""},
		{"work is left out", "6175551234^PRN^CP", "6175552222^WPN^PH", "", "+16175551234", ""},
		{"work mobile under home", "6175551234^WPN^CP", "", "", "", ""},
		{"mobile in PID-14", "", "6175551234^PRS^CP", "", "+16175551234", ""},
		{"PID-40 of v2.7", "", "", "6175551234^PRS^CP", "+16175551234", ""},
		{"twice the same", "6175551234^PRN^CP", "", "6175551234^PRS^CP", "+16175551234", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			sendOK(t, b, "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||"+c.pid13+"|"+c.pid14+strings.Repeat("|", 26)+c.pid40)
			if got := strings.Join(b.numbers("4711"), " "); got != c.want {
				t.Errorf("numbers are %q, want %q", got, c.want)
			}
			if e := b.last(); !strings.Contains(e.Why, c.why) || c.why == "" && e.Why != "" {
				t.Errorf("why %q, want %q", e.Why, c.why)
			}
		})
	}
}

// TestEmptyAndNull leaves what an empty field does not speak of, and deletes by `""` (HL7 v2.5.1 2.5.3).
func TestEmptyAndNull(t *testing.T) {
	b := newBox(t)
	const pid = "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||"
	for _, c := range []struct{ fields, want string }{
		{"6175551234^PRN^CP", "+16175551234"},
		{"", "+16175551234"},
		{"^NET^Internet^jane@example.org", "+16175551234"},
		{"|6175559999^PRS^CP", "+16175559999 +16175551234"}, // PID-14 alone adds
		{"6175551234^PRN^CP", "+16175551234"},
		{`""`, ""},
		{"6175551234^PRN^CP", "+16175551234"},
		{"12", ""}, // what is there now cannot be texted, and the old one is not theirs
	} {
		sendOK(t, b, pid+c.fields)
		got := b.numbers("4711")
		if len(got) != len(strings.Fields(c.want)) || strings.Join(got, " ") != c.want && len(got) < 2 {
			t.Errorf("after %q numbers are %q, want %q", c.fields, got, c.want)
		}
	}
}

// TestPersonIdentifier takes the record number of the site, whatever stands before it.
func TestPersonIdentifier(t *testing.T) {
	for _, c := range []struct{ pid, want string }{
		{"PID|1||123456789^^^USA^SS~77^^^OTHER^MR~4711^^^RIV^MR", "RIV|4711"},
		{"PID|1||V1^^^RIV^VN~4711^^^RIV^PI", "RIV|4711"},
		{"PID|1||4711", "RIV|4711"},
		{"PID|1||4711^^^^MR", "RIV|4711"},
		{"PID|1||4711^^^&1.2.3&ISO^MR", "1.2.3|4711"},
		{"PID|1|4711^^^RIV|", "RIV|4711"},
		{"PID|1||77^^^OTHER^PI~4711^^^RIV^PI", "RIV|4711"},
	} {
		b := newBox(t)
		sendOK(t, b, "ADT^A04\n"+c.pid)
		entries := b.Entries()
		if got := entries[len(entries)-1].Entry.Subject; got != c.want {
			t.Errorf("%s: the subject is %q, want %q", c.pid, got, c.want)
		}
	}
}

// TestOlderEvent keeps a late message from overwriting a newer one.
func TestOlderEvent(t *testing.T) {
	b := newBox(t)
	now := time.Now()
	sendOK(t, b, "ADT^A08\nEVN|A08|"+ts(now.Add(-time.Minute))+"\n"+jane)
	sendOK(t, b, "ADT^A08\nEVN|A08|"+ts(now.Add(-time.Hour))+"\n"+strings.Replace(jane, "5551234", "5559999", 1))
	if got := b.numbers("4711"); len(got) != 1 || got[0] != "+16175551234" {
		t.Errorf("numbers are %q", got)
	}
	if e := b.last(); !strings.Contains(e.Why, "older than what is known") {
		t.Errorf("why %q", e.Why)
	}
	// A day alone is no time of order: it would be midnight, and older than this morning.
	sendOK(t, b, "ADT^A08\nEVN|A08|"+now.UTC().Format("20060102")+"\n"+strings.Replace(jane, "5551234", "5558888", 1))
	if got := b.numbers("4711"); len(got) != 1 || got[0] != "+16175558888" {
		t.Errorf("numbers are %q after an event of a day", got)
	}
}

// TestEventOfAMinute takes an event whose time was written to the minute for no older than what came within that minute.
func TestEventOfAMinute(t *testing.T) {
	b := newBox(t)
	minute := time.Now().Add(-2 * time.Minute).Truncate(time.Minute)
	sendOK(t, b, header("ADT^A08", "C1", minute.Add(15*time.Second))+"\n"+jane)
	event := "\nEVN|A08|" + minute.UTC().Format("200601021504") + "+0000\n"
	sendOK(t, b, header("ADT^A08", "C2", minute.Add(50*time.Second))+event+strings.Replace(jane, "5551234", "5559999", 1))
	if got := b.numbers("4711"); len(got) != 1 || got[0] != "+16175559999" {
		t.Errorf("numbers are %q", got)
	}
	sendOK(t, b, header("ADT^A08", "C3", minute.Add(-5*time.Second))+"\n"+jane)
	if got := b.numbers("4711"); len(got) != 1 || got[0] != "+16175559999" {
		t.Errorf("numbers are %q after an older event", got)
	}
}

// TestWordOfNoMaster lets registration speak of somebody whom a laboratory told of first, however late its message comes.
func TestWordOfNoMaster(t *testing.T) {
	b := newBox(t)
	b.policy(Policy{Releasable: []string{"*"}})
	sendOK(t, b, "ORU^R01\n"+jane+"\nOBR|1|||GLU"+strings.Repeat("|", 21)+"F")
	if got := b.numbers("4711"); len(got) != 1 {
		t.Fatalf("numbers are %q", got)
	}
	sendOK(t, b, "ADT^A04\nEVN|A04|"+ts(time.Now().Add(-time.Hour))+"\n"+strings.Replace(jane, "5551234", "5559999", 1)+"\nPD1||||||||||||Y")
	s, _ := b.subject("4711")
	if got := b.numbers("4711"); len(got) != 1 || got[0] != "+16175559999" || !s.NoTexts {
		t.Errorf("numbers are %q, no texts %v", got, s.NoTexts)
	}
}

// TestMobileInPID14 replaces a mobile that a sender writes where work stands, and deletes it by `""`.
func TestMobileInPID14(t *testing.T) {
	b := newBox(t)
	const pid = "ADT^A08\nPID|1||4711^^^RIV^MR|||||||||||"
	for _, c := range []struct{ field, want string }{
		{"6175551234^PRS^CP", "+16175551234"}, {"6175559999^PRS^CP", "+16175559999"}, {"", "+16175559999"}, {`""`, ""},
	} {
		sendOK(t, b, pid+c.field)
		if got := strings.Join(b.numbers("4711"), " "); got != c.want {
			t.Errorf("after %q numbers are %q, want %q", c.field, got, c.want)
		}
	}
}

// TestALongStoryIsTold takes a message of which more is to be said than an entry holds: without an answer its engine
// would bring it for ever, and nothing behind it.
func TestALongStoryIsTold(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||"+strings.Repeat("123~", 300))
	if e := b.last(); !strings.Contains(e.Why, "PID-13[1]: short") || !strings.Contains(e.Why, " more") {
		t.Errorf("why %q", e.Why)
	}
	// Dialysis three times a week, and a peer that is paused when the number comes.
	for i := range 60 {
		at := time.Now().Add(time.Duration(72+48*i) * time.Hour)
		sendOK(t, b, strings.Replace(strings.Replace(siu("S12", at, ""), "A77", fmt.Sprint("D", i), 1), "6175551234", "", 1))
	}
	b.policy(Policy{Peers: map[string]PeerPolicy{"adt": {Paused: true}}})
	sendOK(t, b, "ADT^A08\n"+jane)
	if e := b.last(); !strings.Contains(e.Why, "the peer is paused") {
		t.Errorf("why %q", e.Why)
	}
}

// TestWishes reads PD1-11, PD1-12, PID-15, PID-7 and PV1-16.
func TestWishes(t *testing.T) {
	b := newBox(t)
	no, yes := Policy{}, Policy{ShareYes: true}
	for _, c := range []struct {
		pd1              string
		policy           Policy
		noTexts, noVoice bool
	}{
		{"", no, false, false},
		{"02^Reminder/recall-any method^HL70215", no, false, false},
		{"01", no, true, false},
		{"", no, true, false}, // says nothing
		{"03", no, false, true},
		{"N", no, true, true},
		{`""`, no, false, true},
		{"02|Y", no, true, false},
		{"02|N", no, false, false},
		{"02|Y", yes, false, false},
		{"02|N", yes, true, false},
		{"F", no, true, false}, // directory wishes are none of ours
		{"07", no, true, true}, // protected still
		{"07|N", no, false, true},
		{"01", no, true, true},
		{"|N", no, true, true}, // unwanted still
	} {
		b.policy(c.policy)
		sendOK(t, b, "ADT^A08\n"+jane+"\nPD1|||||||||||"+c.pd1)
		s, _ := b.subject("4711")
		if s.NoTexts != c.noTexts || s.NoVoice != c.noVoice {
			t.Errorf("after PD1-11 %q: no texts %v, no voice %v", c.pd1, s.NoTexts, s.NoVoice)
		}
	}
	for tag, want := range map[string]string{
		"es": "es", "SPA^Spanish": "es", "S^Spanish": "es", "en-US": "en-us", "ENG": "en", "French^": "fr", "???": "fr", `""`: "",
	} {
		sendOK(t, b, "ADT^A08\n"+jane+"||fr")
		sendOK(t, b, "ADT^A08\n"+jane+"||"+tag)
		if s, _ := b.subject("4711"); s.Language != want || s.BornYear != 1970 {
			t.Errorf("PID-15 %q gives %q, born %d", tag, s.Language, s.BornYear)
		}
	}
}

// TestDeath silences everything, by whatever message it is told.
func TestDeath(t *testing.T) {
	pid := jane + strings.Repeat("|", 16)
	for name, message := range map[string]string{
		"A08 with PID-30":   "ADT^A08\n" + pid + "|Y",
		"A08 with PID-29":   "ADT^A08\n" + pid + "20260102",
		"A03 expired":       "ADT^A03\n" + jane + "\nPV1|1|I" + strings.Repeat("|", 34) + "20",
		"a transfer":        "ADT^A02\n" + pid + "|Y",
		"a result":          "ORU^R01\n" + pid + "|Y\nOBR|1|||GLU|||||||||||||||||||||F",
		"SIU":               strings.Replace(siu("S14", time.Now().Add(50*time.Hour), ""), jane, pid+"|Y", 1),
		"an unknown type":   "MDM^T02\n" + pid + "|Y",
		"PID-29 and a no":   "ADT^A08\n" + pid + "20260102|N",
		"billing, by DFT":   "DFT^P03\n" + pid + "|Y",
		"merge of the dead": "ADT^A40\n" + pid + "|Y\nMRG|999^^^RIV^MR",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			sendOK(t, b, siu("S12", time.Now().Add(50*time.Hour), ""))
			sendOK(t, b, "ADT^A08\n"+jane+"\nZNT|1|OTP^login|R1")
			if got := b.whats(); got != "portal-login 24h 2h" {
				t.Fatalf("texts are %q", got)
			}
			sendOK(t, b, message)
			if got := b.whats(); got != "" {
				t.Errorf("texts are %q after a death; did %q, why %q", got, b.last().Did, b.last().Why)
			}
			if s, _ := b.subject("4711"); s.Dead == nil {
				t.Error("not recorded as dead")
			}
			sendOK(t, b, siu("S13", time.Now().Add(70*time.Hour), ""))
			sendOK(t, b, "ADT^A08\n"+jane+"\nZNT|1|OTP^login|R2")
			if got := b.whats(); got != "" {
				t.Errorf("texts are %q for the dead", got)
			}
		})
	}
}

// TestDeathOfMerged: a death that is told under either id of two merged ones ends what waits under both.
func TestDeathOfMerged(t *testing.T) {
	dead := strings.Repeat("|", 16) + "|Y"
	survivor := strings.ReplaceAll(strings.ReplaceAll(jane, "4711", "5000"), "6175551234", "6175552222")
	for name, pid := range map[string]string{"by the loser": jane, "by the survivor": survivor} {
		b := newBox(t)
		sendOK(t, b, siu("S12", time.Now().Add(50*time.Hour), "")) // of the loser, and comes over
		sendOK(t, b, "ADT^A08\n"+survivor)
		sendOK(t, b, "ADT^A40\n"+survivor+"\nMRG|4711^^^RIV^MR")
		sendOK(t, b, strings.NewReplacer(jane, survivor, "A77", "A78").Replace(siu("S12", time.Now().Add(80*time.Hour), "")))
		sendOK(t, b, "ADT^A08\n"+survivor+"\nZNT|1|OTP^login|R1")
		if got := b.whats(); got != "portal-login 24h 2h 24h 2h" {
			t.Fatalf("%s: texts are %q", name, got)
		}
		sendOK(t, b, "ADT^A08\n"+pid+dead)
		if e := b.last(); b.whats() != "" || !strings.Contains(e.Did, "the patient died: 4 texts cancelled") || !strings.Contains(e.Did, "verification cancelled") {
			t.Errorf("%s: texts are %q, did %q, why %q", name, b.whats(), e.Did, e.Why)
		}
	}
}

// TestNumberChange never texts both numbers, and tells the old one if it had been proven.
func TestNumberChange(t *testing.T) {
	for _, proven := range []bool{false, true} {
		b := newBox(t)
		sendOK(t, b, siu("S12", time.Now().Add(time.Hour), ""))
		if proven {
			b.Do(func(tx *store.Tx) error {
				s, _, err := contact.Find(tx, contact.SubjectID{Authority: "RIV", MRN: "4711"})
				if err != nil {
					return err
				}
				return contact.Proven(tx, s.ID, s.Phones[0].Phone)
			})
		}
		sendOK(t, b, "ADT^A08\n"+jane+"\nZNT|1|OTP^login|R1")
		sendOK(t, b, "ADT^A31\n"+strings.Replace(jane, "5551234", "5559999", 1))
		want := "now"
		if proven {
			want = "now number.changed"
		}
		if got := b.whats(); got != want {
			t.Errorf("proven %v: texts are %q", proven, got)
		}
		if proven {
			b.handOver()
			continue
		}
		b.handOver() // finds that the number is another
		b.View(func(tx *store.Tx) error {
			old, err := contact.ParsePhone("6175551234", contact.Plan{})
			if err != nil {
				return err
			}
			left, err := otp.PendingOf(tx, old)
			if len(left) > 0 {
				t.Error("a code waits for the old number")
			}
			return err
		})
		for _, q := range b.texts() {
			t.Errorf("%s waits for %s", q.what, q.to)
		}
	}
}
