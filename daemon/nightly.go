package daemon

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/store"
)

const (
	nightFrom   = 2 // o'clock, unless the site's quiet hours end too early for it
	nightLength = 2 * time.Hour
	// A SIM whose last test is longer ago than this, as one that has never been tested, does not wait for
	// the night; it must have been ready for a while, because a new box has other things to do.
	testOverdue = 36 * time.Hour
	readyBefore = 10 * time.Minute
)

// night is when the box does what only has to be done once a day: two hours while the site is quiet, on
// the day of at.
func night(site contact.Site, at time.Time) (begin time.Time) {
	at = at.In(site.Location())
	clock := func(hours int) time.Time {
		return time.Date(at.Year(), at.Month(), at.Day(), hours, 0, 0, 0, at.Location())
	}
	if until, quiet := site.Quiet(clock(3)); quiet && until.Before(clock(nightFrom).Add(nightLength)) {
		return until.Add(-nightLength).In(at.Location())
	}
	return clock(nightFrom)
}

// slot is the time of this night that belongs to one of n SIMs: spread, so that they are not all busy at
// once.
func slot(site contact.Site, at time.Time, i, n int) time.Time {
	return night(site, at).Add(nightLength * time.Duration(i) / time.Duration(max(n, 1)))
}

// testDue begins the self-tests whose time has come, at most one in a transaction. A SIM is tested once
// a day, whatever came of it: a test that failed is a matter for a person, and no reason for more texts.
func (h *house) testDue(tx *store.Tx) error {
	site, err := contact.SiteOf(tx)
	if err != nil || site.Mode == contact.Shadow {
		return err
	}
	for i, s := range h.senders {
		st := s.modem.Status()
		if !st.Ready || st.ICCID == "" {
			continue
		}
		last, _, err := tested.Get(tx, testedKey(tx, st.ICCID))
		if err != nil {
			return fmt.Errorf("read last test: %w", err)
		}
		at := slot(site, tx.Now(), i, len(h.senders))
		tonight := !tx.Now().Before(at) && tx.Now().Before(at.Add(nightLength)) && last.Began.Before(at)
		overdue := tx.Now().Sub(last.Began) > testOverdue && time.Since(st.Since) > readyBefore
		if !tonight && !overdue {
			continue
		}
		t, ok, err := h.testOf(tx, s, site)
		if err != nil || !ok {
			return err
		}
		if _, err := beginTest(tx, t); !errors.Is(err, errTesting) {
			return err
		}
	}
	return nil
}

// testOf is the test of a SIM: to the next SIM of the box whose number is known, of another network
// first, else to itself.
func (h *house) testOf(tx *store.Tx, s *sender, site contact.Site) (t selfTest, ok bool, err error) {
	st := s.modem.Status()
	t = selfTest{Modem: s.port.Name, SIM: st.ICCID}
	at := slices.Index(h.senders, s)
	best := -1
	for k := 1; k <= len(h.senders); k++ {
		other := h.senders[(at+k)%len(h.senders)]
		o := other.modem.Status()
		if !o.Ready {
			continue
		}
		number, err := numberOf(tx, other, site)
		if err != nil {
			return t, false, err
		}
		rank := 1
		switch {
		case number.IsZero():
			continue
		case other == s:
			rank = 0
		case o.Operator != st.Operator:
			rank = 2
		}
		if rank > best {
			best, t.To, t.ToModem = rank, number, other.port.Name
		}
	}
	return t, best >= 0, nil
}

// numberOf is the own number of the SIM in a modem: by its record, else as the SIM tells it; zero if
// nobody knows.
func numberOf(tx *store.Tx, s *sender, site contact.Site) (contact.Phone, error) {
	st := s.modem.Status()
	sim, _, err := outbox.SIMOf(tx, st.ICCID)
	if err != nil || !sim.Number.IsZero() || st.Number == "" {
		return sim.Number, err
	}
	p, err := contact.FromNetwork(st.Number, site.Plan())
	if _, unreadable := errors.AsType[*contact.NumberError](err); unreadable {
		return contact.Phone{}, nil
	}
	return p, err
}

// own tells whether a number is one of the box's SIMs: what comes from it is no patient's, and an answer
// to it would be answered in turn.
func (h *house) own(tx *store.Tx, p contact.Phone) (bool, error) {
	site, err := contact.SiteOf(tx)
	if err != nil {
		return false, err
	}
	for _, s := range h.senders {
		if n, err := numberOf(tx, s, site); err != nil || n == p {
			return n == p, err
		}
	}
	return false, nil
}

// startTest begins a test for an operator: a text to another SIM or to a number that the operator names, or a call to
// such a number.
func (h *house) startTest(tx *store.Tx, name string, to contact.Phone, call bool) (admin.SelfTest, error) {
	s := h.sender(name)
	site, err := contact.SiteOf(tx)
	if err != nil {
		return admin.SelfTest{}, err
	}
	st := s.modem.Status()
	t, ok, err := h.testOf(tx, s, site)
	switch {
	case err != nil:
		return admin.SelfTest{}, err
	case site.Mode == contact.Shadow:
		return admin.SelfTest{}, fmt.Errorf("%w: the site is in shadow mode, in which nothing leaves the box", admin.ErrState)
	case !st.Ready:
		return admin.SelfTest{}, fmt.Errorf("%w: the modem cannot send: %s", admin.ErrState, st.Cause)
	case call:
		if err := s.mayTestCall(tx, to); err != nil {
			return admin.SelfTest{}, err
		}
		t.To, t.ToModem, t.Call = to, "", true
	case !to.IsZero():
		t.To, t.ToModem = to, ""
	case !ok:
		return admin.SelfTest{}, fmt.Errorf("%w: no SIM of the box tells its number: put one on record with pinward modem sim set, or name yours with --to", admin.ErrState)
	}
	t, err = beginTest(tx, t)
	if errors.Is(err, errTesting) {
		return admin.SelfTest{}, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	return t.view(), err
}

// mayTestCall says why no test call can be made.
func (s *sender) mayTestCall(tx *store.Tx, to contact.Phone) error {
	st := s.modem.Status()
	switch {
	case !st.CanCall():
		return fmt.Errorf("%w: the modem cannot call: pinward modem list shows its voice and its ways to play", admin.ErrState)
	case !s.speaks(st):
		return fmt.Errorf("%w: there is nothing to say in a call: the hospital's name is not recorded; run: pinward speech build", admin.ErrState)
	}
	may, err := contact.MayCall(tx, to)
	if err == nil && !may {
		err = fmt.Errorf("%w: that number is never called: it wants no calls, is the hospital's own, or lies in the site's no_calls", admin.ErrState)
	}
	return err
}

// findTest is where a test stands.
func findTest(tx *store.Tx, token string) (admin.SelfTest, bool, error) {
	key := testKey(tx, token)
	t, ok, err := tests.Get(tx, key)
	if err != nil || !ok {
		return admin.SelfTest{}, false, err
	}
	if u, on, err := going.Get(tx, key); err != nil {
		return admin.SelfTest{}, false, err
	} else if on {
		t.Accepted, t.Receipt = u.Accepted, u.Receipt
	}
	return t.view(), true, nil
}

func (t selfTest) view() admin.SelfTest {
	after := func(at time.Time) float64 {
		if at.IsZero() {
			return 0
		}
		return max(0.001, at.Sub(t.Began).Seconds())
	}
	return admin.SelfTest{
		ID: t.Token, Modem: t.Modem, To: t.ToModem, Call: t.Call, Began: t.Began, Ended: t.Ended, OK: t.OK, Result: t.Cause,
		Accepted: after(t.Accepted), Receipt: after(t.Receipt), Arrived: after(t.Arrived),
	}
}
