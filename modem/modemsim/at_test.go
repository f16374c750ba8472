package modemsim

import (
	"strings"
	"testing"
	"time"
)

func TestEchoAndLineEnds(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, _ *Network, _ *Modem, h *host) {
		h.say("AT", "\r\nOK\r\n")
		h.write("AT\r\n")
		if got := h.rest(time.Second); got != "\r\nOK\r\n" {
			t.Errorf("CR LF: %q", got)
		}
		h.write("AT\n")
		if got := h.rest(time.Second); got != "\r\nOK\r\n" {
			t.Errorf("LF: %q", got)
		}
		h.say("ATE1", "\r\nOK\r\n")
		h.say("at+cmee?", "at+cmee?\r\r\n+CMEE: 1\r\n\r\nOK\r\n")
		h.write("AT+GARB\x1b\rAT\r")
		if got := h.rest(time.Second); !strings.HasSuffix(got, "AT\r\r\nOK\r\n") || strings.Contains(got, "ERROR") {
			t.Errorf("ESC leaves %q", got)
		}
		h.write("A/")
		if got := h.rest(time.Second); got != "A/\r\nOK\r\n" {
			t.Errorf("A/: %q", got)
		}
	})
}

func TestResultForms(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, _ *Network, _ *Modem, h *host) {
		h.say("", "")
		h.say("hello", "")
		h.say("xxAT", "\r\nOK\r\n") // all before AT is ignored
		h.say("ATV0", "0\r")
		h.say("AT+CSQ", "+CSQ: 20,99\r\n0\r")
		h.say("AT+NONE", "4\r")
		h.say("ATV1", "\r\nOK\r\n")
		h.say("ATQ1", "")
		h.say("AT", "")
		h.say("ATQ0", "\r\nOK\r\n")
		h.say("ATE2", "\r\nERROR\r\n")
		h.say("AT+CMEE=3", "\r\n+CME ERROR: 50\r\n")
		h.say("AT"+strings.Repeat("E0", 2000), "\r\nERROR\r\n")
	})
}

func TestCompoundCommands(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, _ *Network, _ *Modem, h *host) {
		h.say("ATE0V1+CMEE=2;+CREG=2;+CREG?", "\r\n+CREG: 2,1,\"1A2B\",\"01C3D4E5\",7\r\n\r\nOK\r\n")
		h.say("AT+CMEE?;+CPIN=\"1\";+CSQ", "\r\n+CMEE: 2\r\n\r\n+CME ERROR: operation not allowed\r\n") // the rest is not run
		h.say(`AT + CSCS = "UCS2" ; + CSCS ?`, "\r\n+CSCS: \"UCS2\"\r\n\r\nOK\r\n")
		h.say("AT&FE0&D2S0=0S3?", "\r\n000\r\n\r\nOK\r\n")
	})
}

func TestProfilesDiffer(t *testing.T) {
	for profile, v := range map[string]struct{ unknown, iccid, tries string }{
		"generic": {"\r\nERROR\r\n", "AT+CCID", "AT+CPINR"},
		"ec25":    {"\r\nERROR\r\n", "AT+QCCID", `AT+QPINC="SC"`},
		"sim7600": {"\r\nERROR\r\n", "AT+CICCID", "AT+SPIC"},
		"e173":    {"\r\nCOMMAND NOT SUPPORT\r\n", "AT^ICCID", "AT^CPIN?"},
		"le910":   {"\r\nERROR\r\n", "AT#CCID", "AT#PCT"},
	} {
		t.Run(profile, func(t *testing.T) {
			world(t, ModemOptions{Profile: profile, ICCID: "8900101000000000017"}, func(t *testing.T, _ *Network, m *Modem, h *host) {
				h.say("AT+XYZZY=1", v.unknown)
				for other := range profiles {
					if other == "e173" && profile != "e173" {
						h.say("AT^ICCID", v.unknown)
					}
				}
				if got := h.ask(v.iccid); !strings.Contains(got, m.ICCID()) {
					t.Errorf("%s: %q", v.iccid, got)
				}
				if got := h.ask(v.tries); !strings.Contains(got, "3") {
					t.Errorf("%s: %q", v.tries, got)
				}
				if got := h.ask("AT+CGMI;+CGMM;+CGMR;+CGSN;+CIMI;+COPS?"); !strings.Contains(got, m.IMEI()) || !strings.Contains(got, m.Carrier()) {
					t.Errorf("identity: %q", got)
				}
				for name := range m.profile.accepts {
					if got := h.ask("AT" + name + "=7;" + name + "?"); !strings.Contains(got, "7\r\n") {
						t.Errorf("%s is not kept: %q", name, got)
					}
				}
			})
		})
	}
}

func TestEveryCommandAnswers(t *testing.T) {
	for profile := range profiles {
		world(t, ModemOptions{Profile: profile}, func(t *testing.T, n *Network, _ *Modem, h *host) {
			for _, table := range []map[string]handler{n.common, n.vendor} {
				for name := range table {
					switch name {
					case "+CMGS", "+CMGW", "+CRESET", "^RESET", "#REBOOT", "D", "+COPS":
						continue // they prompt, restart, dial or scan: each has its own test
					}
					for _, form := range []string{"", "?", "=?", "=", "=1", `="x",,"`, "=-1,99999999999999999999", "=0,0,0,0,0,0,0"} {
						if len(name) < 3 && form != "" {
							continue
						}
						h.write("AT" + name + form + "\r")
						if got := h.rest(time.Second); got == "" && name != "Q" && name != "V" {
							t.Errorf("%s: AT%s%s has no answer", profile, name, form)
						}
						h.write("ATQ0V1E0+CFUN=1;+CMEE=1;+CMGF=0\r")
						h.rest(time.Second)
					}
				}
			}
		})
	}
}

func TestPINLocksAndUnlocks(t *testing.T) {
	world(t, ModemOptions{PIN: "4711"}, func(t *testing.T, n *Network, m *Modem, h *host) {
		h.say("AT+CPIN?", "\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n")
		h.say("AT+CIMI", "\r\n+CME ERROR: 11\r\n")
		h.say("AT+CMGS=20", "\r\n+CMS ERROR: 311\r\n")
		h.say("AT+CREG?", "\r\n+CREG: 0,0\r\n\r\nOK\r\n")
		h.say(`AT+CPIN="0000"`, "\r\n+CME ERROR: 16\r\n")
		h.say("AT+CPINR", "\r\n+CPINR: SIM PIN,2,3\r\n+CPINR: SIM PUK,10,10\r\n\r\nOK\r\n")
		h.say(`AT+CPIN=0000`, "\r\n+CME ERROR: 16\r\n")
		h.say(`AT+CPIN="0000"`, "\r\n+CME ERROR: 12\r\n")
		h.say("AT+CPIN?", "\r\n+CPIN: SIM PUK\r\n\r\nOK\r\n")
		h.say("AT+CIMI", "\r\n+CME ERROR: 12\r\n")
		h.say(`AT+CPIN="00000000","1234"`, "\r\n+CME ERROR: 16\r\n")
		if got := h.ask(`AT+CREG=1;+CPIN="12345678","1234"`); got != "\r\nOK\r\n" {
			t.Errorf("PUK: %q", got)
		}
		h.until("+CPIN: READY")
		h.until("+CREG: 1")
		if !m.State().Registered {
			t.Error("not registered after the PUK")
		}
		m.Reboot()
		h.until("+CPIN: SIM PIN")
	})
}

func TestSIMRemoved(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, _ *Network, m *Modem, h *host) {
		set(t, m, Faults{SIMRemoved: true})
		h.until("+CPIN: NOT INSERTED\r\n")
		h.say("AT+CIMI", "\r\n+CME ERROR: 10\r\n")
		h.say("AT+CMGL=4", "\r\n+CMS ERROR: 310\r\n")
		set(t, m, Faults{})
		h.until("+CPIN: READY")
		h.until("\r\n")
		if got := h.ask("AT+CIMI"); !strings.Contains(got, "00101") {
			t.Errorf("%q", got)
		}
	})
}

func set(t *testing.T, m *Modem, f Faults) {
	t.Helper()
	if err := m.SetFaults(f); err != nil {
		t.Fatal(err)
	}
}

func TestStorageCommands(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		h.say("AT+CPMS?", "\r\n+CPMS: \"SM\",0,20,\"SM\",0,20,\"SM\",0,20\r\n\r\nOK\r\n")
		h.say(`AT+CPMS="ME","ME","ME"`, "\r\n+CPMS: 0,50,0,50,0,50\r\n\r\nOK\r\n")
		h.say(`AT+CPMS="XX"`, "\r\n+CMS ERROR: 302\r\n")
		h.say("AT+CMGR=1", "\r\n+CMS ERROR: 321\r\n")
		h.say("AT+CMGR=0", "\r\n+CMS ERROR: 321\r\n")
		for _, text := range []string{"one", "two", "three"} {
			if err := n.Handset(patient).Reply(text, "a"); err != nil {
				t.Fatal(err)
			}
			h.until("+CMTI: \"ME\",")
			h.until("\r\n")
		}
		list := h.ask("AT+CMGL=0")
		if strings.Count(list, "+CMGL: ") != 3 || !strings.Contains(list, "+CMGL: 3,0,,") {
			t.Errorf("CMGL=0: %q", list)
		}
		h.say("AT+CMGL=0", "\r\nOK\r\n") // they are read now
		if got := h.ask("AT+CMGR=2"); !strings.Contains(got, "+CMGR: 1,,") {
			t.Errorf("CMGR: %q", got)
		}
		h.say("AT+CMGD=2", "\r\nOK\r\n")
		if got := h.ask("AT+CMGD=?"); !strings.Contains(got, "(1,3),(0-4)") {
			t.Errorf("CMGD=?: %q", got)
		}
		h.say("AT+CMGD=99", "\r\n+CMS ERROR: 321\r\n")
		h.say("AT+CMGD=1,4", "\r\nOK\r\n")
		h.say("AT+CMGL=4", "\r\nOK\r\n")
	})
}

func TestWriteAndSendStored(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, _ *Modem, h *host) {
		line, body := pdu(plain("stored"), nil)
		h.write(strings.Replace(line, "CMGS", "CMGW", 1))
		h.until("> ")
		h.write(body)
		if got := h.until("OK\r\n"); got != "\r\n+CMGW: 1\r\n\r\nOK\r\n" {
			t.Errorf("CMGW: %q", got)
		}
		if got := h.ask("AT+CMSS=1"); !strings.Contains(got, "+CMSS: ") {
			t.Errorf("CMSS: %q", got)
		}
		if got := texts(t, n, 1)[0].Text; got != "stored" {
			t.Errorf("handset shows %q", got)
		}
	})
}

func TestTextMode(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, _ *Modem, h *host) {
		h.ask(`AT+CMGF=1;+CSCS="IRA";+CSMP=49,0,65,0`)
		h.write(`AT+CMGS="+16175551234"` + "\r")
		h.until("> ")
		h.write("line one\r")
		h.until("> ")
		h.write("two\x1a")
		h.until("+CMGS: ")
		h.until("OK\r\n")
		m := texts(t, n, 1)[0]
		if m.Text != "line one\ntwo" || m.PID != 0x41 || time.Duration(m.Validity) != 5*time.Minute {
			t.Errorf("handset shows %q, PID %#x, validity %v", m.Text, m.PID, time.Duration(m.Validity))
		}
		if got := h.until("+CDS: 6,"); got == "" {
			t.Error("no report in text mode")
		}
		h.until("\r\n")
		if err := n.Handset(patient).Reply("Gr\u00fc\u00dfe", ""); err != nil {
			t.Fatal(err)
		}
		h.until("+CMTI: ")
		h.until("\r\n")
		h.ask(`AT+CSCS="UCS2"`)
		if got := h.ask("AT+CMGR=1"); !strings.Contains(got, `"REC UNREAD","002B00310036`) || !strings.Contains(got, "0047007200FC00DF0065") {
			t.Errorf("CMGR: %q", got)
		}
	})
}

func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"AT\r", "ATE0;+CMGF=0\rAT+CMGS=20\r0011\x1a", "AT+CMGS=24\r0031000B913316325476F80000010BC3F79C0C8AC966B49A0D\x1a",
		"AT+CMGF=1\rAT+CMGS=\"+16175551234\"\rhi\x1b", "A/A/AT+CPMS=,,\r\x00\xff", "AT+CNMI=2,2\rAT+CNMA\r", "ATD123;\rAT+CLCC\rATH\r",
		"\xbaAT\r", // upper case has more octets here
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		n, err := NewNetwork(NetworkOptions{Latency: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		m, err := n.AddModem(ModemOptions{Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		// Without a port: what it is told must not break it, whatever it answers.
		m.heard(nil, input, time.Now())
		n.mu.Lock()
		defer n.mu.Unlock()
		if len(m.term.line) > maxLine || len(m.term.in) > maxAhead {
			t.Fatalf("keeps %d octets of a line, %d ahead", len(m.term.line), len(m.term.in))
		}
	})
}
