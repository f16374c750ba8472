package daemon

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/store"
)

// Actions of a self-test: one text through a SIM, mostly to another SIM of the box, or one call to an operator.
const (
	actTestStart   store.Action = "selftest.start"
	actTestArrived store.Action = "selftest.arrived"
	actTestEnd     store.Action = "selftest.end"
)

// kindSelfTest is the kind of the message of a self-test.
const kindSelfTest outbox.Kind = "selftest"

const (
	testSendBy   = 5 * time.Minute  // a test that was not handed over by then has failed
	testArriveBy = 10 * time.Minute // and so has one that did not arrive by then
	testReceipt  = time.Minute      // how much longer than the arrival a receipt is waited for
	testKept     = 8 * 24 * time.Hour
)

// selfTest is a text that proves that a SIM sends, and another one receives; or a call that proves that a modem's calls
// are heard, by the key that it asks for.
type selfTest struct {
	// Token stands in the text and finds this record again. It cannot be guessed: nobody outside can
	// have a text of theirs taken for a test and so go unread.
	Token   string
	Modem   string // that sends
	SIM     string // by which it must leave
	To      contact.Phone
	ToModem string // whose SIM it goes to; "" is a number outside of the box
	Call    bool   // a call: Accepted is then when the modem was given it, Receipt when a key had been pressed and it was over
	Message string // id in the outbox

	Began    time.Time
	Accepted time.Time // by the network; zero: not
	Receipt  time.Time
	Arrived  time.Time
	Ended    time.Time // zero while it goes on
	OK       bool
	Cause    string // of the end, in words
}

// underWay is how far a test that goes on has come.
type underWay struct {
	SIM               string
	Accepted, Receipt time.Time
}

var (
	tests = store.NewTable[selfTest]("modem.tests", store.Blinded(0), // by token
		store.Bookkeeping("what a self-test's text is known by; beginning, arrival and end are entries"))
	going = store.NewTable[underWay]("modem.testing", store.Blinded(0), // by token
		store.Bookkeeping("how far a self-test has come; each step is an entry of its message"))
	tested = store.NewTable[selfTest]("modem.tested", store.Blinded(0)) // the last one that ended, by SIM
)

func testKey(tx *store.Tx, token string) []byte { return tx.Blind("modem.test", token) }

func testedKey(tx *store.Tx, sim string) []byte { return tx.Blind("modem.tested", sim) }

// errTesting says that a test of the SIM goes on.
var errTesting = errors.New("a test of this SIM goes on")

// beginTest sends a test text through one SIM. It is essential: also a SIM without permission on record
// is tested.
func beginTest(tx *store.Tx, t selfTest) (selfTest, error) {
	busy := false
	if err := going.Each(tx, store.Range{}, func(_ []byte, u underWay) error {
		busy = busy || u.SIM == t.SIM
		return nil
	}); err != nil {
		return t, fmt.Errorf("look for tests: %w", err)
	}
	if busy {
		return t, errTesting
	}
	t.Token, t.Began = rand.Text()[:16], tx.Now()
	by := outbox.SMS
	if t.Call {
		by = outbox.Call
	}
	m, err := outbox.Put(tx, outbox.Message{
		Kind: kindSelfTest, Ref: "ST" + t.Token, Lane: outbox.Notice, To: t.To, SIM: t.SIM, Essential: true,
		Route: []outbox.Step{{Channel: by}}, Expires: t.Began.Add(testSendBy), Mode: contact.Live,
	})
	if err != nil {
		return t, fmt.Errorf("send test: %w", err)
	}
	t.Message = m.ID
	if err := going.Put(tx, testKey(tx, t.Token), underWay{SIM: t.SIM}); err != nil {
		return t, fmt.Errorf("keep test: %w", err)
	}
	to := t.ToModem
	if to == "" {
		to = "a number outside"
	}
	return t, t.keep(tx, store.Entry{Action: actTestStart, Outcome: store.OK, Attrs: []store.Attr{{Key: "sim", Value: t.SIM}, {Key: "to", Value: to}, {Key: "channel", Value: string(by)}}})
}

func (t selfTest) keep(tx *store.Tx, e store.Entry) error {
	if err := tests.Put(tx, testKey(tx, t.Token), t); err != nil {
		return fmt.Errorf("keep test: %w", err)
	}
	e.Object = "modem:" + t.Modem
	return tx.Record(e)
}

// testText begins every test text; the token follows it.
const testText = "modem test "

// renderTest is the outbox's Source of self-tests.
func renderTest(tx *store.Tx, m outbox.Message) (outbox.Rendered, error) {
	token := strings.TrimPrefix(m.Ref, "ST")
	t, ok, err := tests.Get(tx, testKey(tx, token))
	if err != nil {
		return outbox.Rendered{}, err
	}
	if !ok {
		return outbox.Rendered{}, outbox.ErrGone
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return outbox.Rendered{}, err
	}
	if t.Call {
		return outbox.Rendered{Report: true, Call: outbox.Spoken{Say: outbox.SayTest, Langs: []string{site.Language(), "en"}, Phone: site.HelpPhone}}, nil
	}
	text := strings.TrimSpace(site.Brand+" "+testText) + " " + token
	return outbox.Rendered{Text: text, Validity: testSendBy, Report: true, Parts: 1}, nil
}

// testArrived takes a text in if it is one of our tests: it is counted, and nobody reads it.
func testArrived(tx *store.Tx, body string) (ours bool, err error) {
	_, rest, found := strings.Cut(body, testText)
	token, _, _ := strings.Cut(rest, " ")
	if !found || len(token) != 16 {
		return false, nil
	}
	t, ok, err := tests.Get(tx, testKey(tx, token))
	if err != nil || !ok {
		return false, err
	}
	if !t.Arrived.IsZero() {
		return true, nil // the network gave it twice
	}
	t.Arrived = tx.Now()
	e := store.Entry{Action: actTestArrived, Outcome: store.OK, Attrs: []store.Attr{{Key: "after", Value: t.Arrived.Sub(t.Began).Round(time.Second).String()}}}
	if !t.Ended.IsZero() { // too late: the result stands, and tells it
		t.Cause += "; it arrived after " + t.Arrived.Sub(t.Began).Round(time.Second).String()
		if err := tested.Put(tx, testedKey(tx, t.SIM), t); err != nil {
			return true, fmt.Errorf("keep test: %w", err)
		}
	}
	return true, t.keep(tx, e)
}

// sweepTests follows the tests that go on, and ends them.
func sweepTests(tx *store.Tx) error {
	return going.Each(tx, store.Range{}, func(key []byte, u underWay) error {
		t, ok, err := tests.Get(tx, key)
		if err != nil {
			return err
		}
		if !ok {
			return going.Delete(tx, key)
		}
		m, ok, err := outbox.Get(tx, t.Message)
		if err != nil {
			return err
		}
		now := u
		if ok {
			now.follow(tx.Now(), m)
		}
		t.Accepted, t.Receipt = now.Accepted, now.Receipt
		switch {
		case t.over(tx.Now(), m):
			return t.end(tx, key, m)
		case now != u:
			return going.Put(tx, key, now)
		}
		return nil
	})
}

// follow reads from the message how far its test has come.
func (u *underWay) follow(now time.Time, m outbox.Message) {
	for _, a := range m.Attempts {
		if m.Route[a.Step].Channel == outbox.Call {
			u.Accepted = a.At
			if a.Outcome == outbox.Delivered {
				u.Receipt = a.Settled
			}
			continue
		}
		switch a.Outcome {
		case outbox.Sent, outbox.Delivered, outbox.Undelivered:
			if u.Accepted.IsZero() {
				u.Accepted = a.Settled
			}
		}
		if a.Outcome == outbox.Delivered && u.Receipt.IsZero() {
			u.Receipt = now
		}
	}
}

// over tells whether nothing more is to be waited for.
func (t *selfTest) over(now time.Time, m outbox.Message) bool {
	arrived := !t.Arrived.IsZero() || t.ToModem == ""
	switch {
	case !now.Before(t.Began.Add(testArriveBy)):
		return true
	case arrived && !t.Receipt.IsZero():
		return true
	case t.Call:
		return m.State.Final()
	case !t.Arrived.IsZero():
		return !now.Before(t.Arrived.Add(testReceipt))
	}
	return m.State == outbox.Refused || m.State == outbox.Expired || m.State == outbox.Canceled || m.State == outbox.Undelivered
}

// end keeps the result. Accepted and arrived is well, whether or not the carrier gives receipts; a text
// to a number outside has its receipt alone to show.
func (t *selfTest) end(tx *store.Tx, key []byte, m outbox.Message) error {
	t.Ended = tx.Now()
	t.OK = !t.Arrived.IsZero() || t.ToModem == "" && !t.Receipt.IsZero()
	t.Cause = t.words(m)
	outcome := store.OK
	if !t.OK {
		outcome = store.Failed
	}
	if err := going.Delete(tx, key); err != nil {
		return fmt.Errorf("end test: %w", err)
	}
	if !t.Call { // the night looks when the SIM last sent a text; what a call proved is the proof of its modem
		if err := tested.Put(tx, testedKey(tx, t.SIM), *t); err != nil {
			return fmt.Errorf("end test: %w", err)
		}
	}
	attrs := []store.Attr{{Key: "sim", Value: t.SIM}, {Key: "result", Value: t.Cause}}
	return t.keep(tx, store.Entry{Action: actTestEnd, Outcome: outcome, Attrs: attrs})
}

func (t *selfTest) words(m outbox.Message) string {
	switch {
	case t.Call && t.OK:
		return "heard, and the key was pressed, after " + t.Receipt.Sub(t.Began).Round(100*time.Millisecond).String()
	case t.Call:
		return "not proven: " + cmp.Or(m.Cause, string(m.State))
	}
	var parts []string
	after := func(at time.Time, done, not string) {
		if at.IsZero() {
			parts = append(parts, not)
			return
		}
		parts = append(parts, done+" after "+at.Sub(t.Began).Round(100*time.Millisecond).String())
	}
	not := "not accepted"
	if m.Cause != "" && t.Accepted.IsZero() {
		not += " (" + m.Cause + ")"
	}
	after(t.Accepted, "accepted", not)
	after(t.Receipt, "receipt", "no receipt")
	if t.ToModem != "" {
		after(t.Arrived, "arrived", "did not arrive")
	}
	return strings.Join(parts, ", ")
}

// forgetTests deletes tests that are so old that no copy of their text will come.
func forgetTests(tx *store.Tx) error {
	return tests.Each(tx, store.Range{}, func(key []byte, t selfTest) error {
		if tx.Now().Sub(t.Began) < testKept {
			return nil
		}
		return tests.Delete(tx, key)
	})
}
