package modemsim

import (
	"io"
	"strings"
	"testing"
	"time"
)

var sendFaults = map[string]seen{
	"send_errors": {"5.2", `["+CMS ERROR: 38"]`, "", sends("+CMS ERROR: 38\r\n", 0)},
	"sent_anyway": {"5.2 ambiguous", `true,"send_errors":["+CMS ERROR: 500"]`, "", sends("+CMS ERROR: 500\r\n", 1)},
	"swallow_pdu": {"5.1 no answer at all", `1`, "", sends("", 0)},
	"silent_send": {"5.1 no answer at all", `1,"report_never":true`, "", sends("", 1)},
	"false_ok":    {"5.1 prompt race yet +CMGS", `1`, "", sends("+CMGS: ", 0)},
	"send_delay": {"5.1 up to 4 minutes", `200`, "", func(_ *testing.T, _ *Network, _ *Modem, h *host) {
		h.begin(plain("code"))
		h.rest(199 * time.Second) // the report comes before
		h.until("+CMGS: ")
	}},
	"reboot_at": {"4 RDY in mid-session", `"pdu"`, "", sends("RDY\r\n", 0)},
	"unplug_at": {"3 unplug", `"answer"`, "", func(t *testing.T, n *Network, _ *Modem, h *host) {
		h.begin(plain("code"))
		gone(h, t)
		shows(t, n, 1)
	}},
	"unplugged": {"3 unplug", `true`, "", func(t *testing.T, _ *Network, m *Modem, h *host) {
		gone(h, t)
		if _, err := m.Pipe(); err == nil {
			t.Error("an unplugged modem was opened")
		}
	}},
	"unplug_for": {"3 unplug", `60,"unplug_at":"prompt"`, "", func(t *testing.T, _ *Network, m *Modem, h *host) {
		h.write("AT+CMGS=10\r")
		time.Sleep(59 * time.Second)
		if _, err := m.Pipe(); err == nil {
			t.Error("it is back too soon")
		}
		time.Sleep(2 * time.Second)
		newHost(t, m).ask("AT")
	}},
	"supply_dips": {"3 resets just while sending", `2`, "", func(t *testing.T, n *Network, _ *Modem, h *host) {
		for range 2 {
			h.begin(plain("code"))
			h.until("RDY\r\n")
			h.rest(time.Second)
			h.ask("ATE0;+CMGF=0")
		}
		h.begin(plain("code"))
		h.until("+CMGS: ")
		shows(t, n, 1)
	}},
	"refuse_validity": {"5.3 few old modems refuse VP", `true`, "", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		vp := byte(0)
		line, body := pdu(plain("code"), &vp)
		h.write(line)
		h.until("> ")
		h.write(body)
		h.until("+CMS ERROR: 304\r\n")
		h.send(plain("code"), nil)
	}},
	"no_credit": {"5.2 prepaid empty", `true`, "", sends("+CMS ERROR: 38\r\n", 0)},
	"no_credit_as": {"5.2 operator dependent", `"+CMS ERROR: 69","no_credit":true`, "", func(t *testing.T, n *Network, m *Modem, h *host) {
		sends("+CMS ERROR: 69\r\n", 0)(t, n, m, h)
		for _, final := range []string{"+CMS ERROR: 21", "+CMS ERROR: 500"} {
			set(t, m, Faults{NoCredit: true, NoCreditAs: final})
			sends(final+"\r\n", 0)(t, n, m, h)
		}
		set(t, m, Faults{NoCredit: true, NoCreditAs: "silence"})
		sends("", 0)(t, n, m, h)
	}},
	"barred":    {"5.2 operator barring", `true`, "", sends("+CMS ERROR: 8\r\n", 0)},
	"barred_to": {"5.2 recipient", `"+1617"`, "", sends("+CMS ERROR: 10\r\n", 0)},
	"max_per_minute": {"5.7 bursts", `2`, "", func(t *testing.T, n *Network, _ *Modem, h *host) {
		h.send(plain("1"), nil)
		h.send(plain("2"), nil)
		h.begin(plain("3"))
		h.until("+CMS ERROR: 42\r\n")
		time.Sleep(time.Minute)
		h.send(plain("4"), nil)
	}},
	"filter_to": {"suspected filtering", `"+1617"`, "", func(t *testing.T, n *Network, m *Modem, h *host) {
		h.begin(plain("code"))
		h.until("+CMGS: ")
		h.until("OK\r\n")
		h.silent(time.Hour) // no report
		shows(t, n, 0)
		other := plain("code")
		other.To = "+12125551234"
		h.send(other, nil)
		h.until("+CDS: ")
	}},
	"give_up": {"5.3 TP-ST classes", `65`, "", func(t *testing.T, n *Network, _ *Modem, h *host) {
		h.begin(plain("code"))
		if _, st := h.reportStatus(); st != 0x41 {
			t.Errorf("TP-ST %#x", st)
		}
		shows(t, n, 0)
	}},
	"report_early": {"5.3 before +CMGS", `true`, "", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		h.begin(plain("code"))
		if got := h.until("+CMGS: "); !strings.Contains(got, "+CDS: ") {
			t.Errorf("%q", got)
		}
	}},
	"report_twice":   {"5.3 twice", `true`, "", reported(2)},
	"report_never":   {"5.3 never", `true`, "", reported(0)},
	"report_foreign": {"8 report of another", `true`, "", reported(2)},
	"report_wrong_mr": {"5.3 own counter", `true,"fixed_mr":true`, "", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		h.begin(plain("code"))
		if mr, _ := h.reportStatus(); mr != 100 {
			t.Errorf("report of %d", mr)
		}
	}},
	"report_delay": {"5.3 hours later", `7200`, "", func(t *testing.T, n *Network, m *Modem, h *host) {
		h.begin(plain("code"))
		h.until("OK\r\n")
		h.silent(119 * time.Minute)
		h.until("+CDS: ")
	}},
	"fixed_mr": {"5.3 constant 0", `true`, "", sends("+CMGS: 0\r\n", 1)},
	"repeat_mr": {"5.3 repeated", `true`, "", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		var refs []string
		for range 4 {
			h.begin(plain("code"))
			h.until("+CMGS: ")
			refs = append(refs, h.until("\r\n"))
			h.rest(time.Minute)
		}
		if refs[0] != refs[1] || refs[1] == refs[2] || refs[2] != refs[3] {
			t.Errorf("%q", refs)
		}
	}},
}

// gone says that the port ends.
func gone(h *host, t *testing.T) {
	t.Helper()
	h.c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, h.r); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("the port is still there")
	}
}

// reported is how many status reports come for one text.
func reported(want int) func(*testing.T, *Network, *Modem, *host) {
	return func(t *testing.T, _ *Network, _ *Modem, h *host) {
		t.Helper()
		h.begin(plain("code"))
		h.until("+CMGS: ")
		if got := strings.Count(h.rest(time.Minute), "+CDS: "); got != want {
			t.Errorf("%d reports, want %d", got, want)
		}
	}
}

var worldFaults = map[string]seen{
	"registration": {"4 stat 11 (A7670E)", `11`, "sim7600", func(t *testing.T, n *Network, m *Modem, h *host) {
		h.say("AT+CREG?", "\r\n+CREG: 0,11\r\n\r\nOK\r\n")
		h.say("AT+CMGF=0", "\r\nERROR\r\n")
		for stat, want := range map[int]string{3: "+CMS ERROR: 331\r\n", 6: "+CMGS: "} { // denied; texts only
			set(t, m, Faults{Registration: stat})
			h.begin(plain("code"))
			h.until(want)
			h.rest(time.Minute)
		}
		h.say("ATD+16175551234;", "\r\nNO CARRIER\r\n")
	}},
	"sim_removed":  {"4 CPIN 10", `true`, "", tells("AT+CIMI", "\r\n+CPIN: NOT INSERTED\r\n\r\n+CME ERROR: 10\r\n")},
	"sim_busy":     {"4 13/14 busy", `1`, "", tells("AT+CPIN?", "\r\n+CME ERROR: 14\r\n")},
	"hides_tries":  {"4 tries left", `true`, "", tells("AT+CPINR", "\r\nERROR\r\n")},
	"lte_only":     {"4 CREG may stay 0", `true`, "", tells("AT+CREG?;+CEREG?", "\r\n+CREG: 0,0\r\n\r\n+CEREG: 0,1\r\n\r\nOK\r\n")},
	"signal":       {"4 CSQ 99", `99`, "", says("\r\n+CSQ: 99,99\r\n\r\nOK\r\n")},
	"three_stores": {"4 E3372", `true`, "", tells(`AT+CPMS="ME"`, "\r\n+CMS ERROR: 302\r\n")},
	"slow_ready": {"5.2 515 init in progress", `10`, "", func(_ *testing.T, _ *Network, m *Modem, h *host) {
		m.Reboot()
		h.until("RDY\r\n")
		h.rest(time.Second)
		h.ask("ATE0")
		h.say("AT+CSCA?", "\r\n+CMS ERROR: 515\r\n")
		h.rest(10 * time.Second)
		h.ask("AT+CSCA?")
	}},
	"routing_lost":      {"defect 17", `true`, "", tells("AT+CNMI?", "\r\n+CNMI: 2,0,0,0,0\r\n\r\nOK\r\n")},
	"no_direct_reports": {"5.3 ds=2", `true`, "", tells("AT+CNMI=2,1,0,1,0", "\r\n+CMS ERROR: 302\r\n")},
	"ussd":              {"5.2 balance", `"+CUSD: 2"`, "", tells(`AT+CUSD=1,"*100#",15`, "\r\nOK\r\n\r\n+CUSD: 2\r\n")},
	"no_forwarding":     {"calls to our SIMs", `true`, "", tells("AT+CCFC=0,4", "\r\n+CME ERROR: 3\r\n")},
	"store_full": {"5.4 EC25 drops silently", `true`, "ec25", func(t *testing.T, n *Network, m *Modem, h *host) {
		answers(t, n)
		h.silent(time.Minute)
		set(t, m, Faults{})
		h.silent(time.Hour) // lost: the network was told that it arrived
	}},
	"delete_one": {"27.005, 3.5.4: the flag is optional", "true", "", func(t *testing.T, n *Network, m *Modem, h *host) {
		for range 2 {
			answers(t, n)
		}
		h.rest(time.Minute)
		h.ask("AT+CMGD=1,4")
		holds(t, h, 1)
	}},
	"store_claim": {"5.4 EC25 at 255", `255,"store_full":true`, "", func(t *testing.T, n *Network, m *Modem, h *host) {
		if got := h.ask("AT+CPMS?"); strings.Count(got, ",255") != 3 {
			t.Errorf("%q", got)
		}
		answers(t, n)
		h.silent(time.Minute)
		set(t, m, Faults{})
		h.silent(time.Hour)
	}},
	"no_cmti": {"5.4 URCs get lost", `true`, "", func(t *testing.T, n *Network, _ *Modem, h *host) {
		answers(t, n)
		h.silent(time.Minute)
		holds(t, h, 1)
	}},
	"lose_text": {"parts that never come", `1`, "", func(t *testing.T, n *Network, _ *Modem, h *host) {
		answers(t, n)
		h.silent(time.Minute)
		holds(t, h, 0)
	}},
	"text_twice": {"5.4 idempotent", `true`, "", func(t *testing.T, n *Network, _ *Modem, h *host) {
		answers(t, n)
		h.until("+CMTI: ")
		h.rest(time.Second)
		holds(t, h, 2)
	}},
}

func answers(t *testing.T, n *Network) {
	t.Helper()
	if err := n.Handset(patient).Reply("YES", "a"); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, h *host, want int) {
	t.Helper()
	if got := strings.Count(h.ask("AT+CMGL=4"), "+CMGL: "); got != want {
		t.Errorf("%d texts stored, want %d", got, want)
	}
}

// A Huawei stick keeps a text at the service centre while its store is full, and says so once more for each attempt (5.4).
func TestFullStoreOfAHuaweiKeepsTheTextOutside(t *testing.T) {
	world(t, ModemOptions{Profile: "e173"}, func(t *testing.T, n *Network, m *Modem, h *host) {
		set(t, m, Faults{StoreFull: true})
		answers(t, n)
		h.until(`^SMMEMFULL: "SM"`)
		set(t, m, Faults{})
		h.until("+CMTI: ")
	})
}
