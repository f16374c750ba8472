package modem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/modem/modemsim"
	"pinward/modem/port"
)

func TestProbeEachProfile(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(profile, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network, err := modemsim.NewNetwork(modemsim.NetworkOptions{})
				if err != nil {
					t.Fatal(err)
				}
				defer network.Close()
				sim, err := network.AddModem(modemsim.ModemOptions{Name: "m1", Profile: profile})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute) // it has started
				closed := false
				start := time.Now()
				found, err := Probe(context.Background(), func(context.Context) (io.ReadWriteCloser, error) {
					c, err := sim.Pipe()
					return tattle{c, &closed}, err
				})
				if err != nil {
					t.Fatal(err)
				}
				if found.IMEI != sim.IMEI() || found.ICCID != sim.ICCID() || found.SIM != "READY" || found.Model == "" {
					t.Fatalf("%#v: %+v", found, found)
				}
				if want := profileFor(found.Vendor, found.Model); found.Profile != want.Name || found.Voice != (want.Voice != nil) {
					t.Fatalf("profile %s, voice %v", found.Profile, found.Voice)
				}
				for _, shown := range []string{found.String(), fmt.Sprintf("%v %+v %#v", found, found, found), found.LogValue().String()} {
					if strings.Contains(shown, sim.IMEI()) || strings.Contains(shown, sim.ICCID()) {
						t.Fatal("the modem's numbers are shown")
					}
				}
				if !closed || time.Since(start) > 3*time.Second {
					t.Fatalf("port closed: %v, after %v", closed, time.Since(start))
				}
			})
		})
	}
}

// tattle tells that it was closed.
type tattle struct {
	io.ReadWriteCloser
	closed *bool
}

func (c tattle) Close() error {
	*c.closed = true
	return c.ReadWriteCloser.Close()
}

func TestProbeALockedSIM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := modemsim.NewNetwork(modemsim.NetworkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer network.Close()
		sim, err := network.AddModem(modemsim.ModemOptions{Name: "m1", PIN: "4711"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		found, err := Probe(context.Background(), func(context.Context) (io.ReadWriteCloser, error) { return sim.Pipe() })
		if err != nil || found.SIM != "SIM PIN" || found.IMEI != sim.IMEI() {
			t.Fatalf("%+v, %v", found, err)
		}
	})
}

// probeFake probes a port that talk plays, and gives what was written to it.
func probeFake(t *testing.T, talk func(written string, say func(string))) (Found, string, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	heard := make(chan string, 1)
	go func() {
		var all strings.Builder
		buf := make([]byte, 256)
		for {
			n, err := theirs.Read(buf)
			if err != nil {
				heard <- all.String()
				return
			}
			all.Write(buf[:n])
			talk(string(buf[:n]), func(s string) { go theirs.Write([]byte(s)) })
		}
	}()
	found, err := Probe(context.Background(), func(context.Context) (io.ReadWriteCloser, error) { return ours, nil })
	theirs.Close()
	return found, <-heard, err
}

// Ports that are no AT port get three times AT and nothing more (reference 3).
func TestProbeWritesNoMoreThanAT(t *testing.T) {
	for name, talk := range map[string]func(string, func(string)){
		"silent": func(string, func(string)) {},
		"NMEA":   func(_ string, say func(string)) { say("$GPGSV,4,1,13,02,63,117,34*7A\r\n$GPRMC,OK,ERROR\r\n") },
		"binary": func(_ string, say func(string)) {
			say("\x7e\x00\x10OK\x7eOK\xff\xfe" + strings.Repeat("\x00\x7e", 8192))
		},
		"echo":    func(in string, say func(string)) { say(in) },
		"refuses": func(_ string, say func(string)) { say("\r\nERROR\r\n") },
		"a shell": func(in string, say func(string)) { say(in + "\r\nlogin: ") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, heard, err := probeFake(t, talk)
				if !errors.Is(err, ErrNoModem) {
					t.Fatalf("%v", err)
				}
				if heard != "AT\rAT\rAT\r" {
					t.Fatalf("%q was written", heard)
				}
				if d := time.Since(start); d != 3*time.Second {
					t.Fatalf("took %v, want 3 s", d)
				}
			})
		})
	}
}

// An answer to AT is no modem yet: an analog modem has no IMEI.
func TestProbeWantsAnIMEI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := probeFake(t, func(in string, say func(string)) {
			if in == "AT\r" {
				say("\r\nOK\r\n")
			} else if strings.HasPrefix(in, "AT") {
				say("\r\nERROR\r\n")
			}
		})
		if !errors.Is(err, ErrNoModem) {
			t.Fatalf("%v", err)
		}
	})
}

// A modem that sleeps loses the first command and answers the second; what it says late is not taken for another answer.
func TestProbeWakesAModem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		found, _, err := probeFake(t, func(in string, say func(string)) {
			switch asked++; {
			case asked == 1:
			case in == "AT\r":
				say("AT\r\r\nOK\r\n")
			case strings.HasPrefix(in, "AT+CGSN"):
				say("\r\n350000000000006\r\n\r\nOK\r\n")
			case strings.HasPrefix(in, "AT+CGMM"):
				say("\r\n+CGMM: \"EC25\"\r\n\r\nOK\r\n")
			case strings.HasPrefix(in, "AT+CGMI"):
				say("\r\nQuectel\r\n\r\nOK\r\n")
			case strings.HasPrefix(in, "AT"):
				say("\r\n+CME ERROR: 10\r\n")
			}
		})
		if err != nil || found.IMEI != "350000000000006" || found.Profile != "quectel-ec25" || found.ICCID != "" || found.SIM != "NOT INSERTED" {
			t.Fatalf("%#v, %v", found, err)
		}
	})
}

func TestProbePassesTheErrorsOfThePort(t *testing.T) {
	for _, want := range []error{port.ErrBusy, port.ErrUnplugged} {
		_, err := Probe(context.Background(), func(context.Context) (io.ReadWriteCloser, error) { return nil, want })
		if !errors.Is(err, want) || errors.Is(err, ErrNoModem) {
			t.Errorf("%v: %v", want, err)
		}
	}
	synctest.Test(t, func(t *testing.T) { // pulled in the middle
		ours, theirs := net.Pipe()
		time.AfterFunc(1500*time.Millisecond, func() { theirs.Close() })
		go io.Copy(io.Discard, theirs)
		_, err := Probe(context.Background(), func(context.Context) (io.ReadWriteCloser, error) { return usb{ours}, nil })
		if !errors.Is(err, port.ErrUnplugged) || errors.Is(err, ErrNoModem) {
			t.Errorf("%v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // takes no bytes
		ours, theirs := net.Pipe()
		defer theirs.Close()
		start := time.Now()
		_, err := Probe(context.Background(), func(context.Context) (io.ReadWriteCloser, error) { return ours, nil })
		if !errors.Is(err, ErrNoModem) || time.Since(start) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
	synctest.Test(t, func(t *testing.T) { // not wanted any more
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go io.Copy(io.Discard, theirs)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second/2)
		defer cancel()
		_, err := Probe(ctx, func(context.Context) (io.ReadWriteCloser, error) { return ours, nil })
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNoModem) {
			t.Errorf("%v", err)
		}
	})
}
