package modem

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pinward/modem/modemsim"
)

// obedient answers OK to every command, and what a bring-up needs to the others; say puts unsolicited lines on the line.
func obedient(t *testing.T) (host net.Conn, say func(string)) {
	host, device := net.Pipe()
	t.Cleanup(func() { device.Close() })
	go func() {
		r := bufio.NewReader(device)
		for {
			s, err := r.ReadString('\r')
			if err != nil {
				return
			}
			s = strings.Trim(s, "\r\n\x1b")
			info := map[string]string{
				"AT+CGSN": "861536030196001", "AT+CPIN?": "+CPIN: READY", "AT+CSCA?": `+CSCA: "+12025550199",145`,
				"AT+CREG?": "+CREG: 2,1", "AT+CSQ": "+CSQ: 20,99",
			}[s]
			if info != "" {
				info = "\r\n" + info + "\r\n"
			}
			device.Write([]byte(info + "\r\nOK\r\n"))
		}
	}()
	return host, func(s string) { device.Write([]byte("\r\n" + s + "\r\n")) }
}

func TestIncomingCallIsHungUpAndToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, say := obedient(t)
		var chups atomic.Int32
		m := New(func(context.Context) (io.ReadWriteCloser, error) { return host, nil }, Options{
			Name: "modem1", Log: slog.New(slog.DiscardHandler),
			Trace: func(e string) {
				if e == "AT+CHUP" {
					chups.Add(1)
				}
			},
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		for !m.Status().Ready {
			<-m.Changed()
		}
		for range 3 { // one call, ringing on
			say("RING")
			say(`+CLIP: "` + patient + `",145,"",0,"",0`)
			time.Sleep(4 * time.Second)
		}
		e := <-m.Events()
		if e.Ring == nil || e.Ring.From != patient {
			t.Errorf("event %+v", e)
		}
		e.Done(nil)
		if n := chups.Load(); n != 1 {
			t.Errorf("hung up %d times", n)
		}
		time.Sleep(time.Minute)
		say("RING") // another one, number withheld
		time.Sleep(3 * time.Second)
		if e := <-m.Events(); e.Ring == nil || e.Ring.From != "" {
			t.Errorf("event %+v", e)
		}
		if n := chups.Load(); n != 2 {
			t.Errorf("hung up %d times", n)
		}
		select {
		case e := <-m.Events():
			t.Errorf("one more event: %+v", e)
		default:
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Patients ring the number that texted them, also while it texts: the call is ended within one ring and told once, and the text
// does not wait for it.
func TestCallInMidSend(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(profile, func(t *testing.T) {
			s := setup{sim: modemsim.ModemOptions{Profile: profile}, faults: modemsim.Faults{SendDelay: modemsim.Duration(3 * time.Second)}}
			inWorld(t, s, func(w *world) {
				w.ready()
				quiet := w.timed("nobody calls")
				sending := make(chan time.Duration, 1)
				go func() { sending <- w.timed("somebody calls") }()
				time.Sleep(time.Second)
				if err := w.net.Handset(other).Call(w.sim.Name()); err != nil {
					w.t.Fatal(err)
				}
				ring, reports := 0, 0
				for range 3 { // the reports of both texts, and the call
					switch e := w.event(time.Minute); {
					case e.Ring != nil && e.Ring.From == other:
						ring++
					case e.Report != nil:
						reports++
					}
				}
				if ring != 1 || reports != 2 {
					w.t.Fatalf("%d calls and %d reports told", ring, reports)
				}
				if took := <-sending; took > quiet+200*time.Millisecond { // the network's own time varies by a quarter of 0.2 s
					w.t.Errorf("the text took %v with a call, %v without", took, quiet)
				}
				time.Sleep(time.Second)
				calls := w.sim.IncomingCalls()
				if len(calls) != 1 || calls[0].End != modemsim.RingHungUp || calls[0].Rings != 1 || time.Duration(calls[0].Seconds) > modemsim.RingEvery {
					w.t.Fatalf("%+v", calls)
				}
				if st := w.m.Status(); !st.Ready || st.Rings != 1 {
					w.t.Fatalf("%v, %d calls", st, st.Rings)
				}
				w.noEvent(time.Minute)
				w.quietAbout(other)
			})
		})
	}
}

// timed sends a text and says how long it took.
func (w *world) timed(text string) time.Duration {
	start := time.Now()
	if _, err := w.send(text); err != nil {
		w.t.Errorf("send: %v", err)
	}
	return time.Since(start)
}

// Somebody who calls all day: each call is ended, each text goes out, in its time.
func TestCallsAllDay(t *testing.T) {
	inWorld(t, setup{sim: modemsim.ModemOptions{Profile: "ec25"}}, func(w *world) {
		w.ready()
		for range 50 {
			if err := w.net.Handset(other).Call(w.sim.Name()); err != nil {
				w.t.Fatal(err)
			}
			if took := w.timed("hello"); took > time.Second {
				w.t.Fatalf("a text took %v", took)
			}
			w.event(time.Minute)
			w.event(time.Minute)
			time.Sleep(ringGap)
		}
		for _, c := range w.sim.IncomingCalls() {
			if c.End != modemsim.RingHungUp || c.Rings > 1 {
				w.t.Fatalf("%+v", c)
			}
		}
		if st := w.m.Status(); st.Rings != 50 {
			w.t.Fatalf("%d calls counted", st.Rings)
		}
	})
}
