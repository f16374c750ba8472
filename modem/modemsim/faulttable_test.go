package modemsim

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// seen is a fault and what a bare client sees of it on the wire.
type seen struct {
	reference string // where it was seen on a real device: a section or defect of the modem reference
	faults    string // as JSON, as over HTTP
	profile   string
	look      func(t *testing.T, n *Network, m *Modem, h *host)
}

// says is what AT+CSQ is answered with.
func says(want string) func(*testing.T, *Network, *Modem, *host) {
	return func(_ *testing.T, _ *Network, _ *Modem, h *host) { h.say("AT+CSQ", want) }
}

// sends is what a send is answered with, and how many texts arrive.
func sends(want string, arrive int) func(*testing.T, *Network, *Modem, *host) {
	return func(t *testing.T, n *Network, _ *Modem, h *host) {
		t.Helper()
		h.begin(plain("code"))
		if want != "" {
			h.until(want)
		} else {
			h.silent(hangTime - time.Minute)
		}
		shows(t, n, arrive)
	}
}

// shows holds how many texts have come an hour later against want.
func shows(t *testing.T, n *Network, want int) {
	t.Helper()
	time.Sleep(time.Hour)
	if got := len(n.Handset(patient).Messages()); got != want {
		t.Errorf("%d texts arrived, want %d", got, want)
	}
}

// tells is what a command is answered with.
func tells(line, want string) func(*testing.T, *Network, *Modem, *host) {
	return func(_ *testing.T, _ *Network, _ *Modem, h *host) { h.say(line, want) }
}

// prompts is what +CMGS is answered with, before the PDU.
func prompts(want string, arrive int) func(*testing.T, *Network, *Modem, *host) {
	return func(t *testing.T, n *Network, _ *Modem, h *host) {
		line, body := pdu(plain("code"), nil)
		h.write(line)
		if got := h.rest(2 * time.Second); got != want {
			t.Errorf("prompt %q, want %q", got, want)
		}
		h.write(body)
		h.until("+CMGS: ")
		shows(t, n, arrive)
	}
}

var lineFaults = map[string]seen{
	"echo_always":   {"4 framing", `true`, "", says("AT+CSQ\r\r\n+CSQ: 20,99\r\n\r\nOK\r\n")},
	"double_cr":     {"defect 15", `true`, "", says("\r\r\n+CSQ: 20,99\r\r\n\r\r\nOK\r\r\n")},
	"cr_only":       {"defect 15", `true`, "", says("\r+CSQ: 20,99\r\rOK\r")},
	"no_leading_cr": {"4 framing (Sierra)", `true`, "", says("+CSQ: 20,99\r\nOK\r\n")},
	"leading_lf":    {"4 framing (Sierra)", `true`, "", says("\n+CSQ: 20,99\r\n\nOK\r\n")},
	"glue_lines":    {"4 framing", `true`, "", says("\r\n+CSQ: 20,99OK\r\n")},
	"glue_error":    {"4 ERROR+CNUM:", `true`, "", tells("AT+NONE", "\r\nERROR^RSSI:17\r\n")},
	"chunk":         {"8 chunked writes", `1`, "", says("\r\n+CSQ: 20,99\r\n\r\nOK\r\n")},
	"chunk_gap": {"8 chunked writes", `1,"chunk":3`, "", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		start := time.Now()
		h.ask("AT")
		if took := time.Since(start); took != time.Second {
			t.Errorf("six octets by three took %v", took)
		}
	}},
	"garbage": {"8 garbage, NUL", `1`, "", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		h.write("AT\r")
		if got := h.until("OK\r\n"); strings.IndexFunc(strings.TrimSuffix(got, "\r\nOK\r\n"), func(r rune) bool { return r != utf8.RuneError && r != 0 && r != 0x7f }) >= 0 || got == "\r\nOK\r\n" {
			t.Errorf("%q", got)
		}
	}},
	"boot_noise": {"4 NUL after power-on", `true`, "", func(t *testing.T, _ *Network, m *Modem, h *host) {
		m.Reboot()
		if got := h.until("RDY"); !strings.HasPrefix(got, "\x00\x00") {
			t.Errorf("%q", got)
		}
	}},
	"babble": {"3 diag ports", `1`, "", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		if got := h.rest(10*time.Second + time.Millisecond); strings.Count(got, "\x7e") < 9 {
			t.Errorf("%d frames", strings.Count(got, "\x7e"))
		}
	}},
	"urc_inside": {"defect 1", `true`, "", says("\r\n+CSQ: 20,99\r\n\r\n^RSSI:17\r\n\r\nOK\r\n")},
	"urc_every": {"defect 1", `1`, "", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		if got := strings.Count(h.rest(10*time.Second+time.Millisecond), "\r\n^RSSI:"); got < 9 || got > 11 {
			t.Errorf("%d lines in ten seconds", got)
		}
	}},
	"urc_at_prompt": {"8 URC between prompt and +CMGS", `true`, "", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		line, body := pdu(plain("code"), nil)
		h.write(line)
		if got := h.rest(time.Second); got != "\r\n> \r\n^RSSI:17\r\n" {
			t.Errorf("%q", got)
		}
		h.write(body)
		if got := h.until("+CMGS: "); !strings.HasPrefix(got, "\r\n^RSSI:18\r\n") {
			t.Errorf("%q", got)
		}
	}},
	"silence": {"3 probe", `2`, "", func(_ *testing.T, _ *Network, _ *Modem, h *host) {
		h.say("AT", "")
		h.say("AT", "")
		h.say("AT", "\r\nOK\r\n")
	}},
	"asleep": {"3 first commands get lost", `2`, "", func(t *testing.T, _ *Network, m *Modem, _ *host) {
		for range 2 { // at each opening
			h := newHost(t, m)
			h.say("AT", "")
			h.say("AT", "")
			h.say("AT", "\r\nOK\r\n")
		}
	}},
	"late": {"8 late replies", `3`, "", func(_ *testing.T, _ *Network, _ *Modem, h *host) {
		h.write("AT\r")
		h.silent(2900 * time.Millisecond)
		h.until("OK\r\n")
	}},
	"late_next": {"defect 3", `3`, "", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		h.write("AT+CSQ\r")
		h.silent(2 * time.Second)
		h.write("AT+CPIN?\r")
		if got := h.until("OK\r\n"); !strings.Contains(got, "+CSQ: ") {
			t.Errorf("the answer of the second command came first: %q", got)
		}
	}},
	"unknown": {"defect 5", `1`, "", says("\r\nCOMMAND NOT SUPPORT\r\n")},
	"stuck": {"2 peer does not drain", `true`, "", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		h.write("AT\r") // the read that was under way
		h.rest(time.Second)
		if h.c.SetWriteDeadline(time.Now().Add(time.Minute)); true {
			if _, err := h.c.Write([]byte("AT\r")); err == nil {
				t.Error("a stuck modem reads")
			}
		}
	}},
	"prompt":        {"5.1 SIM7670G", `"\r\n>\r\n"`, "", prompts("\r\n>\r\n", 1)},
	"no_prompt":     {"5.1 no prompt", `1`, "", prompts("", 1)},
	"double_prompt": {"9 second >", `true`, "", prompts("\r\n> \r\n> ", 1)},
	"prompt_delay":  {"5.1 prompt within 10 s", `1.5`, "", prompts("\r\n> ", 1)},
	"prompt_race": {"5.1 prompt race", `0.1`, "", func(t *testing.T, n *Network, m *Modem, h *host) {
		line, body := pdu(plain("code"), nil)
		h.write(line)
		h.until("> ")
		h.write(body)
		h.until("+CMS ERROR: 304\r\n")
		shows(t, n, 0)
	}},
	"ignore_esc": {"8 ESC honoured or too late", `true`, "", func(_ *testing.T, _ *Network, _ *Modem, h *host) {
		line, body := pdu(plain("code"), nil)
		h.write(line)
		h.until("> ")
		h.write("\x1b")
		h.silent(time.Minute)
		h.write(body)
		h.until("+CMGS: ")
	}},
	"esc_too_late": {"defect 4", `true,"send_delay":20,"report_never":true`, "", func(t *testing.T, n *Network, _ *Modem, h *host) {
		h.begin(plain("code"))
		h.silent(10 * time.Second)
		h.write("\x1b")
		h.until("\r\nOK\r\n")
		h.write("AT\r")
		if got := h.until("OK\r\n"); !strings.Contains(got, "+CMGS: ") {
			t.Errorf("the reference is not credited to the next command: %q", got)
		}
		shows(t, n, 1)
	}},
}

// Each fault that can be set is described, shows on the wire to a bare client, and says where it was seen.
func TestEachFaultShowsOnTheWire(t *testing.T) {
	table := maps.Clone(lineFaults)
	maps.Copy(table, sendFaults)
	maps.Copy(table, worldFaults)
	maps.Copy(table, callFaults)
	described := map[string]bool{}
	for _, f := range FaultList() {
		described[f.Name] = true
		if f.Kind == "" || f.About == "" {
			t.Errorf("%s is not described", f.Name)
		}
	}
	for field := range reflect.TypeFor[Faults]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !described[name] {
			t.Errorf("%s is not in FaultList", name)
		}
		if table[name].look == nil {
			t.Errorf("%s is not in this table", name)
		}
		delete(described, name)
	}
	if len(described) > 0 {
		t.Errorf("no such faults: %v", described)
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		s := table[name]
		t.Run(name+" of "+s.reference, func(t *testing.T) {
			world(t, ModemOptions{Profile: s.profile}, func(t *testing.T, n *Network, m *Modem, h *host) {
				var f Faults
				if err := json.Unmarshal([]byte(`{"`+name+`":`+s.faults+`}`), &f); err != nil {
					t.Fatal(err)
				}
				set(t, m, f)
				s.look(t, n, m, h)
			})
		})
	}
}
