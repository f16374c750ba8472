package intake

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/hl7"
	"pinward/store"
	"pinward/store/storetest"
)

func (b *box) raw(message string) string {
	b.T.Helper()
	reply, err := b.in.Handle(context.Background(), hl7.Peer{}, []byte(message))
	if err != nil {
		b.T.Fatal(err)
	}
	return string(reply)
}

// TestRepeatGetsTheSameAnswer plays connect#1314: a sender that had no answer sends the same message
// every ten seconds, at most with a new MSH-7. It gets the same bytes and no second text.
func TestRepeatGetsTheSameAnswer(t *testing.T) {
	for name, message := range map[string]string{
		"taken":   siu("S12", time.Now().Add(time.Hour), "") + "\nZNT|1|OTP^login|R1",
		"ignored": "ADT^A60\n" + jane,
		"wrong":   "ADT^A04\nPV1|1",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			m := b.message(message)
			first := b.raw(m)
			texts, entries := b.whats(), len(b.Entries())
			fields := strings.SplitN(m, "|", 8)
			fields[6] = "20991231235959"
			for _, again := range []string{m, strings.Join(fields, "|"), strings.TrimSuffix(m, "\r")} {
				b.in.ground.Store(nil)
				if got := b.raw(again); got != first {
					t.Errorf("answered %q, first %q", got, first)
				}
			}
			b.listen(b.in.listener)
			if got := b.raw(m); got != first {
				t.Errorf("after a restart answered %q, first %q", got, first)
			}
			if got := b.whats(); got != texts {
				t.Errorf("texts are %q, first %q", got, texts)
			}
			if got := len(b.Entries()); got != entries {
				t.Errorf("%d entries, first %d", got, entries)
			}
			if c := b.in.Counts(); c.Messages != 1 || c.Duplicates != 1 {
				t.Errorf("counted %+v", c)
			}
		})
	}
}

// TestControlIDUsedAgain takes another message with a control ID that was used before: some senders
// restart theirs, some never change it.
func TestControlIDUsedAgain(t *testing.T) {
	b := newBox(t)
	at := time.Now()
	sendOK(t, b, header("ADT^A08", "1", at)+"\n"+jane)
	sendOK(t, b, header("ADT^A08", "1", at)+"\n"+strings.Replace(jane, "5551234", "5559999", 1))
	if got := b.numbers("4711"); len(got) != 1 || got[0] != "+16175559999" {
		t.Errorf("numbers are %q", got)
	}
	list := b.explain("1")
	if len(list) != 2 || list[0].Why != "" || !strings.Contains(list[1].Why, "control id was used before") {
		t.Errorf("explained as %+v", list)
	}
	// Of two listeners each has its own control IDs.
	b.listen(Listener{Name: "other", Mode: contact.Live})
	sendOK(t, b, header("ADT^A08", "1", at)+"\n"+jane)
	if list := b.explain("1"); len(list) != 1 || list[0].Why != "" {
		t.Errorf("explained as %+v", list)
	}
}

// TestRepeatsAtOnce sends one message on many connections at the same time.
func TestRepeatsAtOnce(t *testing.T) {
	b := newBox(t)
	m := b.message("ADT^A08\n" + jane + "\nZNT|1|OTP^login|R1")
	replies := make([]string, 16)
	var wg sync.WaitGroup
	for i := range replies {
		wg.Go(func() {
			reply, err := b.in.Handle(context.Background(), hl7.Peer{}, []byte(m))
			if err != nil {
				t.Error(err)
			}
			replies[i] = string(reply)
		})
	}
	wg.Wait()
	for _, r := range replies {
		if r != replies[0] {
			t.Errorf("answered %q and %q", r, replies[0])
		}
	}
	if got := b.whats(); got != "portal-login" || b.count(otp.ActionStart) != 1 {
		t.Errorf("texts are %q, %d starts", got, b.count(otp.ActionStart))
	}
}

// TestRequestIDIsIdempotent starts one code for a request id that comes in two messages.
func TestRequestIDIsIdempotent(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, "ADT^A08\n"+jane+"\nZNT|1|OTP^login|R1")
	b.handOver()
	sendOK(t, b, "ADT^A31\n"+jane+"\nZNT|1|OTP^login|R1")
	if got := b.whats(); got != "" || !strings.Contains(b.last().Why, "made before") {
		t.Errorf("texts are %q, why %q", got, b.last().Why)
	}
	for range 2 {
		sendOK(t, b, "ADT^A08\n"+jane+"\nZNT|1|NOTICE^result.ready|R2\nZNT|2|NOTICE^result.ready|R3")
	}
	if got := b.whats(); got != "result.ready result.ready" {
		t.Errorf("texts are %q", got)
	}
}

// TestRequestTimes starts no code that nobody waits for, and sends a notice at its time.
func TestRequestTimes(t *testing.T) {
	b := newBox(t)
	old := header("ADT^A08", "OLD", time.Now().Add(-20*time.Minute))
	sendOK(t, b, old+"\n"+jane+"\nZNT|1|OTP^login|R1")
	if e := b.explain("OLD"); b.whats() != "" || len(e) != 1 || !strings.Contains(e[0].Why, "older than") {
		t.Errorf("texts are %q, explained %+v", b.whats(), e)
	}
	sendOK(t, b, "ADT^A08\n"+jane+"\nZNT|1|OTP^login|R2|||"+ts(time.Now().Add(time.Hour)))
	if !strings.Contains(b.last().Why, "ahead of its time") || b.whats() != "" {
		t.Errorf("texts are %q, why %q", b.whats(), b.last().Why)
	}
	at := time.Now().Add(3 * time.Hour).Truncate(time.Second)
	sendOK(t, b, "ADT^A08\n"+jane+"\nZNT|1|NOTICE^result.ready|R3||es|"+ts(at)+"|600")
	if q := b.texts(); len(q) != 1 || !q[0].due.Equal(at) || q[0].lang != "es" {
		t.Errorf("texts are %+v", q)
	}
	for _, bad := range []string{"|||noon", "||||5m"} {
		if a := b.send("ADT^A08\n" + jane + "\nZNT|1|NOTICE^result.ready|R4" + bad); a.code != hl7.AE {
			t.Errorf("%q: answered %s", bad, a.code)
		}
	}
}

// TestRequestOfTheNight: a text that was asked for hours ago, or whose own time is over, is not sent when the engine comes back; one that
// was asked for long ahead is.
func TestRequestOfTheNight(t *testing.T) {
	ago := func(d time.Duration) string { return ts(time.Now().Add(-d)) }
	for name, c := range map[string]struct {
		asked time.Duration // ago
		znt   string
		want  string
	}{
		"an hour ago":              {time.Hour, "", "result.ready"},
		"in the evening":           {9 * time.Hour, "", ""},
		"for five minutes":         {10 * time.Minute, "|SMS|en||300", ""},
		"for an hour":              {10 * time.Minute, "|SMS|en||3600", "result.ready"},
		"for the evening":          {20 * time.Hour, "|SMS|en|" + ago(9*time.Hour), ""},
		"for before, five minutes": {20 * time.Hour, "|SMS|en|" + ago(time.Hour) + "|300", ""},
		"yesterday, for just now":  {20 * time.Hour, "|SMS|en|" + ago(time.Minute), "result.ready"},
		"yesterday, for tomorrow":  {20 * time.Hour, "|SMS|en|" + ago(-20*time.Hour) + "|600", "result.ready"},
		"by a clock that is ahead": {-time.Hour, "|SMS|en||60", "result.ready"},
	} {
		b := newBox(t)
		sendOK(t, b, header("ADT^A08", "NIGHT", time.Now().Add(-c.asked))+"\n"+jane+"\nZNT|1|NOTICE^result.ready|R1"+c.znt)
		e := b.explain("NIGHT")
		if b.whats() != c.want || c.want == "" && !strings.Contains(e[0].Why, "its time is over") {
			t.Errorf("%s: texts are %q, explained %+v", name, b.whats(), e)
		}
	}
}

// TestRepeatOfAServedRequestIsNotDeclined: a text that went is not said to be refused when its request comes again, in another message,
// hours later.
func TestRepeatOfAServedRequestIsNotDeclined(t *testing.T) {
	b := newBox(t)
	b.policy(Policy{Peers: map[string]PeerPolicy{"adt": {Back: []string{"failed"}}}})
	ask := func(control string, ago time.Duration) {
		sendOK(t, b, header("ADT^A08", control, time.Now().Add(-ago))+"\n"+jane+"\nZNT|1|NOTICE^result.ready|R1")
	}
	ask("N1", 0)
	ask("N2", 9*time.Hour)
	if e := b.explain("N2"); len(b.texts()) != 1 || len(b.orders(ActionDecline)) != 0 || !strings.Contains(e[0].Why, "made before") {
		t.Errorf("texts %v, explained %+v", b.texts(), e)
	}
}

// TestRequestLife: ZNT-7 is how long a code lives, within what its service allows.
func TestRequestLife(t *testing.T) {
	b := newBox(t)
	life := func() (d time.Duration) {
		b.View(func(tx *store.Tx) error {
			list, err := otp.Of(tx, mustPhone(t, b.numbers("4711")[0]))
			if err == nil {
				d = list[0].Expires.Sub(list[0].Created)
			}
			return err
		})
		b.Do(func(tx *store.Tx) error {
			list, err := otp.Of(tx, mustPhone(t, b.numbers("4711")[0]))
			if err == nil {
				_, err = otp.Cancel(tx, list[0].ID)
			}
			return err
		})
		return d
	}
	for i, c := range []struct {
		field string
		want  time.Duration
	}{{"", 5 * time.Minute}, {"120", 2 * time.Minute}, {"30", 30 * time.Second}, {"3600", 5 * time.Minute}} {
		sendOK(t, b, "ADT^A08\n"+jane+"\nZNT|1|OTP^patient-signup|L"+strconv.Itoa(i)+"||||"+c.field)
		if got := life(); got != c.want {
			t.Errorf("ZNT-7 %q: the code lives %v, want %v (%s)", c.field, got, c.want, b.last().Why)
		}
	}
	for field, want := range map[string]string{"29": "error 103", "0": "error 103", "-5": "error 103", "5m": "error 102", "99999999999999999999": "error 102"} {
		a := b.send("ADT^A08\n" + jane + "\nZNT|1|OTP^patient-signup|BAD||||" + field)
		if a.code != hl7.AE || !strings.Contains(b.last().Why, want) || !strings.Contains(b.last().Why, "ZNT[1]-7") {
			t.Errorf("ZNT-7 %q: answered %s, explained %q", field, a.code, b.last().Why)
		}
	}
	if b.whats() != "" {
		t.Errorf("texts are %q", b.whats())
	}
}

func mustPhone(t *testing.T, e164 string) (p contact.Phone) {
	t.Helper()
	if err := p.UnmarshalText([]byte(e164)); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestNoSenderClosesAndTriesAgain undoes the whole message, so that the engine keeps it.
func TestNoSenderClosesAndTriesAgain(t *testing.T) {
	b := newBox(t)
	ready := func(yes bool) {
		b.Do(func(tx *store.Tx) error {
			return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "a", Ready: yes, Cause: "no network", PartTime: time.Second})
		})
	}
	ready(false)
	m := b.message("ADT^A08\n" + jane + "\nZNT|1|OTP^login|R1")
	reply, err := b.in.Handle(context.Background(), hl7.Peer{}, []byte(m))
	busy, ok := errors.AsType[*busyError](err)
	if reply != nil || !ok {
		t.Fatalf("answered %q, error %v", reply, err)
	}
	if _, ok := errors.AsType[*outbox.Busy](busy.err); !ok || !otp.Overloaded(busy.err) {
		t.Errorf("the cause is %T", busy.err)
	}
	if strings.Contains(err.Error(), "4711") || strings.Contains(err.Error(), "DOE") {
		t.Errorf("the error tells a value: %v", err)
	}
	if _, known := b.subject("4711"); known {
		t.Error("half of the message was kept")
	}
	last := b.Entries()[len(b.Entries())-1].Entry
	if last.Action != ActionMessage || last.Outcome != store.Refused || outboxtest.Attr(last, "why") != "no sender can take a code in time" {
		t.Errorf("the last entry is %v, %q", last, outboxtest.Attr(last, "why"))
	}
	ready(true)
	if a := b.parse([]byte(b.raw(m))); a.code != hl7.AA || b.whats() != "portal-login" {
		t.Errorf("answered %s, texts %q", a.code, b.whats())
	}
	if c := b.in.Counts(); c.Failed != 1 || c.Acted != 1 {
		t.Errorf("counted %+v", c)
	}
}

// TestChannelThatNoModemTakesIsNoTrouble: a code by call on a box without a modem that calls can never
// go. Closing the connection would bring the message for ever, and its contact with it.
func TestChannelThatNoModemTakesIsNoTrouble(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, "ADT^A04\n"+jane+"\nZNT|1|OTP^portal-login|RQ1|CALL|en")
	if got := b.numbers("4711"); len(got) != 1 {
		t.Errorf("the contact's numbers are %d", len(got))
	}
	if e := b.last(); !strings.Contains(e.Why, "verification refused: channel not offered") || !strings.Contains(e.Did, "contact created") {
		t.Errorf("explained: did %q, why %q", e.Did, e.Why)
	}
	if b.whats() != "" || b.count(otp.ActionStart) != 1 {
		t.Errorf("texts %q, %d entries of a start", b.whats(), b.count(otp.ActionStart))
	}
}

// TestLimitIsNoTrouble answers AA where a limit of the number is reached: the engine has done its part.
func TestLimitIsNoTrouble(t *testing.T) {
	b := newBox(t)
	most := limit.Default().NumberHour.Max
	for i := range most + 2 {
		sendOK(t, b, "ADT^A08\n"+jane+"\nZNT|1|OTP^patient-signup|R"+string(rune('a'+i))+"\nZNT|2|OTP^portal-login|S"+string(rune('a'+i)))
	}
	if e := b.last(); !strings.Contains(e.Why, "verification refused") {
		t.Errorf("why %q", e.Why)
	}
}

// TestFullDiskClosesTheConnection takes nothing, and loses nothing.
func TestFullDiskClosesTheConnection(t *testing.T) {
	var free uint64 = 1 << 40
	s, err := store.Open(context.Background(), filepath.Join(t.TempDir(), "store"), store.Options{
		Origin: "pinward/test", Keys: storetest.NewKeys(t), Log: slog.New(slog.DiscardHandler),
		Free: func(string) (uint64, uint64, error) { return free, 1 << 41, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	in := New(Options{Store: s, Listener: Listener{Name: "adt", Mode: contact.Live}})
	m := []byte(header("ADT^A08", "1", time.Now()) + "\r" + jane + "\r")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if reply, err := in.Handle(context.Background(), hl7.Peer{}, m); reply != nil || !errors.Is(err, store.ErrClosed) {
		t.Errorf("on a closed store answered %q, error %v", reply, err)
	}
	free = 1 << 20
	dir := filepath.Join(t.TempDir(), "full")
	s, err = store.Open(context.Background(), dir, store.Options{
		Origin: "pinward/test", Keys: storetest.NewKeys(t), Log: slog.New(slog.DiscardHandler),
		Free: func(string) (uint64, uint64, error) { return free, 1 << 41, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in = New(Options{Store: s, Listener: Listener{Name: "adt", Mode: contact.Live}})
	if reply, err := in.Handle(context.Background(), hl7.Peer{}, m); reply != nil || !errors.Is(err, store.ErrFull) {
		t.Errorf("on a full disk answered %q, error %v", reply, err)
	}
}

// TestSweep forgets what is older than the window, and keeps what is in it.
func TestSweep(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, "ADT^A08\n"+jane+"\nZNT|1|OTP^login|R1")
	m := b.message("ADT^A08\n" + jane)
	b.raw(m)
	b.Do(func(tx *store.Tx) error {
		now := weekOf(tx.Now())
		for i := range uint16(6) {
			key := append(weekKey(now-i), make([]byte, 32)...)
			if err := seen.Put(tx, key, outcome{Type: "X"}); err != nil {
				return err
			}
			if err := requests.Put(tx, requestKey(tx, now-i, "p", "r"), "VE"); err != nil {
				return err
			}
		}
		return nil
	})
	b.Do(Sweep)
	b.View(func(tx *store.Tx) error {
		n, err := seen.Len(tx)
		if err != nil || n != 2+2 {
			t.Errorf("%d outcomes are left (%v)", n, err)
		}
		n, err = requests.Len(tx)
		if err != nil || n != 1+2 {
			t.Errorf("%d requests are left (%v)", n, err)
		}
		return nil
	})
	b.raw(m)
	if c := b.in.Counts(); c.Duplicates != 1 {
		t.Errorf("counted %+v: a repeat within the window is known", c)
	}
}
