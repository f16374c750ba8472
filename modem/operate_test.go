package modem

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/modem/modemsim"
)

// allProfiles are the simulator's kinds of device, each of which another profile of ours drives.
var allProfiles = []string{"generic", "ec25", "sim7600", "e173", "le910"}

func TestBalanceOfEachProfile(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
				w.ready()
				amount, err := w.m.Balance(context.Background())
				if err != nil || amount != "10.00" {
					w.t.Fatalf("balance %q, %v\n%v", amount, err, w.m.Tail())
				}
				if _, err := w.send("still sends"); err != nil {
					w.t.Fatal(err)
				}
			})
		})
	}
}

func TestBalanceThatIsNone(t *testing.T) {
	for name, f := range map[string]modemsim.Faults{
		"silence":        {USSD: "none"},
		"no amount":      {USSD: `+CUSD: 0,"Please call +1 617 555 1234",15`},
		"not supported":  {USSD: "+CUSD: 4"},
		"menu":           {USSD: `+CUSD: 1,"1 Balance 2 Top up",15`},
		"nonsense":       {USSD: "+CUSD: x"},
		"text cut short": {USSD: `+CUSD: 0,"Balance: $10`},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, setup{faults: f}, func(w *world) {
				w.ready()
				start := time.Now()
				amount, err := w.m.Balance(context.Background())
				if amount != "" || !errors.Is(err, ErrNoBalance) {
					w.t.Fatalf("balance %q, %v", amount, err)
				}
				if d := time.Since(start); d > time.Minute {
					w.t.Fatalf("waited %v", d)
				}
				if strings.Contains(err.Error(), "617") || strings.Contains(err.Error(), "Top") {
					w.t.Fatal("the error shows the network's answer")
				}
				if _, err := w.send("still sends"); err != nil {
					w.t.Fatal(err)
				}
			})
		})
	}
}

func TestBalanceCodes(t *testing.T) {
	p := profiles()["quectel-ec25"]
	for operator, want := range map[string]string{"AT&T": "*777#", "T-Mobile USA": "#225#", "Northline": "*100#", "": "*100#"} {
		if got := p.balanceCode(operator); got != want {
			t.Errorf("%q: %s, want %s", operator, got, want)
		}
	}
	if cmd, err := p.ussdRequest("*777#"); err != nil || cmd != `+CUSD=1,"*777#",15` {
		t.Errorf("%s, %v", cmd, err)
	}
	// Huawei wants packed septets: *100# is AA180C3602 (obsy/sms_tool#4).
	if cmd, err := profiles()["huawei-e173"].ussdRequest("*100#"); err != nil || cmd != `+CUSD=1,"AA180C3602",15` {
		t.Errorf("%s, %v", cmd, err)
	}
	for _, bad := range []string{"", "*100#;+CFUN=0", `*1"`, strings.Repeat("1", 21)} {
		if _, err := p.ussdRequest(bad); !errors.Is(err, ErrNoBalance) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// What is known of the SIM wins over the operator's and the profile's code.
func TestBalanceCodeOfTheSIM(t *testing.T) {
	for code, want := range map[string]error{"": nil, "*123#": nil, "no code": ErrNoBalance} {
		var asked []string
		own := func(iccid string) string { asked = append(asked, iccid); return code }
		inWorld(t, setup{options: Options{BalanceCode: own}}, func(w *world) {
			w.ready()
			if _, err := w.m.Balance(context.Background()); !errors.Is(err, want) {
				w.t.Errorf("%q: %v", code, err)
			}
			if !slices.Equal(asked, []string{w.sim.ICCID()}) {
				w.t.Errorf("asked for %v", asked)
			}
		})
	}
}

// A SIM without credit fails like a network in trouble; only the balance tells.
func TestNoCreditIsNamed(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{NoCredit: true}}, func(w *world) {
		w.ready()
		for range 3 {
			_, err := w.send("hello")
			w.want("without credit", err, ErrNotSent)
		}
		st := w.until("named", 30*time.Second, func(s Status) bool { return s.Alarm == AlarmNoCredit })
		if st.Phase != PhaseQuarantined || st.Cause != "the SIM has no credit left" || !st.Alarms.Has(AlarmNoCredit) {
			w.t.Fatalf("%+v", st)
		}
		w.faults(modemsim.Faults{})
		if st := w.ready(); st.Alarm != AlarmNone || st.Alarms != 0 {
			w.t.Fatalf("%+v", st)
		}
	})
}

func TestForward(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
				w.ready()
				ctx := context.Background()
				if to, err := w.m.Forwarded(ctx); err != nil || to != "" {
					w.t.Fatalf("forwarded to %q at first, %v", to, err)
				}
				if err := w.m.Forward(ctx, other); err != nil {
					w.t.Fatal(err)
				}
				if to, err := w.m.Forwarded(ctx); err != nil || to != other || w.sim.State().Forward != other {
					w.t.Fatalf("forwarded to %q, %v; the network says %q", to, err, w.sim.State().Forward)
				}
				if err := w.net.Handset(patient).Call(w.sim.Name()); err != nil {
					w.t.Fatal(err)
				}
				w.noEvent(time.Minute)
				if calls := w.sim.IncomingCalls(); len(calls) != 1 || calls[0].End != modemsim.RingForwarded {
					w.t.Fatalf("%+v", calls)
				}
				if err := w.m.Forward(ctx, ""); err != nil {
					w.t.Fatal(err)
				}
				if to, err := w.m.Forwarded(ctx); err != nil || to != "" {
					w.t.Fatalf("forwarded to %q after the end, %v", to, err)
				}
			})
		})
	}
}

func TestForwardRefused(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{NoForwarding: true}}, func(w *world) {
		w.ready()
		for _, number := range []string{other, "", "1-800", "+1;+CFUN=0"} {
			if err := w.m.Forward(context.Background(), number); !errors.Is(err, ErrForward) || strings.Contains(err.Error(), "617") {
				w.t.Errorf("%v", err)
			}
		}
		if st := w.m.Status(); !st.Ready {
			w.t.Errorf("%v", st)
		}
	})
}

// As manuals have it: Sierra's +CCFC for none (MP 700 AT reference), 27.007's for several classes.
func TestForwardMuseum(t *testing.T) {
	for _, v := range []struct {
		info []string
		want string
	}{
		{[]string{"+CCFC: 0,7"}, ""},
		{[]string{`+CCFC: 1,1,"+16175554321",145`}, other},
		{[]string{`+CCFC: 1,1,"16175554321",145,,,`}, other},
		{[]string{`+CCFC: 1,4,"+19995554321",145`, `+CCFC: 1,1,"6175554321",129`}, "6175554321"},
		{[]string{`+CCFC: 0,1,"+16175554321",145`}, ""},
		{[]string{"+CCFC: 1"}, ""}, {[]string{"+CCFC: 1,x,\"1\""}, ""}, {nil, ""},
	} {
		if got := forwardedTo(v.info); got != v.want {
			t.Errorf("%q: %q, want %q", v.info, got, v.want)
		}
	}
	for _, v := range []struct {
		a, b string
		same bool
	}{{other, "6175554321", true}, {other, patient, false}, {"", other, false}, {"", "", true}, {"911", "911", true}, {"12", "12", false}} {
		if sameNumber(v.a, v.b) != v.same {
			t.Errorf("%q and %q", v.a, v.b)
		}
	}
}

func TestOperatorsReset(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}, faults: modemsim.Faults{SilentSend: 1}}, func(w *world) {
				w.ready()
				sent := make(chan error, 1)
				go func() {
					_, err := w.send("on air")
					sent <- err
				}()
				time.Sleep(5 * time.Second)
				start := time.Now()
				if err := w.m.Reset(context.Background()); err != nil {
					w.t.Fatal(err)
				}
				w.want("a send that was on air", <-sent, nil)
				st := w.ready()
				if st.Resets != 1 || st.ResetsDay != 1 || st.Reboots != 0 {
					w.t.Fatalf("%d resets, %d today, %d reboots of its own", st.Resets, st.ResetsDay, st.Reboots)
				}
				if d := time.Since(start); d > 45*time.Second {
					w.t.Fatalf("ready after %v", d)
				}
				if _, err := w.send("after"); err != nil {
					w.t.Fatal(err)
				}
			})
		})
	}
}

// The cap on restarts an hour is for the machine: an operator is obeyed, also by a modem that is silent, and also between two
// sessions.
func TestOperatorsResetOfASilentModem(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		w.ready()
		w.faults(modemsim.Faults{Silence: -1})
		w.until("the cap is reached", 3*time.Hour, func(s Status) bool { return s.Resets == 4 && s.Phase == PhaseDown })
		for range 3 {
			before := w.m.Status().Resets
			if err := w.m.Reset(context.Background()); err != nil {
				w.t.Fatal(err)
			}
			if n := w.m.Status().Resets; n != before+1 {
				w.t.Fatalf("%d resets, want %d", n, before+1)
			}
			time.Sleep(7 * time.Second)
		}
		w.faults(modemsim.Faults{})
		w.ready()
	})
}

func TestResetWithoutAPort(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{Unplugged: true}}, func(w *world) {
		if err := w.m.Reset(context.Background()); err == nil {
			w.t.Fatal("reset a modem that is not there")
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := w.m.Reset(ctx); !errors.Is(err, context.Canceled) {
			w.t.Fatal(err)
		}
	})
}

func TestOrdersNeedAModem(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{Unplugged: true}}, func(w *world) {
		ctx := context.Background()
		if _, err := w.m.Balance(ctx); !errors.Is(err, ErrNotUp) {
			w.t.Error(err)
		}
		if _, err := w.m.Forwarded(ctx); !errors.Is(err, ErrNotUp) {
			w.t.Error(err)
		}
		if err := w.m.Forward(ctx, other); !errors.Is(err, ErrNotUp) {
			w.t.Error(err)
		}
	})
}
