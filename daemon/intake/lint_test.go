package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

func (b *box) lint(message string) Verdict {
	b.T.Helper()
	v, err := b.in.Lint(context.Background(), operator, []byte(b.message(message)))
	if err != nil {
		b.T.Fatal(err)
	}
	return v
}

// TestLint tells what a message would do and why, and does none of it: the log, the texts and the contacts
// are as before, and the message itself, when it comes, is new.
func TestLint(t *testing.T) {
	b := newBox(t)
	b.policy(Policy{Releasable: []string{"*"}, Peers: map[string]PeerPolicy{"adt": {Apps: []string{"EPIC"}}}})
	start := time.Now().Add(90 * time.Hour)
	before := len(b.Entries())
	for name, c := range map[string]struct {
		message string
		want    Verdict // Did and Why are parts
	}{
		"a contact":         {"ADT^A08\n" + jane, Verdict{Type: "ADT^A08", Peer: "adt", Ack: "AA", Rule: "adt.contact", Did: "contact created"}},
		"an appointment":    {siu("S12", start, ""), Verdict{Type: "SIU^S12", Peer: "adt", Ack: "AA", Rule: "siu.book", Did: "2 reminders scheduled"}},
		"a result":          {result, Verdict{Type: "ORU^R01", Peer: "adt", Ack: "AA", Rule: "oru.result", Did: "result.ready queued"}},
		"a code":            {"ADT^A08\n" + jane + "\nZNT|1|OTP^login|R1", Verdict{Type: "ADT^A08", Peer: "adt", Ack: "AA", Rule: "adt.contact", Did: "verification started"}},
		"a result not done": {strings.Replace(result, "|F\nOBX", "|P\nOBX", 1), Verdict{Type: "ORU^R01", Peer: "adt", Ack: "AA", Why: "not every result is final (OBR-25)"}},
		"no rule":           {"ADT^A60\n" + jane, Verdict{Type: "ADT^A60", Peer: "adt", Ack: "AA", Why: noRule}},
		"wrong in itself":   {"SIU^S12\n" + jane, Verdict{Type: "SIU^S12", Peer: "adt", Ack: "AE", Where: "SCH[1]", Why: "segment is missing"}},
		"nobody's":          {strings.Replace(header("ADT^A08", "1", time.Now()), "EPIC", "OTHER", 1) + "\n" + jane, Verdict{Type: "ADT^A08", Ack: "AR", Why: "no peer"}},
		"an acknowledgment": {"ACK\nMSA|AA|1", Verdict{Type: "ACK^", Why: "never answered"}},
	} {
		got := b.lint(c.message)
		if got.Type != c.want.Type || got.Peer != c.want.Peer || got.Ack != c.want.Ack || got.Rule != c.want.Rule || got.Where != c.want.Where ||
			!strings.Contains(got.Did, c.want.Did) || !strings.Contains(got.Why, c.want.Why) {
			t.Errorf("%s: %+v", name, got)
		}
		for _, secret := range []string{"DOE", "JANE", "6175551234", "4711"} {
			if strings.Contains(fmt.Sprint(got), secret) {
				t.Errorf("%s: the verdict has a value of the message", name)
			}
		}
	}
	if _, known := b.subject("4711"); known || len(b.texts()) != 0 || len(b.Entries()) != before {
		t.Errorf("something was kept: known %v, %d texts, %d entries, before %d", known, len(b.texts()), len(b.Entries()), before)
	}
	sendOK(t, b, siu("S12", start, ""))
	if got := b.whats(); got != "24h 2h" {
		t.Errorf("texts are %q when the message comes", got)
	}
}

// TestSplit takes files apart as engines and people write them.
func TestSplit(t *testing.T) {
	const one, two = "MSH|^~\\&|A\rPID|1", "MSH|^~\\&|B\rPID|2||MSH"
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"one":                  {one, []string{one}},
		"one behind the other": {one + "\r" + two + "\r", []string{one, two}},
		"frames":               {"\x0b" + one + "\r\x1c\r\x0b" + two + "\r\x1c\r", []string{one, two}},
		"lines":                {"\n\n" + strings.ReplaceAll(one, "\r", "\n") + "\n\n" + two, []string{strings.ReplaceAll(one, "\r", "\n"), two}},
		"a remark before it":   {"from the test system\n" + one, []string{one}},
		"batch":                {"FHS|^~\\&\rBHS|^~\\&\r" + one + "\r" + two, []string{one, two}},
		"a mark of an editor":  {"\xef\xbb\xbf" + one + "\r\n" + two, []string{one, two}},
		"nothing":              {"PID|1", nil},
		"cut":                  {"MSH", nil},
		"MSH in a word":        {one + "\rNTE|1||\nMSHX", []string{one + "\rNTE|1||\nMSHX"}},
	} {
		var got []string
		for _, m := range Split([]byte(c.file)) {
			got = append(got, string(m))
		}
		if strings.Join(got, "~") != strings.Join(c.want, "~") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestLoad takes contacts only, reports on them, and never sends a text: not even to a former number, or
// of an appointment whose patient has a number now.
func TestLoad(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, strings.Replace(siu("S12", time.Now().Add(50*time.Hour), ""), "6175551234^PRN^CP", "", 1))
	person := func(mrn, phone, rest string) []byte {
		return []byte(b.message("ADT^A28\nPID|1||" + mrn + "^^^RIV^MR||DOE^JANE||19700101|F|||||" + phone + "||" + rest))
	}
	b.site(func(s *contact.Site) { s.Countries = []string{"GB"} })
	messages := [][]byte{
		person("4711", "6175551234^PRN^CP", "EN"),
		person("1", "6175551235^PRN^CP", "ES"),
		person("2", "6175551235^PRN^CP", ""),
		person("3", "", "EN"),
		person("4", "6175551236^PRN^CP", "EN\nPD1|||||||||||N"),
		person("5", "N", "EN"),
		person("6", "+441212345678^PRN^PH", "EN"),
		[]byte(b.message(siu("S12", time.Now().Add(70*time.Hour), ""))),
		[]byte(b.message("ORU^R01\n" + jane)),
		[]byte(strings.Replace(b.message("ADT^A28\n"+jane), "|P|2.5.1", "|T|2.5.1", 1)),
		[]byte("no message"),
	}
	var r LoadReport
	r, err := b.in.Load(context.Background(), operator, messages)
	if err != nil {
		t.Fatal(err)
	}
	// The SIU has a contact too, the one of the first again.
	want := LoadReport{
		Messages: 11, Loaded: 8, Skipped: 2, Wrong: 1, Usable: 4, Landline: 1, NoNumber: 2, Shared: 1, NoLanguage: 1, NoConsent: 1,
	}
	if r != want {
		t.Errorf("report %+v\nwant   %+v", r, want)
	}
	if got := b.whats(); got != "" {
		t.Errorf("texts are %q", got)
	}
	if b.count(ActionLoad) != 1 {
		t.Errorf("%d entries of the load", b.count(ActionLoad))
	}
	if _, err := b.in.Load(context.Background(), operator, make([][]byte, MaxLoad+1)); err == nil {
		t.Error("more than one transaction's worth was taken")
	}
}

// TestLiveNeedsTwo: a listener reaches nobody until a second person agrees; one is enough to end it.
func TestLiveNeedsTwo(t *testing.T) {
	b := newBoxIn(t, Listener{Name: "adt", Mode: contact.Live, TwoPersons: true})
	mode := func() string {
		var got string
		b.View(func(tx *store.Tx) error {
			list, err := b.in.Report(tx)
			got = list[0].Mode
			return err
		})
		return got
	}
	by := func(name string) (bool, error) {
		var done bool
		err := b.Store.Update(context.Background(), store.Actor{Kind: "user", ID: name}, func(tx *store.Tx) (err error) {
			done, err = b.in.GoLive(tx)
			return err
		})
		b.in.ground.Store(nil)
		return done, err
	}
	reaches := func() bool {
		b.next++
		count := func() (n int) {
			for _, q := range b.texts() {
				if q.mode == contact.Live {
					n++
				}
			}
			return n
		}
		before := count()
		sendOK(t, b, strings.ReplaceAll(siu("S12", time.Now().Add(90*time.Hour), ""), "A77", fmt.Sprint("L", b.next)))
		return count() > before
	}
	if mode() != "shadow" || reaches() {
		t.Errorf("a new listener is in mode %s", mode())
	}
	if done, err := by("ann"); done || err != nil {
		t.Errorf("asked: %v, %v", done, err)
	}
	if _, err := by("ann"); !errors.Is(err, ErrSecondPerson) || mode() != "shadow" {
		t.Errorf("agreed with oneself: %v, mode %s", err, mode())
	}
	if done, err := by("bob"); !done || err != nil || mode() != "live" || !reaches() {
		t.Errorf("agreed: %v, %v, mode %s", done, err, mode())
	}
	b.Do(func(tx *store.Tx) error { return b.in.EndLive(tx) })
	b.in.ground.Store(nil)
	if mode() != "shadow" || reaches() {
		t.Errorf("mode %s after the end", mode())
	}
	if b.count(ActionLive) != 3 {
		t.Errorf("%d entries", b.count(ActionLive))
	}
}
