package outbox

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"pinward/store"
)

// Load is what a hospital asks of its modems on its worst day, for Plan.
type Load struct {
	CodesPerMinute float64       `json:"codes_per_minute"` // at the peak
	Minutes        int           `json:"minutes"`          // that the peak lasts; 0 is 10
	CodesPerDay    int           `json:"codes_per_day"`    // beside the peak, over the whole day
	NoticesPerDay  int           `json:"notices_per_day"`
	From           int           `json:"from"` // hours of the day between which notices go; 0, 0 is 8 to 20
	To             int           `json:"to"`
	Life           time.Duration `json:"life,omitempty"`   // of a code; 0 is five minutes
	Modems         int           `json:"modems,omitempty"` // for PlanNow: so many like those that there are; 0 is those
	Senders        []Capacity    `json:"senders"`
	Seed           uint64        `json:"seed,omitempty"` // of the arrivals; the same seed, the same day
}

// Capacity is what one modem with its SIM can do.
type Capacity struct {
	Name      string        `json:"name"`
	PartTime  time.Duration `json:"part_time"` // of one part; 0 is four seconds
	PerMinute int           `json:"per_minute"`
	PerDay    int           `json:"per_day"` // caps in parts, 0 for none; half of each is kept for codes
	Codes     bool          `json:"codes"`   // that the SIM may carry
	Notices   bool          `json:"notices"`
}

// Forecast is what becomes of a Load.
type Forecast struct {
	All     Day      `json:"all"`
	OneDead Day      `json:"one_dead"`
	Dead    string   `json:"dead,omitempty"` // the modem that OneDead does without: the best one
	Add     int      `json:"add"`            // SIMs like the best that would have to be added for both to hold
	Advice  []string `json:"advice"`         // in plain words, the gravest first; empty when all holds
}

const (
	// mostAdded bounds how many SIMs a Forecast proposes; more than that is no plan.
	mostAdded = 64
	// mostPlanned bounds the codes of the peak, those of the day, and the notices: a plan is for a
	// hospital, and is to be there while somebody waits for it.
	mostPlanned = 20_000
)

// Day is how one day went.
type Day struct {
	Codes   int           `json:"codes"`
	Late    int           `json:"late"`    // waited longer than AdmitWait: the box refuses such at their start
	Expired int           `json:"expired"` // never went
	P50     time.Duration `json:"p50"`     // wait of the codes that went
	P99     time.Duration `json:"p99"`
	Worst   time.Duration `json:"worst"`
	Notices int           `json:"notices"`
	Unsent  int           `json:"unsent"` // notices left at the end of the day
	// CapOut is the time of day at which codes first found every day's cap used up; CapReached says that
	// they did.
	CapOut     time.Duration `json:"cap_out,omitempty"`
	CapReached bool          `json:"cap_reached,omitempty"`
}

// Holds tells whether every code goes in time, and every notice on its day.
func (d Day) Holds() bool { return d.Late == 0 && d.Expired == 0 && d.Unsent == 0 }

// Plan plays the day of a load, with all modems and with the best one dead, by the rules of the outbox:
// codes first, half of each cap kept for them. The peak lies in the middle of the hours of the notices.
// It is pure: the same load gives the same forecast.
func Plan(l Load) Forecast {
	l = l.complete()
	best := l.best()
	f := Forecast{All: play(l, false)}
	rest := l
	if best >= 0 {
		f.Dead = l.Senders[best].Name
		rest.Senders = slices.Delete(slices.Clone(l.Senders), best, best+1)
	}
	f.OneDead = play(rest, false)
	f.Add = l.add(rest, f, best)
	f.Advice = l.advice(f)
	return f
}

// mostModems bounds the modems of a plan.
const mostModems = 256

// check refuses what is no hospital: a plan must not answer for another load than the one that was
// asked about.
func (l Load) check() error {
	bad := func(field, reason string) error { return &InvalidError{Of: "plan", Field: field, Reason: reason} }
	minutes := float64(cmp.Or(l.Minutes, 10))
	switch {
	case l.Minutes < 0 || l.Minutes > 24*60:
		return bad("minutes", "are not 1 to 1440")
	case !(l.CodesPerMinute >= 0 && l.CodesPerMinute*minutes <= mostPlanned):
		return bad("codes a minute", fmt.Sprintf("are negative, or more than %d in the whole peak", mostPlanned))
	case l.CodesPerDay < 0 || l.CodesPerDay > mostPlanned, l.NoticesPerDay < 0 || l.NoticesPerDay > mostPlanned:
		return bad("codes and notices a day", fmt.Sprintf("are not 0 to %d", mostPlanned))
	case (l.From != 0 || l.To != 0) && (l.From < 0 || l.To > 24 || l.From >= l.To):
		return bad("hours", "of notices are not two from 0 to 24, the earlier one first")
	case l.Life != 0 && (l.Life < time.Second || l.Life > time.Hour):
		return bad("life", "is not one second to one hour")
	case l.Modems < 0 || l.Modems > mostModems, len(l.Senders) > mostModems:
		return bad("modems", fmt.Sprintf("are not 0 to %d", mostModems))
	}
	return nil
}

// complete fills in what was left open.
func (l Load) complete() Load {
	l.Minutes = cmp.Or(l.Minutes, 10)
	l.Life = cmp.Or(l.Life, 5*time.Minute)
	if l.From == 0 && l.To == 0 {
		l.From, l.To = 8, 20
	}
	l.From = min(max(l.From, 0), 23)
	l.To = min(max(l.To, l.From+1), 24)
	l.Minutes = min(max(l.Minutes, 1), 24*60)
	l.CodesPerMinute = min(max(l.CodesPerMinute, 0), mostPlanned/float64(l.Minutes))
	l.CodesPerDay = min(max(l.CodesPerDay, 0), mostPlanned)
	l.NoticesPerDay = min(max(l.NoticesPerDay, 0), mostPlanned)
	return l
}

// best is the modem whose loss costs most, or -1.
func (l Load) best() int {
	rate := func(c Capacity) float64 {
		r := float64(time.Minute) / float64(c.partTime())
		if c.PerMinute > 0 {
			r = min(r, float64(c.PerMinute))
		}
		if !c.Codes {
			r /= 1000 // codes are what a dead modem must not cost
		}
		return r
	}
	best := -1
	for i, c := range l.Senders {
		if best < 0 || rate(c) > rate(l.Senders[best]) || rate(c) == rate(l.Senders[best]) && capOf(c) > capOf(l.Senders[best]) {
			best = i
		}
	}
	return best
}

func capOf(c Capacity) int { return cmp.Or(c.PerDay, 1<<30) }

func (c Capacity) partTime() time.Duration { return cmp.Or(c.PartTime, usualPartTime) }

// add finds how many SIMs more would do for both days.
func (l Load) add(rest Load, f Forecast, best int) int {
	if f.All.Holds() && f.OneDead.Holds() {
		return 0
	}
	more := Capacity{PerMinute: usualPerMinute, PerDay: usualPerDay}
	if best >= 0 {
		more = l.Senders[best]
	}
	more.Name, more.Codes, more.Notices = "new", true, true
	lo, hi := 1, mostAdded+1 // the least that does lies in [lo, hi]
	for lo < hi {
		mid := (lo + hi) / 2
		try := rest
		try.Senders = append(slices.Clone(rest.Senders), slices.Repeat([]Capacity{more}, mid)...)
		if play(try, true).Holds() {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// advice says what the figures mean.
func (l Load) advice(f Forecast) (out []string) {
	for _, d := range []struct {
		who string
		day Day
	}{{"with " + plural(len(l.Senders), "modem"), f.All}, {"without " + f.Dead, f.OneDead}} {
		if d.who == "without " {
			continue
		}
		if d.day.Expired > 0 {
			out = append(out, fmt.Sprintf("%s %d of %d codes expire", d.who, d.day.Expired, d.day.Codes))
		}
		if d.day.Late > 0 {
			out = append(out, fmt.Sprintf("%s %d of %d codes would wait over %d s, the longest %d s: such starts are refused",
				d.who, d.day.Late, d.day.Codes, int(AdmitWait.Seconds()), int(d.day.Worst.Seconds())))
		}
		if d.day.CapReached {
			at := time.Time{}.Add(d.day.CapOut)
			out = append(out, fmt.Sprintf("%s the day's caps are used up at %s: raise them, or add SIMs", d.who, at.Format("15:04")))
		}
		if d.day.Unsent > 0 {
			out = append(out, fmt.Sprintf("%s %d of %d notices are left at the end of the day", d.who, d.day.Unsent, d.day.Notices))
		}
	}
	if l.NoticesPerDay > 0 && !slices.ContainsFunc(l.Senders, func(c Capacity) bool { return c.Notices }) {
		out = append(out, "no SIM may carry notices: put the carrier's permission on record")
	}
	switch {
	case f.Add > mostAdded:
		out = append(out, fmt.Sprintf("not even %d more SIMs would do", mostAdded))
	case f.Add > 0:
		out = append(out, "add "+plural(f.Add, "SIM")+", with the carrier's permission on record where they are to carry notices")
	}
	return out
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// PlanNow is Plan for the modems that there are, with what was learned of them. What the load leaves
// open (codes, notices) is taken from the last day's use. It returns the load as it was completed; the
// error is an *InvalidError for a load that is none.
func PlanNow(tx *store.Tx, l Load) (Load, Forecast, error) {
	if err := l.check(); err != nil {
		return l, Forecast{}, err
	}
	y := look(tx)
	all, err := y.all()
	if err != nil {
		return l, Forecast{}, err
	}
	peak, notices := 0, 0
	var have []Capacity
	for _, m := range all {
		if m.SIM == "" || y.now.Sub(m.Seen) > goneAfter {
			continue
		}
		u, err := y.used(m)
		if err != nil {
			return l, Forecast{}, err
		}
		for _, b := range u.Day {
			peak = max(peak, b.Codes)
			notices += b.Other
		}
		have = append(have, Capacity{Name: m.Name, PartTime: m.partTime(), PerMinute: m.PerMinute, PerDay: m.PerDay,
			Codes: m.Carries(OTP), Notices: m.Carries(Notice)})
	}
	if len(l.Senders) == 0 {
		l.Senders = have
	}
	for n := len(l.Senders); n > 0 && len(l.Senders) < l.Modems; {
		c := l.Senders[len(l.Senders)%n]
		c.Name = fmt.Sprintf("%s+%d", c.Name, len(l.Senders)/n)
		l.Senders = append(l.Senders, c)
	}
	if l.Modems > 0 {
		l.Senders = l.Senders[:min(l.Modems, len(l.Senders))]
	}
	if l.CodesPerMinute == 0 {
		l.CodesPerMinute = float64(peak*max(1, len(have))) / 60 // as if all SIMs had their busiest hour at once
	}
	if l.NoticesPerDay == 0 {
		l.NoticesPerDay = notices
	}
	l = l.complete()
	f := Plan(l)
	if f.All.Codes+f.All.Notices == 0 {
		f.Advice = append(f.Advice, "nothing to plan: none were sent in the last day; say how many codes a minute and notices a day there are to be")
	}
	return l, f, nil
}
