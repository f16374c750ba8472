package outbox

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pinward/store"
)

// modems are n alike, with permission and without caps.
func modems(n int) (out []Capacity) {
	for i := range n {
		out = append(out, Capacity{Name: fmt.Sprint("m", i+1), PartTime: 4 * time.Second, Codes: true, Notices: true})
	}
	return out
}

// `pinward modem plan` says when codes would wait over 10 s or expire (issue: routes).
func TestPlan(t *testing.T) {
	capped := modems(2)
	for i := range capped {
		capped[i].PerMinute, capped[i].PerDay = 10, 200
	}
	bare := modems(3)
	for i := range bare {
		bare[i].Notices = false
	}
	for name, c := range map[string]struct {
		load          Load
		all, dead     bool // holds
		late, expired bool // of the worse day
		capped        bool
		least, most   int // SIMs to add
		says          string
		unsent        bool
	}{
		"enough":            {load: Load{CodesPerMinute: 10, NoticesPerDay: 500, Senders: modems(3)}, all: true, dead: true},
		"not with one dead": {load: Load{CodesPerMinute: 20, Minutes: 20, Senders: modems(2)}, all: true, late: true, expired: true, least: 1, most: 1, says: "without m1"},
		"far too many":      {load: Load{CodesPerMinute: 120, Minutes: 30, Senders: modems(2)}, late: true, expired: true, least: 7, most: 12, says: "codes expire"},
		"caps of the day":   {load: Load{CodesPerMinute: 9, Minutes: 120, Senders: capped}, late: true, expired: true, capped: true, least: 2, most: 10, says: "caps are used up at"},
		"notices by nobody": {load: Load{CodesPerMinute: 5, NoticesPerDay: 10, Senders: bare}, least: 1, most: 2, says: "no SIM may carry notices", unsent: true},
		"no modem":          {load: Load{CodesPerMinute: 1}, expired: true, least: 1, most: 3},
		"too many for any":  {load: Load{CodesPerMinute: 5000, Senders: modems(2)}, late: true, expired: true, least: 65, most: 65, says: "not even 64"},
		"nothing to do":     {load: Load{Senders: modems(1)}, all: true, dead: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := Plan(c.load)
			if again := Plan(c.load); !reflect.DeepEqual(f, again) {
				t.Error("the same load gives another forecast")
			}
			d := f.OneDead
			if f.All.Holds() != c.all || d.Holds() != c.dead || (d.Late > 0) != c.late || (d.Expired > 0) != c.expired ||
				d.CapReached != c.capped || f.Add < c.least || f.Add > c.most || (d.Unsent > 0) != c.unsent {
				t.Errorf("forecast %+v", f)
			}
			if said := strings.Join(f.Advice, "; "); !strings.Contains(said, c.says) || c.all && c.dead && said != "" {
				t.Errorf("advice: %s", said)
			}
			if c.all && f.All.Worst > AdmitWait {
				t.Errorf("it holds, and a code waits %v", f.All.Worst)
			}
		})
	}
}

// What is proposed does hold, and one less does not.
func TestPlanAddIsEnough(t *testing.T) {
	l := Load{CodesPerMinute: 60, Minutes: 15, NoticesPerDay: 2000, Senders: modems(2)}
	f := Plan(l)
	l.Senders = append(modems(1), modems(f.Add)...) // what is left with the best one dead, and the new
	if d := Plan(l).All; !d.Holds() {
		t.Errorf("with %d more: %+v", f.Add, d)
	}
	l.Senders = l.Senders[1:]
	if d := Plan(l).All; d.Holds() {
		t.Errorf("%d would have done", f.Add-1)
	}
}

func TestPlanNow(t *testing.T) {
	b := newBox(t)
	b.caps("a", 20, 500)
	b.report(modem("a", "red"))
	b.do(func(tx *store.Tx) error { return Report(tx, modem("new", "red")) }) // without a record
	for i := range 6 {
		b.put(code(i))
		b.settle(b.must("a"), sentAs(byte(i)))
	}
	b.put(notice(9))
	b.settle(b.must("a"), sentAs(9))
	b.view(func(tx *store.Tx) error {
		l, f, err := PlanNow(tx, Load{})
		if err != nil {
			return err
		}
		want := []Capacity{
			{Name: "a", PartTime: time.Second, PerMinute: 20, PerDay: 500, Codes: true, Notices: true},
			{Name: "new", PartTime: time.Second, PerMinute: usualPerMinute, PerDay: usualPerDay, Codes: true},
		}
		if !reflect.DeepEqual(l.Senders, want) || l.CodesPerMinute <= 0 || l.NoticesPerDay != 1 || f.Dead != "a" {
			t.Errorf("load %+v, forecast %+v", l, f)
		}
		l, _, err = PlanNow(tx, Load{CodesPerMinute: 30, Modems: 5})
		if len(l.Senders) != 5 || l.CodesPerMinute != 30 {
			t.Errorf("load %+v", l)
		}
		return err
	})
}
