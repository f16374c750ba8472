package modem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pinward/modem/line"
	"pinward/modem/modemsim"
	"pinward/modem/port"
)

func TestSilentModemIsResetWithCaps(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		w.ready()
		w.faults(modemsim.Faults{Silence: -1})
		w.until("down", 3*time.Minute, func(s Status) bool { return s.Phase == PhaseDown && s.Cause == "modem does not answer" })
		for range 55 { // each look says what is wrong, while it starts and restarts, too
			time.Sleep(time.Minute)
			if st := w.m.Status(); !strings.HasSuffix(st.Cause, "modem does not answer") {
				w.t.Fatalf("%s: %s", st.Phase, st.Cause)
			}
		}
		if st := w.m.Status(); st.Resets != 4 {
			w.t.Fatalf("%d resets in the first hour, want the cap of 4", st.Resets)
		}
		time.Sleep(4 * time.Hour)
		if st := w.m.Status(); st.Resets < 8 || st.Resets > 20 {
			w.t.Fatalf("%d resets in five hours", st.Resets)
		}
		w.faults(modemsim.Faults{})
		w.ready()
		if done := w.m.Reset(w.t.Context()); done != nil {
			w.t.Fatal(done)
		}
		if st := w.m.Status(); st.Cause != "modem is restarting" {
			w.t.Fatalf("what is over is told again: %s", st.Cause)
		}
		w.ready()
		if _, err := w.send("hello"); err != nil {
			w.t.Fatalf("send after hours of silence: %v", err)
		}
	})
}

// One answer that is late, longer than any housekeeping waits, costs resyncs, no reset.
func TestOneLateAnswerCostsAResync(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		w.ready()
		w.faults(modemsim.Faults{LateNext: modemsim.Duration(25 * time.Second)})
		w.until("checked", 2*time.Minute, func(s Status) bool { return !s.Ready })
		st := w.ready()
		if st.Resets != 0 || st.Reboots != 0 {
			w.t.Fatalf("%d resets, %d reboots for one late answer", st.Resets, st.Reboots)
		}
		if _, err := w.send("hello"); err != nil {
			w.t.Fatal(err)
		}
	})
}

func TestLadderBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ladder{started: time.Now()}
		timing := Timing{}.withDefaults()
		var waits []time.Duration
		for range 8 {
			waits = append(waits, l.after(fmt.Errorf("x: %w", errSilent), timing))
		}
		want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
		for i := range want {
			if waits[i] != want[i]*time.Second {
				t.Fatalf("waits %v", waits)
			}
		}
		if !l.restart {
			t.Fatal("opening again eight times and no restart of the module")
		}
		if d := l.after(port.ErrUnplugged, timing); d != time.Second || l.restart {
			t.Fatalf("unplugged: again in %v, restart %v; want each second and none", d, l.restart)
		}
		time.Sleep(steady + time.Second)
		if d := l.after(io.EOF, timing); d != time.Second {
			t.Fatalf("after a long good session: %v", d)
		}
		l.limbo = true
		if l.after(line.ErrStuck, timing); !l.restart {
			t.Fatal("a session that ended with a send in limbo does not restart the module")
		}
	})
}

// open is called again and again while there is no port, and Run ends at once when it is told to.
func TestNoPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		m := New(func(context.Context) (io.ReadWriteCloser, error) {
			calls.Add(1)
			return nil, fmt.Errorf("open: %w", port.ErrUnplugged)
		}, Options{Name: "none", Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		time.Sleep(time.Minute + 500*time.Millisecond)
		if n := calls.Load(); n != 61 {
			t.Errorf("%d attempts in a minute, want one a second", n)
		}
		if st := m.Status(); st.Phase != PhaseDown || st.Cause == "" {
			t.Errorf("status %v", st)
		}
		if _, err := m.Send(ctx, TPDU{}); !errors.Is(err, ErrNotSent) {
			t.Errorf("send without a port: %v", err)
		}
		m.GiveUp()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// Stopped in the middle of a send: Run waits for all of it, the send is unknown.
func TestStopInMidSend(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{SilentSend: 1}}, func(w *world) {
		w.ready()
		sent := make(chan error, 1)
		go func() {
			_, err := w.send("hello")
			sent <- err
		}()
		time.Sleep(10 * time.Second)
		start := time.Now()
		w.cancel()
		w.want("stopped", <-sent, nil)
		if d := time.Since(start); d > time.Second {
			w.t.Fatalf("stopped after %v", d)
		}
	})
}

func TestProfiles(t *testing.T) {
	for _, c := range []struct{ vendor, model, want string }{
		{"Quectel", "EC25", "quectel-ec25"}, {"Quectel", "EC25EFA", "quectel-ec25"}, {"QUECTEL", "EG25", "quectel-ec25"},
		{"SIMCOM INCORPORATED", "SIMCOM_SIM7600G-H", "simcom-sim7600"}, {"huawei", "E173", "huawei-e173"},
		{"Quectel", "SIM7600", "generic"}, {"huawei", "EC25", "generic"}, {"Telit", "LE910C1-NF", "telit-le910"}, {"Quectel", "LE910C1-NF", "generic"}, {"", "", "generic"},
	} {
		if got := profileFor(c.vendor, c.model).Name; got != c.want {
			t.Errorf("%s %s: profile %s, want %s", c.vendor, c.model, got, c.want)
		}
	}
	for name, p := range profiles() {
		if p.Name != name || len(p.Storage) == 0 || len(p.ICCID) == 0 || p.Reset == "" || p.ResetWait == 0 {
			t.Errorf("profile %s leaves something out: %+v", name, p)
		}
		for _, q := range p.Queries {
			if q != "" && q[0] == 'D' || len(q) > 30 {
				t.Errorf("profile %s lets an operator ask %q", name, q)
			}
		}
	}
	if generic().Voice != nil {
		t.Error("the generic profile is SMS only")
	}
}

func TestRegistrationMuseum(t *testing.T) {
	for answer, want := range map[string]Registration{
		`2,1,"00C3","01A2B3C4",7`: RegHome, "0,5": RegRoaming, "2,1, 2B67, 5FC2": RegHome, "0,0": RegIdle, "0,11": RegEmergencyOnly,
		"1,6": RegSMSHome, "0,3": RegDenied,
	} {
		if got, ok := registrationIn(answer); !ok || got != want {
			t.Errorf("%s: %v, %v; want %v", answer, got, ok, want)
		}
	}
	for _, bad := range []string{"", "1", "x,y", "0,12", "0,-1"} {
		if got, ok := registrationIn(bad); ok {
			t.Errorf("%q read as %v", bad, got)
		}
	}
	for r := RegUnread; r <= RegEmergencyOnly; r++ {
		want := r == 1 || r == 5 || r == 6 || r == 7 || r == 9 || r == 10
		if r.Sendable() != want {
			t.Errorf("%v sendable: %v", r, r.Sendable())
		}
	}
	if better(RegIdle, RegHome) != RegHome || better(RegHome, RegIdle) != RegHome || better(RegIdle, RegDenied) != RegDenied {
		t.Error("on LTE-only modules +CEREG counts and +CREG stays 0")
	}
}
