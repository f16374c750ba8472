package contact

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"pinward/store"
)

// MayCall tells whether a number may be called at all: not where it is known to want none, or where everybody whose
// it is wants none (who asks for a code often names the number alone), not the hospital's own
// number, whose switchboard would ring, and not what the site keeps calls from (Site.NoCalls). Emergency and short
// numbers are no Phone in the first place.
func MayCall(tx *store.Tx, p Phone) (bool, error) {
	c, err := Of(tx, p)
	if err != nil {
		return false, err
	}
	site, err := SiteOf(tx)
	if err != nil {
		return false, err
	}
	if c.NoVoice || site.keepsCallsFrom(p) {
		return false, nil
	}
	unwanted, err := callsUnwanted(tx, p)
	return !unwanted, err
}

// callsUnwanted tells whether each person whose number it is wants no calls. Of a shared phone one who takes calls is enough: who is
// meant, where that is known, is asked besides.
func callsUnwanted(tx *store.Tx, p Phone) (bool, error) {
	ids, err := SubjectsOf(tx, p)
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		s, known, err := load(tx, id)
		if err != nil {
			return false, err
		}
		if known && !s.NoVoice {
			return false, nil
		}
	}
	return len(ids) > 0, nil
}

func (s Site) keepsCallsFrom(p Phone) bool {
	if own, err := ParsePhone(s.HelpPhone, s.Plan()); err == nil && own == p {
		return true
	}
	return slices.ContainsFunc(s.NoCalls, func(begin string) bool { return strings.HasPrefix(p.E164(), begin) })
}

// checkNoCalls holds each beginning of a number to a form that means something: "+1617555" and not "617".
func (s Site) checkNoCalls() error {
	for _, begin := range s.NoCalls {
		digits, ok := strings.CutPrefix(begin, "+")
		if !ok || len(digits) < 4 || len(digits) > 15 || !allDigits(digits) {
			return errors.New("no_calls is not a list of beginnings of numbers, each + and 4 to 15 digits")
		}
	}
	return nil
}

// callHours are the minutes of the day between which notices are told by voice.
func (s Site) callHours() (from, to int, ok bool) {
	from, ok1 := minuteOfDay(cmp.Or(s.CallFrom, "09:00"))
	to, ok2 := minuteOfDay(cmp.Or(s.CallTo, "18:00"))
	return from, to, ok1 && ok2
}

// Redials is how often a notice that nobody heard is called again, and after what time.
func (s Site) Redials() (n int, after time.Duration) {
	return cmp.Or(s.CallTries, 3) - 1, time.Duration(cmp.Or(s.CallAgain, 60)) * time.Minute
}

// Daytime is the first moment from at on at which a notice may be told by voice. It reckons on the local wall clock, as Quiet does.
func (s Site) Daytime(at time.Time) time.Time {
	from, to, ok := s.callHours()
	if !ok {
		return at // Check refuses such a site
	}
	for range 4 { // a day that is over, its quiet hours, and those once more where they end behind the day
		local := at.In(s.Location())
		now, days := local.Hour()*60+local.Minute(), 0
		if now >= to {
			days = 1
		}
		if now < from || now >= to {
			at = time.Date(local.Year(), local.Month(), local.Day()+days, from/60, from%60, 0, 0, local.Location()).UTC()
		}
		until, quiet := s.Quiet(at)
		if !quiet {
			return at
		}
		at = until
	}
	return at
}
