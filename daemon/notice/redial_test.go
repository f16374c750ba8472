package notice

import (
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/store"
)

// vain settles a call as one that was not taken; unheard says that nobody could have heard it.
func (b *box) vain(job outbox.Job, unheard bool) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) error {
		return outbox.Settle(tx, job.Message.ID, job.Attempt, outbox.Result{Outcome: outbox.Undelivered, Cause: "busy", Unheard: unheard})
	})
}

// rings moves the clock on, a minute at a time as the daemon's sweep, until the modem is given a call, and tells how long that took.
func (b *box) rings(within time.Duration) (job outbox.Job, after time.Duration, ok bool) {
	b.T.Helper()
	for began := time.Now(); time.Since(began) <= within; time.Sleep(time.Minute) {
		b.Do(outbox.Expire)
		b.landline(patient) // its modem reports
		if job, ok = b.hand(); ok {
			return job, time.Since(began), true
		}
	}
	return job, 0, false
}

// TestNoticeIsRedialled: who is engaged or does not answer is called again an hour later, three times in all, only by day, and not longer
// than the notice is of use. The tries are one call to the budget of the day.
func TestNoticeIsRedialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		b.landline(patient)
		time.Sleep(14 * time.Hour) // 9:00 in New York
		n := b.mustAsk(Request{To: patient, Expires: time.Now().Add(48 * time.Hour)})
		for try := range 3 {
			job, after, ok := b.rings(2 * time.Hour)
			if !ok || try > 0 && after != time.Hour {
				t.Fatalf("try %d: called %t, after %v", try+1, ok, after)
			}
			b.vain(job, true)
			_, s := b.state(n.ID)
			if want := []outbox.State{outbox.Queued, outbox.Queued, outbox.Undelivered}[try]; s != want {
				t.Errorf("after try %d it is %s, want %s", try+1, s, want)
			}
		}
		if _, _, ok := b.rings(24 * time.Hour); ok {
			t.Error("called a fourth time")
		}
	})
}

// TestRedialWaitsForTheDay: what is left of the tries is for the next day, where the notice is of use until then.
func TestRedialWaitsForTheDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		b.landline(patient)
		time.Sleep(22*time.Hour + 30*time.Minute) // 17:30
		n := b.mustAsk(Request{To: patient, Expires: time.Now().Add(72 * time.Hour)})
		tries := []time.Duration{0, 15*time.Hour + 30*time.Minute, time.Hour}
		for i, want := range tries {
			job, after, ok := b.rings(24 * time.Hour)
			if !ok || after != want {
				t.Fatalf("try %d: called %t, after %v, want %v", i+1, ok, after, want)
			}
			b.vain(job, true)
		}
		if _, s := b.state(n.ID); s != outbox.Undelivered {
			t.Errorf("it is %s", s)
		}
		if _, _, ok := b.rings(48 * time.Hour); ok {
			t.Error("called a fourth time")
		}
	})
}

// TestNoRedial: who has heard it, on whatever machine, or refused it, is not called again; nor is anybody about what is canceled meanwhile,
// or would come too late; and a site may want no second call at all.
func TestNoRedial(t *testing.T) {
	for name, c := range map[string]struct {
		unheard bool
		life    time.Duration
		site    func(*contact.Site)
		between func(*box, Notice)
	}{
		"a voicemail heard it": {life: 8 * time.Hour},
		"too late":             {unheard: true, life: time.Hour},
		"the site wants none":  {unheard: true, life: 8 * time.Hour, site: func(s *contact.Site) { s.CallTries = 1 }},
		"key 9":                {life: 8 * time.Hour, between: func(b *box, n Notice) { b.Do(func(tx *store.Tx) error { return RefuseCalls(tx, n.ID) }) }},
		"refused meanwhile":    {unheard: true, life: 8 * time.Hour, between: func(b *box, n Notice) { b.Do(func(tx *store.Tx) error { return RefuseCalls(tx, n.ID) }) }},
		"no voice meanwhile": {unheard: true, life: 8 * time.Hour, between: func(b *box, n Notice) {
			b.Do(func(tx *store.Tx) error {
				return contact.Flag(tx, patient, contact.Flags{NoVoice: new(true)}, "desk")
			})
		}},
		"canceled meanwhile": {unheard: true, life: 8 * time.Hour, between: func(b *box, n Notice) {
			b.Do(func(tx *store.Tx) error {
				done, err := Cancel(tx, n.ID, "the visit is off")
				if !done {
					b.T.Error("it could not be canceled between two tries")
				}
				return err
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBox(t)
				b.landline(patient)
				if c.site != nil {
					b.Do(func(tx *store.Tx) error {
						site, err := contact.SiteOf(tx)
						if err != nil {
							return err
						}
						c.site(&site)
						return contact.SetSite(tx, site)
					})
				}
				time.Sleep(14 * time.Hour)
				n := b.mustAsk(Request{To: patient, Expires: time.Now().Add(c.life)})
				job, _, ok := b.rings(time.Minute)
				if !ok {
					t.Fatal("not called")
				}
				b.vain(job, c.unheard)
				if c.between != nil {
					c.between(b, n)
				}
				for range 7 * 60 {
					time.Sleep(time.Minute)
					b.Do(outbox.Expire)
					b.Do(func(tx *store.Tx) error {
						return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "a", Ready: true, Voice: true, PartTime: time.Second})
					})
					if _, ok := b.hand(); ok {
						t.Fatal("called again")
					}
				}
			})
		})
	}
}
