package modemsim

import (
	"io"
	"strings"
	"testing"
	"time"
)

// silent says that the modem answers nothing for d.
func (h *host) silent(d time.Duration) {
	h.t.Helper()
	if got := h.rest(d); got != "" {
		h.t.Errorf("the modem says %q", got)
	}
}

// begin starts a send up to the end of the PDU.
func (h *host) begin(s submit) {
	h.t.Helper()
	line, body := pdu(s, nil)
	h.write(line)
	h.until(">")
	h.rest(10 * time.Millisecond)
	h.write(body)
}

func TestFaultFraming(t *testing.T) {
	for name, v := range map[string]struct {
		faults Faults
		want   string
	}{
		"double CR":          {Faults{DoubleCR: true}, "\r\r\n+CSQ: 20,99\r\r\n\r\r\nOK\r\r\n"},
		"CR only":            {Faults{CROnly: true}, "\r+CSQ: 20,99\r\rOK\r"},
		"no leading CR":      {Faults{NoLeadingCR: true}, "+CSQ: 20,99\r\nOK\r\n"},
		"glued lines":        {Faults{GlueLines: true}, "\r\n+CSQ: 20,99OK\r\n"},
		"URC inside":         {Faults{URCInside: true}, "\r\n+CSQ: 20,99\r\n\r\n^RSSI:17\r\n\r\nOK\r\n"},
		"echo after ATE0":    {Faults{EchoAlways: true}, "AT+CSQ\r\r\n+CSQ: 20,99\r\n\r\nOK\r\n"},
		"unknown final":      {Faults{Unknown: 1}, "\r\nCOMMAND NOT SUPPORT\r\n"},
		"silence":            {Faults{Silence: 1}, ""},
		"one byte at a time": {Faults{Chunk: 1, ChunkGap: Duration(time.Millisecond)}, "\r\n+CSQ: 20,99\r\n\r\nOK\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			world(t, ModemOptions{}, func(t *testing.T, _ *Network, m *Modem, h *host) {
				set(t, m, v.faults)
				h.say("AT+CSQ", v.want)
				set(t, m, Faults{})
				h.say("AT", "\r\nOK\r\n")
			})
		})
	}
}

func TestFaultCountsGoDown(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, _ *Network, m *Modem, h *host) {
		set(t, m, Faults{Silence: 2})
		h.say("AT", "")
		h.say("AT", "")
		h.say("AT", "\r\nOK\r\n")
		set(t, m, Faults{Silence: -1})
		for range 5 {
			h.say("AT", "")
		}
		set(t, m, Faults{Garbage: 1})
		h.write("AT\r")
		if got := h.rest(time.Second); !strings.HasSuffix(got, "\r\nOK\r\n") || len(got) == len("\r\nOK\r\n") {
			t.Errorf("with noise: %q", got)
		}
		h.say("AT", "\r\nOK\r\n")
	})
}

func TestFaultChunksAreApart(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, _ *Network, m *Modem, h *host) {
		set(t, m, Faults{Chunk: 1, ChunkGap: Duration(50 * time.Millisecond)})
		start := time.Now()
		h.write("AT\r")
		h.until("OK\r\n")
		if took := time.Since(start); took != 5*50*time.Millisecond {
			t.Errorf("six octets took %v", took)
		}
	})
}

func TestFaultLateAnswerMeetsTheNextCommand(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, _ *Network, m *Modem, h *host) {
		set(t, m, Faults{LateNext: Duration(5 * time.Second)})
		h.write("AT+CSQ\r")
		h.silent(4 * time.Second)
		h.write("AT+CPIN?\r") // the host has given up; the modem has not
		if got := h.until("OK\r\n"); !strings.Contains(got, "+CSQ: ") {
			t.Errorf("first %q", got)
		}
		if got := h.until("OK\r\n"); !strings.Contains(got, "+CPIN: ") {
			t.Errorf("then %q", got)
		}
	})
}

func TestFaultURCFlood(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, _ *Network, m *Modem, h *host) {
		set(t, m, Faults{URCEvery: Duration(10 * time.Millisecond)})
		if n := strings.Count(h.rest(time.Second), "^RSSI:"); n < 95 || n > 101 {
			t.Errorf("%d lines in a second", n)
		}
		set(t, m, Faults{})
		h.rest(time.Millisecond) // what was on its way
		h.silent(time.Second)
	})
}

func TestFaultStuckReadsNothing(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, _ *Network, m *Modem, h *host) {
		set(t, m, Faults{Stuck: true})
		h.write("AT\r") // the read that was under way
		h.rest(time.Second)
		h.c.SetWriteDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(h.c, "AT\r"); err == nil {
			t.Fatal("a stuck modem reads")
		}
		set(t, m, Faults{})
		h.c.SetWriteDeadline(time.Time{})
		h.say("AT", "\r\nOK\r\n")
	})
}

func TestFaultPrompts(t *testing.T) {
	line, body := pdu(plain("code"), nil)
	for name, v := range map[string]struct {
		faults Faults
		prompt string
	}{
		"SIM7670G":     {Faults{Prompt: "\r\n>\r\n"}, "\r\n>\r\n"},
		"two prompts":  {Faults{DoublePrompt: true}, "\r\n> \r\n> "},
		"no prompt":    {Faults{NoPrompt: 1}, ""},
		"prompt delay": {Faults{PromptDelay: Duration(500 * time.Millisecond)}, "\r\n> "},
	} {
		t.Run(name, func(t *testing.T) {
			world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
				set(t, m, v.faults)
				h.write(line)
				if got := h.rest(time.Second); got != v.prompt {
					t.Fatalf("prompt %q", got)
				}
				h.write(body)
				h.until("+CMGS: ")
				h.until("OK\r\n")
				texts(t, n, 1)
			})
		})
	}
}

func TestFaultPDUBeforeTheDelayedPromptIsLost(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		set(t, m, Faults{PromptDelay: Duration(time.Second)})
		line, body := pdu(plain("code"), nil)
		h.write(line)
		h.write(body)
		if got := h.rest(time.Minute); got != "\r\n> " {
			t.Errorf("%q", got)
		}
		h.write("\x1b")
		h.until("OK\r\n")
		if m.Submitted() != 0 {
			t.Error("it was sent")
		}
	})
}

func TestFaultPromptRaceSwallowsTheFirstCharacters(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		set(t, m, Faults{PromptRace: Duration(100 * time.Millisecond)})
		line, body := pdu(plain("code"), nil)
		h.write(line)
		h.until("> ")
		h.write(body)
		h.until("+CMS ERROR: 304\r\n")
		h.write(line)
		h.until("> ")
		time.Sleep(100 * time.Millisecond)
		h.write(body)
		h.until("+CMGS: ")
	})
}

func TestFaultESCIgnored(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, _ *Network, m *Modem, h *host) {
		set(t, m, Faults{IgnoreESC: true})
		line, body := pdu(plain("code"), nil)
		h.write(line)
		h.until("> ")
		h.write("\x1b")
		h.silent(time.Minute)
		h.write(body)
		h.until("+CMGS: ")
	})
}

func TestFaultSendErrors(t *testing.T) {
	for _, anyway := range []bool{false, true} {
		world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
			set(t, m, Faults{SendErrors: []string{"+CMS ERROR: 38", "+CME ERROR: 515"}, SentAnyway: anyway})
			h.begin(plain("1"))
			h.until("+CMS ERROR: 38\r\n")
			h.begin(plain("2"))
			h.until("+CME ERROR: 515\r\n")
			h.begin(plain("3"))
			h.until("+CMGS: ")
			want := 1
			if anyway {
				want = 3
			}
			if got := m.Submitted(); got != want {
				t.Errorf("sent anyway %v: %d parts went out", anyway, got)
			}
			if left := m.Faults().SendErrors; len(left) != 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

func TestFaultSwallowedPDUAndSilentSend(t *testing.T) {
	for name, v := range map[string]struct {
		faults Faults
		sent   int
	}{"swallowed": {Faults{SwallowPDU: 1}, 0}, "sent in silence": {Faults{SilentSend: 1}, 1}} {
		t.Run(name, func(t *testing.T) {
			world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
				h.ask("AT+CNMI=2,1,0,0,0")
				set(t, m, v.faults)
				h.begin(plain("code"))
				h.silent(hangTime - time.Minute)
				h.write("AT\r") // waits behind the send
				h.until("+CMS ERROR: 500\r\n")
				h.until("OK\r\n")
				if m.Submitted() != v.sent {
					t.Errorf("%d parts went out", m.Submitted())
				}
				set(t, m, v.faults)
				h.begin(plain("code"))
				h.silent(45 * time.Second)
				h.write("\x1b") // the way out
				h.say("AT", "\r\nOK\r\n")
			})
		})
	}
}

func TestFaultSendDelay(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		set(t, m, Faults{SendDelay: Duration(time.Minute)})
		start := time.Now()
		h.begin(plain("code"))
		texts(t, n, 1)
		if time.Since(start) > 10*time.Second {
			t.Error("the text was late, not the answer")
		}
		h.until("+CMGS: ")
		if took := time.Since(start); took < time.Minute {
			t.Errorf("the answer came after %v", took)
		}
	})
}

func TestFaultRebootAtEachMoment(t *testing.T) {
	for at, sent := range map[Moment]int{AtPrompt: 0, AtPDU: 0, AtAnswer: 1} {
		t.Run(string(at), func(t *testing.T) {
			world(t, ModemOptions{Profile: "ec25"}, func(t *testing.T, n *Network, m *Modem, h *host) {
				set(t, m, Faults{RebootAt: at})
				line, body := pdu(plain("code"), nil)
				h.write(line)
				if at != AtPrompt {
					h.until("> ")
					h.write(body)
				}
				h.until("\r\nRDY\r\n")
				h.until("+QIND: PB DONE\r\n")
				if m.Submitted() != sent {
					t.Errorf("%d parts went out", m.Submitted())
				}
				h.say("ATE0", "ATE0\r\r\nOK\r\n") // the settings are gone
				h.say("AT+CNMI?", "\r\n+CNMI: 2,1,0,0,0\r\n\r\nOK\r\n")
			})
		})
	}
}

func TestFaultUnplugAtEachMoment(t *testing.T) {
	for at, sent := range map[Moment]int{AtPrompt: 0, AtPDU: 0, AtAnswer: 1} {
		t.Run(string(at), func(t *testing.T) {
			world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
				set(t, m, Faults{UnplugAt: at, UnplugFor: Duration(3 * time.Second)})
				line, body := pdu(plain("code"), nil)
				h.write(line)
				if at != AtPrompt {
					h.until("> ")
					h.write(body)
				}
				h.rest(time.Second)
				if _, err := h.c.Write([]byte("AT\r")); err == nil {
					t.Error("the port is still there")
				}
				if _, err := m.Pipe(); err == nil {
					t.Error("an unplugged modem was opened")
				}
				if m.Submitted() != sent {
					t.Errorf("%d parts went out", m.Submitted())
				}
				time.Sleep(4 * time.Second) // it is back, and has started
				back := newHost(t, m)
				back.say("AT", "AT\r\r\nOK\r\n")
			})
		})
	}
}

func TestFaultReports(t *testing.T) {
	for name, v := range map[string]struct {
		faults Faults
		hold   func(t *testing.T, before, after string)
	}{
		"before +CMGS": {Faults{ReportEarly: true}, func(t *testing.T, before, after string) {
			if !strings.Contains(before, "+CDS: ") || strings.Contains(after, "+CDS: ") {
				t.Errorf("before %q, after %q", before, after)
			}
		}},
		"twice": {Faults{ReportTwice: true}, func(t *testing.T, _, after string) {
			if strings.Count(after, "+CDS: ") != 2 {
				t.Errorf("%q", after)
			}
		}},
		"never": {Faults{ReportNever: true}, func(t *testing.T, before, after string) {
			if strings.Contains(before+after, "+CDS: ") {
				t.Errorf("%q", after)
			}
		}},
		"late": {Faults{ReportDelay: Duration(time.Hour)}, func(t *testing.T, _, after string) {
			if after != "" {
				t.Errorf("%q", after)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
				set(t, m, v.faults)
				h.begin(plain("code"))
				before := h.until("+CMGS: ")
				h.until("OK\r\n")
				v.hold(t, before, h.rest(time.Minute))
			})
		})
	}
}

func TestFaultMessageReferences(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		set(t, m, Faults{ReportWrongMR: true, FixedMR: true})
		h.begin(plain("code"))
		h.until("+CMGS: 0\r\n")
		if mr, _ := h.reportStatus(); mr != 100 {
			t.Errorf("report for %d", mr)
		}
	})
}

func TestMessageReferenceWraps(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		m.SetLatency(-1)
		seen := map[string]int{}
		for range 257 {
			h.begin(submit{To: patient, Body: bodies("x", 0)[0]})
			h.until("+CMGS: ")
			seen[strings.TrimSpace(h.until("\r\n"))]++
			h.until("OK\r\n")
		}
		if len(seen) != 256 {
			t.Errorf("%d references in 257 sends", len(seen))
		}
	})
}
