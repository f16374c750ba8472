package contact

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

// libraryPhone reads a number as ParsePhone does, with the library alone.
func libraryPhone(raw string, plan Plan) (string, Reason) {
	s, _, err := clean(raw)
	if err != nil {
		return "", Invalid
	}
	n, err := phonenumbers.Parse(s, "US")
	if err != nil {
		return "", Invalid
	}
	national, line := phonenumbers.GetNationalSignificantNumber(n), phonenumbers.GetNumberType(n)
	p := phoneOf(phonenumbers.Format(n, phonenumbers.E164))
	switch {
	case sameDigits(national), len(national) == 10 && national[0] < '2':
		return "", Invalid
	case premium(n, national, line):
		return "", Premium
	case line == phonenumbers.UNKNOWN:
		return "", Invalid
	case !plan.allows(p, phonenumbers.GetRegionCodeForNumber(n), "US"):
		return "", Foreign
	}
	return p.E164(), ""
}

// TestExchangeAgreesWithTheLibrary: for any number of the plan, in any form, the answer is the library's
// about that very number.
func TestExchangeAgreesWithTheLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	forms := []string{"+1%03d%03d%04d", "(%03d) %03d-%04d", "1-%03d-%03d-%04d", "%03d.%03d.%04d x12"}
	// Exchanges that patterns single out, beside all others.
	special := []int{555, 976, 911, 200, 300, 456, 500, 700, 900, 950}
	for i := range 6000 {
		area, office, line := r.IntN(1000), r.IntN(1000), r.IntN(10000)
		if i%4 == 0 {
			office = special[r.IntN(len(special))]
		}
		raw := fmt.Sprintf(forms[i%len(forms)], area, office, line)
		plan := Plan{Allowed: []string{"CA"}}
		want, reason := libraryPhone(raw, plan)
		got, err := ParsePhone(raw, plan)
		switch {
		case reason == "" && (err != nil || got.E164() != want):
			t.Errorf("%03d-%03d: refused or changed, the library takes it: %v", area, office, err)
		case reason != "" && (err == nil || err.(*NumberError).Reason != reason):
			t.Errorf("%03d-%03d: %v, the library says %s", area, office, err, reason)
		}
	}
}

// TestExchangeIsAllThatCounts holds what exchangeOf takes for granted to the library's own examples of each
// region and type: the last four digits change nothing.
func TestExchangeIsAllThatCounts(t *testing.T) {
	regions := 0
	for region := range phonenumbers.GetSupportedRegions() {
		if phonenumbers.GetCountryCodeForRegion(region) != 1 {
			continue
		}
		regions++
		for typ := phonenumbers.FIXED_LINE; typ <= phonenumbers.VOICEMAIL; typ++ {
			n := phonenumbers.GetExampleNumberForType(region, typ)
			if n == nil || n.GetCountryCode() != 1 {
				continue
			}
			v := n.GetNationalNumber()
			for _, last := range []uint64{0, 1, 99, 100, 199, 2345, 4000, 5555, 9999} {
				m := v/1e4*1e4 + last
				n.NationalNumber = &m
				x := exchange{phonenumbers.GetRegionCodeForNumber(n), phonenumbers.GetNumberType(n)}
				if got := exchangeOf(m); got != x {
					t.Errorf("%s %d: an exchange is %v, one of its numbers %v", region, typ, got, x)
				}
			}
		}
	}
	if regions < 20 {
		t.Errorf("only %d regions", regions)
	}
}
