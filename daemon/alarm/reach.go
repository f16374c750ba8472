package alarm

import (
	"slices"
	"time"

	"pinward/store"
)

// Unreached says why the policy, as it stands, may leave everybody without word of an alarm; "" if it is sound. senders is how
// many modems could carry a text.
func Unreached(tx *store.Tx, senders int) (string, error) {
	p, err := PolicyOf(tx)
	switch {
	case err != nil:
		return "", err
	case len(p.Steps) == 0:
		return "nobody is told of alarms: name steps, and who is on call, in pinward config, part alarms", nil
	case senders <= 1 && !slices.ContainsFunc(p.Steps, func(s Step) bool { return s.By != SMS }):
		return "alarms leave as texts of one modem alone, so nobody is told when it fails: add a step by mail or webhook, or another modem", nil
	}
	if at, gap := p.unmanned(); gap {
		return "nobody is on call at " + at + ", so that an alarm then reaches nobody: fill the hours of on_call, or add a step by mail or webhook, in pinward config, part alarms", nil
	}
	return "", nil
}

// unmanned finds an hour of the week at which no step has anybody to tell, as "08:00 on mon". Who is on call changes where a duty
// begins or ends, and at midnight.
func (p Policy) unmanned() (at string, gap bool) {
	minutes := []int{0}
	for _, d := range p.OnCall {
		for _, hour := range []string{d.From, d.To} {
			if m, ok := clock(hour); ok && !slices.Contains(minutes, m) {
				minutes = append(minutes, m)
			}
		}
	}
	slices.Sort(minutes)
	sunday := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for day := range days {
		for _, m := range minutes {
			then := sunday.AddDate(0, 0, day).Add(time.Duration(m) * time.Minute)
			reached := slices.ContainsFunc(p.Steps, func(s Step) bool {
				return slices.ContainsFunc(s.To, func(to string) bool { return p.resolve(Target{s.By, to}, then)[0].State == Queued })
			})
			if !reached {
				return then.Format("15:04") + " on " + days[day], true
			}
		}
	}
	return "", false
}
