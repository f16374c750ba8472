package modem

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pinward/modem/modemsim"
)

func TestSIMPulledWhileRunning(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
				w.ready()
				w.faults(modemsim.Faults{SIMRemoved: true})
				st := w.until("in alarm", time.Minute, func(s Status) bool { return s.Alarm == AlarmSIMRemoved })
				if st.Phase != PhaseBlocked {
					w.t.Fatalf("%v", st)
				}
				_, err := w.send("without a SIM")
				w.want("without a SIM", err, ErrNotSent)
				w.faults(modemsim.Faults{})
				if st := w.ready(); st.Alarms != 0 || st.Swapped {
					w.t.Fatalf("the same SIM again: %v", st.Alarms.List())
				}
				w.noEvent(time.Minute)
			})
		})
	}
}

func TestSIMSwappedWhileRunning(t *testing.T) {
	for _, profile := range allProfiles {
		for _, quiet := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, quiet %v", profile, quiet), func(t *testing.T) {
				inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
					old := w.ready()
					if err := w.sim.SwapSIM(modemsim.SIM{Quiet: quiet}); err != nil {
						w.t.Fatal(err)
					}
					limit := time.Minute
					if quiet {
						limit = 2 * time.Minute // the look of each minute
					}
					e := w.event(limit)
					if e.Swap == nil || e.Swap.Old != old.ICCID || e.Swap.New != w.sim.ICCID() {
						w.t.Fatalf("event %#v, swap %+v", e, e.Swap)
					}
					e.Done(nil)
					st := w.ready()
					if st.ICCID != w.sim.ICCID() || st.Number != w.sim.Number() || !st.Alarms.Has(AlarmSIMSwapped) {
						w.t.Fatalf("%+v", st)
					}
					if _, err := w.send("hello"); err != nil {
						w.t.Fatal(err)
					}
					w.quietAbout(old.ICCID, w.sim.ICCID(), old.Number)
					w.event(time.Minute) // the report
					w.sim.Reboot()
					w.until("rebooted", time.Minute, func(s Status) bool { return s.Reboots == 1 && s.Ready })
					w.noEvent(time.Minute) // told once
					w.m.AcceptSIM()
					if st := w.m.Status(); st.Alarms.Has(AlarmSIMSwapped) {
						w.t.Fatal("the alarm stands after it was accepted")
					}
				})
			})
		}
	}
}

// A SIM that was swapped while nobody looked: the daemon says which one it knows.
func TestSIMOtherThanExpected(t *testing.T) {
	inWorld(t, setup{options: Options{ICCID: "8900101000000000999"}}, func(w *world) {
		w.ready()
		e := w.event(time.Second)
		if e.Swap == nil || e.Swap.Old != "8900101000000000999" || e.Swap.New != w.sim.ICCID() {
			w.t.Fatalf("%+v", e.Swap)
		}
		if fmt.Sprintf("%v %+v %#v", *e.Swap, *e.Swap, *e.Swap) != "SIM swapped SIM swapped SIM swapped" {
			w.t.Fatal("a swap shows its SIMs")
		}
	})
}

// The other way round: back comes what was expected, and the alarm ends by itself.
func TestSIMComesBack(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		old := w.ready()
		if err := w.sim.SwapSIM(modemsim.SIM{}); err != nil {
			w.t.Fatal(err)
		}
		w.event(time.Minute)
		if err := w.sim.SwapSIM(modemsim.SIM{ICCID: old.ICCID, IMSI: old.IMSI, Number: old.Number}); err != nil {
			w.t.Fatal(err)
		}
		w.until("back", time.Minute, func(s Status) bool { return s.Ready && s.ICCID == old.ICCID && s.Alarms == 0 })
	})
}

// Two parts of one text that leave by two SIMs are no text (reference 9): after a word about the SIM nothing is sent before it is
// known which one it is.
func TestSIMSwappedBetweenTwoParts(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{SendDelay: modemsim.Duration(20 * time.Second)}}, func(w *world) {
		w.ready()
		parts, err := Encode(SMS{To: patient, Text: string(make160())})
		if err != nil || len(parts) != 2 {
			w.t.Fatalf("%d parts, %v", len(parts), err)
		}
		time.AfterFunc(5*time.Second, func() {
			if err := w.sim.SwapSIM(modemsim.SIM{}); err != nil {
				w.t.Error(err)
			}
		})
		if _, err := w.m.Send(context.Background(), parts[0]); err != nil {
			w.t.Fatal(err) // it was on its way already
		}
		_, err = w.m.Send(context.Background(), parts[1])
		w.want("second part", err, ErrNotSent)
		if e := w.event(time.Minute); e.Swap == nil {
			w.t.Fatalf("event %+v", e)
		}
		w.ready()
	})
}
