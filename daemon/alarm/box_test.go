package alarm

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/store"
	"pinward/store/storetest"
)

// night is the telephone of the duty of that name in the tests.
const (
	night  = "+16175551201"
	second = "+16175551202"
)

// box is the alarms on a real store, in a bubble, with what the daemon's loop does around them.
type box struct {
	*testing.T
	store       *store.Store
	found       []Finding
	maintenance bool
	// modem tells whether a modem can send; texts that it took are in texts, by number.
	modem bool
	texts map[string][]string
	// out is what mail and webhooks took; down are the outlets that fail.
	out  []string
	down map[string]bool
	ids  map[string]int // how often each delivery was tried
}

// inBox runs a test in a bubble, at half past ten on a Monday night in Boston.
func inBox(t *testing.T, p Policy, test func(*box)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2000, 1, 4, 3, 30, 0, 0, time.UTC)))
		b := &box{T: t, modem: true, texts: map[string][]string{}, down: map[string]bool{}, ids: map[string]int{}}
		b.store = storetest.OpenIn(t, dir, storetest.Options(storetest.NewKeys(t)))
		b.do(func(tx *store.Tx) error {
			site := contact.Site{Name: "Test", Brand: "Riverside", Zone: "America/New_York", Area: "617", Mode: contact.Live}
			if err := contact.SetSite(tx, site); err != nil {
				return err
			}
			return SetPolicy(tx, p)
		})
		test(b)
	})
}

func (b *box) do(fn func(*store.Tx) error) {
	b.Helper()
	if err := b.store.Update(b.Context(), storetest.Tester, fn); err != nil {
		b.Fatal(err)
	}
}

// run lets time go by as the daemon's loop sees it: each five seconds everything is looked at, each
// minute where hours go by.
func (b *box) run(d time.Duration) {
	b.Helper()
	tick := 5 * time.Second
	if d > 2*time.Hour {
		tick = time.Minute
	}
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(tick) {
		b.do(func(tx *store.Tx) error {
			if err := Judge(tx, b.found); err != nil {
				return err
			}
			if _, err := Routine(tx, "all is well"); err != nil {
				return err
			}
			return Advance(tx, b.found, b.maintenance)
		})
		b.send()
		b.deliver()
	}
}

// send is one modem at work.
func (b *box) send() {
	b.Helper()
	b.do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m2", SIM: "8901", Ready: b.modem, Cause: "gone"})
	})
	for b.modem {
		var job outbox.Job
		var ok bool
		b.do(func(tx *store.Tx) (err error) {
			job, ok, err = outbox.Next(tx, "m2", outbox.Sources{MessageKind: Render})
			return err
		})
		if !ok {
			return
		}
		b.do(func(tx *store.Tx) error {
			return outbox.Settle(tx, job.Message.ID, job.Attempt, outbox.Result{Outcome: outbox.Sent, Parts: []outbox.Part{{Ref: 1, State: outbox.Sent}}})
		})
		to := job.Message.To.E164()
		b.texts[to] = append(b.texts[to], job.Rendered.Text)
	}
}

func (b *box) deliver() {
	b.Helper()
	for _, by := range []Outlet{Mail, Webhook} {
		var due []Delivery
		b.do(func(tx *store.Tx) (err error) {
			due, err = Waiting(tx, by)
			return err
		})
		for _, d := range due {
			b.ids[d.ID]++
			to := d.To
			if d.Address != "" {
				to = d.Address
			}
			cause := ""
			if b.down[to] {
				cause = "connection refused"
			} else {
				b.out = append(b.out, fmt.Sprintf("%s %s %d", to, d.Event, d.Alarm.ID))
			}
			b.do(func(tx *store.Tx) error { return Settle(tx, d, cause, false) })
		}
	}
}

// is makes the findings what is wrong from now on.
func (b *box) is(s Severity, paths ...string) {
	old := b.found
	b.found = nil
	for _, p := range paths {
		f := Finding{Path: p, Severity: s, Cause: "cause of " + p, Since: time.Now()}
		if i := slices.IndexFunc(old, func(o Finding) bool { return o.Path == p }); i >= 0 {
			f.Since = old[i].Since
		}
		b.found = append(b.found, f)
	}
}

func (b *box) open() (out []Alarm) {
	b.Helper()
	b.do(func(tx *store.Tx) (err error) {
		out, err = Open(tx)
		return err
	})
	return out
}

// only is the one alarm that is open.
func (b *box) only() Alarm {
	b.Helper()
	all := b.open()
	if len(all) != 1 {
		b.Fatalf("%d alarms are open: %+v", len(all), all)
	}
	return all[0]
}

func (b *box) reply(from, body string) (handled bool) {
	b.Helper()
	b.do(func(tx *store.Tx) error {
		p, err := contact.ParsePhone(from, contact.Plan{})
		if err == nil {
			handled, err = Reply(tx, p, body)
		}
		return err
	})
	return handled
}

func (b *box) wantTexts(to string, want ...string) {
	b.Helper()
	if got := b.texts[to]; !slices.Equal(got, want) {
		b.Errorf("%s got %q\nwant %q", to, got, want)
	}
}

func (b *box) wantOut(want ...string) {
	b.Helper()
	if !slices.Equal(b.out, want) {
		b.Errorf("outlets got %q\nwant %q", b.out, want)
	}
}

func (b *box) entries(a store.Action) (out []store.Entry) {
	b.Helper()
	for _, e := range storetest.Entries(b, b.store) {
		if e.Action == a {
			out = append(out, e)
		}
	}
	return out
}

func phone(e164 string) (p contact.Phone) {
	if err := p.UnmarshalText([]byte(e164)); err != nil {
		panic(err)
	}
	return p
}

// ladder is a text to the night's duty, after ten minutes one to the second, then mail, then a webhook.
func ladder() Policy {
	p := Default()
	p.Heartbeat.At, p.Weekly.Day = "", ""
	p.OnCall = []Duty{{Name: "night", Phone: phone(night)}, {Name: "second", Phone: phone(second)}}
	p.Steps = []Step{
		{By: SMS, To: []string{"night"}, WaitMinutes: 10},
		{By: SMS, To: []string{"second"}, WaitMinutes: 10},
		{By: Mail, To: []string{"it@hospital.example"}, WaitMinutes: 5},
		{By: Webhook, To: []string{"pager"}},
	}
	return p
}
