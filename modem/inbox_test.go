package modem

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pinward/modem/modemsim"
)

func (w *world) reply(text string) {
	w.t.Helper()
	if err := w.net.Handset(patient).Reply(text, w.sim.Number()); err != nil {
		w.t.Fatal(err)
	}
}

func TestIncomingText(t *testing.T) {
	for _, profile := range []string{"generic", "ec25", "sim7600", "e173", "le910"} {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
				w.ready()
				w.reply("STOP, por favor: ñ €")
				e := w.event(30 * time.Second) // +CMTI, not the poll
				if e.Text == nil || e.Text.From != patient || e.Text.Body != "STOP, por favor: ñ €" || e.Text.Parts != 1 {
					w.t.Fatalf("event %#v", e.Text)
				}
				time.Sleep(3 * time.Minute)
				w.noEvent(time.Minute) // offered once
				if st := w.m.Status(); st.StorageUsed != 1 {
					w.t.Fatalf("%d texts stored before Done, want 1", st.StorageUsed)
				}
				e.Done(nil)
				w.until("emptied", 2*time.Minute, func(s Status) bool { return s.StorageUsed == 0 && s.StorageSize > 0 })
				w.noEvent(3 * time.Minute)
				w.quietAbout("STOP, por favor")
			})
		})
	}
}

func TestTextStaysInTheSIMUntilDone(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		w.ready()
		w.reply("YES")
		first := w.event(30 * time.Second)
		first.Done(errors.New("disk full"))
		again := w.event(2 * time.Minute) // the next poll
		if again.Text == nil || again.Text.Hash != first.Text.Hash || again.Text.Body != "YES" {
			w.t.Fatalf("offered again: %#v", again.Text)
		}
		// The modem reboots before Done: the text is still one text, and is deleted afterwards.
		w.sim.Reboot()
		w.until("back", time.Minute, func(s Status) bool { return s.Ready && s.Reboots == 1 })
		w.noEvent(2 * time.Minute)
		again.Done(nil)
		again.Done(errors.New("too late")) // only the first counts
		w.until("emptied", 2*time.Minute, func(s Status) bool { return s.StorageUsed == 0 && s.StorageSize > 0 })
		w.noEvent(5 * time.Minute)
	})
}

func TestLongTextComesInParts(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		w.ready()
		text := strings.Repeat("all work and no play ", 12)
		w.reply(text)
		parts := map[int]string{}
		var ref uint16
		for range 2 {
			e := w.event(time.Minute)
			if e.Text == nil || e.Text.Parts != 2 {
				w.t.Fatalf("event %#v", e.Text)
			}
			if len(parts) > 0 && ref != e.Text.Ref {
				w.t.Fatal("parts under different references")
			}
			ref = e.Text.Ref
			parts[e.Text.Part] = e.Text.Body
			e.Done(nil)
		}
		if parts[1]+parts[2] != text {
			w.t.Fatal("the parts are not the text")
		}
	})
}

// Nobody takes events: texts stay in the SIM, memory does not grow, and all come when somebody does.
func TestSlowConsumerLosesNoText(t *testing.T) {
	inWorld(t, setup{sim: modemsim.ModemOptions{Profile: "ec25"}}, func(w *world) {
		w.ready()
		// The channel is full of reports of an old time.
		for range eventRoom {
			w.m.offer(Event{Report: &Report{To: other}, Done: func(error) {}})
		}
		w.reply("YES")
		time.Sleep(5 * time.Minute)
		for range eventRoom {
			if e := w.event(time.Second); e.Report == nil || e.Report.To != other {
				w.t.Fatalf("event %+v", e)
			}
		}
		e := w.event(2 * time.Minute)
		if e.Text == nil || e.Text.Body != "YES" {
			w.t.Fatalf("event %+v", e)
		}
		e.Done(nil)
	})
}

// A modem that lost its routing (27.005, 3.4.4) or whose +CMTI was lost is found by the poll.
func TestPollFindsWhatNoURCTold(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		w.ready()
		w.m.mu.Lock()
		s := w.m.cur
		w.m.mu.Unlock()
		if _, err := s.do("+CNMI=0,0,0,0,0"); err != nil {
			w.t.Fatal(err)
		}
		w.reply("YES")
		e := w.event(2 * time.Minute)
		if e.Text == nil || e.Text.Body != "YES" {
			w.t.Fatalf("event %+v", e)
		}
		e.Done(nil)
		time.Sleep(2 * time.Minute)
		w.reply("NO")
		if e := w.event(20 * time.Second); e.Text == nil || e.Text.Body != "NO" {
			w.t.Fatalf("routing was not set again: %+v", e)
		}
	})
}
