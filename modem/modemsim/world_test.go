package modemsim

import (
	"strings"
	"testing"
	"time"
)

func TestIncomingCallRingsUntilItIsEnded(t *testing.T) {
	for profile, ring := range map[string]string{"generic": "RING", "ec25": "RING", "sim7600": "+CRING: VOICE", "e173": "RING", "le910": "RING"} {
		t.Run(profile, func(t *testing.T) {
			world(t, ModemOptions{Profile: profile}, func(t *testing.T, n *Network, m *Modem, h *host) {
				h.ask("AT+CLIP=1")
				if profile == "ec25" { // its calls are told at another port until then
					callModem(t, n, "a")
					h.silent(giveUpAfter - time.Second)
					h.rest(10 * time.Second)
					h.ask(`AT+QURCCFG="urcport","usbat"`)
				}
				callModem(t, n, "a")
				got := h.rest(2*RingEvery + time.Second)
				if strings.Count(got, "\r\n"+ring+"\r\n") != 3 || strings.Count(got, `+CLIP: "`+patient+`",145`) != 3 {
					t.Errorf("%q", got)
				}
				if got := h.ask("AT+CLCC"); !strings.Contains(got, "+CLCC: 1,1,4,0,0,") {
					t.Errorf("%q", got)
				}
				h.ask("AT+CHUP")
				h.silent(time.Minute)
				calls := m.IncomingCalls()
				if c := calls[len(calls)-1]; c.End != RingHungUp || c.Rings != 3 || c.From != patient {
					t.Errorf("%+v", c)
				}
				callModem(t, n, m.Number())
				if got := h.rest(time.Minute); !strings.HasSuffix(got, "NO CARRIER\r\n") {
					t.Errorf("%q", got)
				}
				calls = m.IncomingCalls()
				if c := calls[len(calls)-1]; c.End != RingGaveUp {
					t.Errorf("%+v", c)
				}
			})
		})
	}
}

func callModem(t *testing.T, n *Network, to string) {
	t.Helper()
	if err := n.Handset(patient).Call(to); err != nil {
		t.Fatal(err)
	}
}

// A call while the PDU is typed is told after it, V.250 5.2.1; one that comes while another rings finds it busy, one to a modem
// without network nothing.
func TestIncomingCallsMeetEachState(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		line, body := pdu(plain("hello"), nil)
		h.write(line)
		h.until("> ")
		callModem(t, n, "a")
		h.silent(time.Second)
		h.write(body)
		if got := h.until("OK\r\n") + h.rest(time.Second); !strings.Contains(got, "RING") {
			t.Errorf("%q", got)
		}
		callModem(t, n, "a")
		h.ask("ATH")
		set(t, m, Faults{Registration: 2})
		callModem(t, n, "a")
		ends := ""
		for _, c := range m.IncomingCalls() {
			ends += c.End + ", "
		}
		if ends != "busy, hung up, unreachable, " {
			t.Error(ends)
		}
		if n.Handset(patient).Call("nobody") == nil {
			t.Error("called nobody")
		}
	})
}

func TestForwarding(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		h.say("AT+CCFC=0,2", "\r\n+CCFC: 0,7\r\n\r\nOK\r\n")
		h.ask(`AT+CCFC=0,3,"+16175559876",145,1`)
		h.say("AT+CCFC=0,2", "\r\n+CCFC: 1,1,\"+16175559876\",145\r\n\r\nOK\r\n")
		m.Reboot() // it is the network that forwards
		h.rest(time.Second)
		callModem(t, n, "a")
		h.silent(time.Minute)
		if c := m.IncomingCalls(); len(c) != 1 || c[0].End != RingForwarded || m.State().Forward != "+16175559876" {
			t.Errorf("%+v", c)
		}
		h.ask("AT&FE0+CMEE=1;+CCFC=0,4")
		h.say("AT+CCFC=0,2", "\r\n+CCFC: 0,7\r\n\r\nOK\r\n")
		h.say("AT+CCFC=0,3,\"x\"", "\r\n+CME ERROR: 50\r\n")
		set(t, m, Faults{NoForwarding: true})
		h.say("AT+CCFC=0,4", "\r\n+CME ERROR: 3\r\n")
	})
}

func TestUSSDByDevice(t *testing.T) {
	for profile, v := range map[string]struct{ ask, answer string }{
		"generic": {"*100#", "+CUSD: 0,\"Balance: $10.00.\r\nNumber +16175552001\",15\r\n"},
		"sim7600": {"*100#", `+CUSD: 0,"00420061006C0061006E00630065003A0020002400310030`},
		"e173":    {"AA180C3602", `+CUSD: 0,"C2303BEC1E977520410CE682`},
	} {
		t.Run(profile, func(t *testing.T) {
			world(t, ModemOptions{Profile: profile}, func(t *testing.T, _ *Network, m *Modem, h *host) {
				h.ask(`AT+CUSD=1,"` + v.ask + `",15`)
				if got := h.rest(time.Minute); !strings.Contains(got, v.answer) {
					t.Errorf("%q", got)
				}
				set(t, m, Faults{NoCredit: true})
				h.ask(`AT+CUSD=1,"` + v.ask + `",15`)
				if got := h.rest(time.Minute); strings.Contains(got, v.answer) || !strings.Contains(got, "+CUSD: 0,") {
					t.Errorf("without credit: %q", got)
				}
				h.begin(plain("hello"))
				h.until("+CMS ERROR: 38\r\n")
				set(t, m, Faults{USSD: "none"})
				h.ask(`AT+CUSD=1,"` + v.ask + `",15`)
				h.silent(time.Minute)
			})
		})
	}
}

func TestSwapSIM(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		h.ask(`AT+CPMS="SM","SM","SM"`)
		if err := n.Handset(patient).Reply("YES", "a"); err != nil {
			t.Fatal(err)
		}
		h.until("+CMTI: \"SM\",1")
		old, number := m.ICCID(), m.Number()
		if err := m.SwapSIM(SIM{PIN: "4711"}); err != nil {
			t.Fatal(err)
		}
		if got := h.rest(time.Second); !strings.Contains(got, "+CPIN: SIM PIN") {
			t.Errorf("%q", got)
		}
		h.ask("AT+CPIN=4711")
		h.rest(time.Second)
		if got := h.ask("AT+CCID;+CNUM;+CMGL=4"); strings.Contains(got, old) || strings.Contains(got, number) || strings.Contains(got, "+CMGL:") ||
			!strings.Contains(got, m.ICCID()) {
			t.Errorf("after the swap: %q", got)
		}
		if err := n.Handset(patient).Reply("YES", number); err == nil {
			t.Error("the old number still reaches the modem")
		}
		if err := m.SwapSIM(SIM{Quiet: true}); err != nil {
			t.Fatal(err)
		}
		h.silent(time.Second)
		for _, bad := range []SIM{{ICCID: "x"}, {Number: "123"}, {PIN: "abcd"}} {
			if m.SwapSIM(bad) == nil {
				t.Errorf("%+v accepted", bad)
			}
		}
	})
}

func TestPINTriesLeft(t *testing.T) {
	world(t, ModemOptions{PIN: "4711", PINTries: 1}, func(t *testing.T, _ *Network, _ *Modem, h *host) {
		h.say("AT+CPINR=\"SIM PIN\"", "\r\n+CPINR: SIM PIN,1,3\r\n\r\nOK\r\n")
		h.say("AT+CPIN=0000", "\r\n+CME ERROR: 12\r\n")
	})
	world(t, ModemOptions{PIN: "4711", PINTries: -1}, func(t *testing.T, _ *Network, _ *Modem, h *host) {
		h.say("AT+CPIN?", "\r\n+CPIN: SIM PUK\r\n\r\nOK\r\n")
	})
}

// A Telit wants a pause after its answer, and leaves the bus when it restarts.
func TestTelitPaceAndRestart(t *testing.T) {
	world(t, ModemOptions{Profile: "le910"}, func(t *testing.T, _ *Network, m *Modem, h *host) {
		h.ask("AT")
		h.pace = 0
		h.write("AT\r")
		h.silent(time.Second)
		h.say("AT", "\r\nOK\r\n")
		h.ask("AT#REBOOT")
		time.Sleep(100 * time.Millisecond)
		if _, err := m.Pipe(); err == nil {
			t.Error("it is still on the bus")
		}
		time.Sleep(2 * time.Second)
		h = newHost(t, m)
		h.silent(time.Second)
		if got := h.ask("AT#QSS?"); !strings.Contains(got, "#QSS: 0,1") {
			t.Errorf("%q", got)
		}
		h.ask("AT#QSS=1")
		set(t, m, Faults{SIMRemoved: true})
		if got := h.rest(time.Second); !strings.Contains(got, "#QSS: 0\r\n") {
			t.Errorf("%q", got)
		}
	})
}

func TestFaultsOfReportsAndTexts(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		set(t, m, Faults{ReportForeign: true})
		h.begin(plain("hello"))
		if got := h.until("OK\r\n") + h.rest(time.Minute); strings.Count(got, "+CDS: ") != 2 {
			t.Errorf("%q", got)
		}
		set(t, m, Faults{NoDirectReports: true})
		h.say("AT+CNMI=2,1,0,1,0", "\r\n+CMS ERROR: 302\r\n")
		h.say("AT+CNMI=2,1,0,2,0", "\r\nOK\r\n")
		set(t, m, Faults{RoutingLost: true})
		h.say("AT+CNMI?", "\r\n+CNMI: 2,0,0,0,0\r\n\r\nOK\r\n")
		h.ask("AT+CNMI=2,1,0,2,0")
		reply := func() {
			t.Helper()
			if err := n.Handset(patient).Reply("YES", "a"); err != nil {
				t.Fatal(err)
			}
		}
		set(t, m, Faults{LoseText: 1, NoCMTI: true})
		reply()
		reply()
		h.silent(time.Minute)
		set(t, m, Faults{TextTwice: true, URCInside: true})
		reply()
		h.until("+CMTI: ")
		h.rest(time.Second)
		got := h.ask("AT+CMGL=4")
		if strings.Count(got, "+CMGL: ") != 3 || !strings.Contains(got, "25\r\n\r\n^RSSI:17\r\n07") && !strings.Contains(got, "\r\n^RSSI:17\r\n07") {
			t.Errorf("%q", got)
		}
	})
}

func TestStoredReportsByDevice(t *testing.T) {
	for profile, want := range map[string]string{"generic": `+CDSI: "SR",1`, "ec25": `+CDSI: "SM",0`, "sim7600": `+CDSI: "SR",8`} {
		t.Run(profile, func(t *testing.T) {
			world(t, ModemOptions{Profile: profile}, func(t *testing.T, _ *Network, _ *Modem, h *host) {
				h.ask("AT+CNMI=2,1,0,2,0")
				h.begin(plain("hello"))
				h.until(want + "\r\n")
				h.rest(time.Second)
				if profile == "sim7600" {
					h.ask(`AT+CPMS="SR"`)
					h.say("AT+CMGR=8", "\r\n+CMS ERROR: 321\r\n")
				}
			})
		})
	}
}

func TestHTTPCallsAndSIMs(t *testing.T) {
	_, m, do := served(t)
	h := newHost(t, m)
	h.ask("ATE0")
	if status, body := do("POST", "/handsets/+16175551234/calls", `{"to":"modem1"}`); status != 202 {
		t.Fatalf("%d %s", status, body)
	}
	h.until("RING\r\n")
	h.ask("AT+CHUP")
	_, body := do("GET", "/modems/modem1/calls", "")
	if list := objects(t, body); len(list) != 1 || list[0]["end"] != RingHungUp || list[0]["from"] != patient || list[0]["rings"] != 1.0 {
		t.Errorf("%s", body)
	}
	if status, body := do("PUT", "/modems/modem1", `{"sim":{"iccid":"8900101000000000777","quiet":true}}`); status != 200 || m.ICCID() != "8900101000000000777" {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := do("PUT", "/modems/modem1", `{"reboot":true}`); status != 200 {
		t.Errorf("reboot: %d", status)
	}
	h.until("RDY\r\n")
	for _, bad := range []struct {
		method, path, body string
		status             int
	}{
		{"PUT", "/modems/modem1", `{"sim":{"iccid":"x"}}`, 400}, {"POST", "/handsets/+16175551234/calls", `{"to":"none"}`, 400},
		{"GET", "/modems/none/calls", "", 404}, {"PUT", "/modems/modem1", `{"faults":{"lose_text":-1}}`, 400},
	} {
		if status, body := do(bad.method, bad.path, bad.body); status != bad.status {
			t.Errorf("%s %s: %d %s", bad.method, bad.path, status, body)
		}
	}
}
