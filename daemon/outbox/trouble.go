package outbox

import (
	"fmt"
	"time"

	"pinward/store"
)

// TroubleKind names a Trouble for programs.
type TroubleKind string

// Kinds of Trouble.
const (
	TroubleRecord     TroubleKind = "no-record"
	TroublePermission TroubleKind = "permission"
	TroubleRenewal    TroubleKind = "renewal"
	TroublePortOut    TroubleKind = "port-out"
	TroubleCap        TroubleKind = "cap"
)

// Trouble is one thing that is wrong, or will be soon, with a SIM in use.
type Trouble struct {
	SIM    string      `json:"sim"`
	Sender string      `json:"sender"`
	Kind   TroubleKind `json:"kind"`
	What   string      `json:"what"`           // in plain words, with the next step, without values
	Since  time.Time   `json:"since,omitzero"` // zero where nobody knows
}

const (
	// warnBefore is how long before its end a permission or a plan is a Trouble.
	warnBefore = 30 * 24 * time.Hour
	// capNearly is the share of a day's cap, in percent, from which on it is a Trouble.
	capNearly = 80
)

// SIMTroubles lists what is wrong with the SIMs of the senders that are there, for health; by sender.
func SIMTroubles(tx *store.Tx) ([]Trouble, error) {
	y := look(tx)
	all, err := y.all()
	if err != nil {
		return nil, err
	}
	var out []Trouble
	for _, m := range all {
		if m.SIM == "" || y.now.Sub(m.Seen) > goneAfter {
			continue
		}
		found, err := y.troubles(m)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func (y *yard) troubles(m *member) (out []Trouble, err error) {
	add := func(k TroubleKind, since time.Time, what string) {
		out = append(out, Trouble{SIM: m.SIM, Sender: m.Name, Kind: k, What: what, Since: since})
	}
	sim, known, err := SIMOf(y.tx, m.SIM)
	if err != nil {
		return nil, err
	}
	p := sim.Permission
	switch {
	case !known:
		add(TroubleRecord, time.Time{}, "no record of this SIM: it carries codes only (pinward modem sim set)")
	case p.Reference == "":
		add(TroublePermission, time.Time{}, "no permission of the carrier on record: it carries codes only")
	case y.now.Before(p.On):
		add(TroublePermission, time.Time{}, "the carrier's permission begins later: until then it carries codes only")
	case ended(p.Until, y.now):
		add(TroublePermission, p.Until, "the carrier's permission has ended: it carries codes only")
	case ended(p.Until, y.now.Add(warnBefore)):
		add(TroublePermission, p.Until.Add(-warnBefore), "the carrier's permission ends on "+p.Until.Format(time.DateOnly))
	}
	if ended(sim.Renewal, y.now) {
		add(TroubleRenewal, sim.Renewal, "the plan was to be renewed: until it is, the SIM carries codes only")
	} else if ended(sim.Renewal, y.now.Add(warnBefore)) {
		add(TroubleRenewal, sim.Renewal.Add(-warnBefore), "the plan is to be renewed by "+sim.Renewal.Format(time.DateOnly))
	}
	if known && !sim.PortOutLock {
		add(TroublePortOut, time.Time{}, "no port-out lock on record: whoever persuades the carrier takes the number away")
	}
	u, err := y.used(m)
	if err != nil {
		return nil, err
	}
	if n := u.Day.total(day, y.now); m.PerDay > 0 && n*100 >= m.PerDay*capNearly {
		add(TroubleCap, time.Time{}, fmt.Sprintf("%d of the %d parts of its day are used", n, m.PerDay))
	}
	err = suspects.Each(y.tx, store.Range{}, func(_ []byte, list []suspect) error {
		for _, s := range list {
			if s.SIM == m.SIM {
				add(TroubleFiltered, s.Since, "the carrier takes texts to one prefix and they do not arrive: ask it why; codes go by other SIMs")
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read suspected SIMs: %w", err)
	}
	return out, nil
}

// ended tells whether a time that is set has come.
func ended(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// NotCarriedError says why no SIM of the box may carry a lane.
type NotCarriedError struct {
	Lane   Lane
	Reason string // in plain words, without values
}

func (e *NotCarriedError) Error() string {
	return "no SIM carries lane " + e.Lane.String() + ": " + e.Reason
}

// Carried tells, for health, whether any SIM of the box may carry a lane, ready or not. If none may, a
// *NotCarriedError says why; messages of the lane are accepted all the same, and wait for one.
func Carried(tx *store.Tx, l Lane) error {
	y := look(tx)
	all, err := y.all()
	if err != nil {
		return err
	}
	bare, without, n := 0, 0, 0
	for _, m := range all {
		if m.SIM == "" || y.now.Sub(m.Seen) > goneAfter {
			continue
		}
		if m.Carries(l) {
			return nil
		}
		sim, known, err := SIMOf(tx, m.SIM)
		switch {
		case err != nil:
			return err
		case !known:
			bare++
		case !sim.permitted(y.now):
			without++
		}
		n++
	}
	if n == 0 {
		return &NotCarriedError{Lane: l, Reason: "no modem has shown a SIM"}
	}
	return &NotCarriedError{Lane: l, Reason: fmt.Sprintf(
		"of %d, %d have no record, %d no permission that holds, %d are kept for other lanes", n, bare, without, n-bare-without)}
}
