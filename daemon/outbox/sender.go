package outbox

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"pinward/store"
)

// Sender is what a sender tells of itself. The daemon's sender loop owns every field.
type Sender struct {
	Name    string `json:"name"`              // stable, from the configuration
	SIM     string `json:"sim"`               // ICCID; its record, budgets, receipts and stickiness go by it
	Network string `json:"network,omitempty"` // operator's name as the modem reads it; the carrier of a SIM without a record
	Ready   bool   `json:"ready"`             // registered and able to send
	Voice   bool   `json:"voice"`             // takes Call steps
	Proven  bool   `json:"proven,omitempty"`  // somebody has heard a call of it, of late: it goes before those of which that is not known
	Claims  bool   `json:"claims,omitempty"`  // watches Claims: a code may be given to it by the transaction that accepts it
	Cause   string `json:"cause,omitempty"`
	// PartTime is how long the hand-over of one part takes, as a moving average; 0 is not known yet.
	PartTime time.Duration `json:"part_time,omitempty"`
}

// Standing is a sender as the outbox sees it.
type Standing struct {
	Sender
	Seen    time.Time `json:"seen"`              // last Report, to the hour
	Hand    string    `json:"hand,omitempty"`    // message that it has not settled
	Attempt int       `json:"attempt,omitempty"` // of Hand
	Since   time.Time `json:"since,omitzero"`    // when Hand was given
	Claim   bool      `json:"claim,omitempty"`   // Hand was given by the transaction that accepted it
	Last    time.Time `json:"last,omitzero"`     // when it was given something last
	Minute  int       `json:"-"`                 // parts given in the last minute
	Day     int       `json:"-"`                 // parts given in the last day

	// By the SIM's record, or what holds for a SIM without one.
	Carrier   string `json:"-"` // steps to another carrier go by it; "" is unknown
	PerMinute int    `json:"-"` // budgets in parts, 0 for none; half is kept for lane OTP
	PerDay    int    `json:"-"`
	carries   [Bulk + 1]bool

	// Hindrance is why it takes no code, in plain words; "" if it does, be it after what it has in hand.
	Hindrance string `json:"-"`
}

// Carries tells whether the sender's SIM may carry messages of a lane that are not essential.
func (s Standing) Carries(l Lane) bool { return l <= Bulk && s.carries[l] }

var senders = store.NewTable[Standing]("outbox.senders",
	store.Bookkeeping("state of the senders and what each has in hand; each hand-over is an entry of its message"))

const (
	usualPartTime = 4 * time.Second // of a sender that has not shown its own (modem reference 5.1)
	// A sender that has not reported for goneAfter is no reason to wait for it, and after
	// forgetAfter it is forgotten.
	goneAfter   = 24 * time.Hour
	forgetAfter = 30 * 24 * time.Hour
)

// Report tells the state of a sender. It is cheap to call when nothing changed.
func Report(tx *store.Tx, s Sender) error {
	if s.Name == "" {
		return &InvalidError{Of: "sender", Field: "name", Reason: "is missing"}
	}
	was, _, err := senders.Get(tx, []byte(s.Name))
	if err != nil {
		return fmt.Errorf("read sender: %w", err)
	}
	if s.Network == "" && s.SIM == was.SIM {
		s.Network = was.Network // a modem that has no network still has its SIM's carrier
	}
	now := was
	now.Sender = s
	if tx.Now().Sub(was.Seen) >= time.Hour {
		now.Seen = tx.Now()
	}
	if now == was {
		return nil
	}
	if err := senders.Put(tx, []byte(s.Name), now); err != nil {
		return fmt.Errorf("keep sender: %w", err)
	}
	was.PartTime, was.Seen = s.PartTime, now.Seen
	if now != was {
		// What another sender should take, or this one may, is decided anew.
		tx.Signal(Changed)
		tx.Signal(Due)
	}
	return nil
}

// ResetSenders marks all senders as not ready, when the process starts: none is, until it says so.
// What they can do stays known, so that no route is cut short meanwhile.
func ResetSenders(tx *store.Tx) error {
	return senders.Each(tx, store.Range{}, func(key []byte, s Standing) error {
		if s.Hand == "" && tx.Now().Sub(s.Seen) > forgetAfter {
			return senders.Delete(tx, key)
		}
		if !s.Ready {
			return nil
		}
		s.Ready, s.Cause = false, "has not reported since the start"
		return senders.Put(tx, key, s)
	})
}

// Senders lists all senders by name, with what their SIMs have used.
func Senders(tx *store.Tx) ([]Standing, error) {
	y := look(tx)
	all, err := y.all()
	if err != nil {
		return nil, err
	}
	out := make([]Standing, 0, len(all))
	for _, s := range all {
		u, err := y.used(s)
		if err != nil {
			return nil, err
		}
		st := s.Standing
		st.Minute, st.Day = u.Minute.total(minute, y.now), u.Day.total(day, y.now)
		st.Hindrance = s.hindrance(u, y.now)
		out = append(out, st)
	}
	return out, nil
}

// Calls tells whether the box has a sender that takes calls, ready or not.
func Calls(tx *store.Tx) (bool, error) {
	y := look(tx)
	all, err := y.all()
	for _, m := range all {
		if m.Voice && y.now.Sub(m.Seen) <= goneAfter {
			return true, nil
		}
	}
	return false, err
}

func (m *member) hindrance(u *usage, now time.Time) string {
	switch {
	case !m.Ready:
		return cmp.Or(m.Cause, "it is not ready")
	case !m.carries[OTP]:
		return "its SIM's record keeps it from codes"
	case !u.Day.room(day, m.PerDay, OTP, now, 1):
		return "the budget of its SIM's day is used up"
	case !u.Minute.room(minute, m.PerMinute, OTP, now, 1):
		return "the budget of its SIM's minute is used up"
	}
	return ""
}

// yard is what one transaction knows of the senders: each is read once, and when it is needed.
type yard struct {
	tx    *store.Tx
	now   time.Time
	known []*member
	whole bool // known are all, by name
}

type member struct {
	Standing
	usage *usage // nil until asked for
}

func look(tx *store.Tx) *yard { return &yard{tx: tx, now: tx.Now()} }

// named gives one sender, or nil.
func (y *yard) named(name string) (*member, error) {
	for _, m := range y.known {
		if m.Name == name {
			return m, nil
		}
	}
	if y.whole || name == "" {
		return nil, nil
	}
	s, ok, err := senders.Get(y.tx, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("read sender: %w", err)
	}
	if !ok {
		return nil, nil
	}
	m, err := y.member(s)
	if err == nil {
		y.known = append(y.known, m)
	}
	return m, err
}

// all gives all senders, by name.
func (y *yard) all() ([]*member, error) {
	if y.whole {
		return y.known, nil
	}
	var all []*member
	err := senders.Each(y.tx, store.Range{}, func(_ []byte, s Standing) error {
		for _, m := range y.known {
			if m.Name == s.Name {
				all = append(all, m)
				return nil
			}
		}
		m, err := y.member(s)
		all = append(all, m)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read senders: %w", err)
	}
	y.known, y.whole = all, true
	return all, nil
}

// with gives the sender that has a SIM and is ready, or nil.
func (y *yard) with(sim string) (*member, error) {
	all, err := y.all()
	for _, m := range all {
		if m.SIM == sim && m.Ready {
			return m, nil
		}
	}
	return nil, err
}

// member adds to a sender what the record of its SIM says.
func (y *yard) member(s Standing) (*member, error) {
	sim, known, err := sims.Get(y.tx, simKey(y.tx, s.SIM))
	if errors.Is(err, store.ErrCorrupt) { // codes must flow all the same
		sim, known, err = SIM{}, false, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read SIM: %w", err)
	}
	s.Carrier = s.Network
	if known && sim.Carrier != "" {
		s.Carrier = sim.Carrier
	}
	s.PerMinute, s.PerDay = sim.caps()
	for _, l := range lanes {
		s.carries[l] = sim.carries(l, y.now)
	}
	return &member{Standing: s}, nil
}

func (y *yard) keep(m *member) error {
	if err := senders.Put(y.tx, []byte(m.Name), m.Standing); err != nil {
		return fmt.Errorf("keep sender: %w", err)
	}
	return nil
}

// stickFor is how long a message waits for the SIM that its recipient knows while that SIM is well.
// A code waits only for an idle one, and only a moment, in case its loop hangs.
func stickFor(l Lane) time.Duration {
	switch l {
	case OTP:
		return time.Second
	case Notice:
		return 5 * time.Minute
	}
	return time.Hour
}

// avoidFor is how long a message is kept from the SIM where it failed just now.
func avoidFor(l Lane) time.Duration {
	if l == OTP {
		return 10 * time.Second
	}
	return 2 * time.Minute
}

// can tells whether the sender may take messages of this class, by what it is and what its SIM may
// carry.
func (m *member) can(l Lane, c class) bool {
	return (c.Essential || m.carries[l]) && m.holds(l, c.parts()) && m.able(c)
}

// able is can for what only another modem or another SIM would change.
func (m *member) able(c class) bool {
	switch {
	case c.Shadow, c.Channel == Call && !m.Voice, c.SIM != "" && c.SIM != m.SIM:
		return false
	case c.AvoidCarrier != "":
		return m.Carrier != "" && m.Carrier != c.AvoidCarrier
	}
	return true
}

// well tells whether the sender can send so many parts of this lane now, or as soon as it is idle.
func (y *yard) well(m *member, l Lane, parts int) (bool, error) {
	if !m.Ready || m.PerMinute <= 0 && m.PerDay <= 0 {
		return m.Ready, nil
	}
	u, err := y.used(m)
	if err != nil {
		return false, err
	}
	return u.room(m, l, y.now, parts), nil
}

// fits tells whether a sender that can take the class should take its first message now, which has
// been due since.
func (y *yard) fits(m *member, l Lane, c class, since time.Time) (bool, error) {
	if c.AvoidSIM != "" && c.AvoidSIM == m.SIM && y.now.Before(since.Add(avoidFor(l))) {
		return false, nil
	}
	if off, err := y.holdsOff(m, l, c, since); off || err != nil {
		return false, err
	}
	if off, err := y.leavesCall(m, l, c, since); off || err != nil {
		return false, err
	}
	if c.Prefer == "" || c.Prefer == m.SIM || !y.now.Before(since.Add(stickFor(l))) {
		return true, nil
	}
	owner, err := y.with(c.Prefer)
	if err != nil {
		return false, err
	}
	if owner == nil || !owner.can(l, c) || l == OTP && owner.Hand != "" {
		return true, nil
	}
	well, err := y.well(owner, l, c.parts())
	return !well, err
}

// provenFirst is how long an idle sender whose calls are proven has, before another takes a call.
const provenFirst = 3 * time.Second

// leavesCall tells whether a sender of which it is not known that its calls are heard leaves one to an idle sender of which it is.
func (y *yard) leavesCall(m *member, l Lane, c class, since time.Time) (bool, error) {
	if c.Channel != Call || m.Proven || !y.now.Before(since.Add(provenFirst)) {
		return false, nil
	}
	all, err := y.all()
	if err != nil {
		return false, err
	}
	for _, other := range all {
		if !other.Proven || other.Hand != "" || !other.can(l, c) || c.AvoidSIM != "" && c.AvoidSIM == other.SIM {
			continue
		}
		if well, err := y.well(other, l, c.parts()); well || err != nil {
			return well, err
		}
	}
	return false, nil
}
