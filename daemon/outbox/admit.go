package outbox

import (
	"fmt"
	"slices"
	"time"

	"pinward/store"
)

// AdmitWait is the longest that a code may have to wait for its hand-over when it is accepted.
const AdmitWait = 10 * time.Second

// noSenderRetry is what a caller is told where nothing says when a sender will be back.
const noSenderRetry = 30 * time.Second

// Admit tells whether a message may be accepted now, before Put: a code that would come too late is
// better refused, so that the caller can do something else. The error is a *Busy; it is ErrNoStep where
// waiting is of no use, as no sender that the box has, ready or not, takes the channel of the first
// step. Messages that wait by nature, those of the other lanes, and those that no mode lets out, are
// always admitted.
func Admit(tx *store.Tx, m Message) error {
	if m.Lane != OTP {
		return nil
	}
	if err := check(m, tx.Now()); err != nil {
		return err
	}
	r := &record{Message: m}
	if live, _, err := allowed(tx, r); err != nil || !live {
		return err
	}
	return admit(tx, r)
}

// Accepting tells whether a code to nobody in particular would be accepted now, for health and for
// monitors; the error is a *Busy, as Admit's.
func Accepting(tx *store.Tx) error {
	return admit(tx, &record{Message: Message{Lane: OTP, Route: []Step{{Channel: SMS}}}})
}

// admit asks whether a sender could take the code in time.
func admit(tx *store.Tx, r *record) error {
	if paused, err := isPaused(tx, OTP); err != nil {
		return err
	} else if paused {
		return &Busy{RetryAfter: noSenderRetry, Reason: "the lane is held by an operator"}
	}
	y := look(tx)
	free, back, err := y.forCodes(r)
	if err != nil {
		return err
	}
	if len(free) == 0 && y.never(r.stepClass(0)) {
		return ErrNoStep
	}
	if len(free) == 0 {
		return &Busy{RetryAfter: seconds(back), Reason: "no sender can take it"}
	}
	ahead, err := codesAhead(tx, r.Staff)
	if err != nil {
		return err
	}
	shunned, err := y.suspected(r)
	if err != nil {
		return err
	}
	if wait := estimate(free, shunned, ahead, y.now); wait > AdmitWait {
		return &Busy{RetryAfter: seconds(wait - AdmitWait), Reason: "the line before it is too long"}
	}
	return nil
}

// forCodes lists the senders that take codes by the message's first step, and if there is none, how
// long until a budget has room again.
func (y *yard) forCodes(r *record) (free []*member, back time.Duration, err error) {
	back = noSenderRetry
	all, err := y.all()
	if err != nil {
		return nil, 0, err
	}
	c := r.stepClass(0)
	for _, m := range all {
		if !m.Ready || !m.can(OTP, c) {
			continue
		}
		u, err := y.used(m)
		if err != nil {
			return nil, 0, err
		}
		if u.room(m, OTP, y.now, c.parts()) {
			free = append(free, m)
		} else {
			back = min(back, u.release(m, OTP, y.now, c.parts()).Sub(y.now))
		}
	}
	return free, back, nil
}

// never tells that there are senders, and that none of them could take the class in any state: a box
// without a modem that calls. A box that has not met its senders yet knows nothing of the kind. All
// of them are read already.
func (y *yard) never(c class) bool {
	for _, m := range y.known {
		if m.able(c) {
			return false
		}
	}
	return len(y.known) > 0
}

// codesAhead counts the codes in line before a new one: staff passes all the others by.
func codesAhead(tx *store.Tx, staff bool) (int, error) {
	if !staff {
		return waits(tx, OTP)
	}
	n := 0
	err := lines.Each(tx, store.Range{Prefix: []byte{byte(OTP)}}, func(key []byte, ln line) error {
		if ln.Class.Shadow {
			return nil
		}
		return ready.Each(tx, store.Range{Prefix: append(key, 0)}, func([]byte, struct{}) error {
			if n++; n > 1000 {
				return store.Stop
			}
			return nil
		})
	})
	if err != nil {
		return 0, fmt.Errorf("count codes of staff: %w", err)
	}
	return n, nil
}

func (s Sender) partTime() time.Duration {
	if s.PartTime > 0 {
		return s.PartTime
	}
	return usualPartTime
}

// estimate is how long a new code waits until its hand-over begins: each sender first ends what it
// has on air, then all of them take from the line. What is on air for long is taken to need that long
// again. One that is suspected of filtering is left alone for shunFor while another is there.
func estimate(free []*member, shunned []suspect, ahead int, now time.Time) time.Duration {
	suspected := func(m *member) bool {
		return slices.ContainsFunc(shunned, func(s suspect) bool { return s.SIM == m.SIM })
	}
	other := slices.ContainsFunc(free, func(m *member) bool { return !suspected(m) })
	ready := make([]time.Duration, len(free))
	for i, m := range free {
		if m.Hand != "" {
			on := now.Sub(m.Since)
			ready[i] = max(m.partTime()-on, on/2)
		}
		if other && suspected(m) {
			ready[i] = max(ready[i], shunFor(OTP))
		}
	}
	for ; ; ahead-- {
		first := 0
		for i := range ready {
			if ready[i] < ready[first] {
				first = i
			}
		}
		if ahead <= 0 || ready[first] > AdmitWait {
			return ready[first] + time.Duration(max(0, ahead))*free[first].partTime()/time.Duration(len(free))
		}
		ready[first] += free[first].partTime()
	}
}

func seconds(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}

// waits counts the messages of a lane that are due and in line for a sender.
func waits(tx *store.Tx, l Lane) (int, error) {
	n := 0
	err := lines.Each(tx, store.Range{Prefix: []byte{byte(l)}}, func(_ []byte, ln line) error {
		if !ln.Class.Shadow {
			n += ln.Count
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("count lane: %w", err)
	}
	return n, nil
}

// LaneDepth is how much there is in a lane.
type LaneDepth struct {
	Lane   Lane
	Due    int       // in line for a sender
	OnAir  int       // in the hands of senders
	Oldest time.Time // due since, of the oldest head of a line; zero if none
	Paused bool
}

// Depth tells how much there is in each lane, the most urgent first. What is due later is not in it.
func Depth(tx *store.Tx) ([]LaneDepth, error) {
	out := make([]LaneDepth, 0, len(lanes))
	at := map[Lane]int{}
	for _, l := range lanes {
		d := LaneDepth{Lane: l}
		var err error
		if d.Due, err = waits(tx, l); err != nil {
			return nil, err
		}
		if d.Paused, err = isPaused(tx, l); err != nil {
			return nil, err
		}
		err = lines.Each(tx, store.Range{Prefix: []byte{byte(l)}}, func(key []byte, ln line) error {
			head, err := headOf(tx, key)
			if head == nil || err != nil || ln.Class.Shadow {
				return err
			}
			if due := keyDue(head); d.Oldest.IsZero() || due.Before(d.Oldest) {
				d.Oldest = due
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read lane: %w", err)
		}
		at[l] = len(out)
		out = append(out, d)
	}
	all, err := look(tx).all()
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if m.Hand == "" {
			continue
		}
		if r, err := load(tx, m.Hand); err == nil {
			out[at[r.Lane]].OnAir++
		}
	}
	return out, nil
}

// CodeWaits tells whether a code is due that no idle sender could take now: then a part which is long
// on air holds it up, and the sender that asks has one.
func CodeWaits(tx *store.Tx) (bool, error) {
	if paused, err := isPaused(tx, OTP); err != nil || paused {
		return false, err
	}
	y := look(tx)
	all, err := y.all()
	if err != nil {
		return false, err
	}
	stuck := false
	err = lines.Each(tx, store.Range{Prefix: []byte{byte(OTP)}}, func(_ []byte, ln line) error {
		if ln.Class.Shadow || ln.Count == 0 {
			return nil
		}
		served := false
		for _, m := range all {
			well, err := y.well(m, OTP, ln.Class.parts())
			if err != nil {
				return err
			}
			if well && m.can(OTP, ln.Class) {
				served = served || m.Hand == ""
			}
		}
		if stuck = !served; stuck {
			return store.Stop
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look for waiting codes: %w", err)
	}
	return stuck, nil
}
