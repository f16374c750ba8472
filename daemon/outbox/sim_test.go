package outbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/store"
)

func bulk(n int) Message {
	m := notice(n)
	m.Lane = Bulk
	return m
}

// Without permission on record a SIM carries codes and alarms only (issue: routes).
func TestSIMWithoutPermissionCarriesCodesAndEssentialOnly(t *testing.T) {
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		record func(now time.Time) (SIM, bool)
		may    bool
	}{
		"no record":     {func(time.Time) (SIM, bool) { return SIM{}, false }, false},
		"no permission": {func(time.Time) (SIM, bool) { return SIM{ICCID: "sim-a"}, true }, false},
		"permission":    {func(time.Time) (SIM, bool) { return SIM{ICCID: "sim-a", Permission: Permission{Reference: "x"}}, true }, true},
		"not yet": {func(now time.Time) (SIM, bool) {
			return SIM{ICCID: "sim-a", Permission: Permission{Reference: "x", On: now.Add(day)}}, true
		}, false},
		"run out": {func(now time.Time) (SIM, bool) {
			return SIM{ICCID: "sim-a", Permission: Permission{Reference: "x", On: now.Add(-2 * day), Until: now.Add(-day)}}, true
		}, false},
		"plan run out": {func(now time.Time) (SIM, bool) {
			return SIM{ICCID: "sim-a", Permission: Permission{Reference: "x"}, Renewal: now.Add(-day)}, true
		}, false},
		"lanes": {func(time.Time) (SIM, bool) {
			return SIM{ICCID: "sim-a", Permission: Permission{Reference: "x"}, Lanes: []Lane{OTP}}, true
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBox(t)
				if s, known := c.record(time.Now()); known {
					b.sim(s)
				}
				b.do(func(tx *store.Tx) error { return Report(tx, modem("a", "red")) })
				n, k := b.put(notice(1)), b.put(bulk(2))
				alarm := bulk(3)
				alarm.Essential = true
				alarm = b.put(alarm)
				code := b.put(code(4))
				var got []string
				for {
					job, ok := b.next("a")
					if !ok {
						break
					}
					got = append(got, job.Message.ID)
					b.settle(job, sentAs(byte(len(got))))
				}
				want := []string{code.ID, alarm.ID}
				if c.may {
					want = []string{code.ID, n.ID, alarm.ID, k.ID}
				}
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("it took %d messages, want %d", len(got), len(want))
				}
				for _, l := range []Lane{OTP, Notice, Bulk} {
					err := carried(b, l)
					if _, not := errors.AsType[*NotCarriedError](err); not == (c.may || l == OTP) {
						t.Errorf("Carried(%s) says %v", l, err)
					}
				}
				b.coherent()
			})
		})
	}
}

func carried(b *box, l Lane) (err error) {
	b.view(func(tx *store.Tx) error { err = Carried(tx, l); return nil })
	return err
}

// A notice that no SIM may carry is accepted, waits, and goes as soon as the permission is on record.
func TestNoticeWaitsForPermission(t *testing.T) {
	b := newBox(t)
	b.sim(SIM{ICCID: "sim-a"})
	b.report(modem("a", "red"))
	m := notice(1)
	b.view(func(tx *store.Tx) error { return Admit(tx, m) })
	m = b.put(m)
	b.none("a")
	due, stop := b.store.Watch(Due)
	defer stop()
	b.sim(free("sim-a"))
	select {
	case <-due:
	default:
		t.Error("no sender was woken")
	}
	if job := b.must("a"); job.Message.ID != m.ID {
		t.Error("another message came")
	}
}

// A message that names a SIM waits for it, on whatever modem it is, and goes by no other.
func TestMessageForOneSIM(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"), modem("b", "red"))
	m := notice(1)
	m.SIM = "sim-b"
	m = b.put(m)
	b.none("a")
	if job := b.must("b"); job.Message.ID != m.ID {
		t.Error("another message came")
	} else {
		b.settle(job, Result{Outcome: NotSent})
	}
	b.none("a")
	b.coherent()
}

func TestSIMCaps(t *testing.T) {
	for _, c := range []struct{ minute, day, wantMinute, wantDay int }{{0, 0, 10, 200}, {-1, -1, 0, 0}, {3, 40, 3, 40}} {
		if m, d := (SIM{PerMinute: c.minute, PerDay: c.day}).caps(); m != c.wantMinute || d != c.wantDay {
			t.Errorf("caps of %d, %d are %d, %d", c.minute, c.day, m, d)
		}
	}
	b := newBox(t) // a SIM without a record has the default
	b.do(func(tx *store.Tx) error { return Report(tx, modem("a", "red")) })
	n := 0
	for i := range 15 {
		b.put(code(i))
	}
	for {
		job, ok := b.next("a")
		if !ok {
			break
		}
		b.settle(job, sentAs(byte(n)))
		n++
	}
	if n != usualPerMinute {
		t.Errorf("%d parts in a minute, want %d", n, usualPerMinute)
	}
}

// The entry of a change names the fields, and never a number.
func TestSetSIMEntry(t *testing.T) {
	b := newBox(t)
	s := free("89014103211118510720")
	s.Number, s.Owner, s.Note = phone(7), "IT", "in the drawer"
	b.sim(s)
	b.sim(s) // nothing new
	s.PerDay, s.Permission.Until = 500, time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC)
	b.sim(s)
	var got []string
	b.view(func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error {
			if r.Entry.Action == ActionSIMSet {
				line := r.Entry.Object
				for _, a := range r.Entry.Attrs {
					line += " " + a.Key + "=" + a.Value
				}
				got = append(got, line)
			}
			return nil
		})
	})
	want := []string{
		"89014103211118510720 number=changed owner=IT permission=test per_minute=-1 per_day=-1 port_out_lock=true note=changed",
		"89014103211118510720 permission_until=2030-01-02T00:00:00Z per_day=500",
	}
	if !slices.Equal(got, want) {
		t.Errorf("entries:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := fmt.Sprintf("%v %+v %#v", s, s, s); strings.Contains(text, s.Number.E164()) || strings.Contains(text, s.ICCID) {
		t.Error("a SIM prints what it holds")
	}
	b.do(func(tx *store.Tx) error { return RemoveSIM(tx, "89014103211118510720") })
	if err := b.try(func(tx *store.Tx) error { return RemoveSIM(tx, "89014103211118510720") }); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestSetSIMRefuses(t *testing.T) {
	b := newBox(t)
	now := time.Now()
	for name, change := range map[string]func(*SIM){
		"no iccid":            func(s *SIM) { s.ICCID = "" },
		"space in iccid":      func(s *SIM) { s.ICCID = "89 01" },
		"cap":                 func(s *SIM) { s.PerDay = -2 },
		"lane":                func(s *SIM) { s.Lanes = []Lane{9} },
		"dates, no reference": func(s *SIM) { s.Permission = Permission{Until: now} },
		"ends before it is":   func(s *SIM) { s.Permission.On, s.Permission.Until = now, now.Add(-time.Hour) },
		"long note":           func(s *SIM) { s.Note = strings.Repeat("x", 1000) },
	} {
		s := free("89014103211118510720")
		change(&s)
		err := b.try(func(tx *store.Tx) error { return SetSIM(tx, s) })
		if _, ok := errors.AsType[*InvalidError](err); !ok {
			t.Errorf("%s: %v, want an InvalidError", name, err)
		}
	}
}

// What a hospital must know of its SIMs before it hurts, each under its own name.
func TestSIMTroubles(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		day := 24 * time.Hour
		now := time.Now()
		records := map[string]SIM{"ok": free("sim-ok")}
		for name, change := range map[string]func(*SIM){
			"bare":    func(s *SIM) { s.Permission = Permission{} },
			"ended":   func(s *SIM) { s.Permission.Until = now.Add(-day) },
			"ends":    func(s *SIM) { s.Permission.Until = now.Add(29 * day) },
			"renewed": func(s *SIM) { s.Renewal = now.Add(-day) },
			"renew":   func(s *SIM) { s.Renewal = now.Add(29 * day) },
			"unlock":  func(s *SIM) { s.PortOutLock = false },
			"cap":     func(s *SIM) { s.PerDay = 5 },
		} {
			s := free("sim-" + name)
			change(&s)
			records[name] = s
		}
		for name, s := range records {
			b.sim(s)
			b.report(modem(name, "red"))
		}
		b.do(func(tx *store.Tx) error { return Report(tx, modem("new", "red")) })
		for i := range 4 {
			b.put(code(i))
			b.settle(b.must("cap"), sentAs(byte(i)))
		}
		want := map[string]TroubleKind{
			"bare": TroublePermission, "ended": TroublePermission, "ends": TroublePermission, "renewed": TroubleRenewal,
			"renew": TroubleRenewal, "unlock": TroublePortOut, "cap": TroubleCap, "new": TroubleRecord,
		}
		b.view(func(tx *store.Tx) error {
			all, err := SIMTroubles(tx)
			for _, tr := range all {
				if want[tr.Sender] != tr.Kind || tr.SIM != "sim-"+tr.Sender || tr.What == "" {
					t.Errorf("trouble of %s: %s (%s)", tr.Sender, tr.Kind, tr.What)
				}
				delete(want, tr.Sender)
			}
			return err
		})
		if len(want) > 0 {
			t.Errorf("not told: %v", want)
		}
	})
}
