package contact

import (
	"errors"
	"slices"
	"strings"

	"pinward/store"
)

// MayCall tells whether a number may be called at all: not where it is known to want none, not the hospital's own
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
	return !c.NoVoice && !site.keepsCallsFrom(p), nil
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
