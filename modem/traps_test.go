package modem

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pinward/modem/modemsim"
)

// The traps of reference/modem.md 3 to 5 that have no test of their own elsewhere.

// On LTE-only modules +CEREG counts and +CREG stays 0; SMS-only states are enough; 11 is limited service, whatever else is said.
func TestRegistrationOfEachKind(t *testing.T) {
	for _, c := range []struct {
		name, creg, cereg, cgreg string
		ready                    bool
		want                     Registration
	}{
		{"LTE only, home", "0,0", "0,1", "ERROR", true, RegHome},
		{"LTE only, SMS only", "0,0", "0,6", "0,0", true, RegSMSHome},
		{"SMS only, home", "0,6", "ERROR", "ERROR", true, RegSMSHome},
		{"SMS only, roaming", "0,7", "ERROR", "ERROR", true, RegSMSRoaming},
		{"packet domain only", "0,0", "0,0", "0,5", true, RegRoaming},
		{"CSFB not preferred", "2,9", "ERROR", "ERROR", true, RegCSFBHome},
		{"limited service", "0,11", "0,11", "0,0", false, RegEmergencyOnly},
		{"denied", "0,3", "0,2", "0,0", false, RegDenied},
		{"searching", "0,2", "0,2", "0,2", false, RegSearching},
		{"not answered", "ERROR", "ERROR", "ERROR", false, RegUnread},
	} {
		t.Run(c.name, func(t *testing.T) {
			answers := map[string]string{}
			for cmd, stat := range map[string]string{"+CREG": c.creg, "+CEREG": c.cereg, "+CGREG": c.cgreg} {
				answers[cmd+"?"] = stat
				if stat != "ERROR" {
					answers[cmd+"?"] = cmd + ": " + stat + "|OK"
				}
			}
			onFake(t, answers, Options{}, func(_ *fake, w *world) {
				time.Sleep(time.Minute)
				st := w.m.Status()
				if st.Ready != c.ready || st.Registration != c.want {
					w.t.Fatalf("ready %v, %v", st.Ready, st.Registration)
				}
				_, err := w.send("hello")
				if c.ready && err != nil || !c.ready && st.Cause == "" {
					w.t.Fatalf("%v; cause %q", err, st.Cause)
				}
				if !c.ready {
					w.want("without a network", err, ErrNotSent)
				}
			})
		})
	}
}

// +COPS=? blocks a modem for a minute and more, and +CGATT? says nothing of SMS: neither is ever asked, in any phase.
func TestNeverAsked(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
				ctx, cancel := context.WithCancel(context.Background())
				lines := w.m.Follow(ctx)
				done := make(chan int, 1)
				go func() {
					n := 0
					for l := range lines {
						if n++; l.Out && (strings.Contains(l.Text, "+COPS=?") || strings.HasPrefix(l.Text, "AT+CGATT")) {
							w.t.Errorf("asked: %s", l.Text)
						}
					}
					done <- n
				}()
				w.ready()
				for _, f := range []modemsim.Faults{{Registration: 2}, {}, {SIMRemoved: true}, {}, {RebootAt: modemsim.AtPDU}, {Silence: 2}, {}} {
					w.faults(f)
					_, _ = w.send("hello") // whatever comes of it
					time.Sleep(20 * time.Minute)
				}
				w.ready()
				cancel()
				if n := <-done; n < 1000 {
					w.t.Fatalf("only %d lines seen", n)
				}
			})
		})
	}
}

// Some modems want three memories named, some two, some one (gammu#829), and not every one has ME.
func TestStorageForms(t *testing.T) {
	for _, form := range []string{`"ME","ME","ME"`, `"ME","ME"`, `"ME"`, `"SM","SM","SM"`, `"SM","SM"`, `"SM"`} {
		t.Run(form, func(t *testing.T) {
			onFake(t, map[string]string{`+CPMS="SM"`: "+CMS ERROR: 303", "+CPMS=" + form: "+CPMS: 0,10|OK"}, Options{}, func(f *fake, w *world) {
				w.ready()
				if f.count("+CPMS="+form) == 0 {
					w.t.Fatal("not selected")
				}
			})
		})
	}
}

// After power-on a SIM is busy for seconds: that is no failure (reference 4: 13, 14; 5.2: 314, 515).
func TestSIMBusyAfterPowerOn(t *testing.T) {
	for _, c := range []struct{ cmd, busy string }{
		{"+CPIN?", "+CME ERROR: 14"}, {"+CPIN?", "+CME ERROR: 13"}, {"+CPIN?", "+CME ERROR: SIM busy"}, {"+CMGF=0", "+CMS ERROR: 314"},
		{"+CSCA?", "+CMS ERROR: 515"}, {"+CSCA?", "+CMS ERROR: 500"}, {"+CMGF=0", "+CME ERROR: 515"},
	} {
		t.Run(c.cmd+" "+c.busy, func(t *testing.T) {
			onFake(t, map[string]string{c.cmd: c.busy}, Options{}, func(f *fake, w *world) {
				time.Sleep(12 * time.Second)
				f.set(c.cmd, least()[c.cmd])
				start := time.Now()
				st := w.ready()
				if time.Since(start) > 5*time.Second || f.opened != 1 || st.Alarm != AlarmNone {
					w.t.Fatalf("ready after %v more, port opened %d times", time.Since(start), f.opened)
				}
			})
		})
	}
}

// Each of the words by which a module tells that it has just started: its settings are gone.
func TestRebootWords(t *testing.T) {
	for _, word := range []string{"RDY", "^BOOT:20117468,0,0,0,75", "*ATREADY: 1"} {
		t.Run(word, func(t *testing.T) {
			onFake(t, nil, Options{}, func(f *fake, w *world) {
				w.ready()
				time.Sleep(time.Minute)
				before := f.count("+CNMI=2,1,0,0,0")
				f.say("\r\n" + word + "\r\n")
				w.until("counted", time.Minute, func(s Status) bool { return s.Reboots == 1 })
				w.until("up again", time.Minute, func(s Status) bool { return s.Ready && f.count("+CNMI=2,1,0,0,0") == before+1 })
			})
		})
	}
}

// A modem that sleeps loses the first commands (reference 3): nothing but time is lost.
func TestFirstCommandsAreLost(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{Silence: 5}}, func(w *world) {
		if st := w.ready(); st.Resets != 0 {
			w.t.Fatalf("%d resets", st.Resets)
		}
	})
}

// Each vendor's own restart (reference 3), and none of another's.
func TestRestartOfEachProfile(t *testing.T) {
	all := []string{"AT+CFUN", "AT+CRESET", "AT^RESET", "AT#REBOOT"}
	for profile, want := range map[string]string{
		"generic": "AT+CFUN", "ec25": "AT+CFUN", "sim7600": "AT+CRESET", "e173": "AT^RESET", "le910": "AT#REBOOT",
	} {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
				w.ready()
				if err := w.m.Reset(context.Background()); err != nil {
					w.t.Fatal(err)
				}
				for _, cmd := range all {
					if n := w.traced(cmd); (n > 0) != (cmd == want) {
						w.t.Errorf("%s given %d times", cmd, n)
					}
				}
				w.ready()
			})
		})
	}
}

// On EC25 the codes of a call go to another port until it is told otherwise (reference 3).
func TestCodesComeToTheATPort(t *testing.T) {
	inWorld(t, setup{sim: modemsim.ModemOptions{Profile: "ec25"}}, func(w *world) {
		w.ready()
		w.sim.Reboot()
		w.until("rebooted", time.Minute, func(s Status) bool { return !s.Ready })
		w.ready()
		if n := w.traced("AT+QURCCFG"); n != 2 {
			w.t.Fatalf("told %d times, want once for each start", n)
		}
	})
}

// A port that is stuck is abandoned and opened anew, a thousand times: nothing is left but the last one.
func TestStuckPortAThousandTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := modemsim.NewNetwork(modemsim.NetworkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer network.Close()
		sim, err := network.AddModem(modemsim.ModemOptions{Name: "m1"})
		if err != nil {
			t.Fatal(err)
		}
		if err := sim.SetFaults(modemsim.Faults{Stuck: true}); err != nil {
			t.Fatal(err)
		}
		var open, most, all atomic.Int32
		m := New(func(context.Context) (io.ReadWriteCloser, error) {
			c, err := sim.Pipe()
			if err != nil {
				return nil, err
			}
			all.Add(1)
			most.Store(max(most.Load(), open.Add(1)))
			return counted{c, &open}, nil
		}, Options{Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		for all.Load() < 1000 {
			time.Sleep(time.Hour)
		}
		if most.Load() != 1 {
			t.Errorf("%d ports open at once", most.Load())
		}
		if err := sim.SetFaults(modemsim.Faults{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if st := m.Status(); !st.Ready {
			t.Errorf("%v", st)
		}
		cancel()
		if err := <-done; err != nil || open.Load() != 0 {
			t.Errorf("%v, %d ports left open", err, open.Load())
		}
	}) // the bubble fails if a goroutine is left
}

type counted struct {
	io.ReadWriteCloser
	open *atomic.Int32
}

func (c counted) Close() error {
	c.open.Add(-1)
	return c.ReadWriteCloser.Close()
}

// An OK without +CMGS proves nothing: a prompt that was left ends so too (27.005, 3.5.1).
func TestOKWithoutReferenceIsUnknown(t *testing.T) {
	for _, answer := range []string{"OK", "+CMGS: 256|OK", "+CMGS:|OK", "+CMGS: x|OK"} {
		onFake(t, map[string]string{"+CMGS": answer}, Options{}, func(_ *fake, w *world) {
			w.ready()
			_, err := w.send("hello")
			w.want(answer, err, nil)
		})
	}
}

// GSM 7-bit, its extension, and what needs UCS-2 (reference 5.5; 23.038, 6.2.1): each character by itself, as many as fit.
func TestAlphabetOfEachCharacter(t *testing.T) {
	const basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿" +
		"abcdefghijklmnopqrstuvwxyzäöñüà"
	parts := func(c string, n int) int {
		t.Helper()
		ts, err := Encode(SMS{To: patient, Text: strings.Repeat(c, n)})
		if err != nil {
			t.Fatalf("%q: %v", c, err)
		}
		return len(ts)
	}
	n := 0
	for _, r := range basic {
		n++
		if c := string(r); parts(c, 160) != 1 || parts(c, 161) != 2 {
			t.Errorf("%q is not one septet", c)
		}
	}
	if n != 127 { // 128 places, one of them the escape
		t.Fatalf("%d characters in the alphabet", n)
	}
	for _, r := range "^{}\\[~]|€" {
		if c := string(r); parts(c, 80) != 1 || parts(c, 81) != 2 {
			t.Errorf("%q is not two septets", c)
		}
	}
	for _, r := range "ç’“…ñжא漢` " {
		c := string(r)
		want := 2
		if strings.ContainsRune(basic, r) {
			want = 1
		}
		if got := parts(c, 71); got != want {
			t.Errorf("71 of %q make %d parts", c, got)
		}
	}
}

// A pair of surrogates is never parted, wherever the cut falls.
func TestSurrogatesAreNeverParted(t *testing.T) {
	for before := range 140 {
		ts, err := Encode(SMS{To: patient, Text: strings.Repeat("ж", before) + strings.Repeat("😀", 40)})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ts {
			_, pdu := p.AT()
			units := pdu[len(pdu)-4:]
			if units >= "D800" && units <= "DBFF" {
				t.Fatalf("%d characters before: part %s ends in half a pair", before, fmt.Sprint(p.Part()))
			}
		}
	}
}

// A confirmation that meets another message: each answer belongs to the PDU before it, never to the next (defect 4 above the line).
func TestLateReferenceIsNobodys(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{SendDelay: modemsim.Duration(310 * time.Second)}}, func(w *world) {
		w.ready()
		_, err := w.send("first")
		w.want("late by ten seconds", err, nil)
		w.faults(modemsim.Faults{})
		w.ready()
		sent, err := w.send("second")
		if err != nil {
			w.t.Fatal(err)
		}
		reports := map[byte]int{}
		for range 2 {
			reports[w.event(5*time.Minute).Report.Ref]++
		}
		if reports[sent.Ref] != 1 || len(reports) != 2 {
			w.t.Fatalf("second was sent as %d, reports %v", sent.Ref, reports)
		}
	})
}

// What the driver asks of a modem is in words of 27.005, 27.007 or the profile's own vendor, never another's.
func TestNoVendorsCommandsToAnothers(t *testing.T) {
	foreign := map[string][]string{
		"generic": {"AT+Q", "AT^", "AT#", "AT+CRESET", "AT+SPIC"}, "ec25": {"AT^", "AT#", "AT+CRESET", "AT+SPIC"},
		"sim7600": {"AT+Q", "AT^", "AT#"}, "e173": {"AT+Q", "AT#", "AT+CRESET", "AT+SPIC"}, "le910": {"AT+Q", "AT^", "AT+CRESET"},
	}
	for profile, prefixes := range foreign {
		inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile, PIN: "4711"}, options: Options{PIN: pin("4711")}}, func(w *world) {
			w.ready()
			time.Sleep(2 * time.Hour)
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, e := range w.traces {
				for _, p := range prefixes {
					if strings.HasPrefix(e, p) && !(profile == "generic" && strings.Contains(e, "CCID")) {
						w.t.Errorf("%s was asked %s", profile, e)
					}
				}
			}
		})
	}
}
