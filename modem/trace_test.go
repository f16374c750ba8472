package modem

import (
	"context"
	"strings"
	"testing"
	"time"

	"pinward/modem/modemsim"
)

// Everything that a hospital must not find on a screen goes through a modem once; the trace shows what happened and none of it.
func TestTraceIsMasked(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(profile, func(t *testing.T) {
			s := setup{sim: modemsim.ModemOptions{Profile: profile, PIN: "4711"}, options: Options{PIN: pin("4711")}}
			inWorld(t, s, func(w *world) {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				lines := w.m.Follow(ctx)
				var shown []string
				drain := func() {
					for {
						select {
						case l := <-lines:
							shown = append(shown, l.Text)
						default:
							return
						}
					}
				}
				st := w.ready()
				drain()
				if _, err := w.send("Your code is 482917"); err != nil {
					w.t.Fatal(err)
				}
				w.event(time.Minute)
				w.reply("my name is Violet")
				w.event(time.Minute).Done(nil)
				drain()
				if _, err := w.m.Balance(ctx); err != nil {
					w.t.Fatal(err)
				}
				if err := w.m.Forward(ctx, other); err != nil {
					w.t.Fatal(err)
				}
				if err := w.m.Forward(ctx, ""); err != nil {
					w.t.Fatal(err)
				}
				if err := w.net.Handset(patient).Call(w.sim.Name()); err != nil {
					w.t.Fatal(err)
				}
				w.event(time.Minute)
				time.Sleep(2 * time.Minute)
				drain()
				all := strings.Join(shown, "\n")
				for _, secret := range []string{patient, other, st.IMEI, st.ICCID, st.IMSI, st.Number, st.SMSC} {
					if secret = strings.TrimPrefix(secret, "+"); strings.Contains(all, secret) {
						w.t.Errorf("the trace shows a number:\n%s", all)
					}
				}
				for _, secret := range []string{"4711", "482917", "Violet", "10.00", "0042", swapped(patient), swapped(other)} {
					if strings.Contains(all, secret) {
						w.t.Errorf("the trace shows %q:\n%s", secret, all)
					}
				}
				for _, form := range []string{"AT+CMGS=", "<PDU, ", ">", "+CMGS: ", "OK", "AT+CPIN=***", "AT+CGSN", "AT+CMGL=4", "+CUSD: 0,***", "AT+CHUP"} {
					if !strings.Contains(all, form) {
						w.t.Errorf("the trace lacks %q:\n%s", form, all)
					}
				}
				if tail := w.m.Tail(); len(tail) < 150 || tail[len(tail)-1].Text != shown[len(shown)-1] || tail[0].At.After(tail[1].At) {
					w.t.Errorf("tail of %d lines", len(tail))
				}
			})
		})
	}
}

// swapped are the digits of a number as a PDU has them.
func swapped(number string) string {
	d := strings.TrimPrefix(number, "+") + "F"
	var b strings.Builder
	for i := 0; i+1 < len(d); i += 2 {
		b.WriteByte(d[i+1])
		b.WriteByte(d[i])
	}
	return b.String()
}

// A follower that does not read delays nobody and learns what it lost; one that goes away is forgotten.
func TestSlowFollowerLosesLines(t *testing.T) {
	var m Modem
	ctx, cancel := context.WithCancel(context.Background())
	slow := m.Follow(ctx)
	for range followRoom + 10 {
		m.trace.add(false, "OK")
	}
	for range followRoom {
		if l := <-slow; l.Lost != 0 {
			t.Fatalf("lost %d", l.Lost)
		}
	}
	m.trace.add(true, "AT")
	if l := <-slow; l.Lost != 10 || !l.Out || l.Text != "AT" {
		t.Fatalf("%+v", l)
	}
	cancel()
	if _, more := <-slow; more {
		t.Fatal("a line after the end")
	}
	m.trace.add(true, "AT")
	if len(m.trace.followers) != 0 || len(m.Tail()) != traceRoom {
		t.Fatalf("%d followers, %d lines", len(m.trace.followers), len(m.Tail()))
	}
}

// What came before a modem fell silent is still there, and no session is needed to see it.
func TestTailOutlivesTheSession(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		w.ready()
		w.faults(modemsim.Faults{Unplugged: true})
		w.until("down", time.Minute, func(s Status) bool { return s.Phase == PhaseDown })
		if tail := w.m.Tail(); len(tail) < 20 {
			w.t.Fatalf("%d lines", len(tail))
		}
	})
}
