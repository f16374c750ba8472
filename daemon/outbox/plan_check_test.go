package outbox

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pinward/store"
)

// A plan that quietly cut what it was asked about would say "it holds" of a day that does not.
func TestPlanRefusesWhatIsNoLoad(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	for name, l := range map[string]Load{
		"negative codes":     {CodesPerMinute: -5},
		"no number":          {CodesPerMinute: math.NaN()},
		"infinite":           {CodesPerMinute: math.Inf(1)},
		"too many codes":     {CodesPerMinute: 3000, Modems: 200},
		"negative minutes":   {CodesPerMinute: 1, Minutes: -3},
		"more than a day":    {CodesPerMinute: 1, Minutes: 1441},
		"negative notices":   {NoticesPerDay: -1},
		"too many notices":   {NoticesPerDay: 100_000_000},
		"too many a day":     {CodesPerDay: mostPlanned + 1},
		"hours around":       {NoticesPerDay: 1, From: 20, To: 8},
		"hour 25":            {NoticesPerDay: 1, From: 8, To: 25},
		"negative life":      {CodesPerMinute: 1, Life: -time.Minute},
		"life of a moment":   {CodesPerMinute: 1, Life: 1},
		"a billion modems":   {CodesPerMinute: 1, Modems: 1_000_000_000},
		"less than no modem": {CodesPerMinute: 1, Modems: -1},
	} {
		b.view(func(tx *store.Tx) error {
			var e *InvalidError
			if _, _, err := PlanNow(tx, l); !errors.As(err, &e) {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		})
	}
	b.view(func(tx *store.Tx) error {
		l, f, err := PlanNow(tx, Load{CodesPerMinute: 1, Modems: mostModems, From: 0, To: 24})
		if len(l.Senders) != mostModems || len(f.Advice) != 0 {
			t.Errorf("the largest plan: %d modems, %v", len(l.Senders), f.Advice)
		}
		return err
	})
}

// A new box has sent nothing: "it holds" would be true of nothing at all.
func TestPlanOfNothing(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	b.view(func(tx *store.Tx) error {
		_, f, err := PlanNow(tx, Load{})
		if len(f.Advice) != 1 || !strings.HasPrefix(f.Advice[0], "nothing to plan") {
			t.Errorf("%v", f.Advice)
		}
		return err
	})
}
