package modem

import (
	"fmt"
	"testing"
	"time"

	"pinward/modem/modemsim"
)

// An EC25 with 255 texts drops the next without a word, whatever size it claims (reference 5.4): the alarm comes at 80 % of what it
// really takes, and all texts go when somebody takes them.
func TestStorageAlarmByTheRealLimit(t *testing.T) {
	s := setup{sim: modemsim.ModemOptions{Profile: "ec25"}, faults: modemsim.Faults{StoreClaim: 500}}
	inWorld(t, s, func(w *world) {
		w.ready()
		const almost = 255*storageShare/100 - 1
		for i := range almost {
			w.reply(fmt.Sprintf("reply %d", i))
		}
		st := w.until("filled", 10*time.Minute, func(s Status) bool { return s.StorageUsed == almost })
		if st.StorageSize != 255 || st.Alarms.Has(AlarmStorage) {
			w.t.Fatalf("%d of %d, alarms %v", st.StorageUsed, st.StorageSize, st.Alarms.List())
		}
		w.reply("one more")
		w.until("in alarm", 2*time.Minute, func(s Status) bool { return s.Alarms.Has(AlarmStorage) })
		for range almost + 1 {
			w.event(time.Minute).Done(nil)
		}
		w.until("emptied", 5*time.Minute, func(s Status) bool { return s.StorageUsed == 0 && !s.Alarms.Has(AlarmStorage) })
		w.noEvent(5 * time.Minute)
	})
}

// Texts that came while another program had selected another memory are found after the start, and that memory is emptied.
func TestOtherMemoryIsEmptiedAtTheStart(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
				w.ready()
				w.m.mu.Lock()
				s := w.m.cur
				w.m.mu.Unlock()
				mine, elsewhere := s.mem, "SM"
				if mine == "SM" {
					elsewhere = "ME"
				}
				time.Sleep(time.Second)
				w.tells(fmt.Sprintf(`+CPMS="%s","%s","%s"`, mine, mine, elsewhere))
				w.tells("+CNMI=2,0,0,1,0") // nor is it told
				w.reply("STOP")
				time.Sleep(10 * time.Second)
				w.sim.Reboot()
				w.until("down", time.Minute, func(s Status) bool { return !s.Ready })
				w.ready()
				e := w.event(time.Minute)
				if e.Text == nil || e.Text.Body != "STOP" {
					w.t.Fatalf("%+v", e)
				}
				e.Done(nil)
				time.Sleep(3 * time.Minute)
				w.tells(fmt.Sprintf(`+CPMS=%q`, elsewhere))
				if got := w.tells("+CMGL=4"); got != "" {
					w.t.Fatalf("still there: %d octets", len(got))
				}
			})
		})
	}
}
