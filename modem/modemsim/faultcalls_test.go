package modemsim

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// lifts lets the patient's handset answer calls.
func lifts(t *testing.T, n *Network) *Handset {
	t.Helper()
	p := n.Handset(patient)
	change(t, p, HandsetChange{Answers: new(true)})
	return p
}

// talks waits until the call is answered.
func talks(h *host) {
	h.t.Helper()
	h.ask("ATD" + patient + ";")
	h.rest(2 * time.Second)
}

// lists wants that in what +CLCC lists.
func lists(t *testing.T, h *host, want string) {
	t.Helper()
	if got := h.ask("AT+CLCC"); !strings.Contains(got, want) || want == "" && strings.Contains(got, "+CLCC:") {
		t.Errorf("%q, want %q", got, want)
	}
}

// carries opens the PCM port.
func carries(t *testing.T, m *Modem) net.Conn {
	t.Helper()
	c, err := m.AudioPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var callFaults = map[string]seen{
	"dial_errors": {"6.5 IMS off", `["ERROR"]`, "ec25", func(t *testing.T, n *Network, _ *Modem, h *host) {
		h.say("ATD"+patient+";", "\r\nERROR\r\n")
		if len(n.Handset(patient).Calls()) != 0 {
			t.Error("somebody was called")
		}
		h.ask("ATD" + patient + ";")
	}},
	"dial_waits": {"6.1 OK when connected", `true`, "ec25", func(t *testing.T, n *Network, _ *Modem, h *host) {
		p := lifts(t, n)
		start := time.Now()
		h.ask("ATD" + patient + ";")
		if took := time.Since(start); took < time.Second {
			t.Errorf("OK after %v", took)
		}
		lists(t, h, "+CLCC: 1,0,0,0,0,")
		h.ask("AT+CHUP")
		change(t, p, HandsetChange{Answers: new(false)})
		h.write("ATD" + patient + ";\r")
		h.silent(5 * time.Second)
		h.write("\x1b")
		h.until("NO CARRIER\r\n")
		lists(t, h, "")
	}},
	"call_delay": {"6.1 set-up", `10`, "ec25", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		h.ask("ATD" + patient + ";")
		h.rest(9 * time.Second)
		lists(t, h, "+CLCC: 1,0,2,0,0,")
		h.rest(2 * time.Second)
		lists(t, h, "+CLCC: 1,0,3,0,0,")
	}},
	"no_call_urc": {"6.1 CLCC is the truth", `true`, "sim7600", func(t *testing.T, n *Network, _ *Modem, h *host) {
		p := lifts(t, n)
		change(t, p, HandsetChange{HangsUp: new(Duration(5 * time.Second))})
		h.ask("ATD" + patient + ";")
		h.silent(4 * time.Second)
		lists(t, h, "+CLCC: 1,0,0,")
		h.silent(time.Minute)
		lists(t, h, "")
	}},
	"refuse_command": {"6.2 TTS firmware; gammu#316", `"+QWTTS"`, "ec25", tells("AT+QWTTS=?", "\r\nERROR\r\n")},
	"data_context":   {"6.1 EC25 lists data contexts", `true`, "ec25", tells("AT+CLCC", "\r\n+CLCC: 1,0,0,1,0,\"\",128\r\n\r\nOK\r\n")},
	"call_lingers": {"6.1 stat 6 (SIMCom)", `true`, "sim7600", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		talks(h)
		h.ask("AT+CHUP")
		lists(t, h, "+CLCC: 1,0,6,0,0,")
		h.rest(2 * time.Second)
		lists(t, h, "")
	}},
	"call_stays": {"6.1 then CLCC until empty", `1`, "ec25", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		talks(h)
		h.ask("AT+CHUP")
		lists(t, h, "+CLCC: 1,0,")
		h.ask("AT+CHUP")
		lists(t, h, "")
	}},
	"ignore_ath": {"6.1 ATH is ignored by some", `true`, "ec25", func(t *testing.T, _ *Network, _ *Modem, h *host) {
		talks(h)
		h.ask("ATH")
		lists(t, h, "+CLCC: 1,0,")
		h.ask("AT+CHUP")
		lists(t, h, "")
	}},
	"cause": {"6.1 CEER", `34`, "ec25", tells("AT+CEER", "\r\n+CEER: Cause:34\r\n\r\nOK\r\n")},
	"no_cause": {"6.1 CEER", `true`, "ec25", func(t *testing.T, n *Network, m *Modem, h *host) {
		h.ask(`AT+QURCCFG="urcport","usbat"`)
		change(t, n.Handset(patient), HandsetChange{Busy: new(true)})
		h.ask("ATD" + patient + ";")
		h.until("BUSY\r\n")
		h.say("AT+CEER", "\r\n+CEER: No cause information available\r\n\r\nOK\r\n")
		set(t, m, Faults{})
		h.say("AT+CEER", "\r\n+CEER: User busy\r\n\r\nOK\r\n")
	}},
	"drop_after": {"6.1 the network ends it", `5`, "sim7600", func(t *testing.T, n *Network, _ *Modem, h *host) {
		lifts(t, n)
		h.ask("ATD" + patient + ";")
		h.until("VOICE CALL: END: 000005\r\n")
		h.until("NO CARRIER\r\n")
	}},
	"reboot_in_call": {"4 RDY in mid-session", `5`, "ec25", func(t *testing.T, n *Network, _ *Modem, h *host) {
		lifts(t, n)
		h.ask("ATD" + patient + ";")
		h.until("RDY\r\n")
		h.rest(time.Second)
		lists(t, h, "")
	}},
	"unplug_in_call": {"3 unplug", `5`, "ec25", func(t *testing.T, n *Network, m *Modem, h *host) {
		lifts(t, n)
		h.ask("ATD" + patient + ";")
		gone(h, t)
		if calls := n.Handset(patient).Calls(); len(calls) != 1 || !calls[0].Answered {
			t.Errorf("%+v", calls)
		}
		time.Sleep(2 * time.Second)
		newHost(t, m).ask("AT")
	}},
	"call_waiting": {"calls to our SIMs", `true`, "sim7600", func(t *testing.T, n *Network, m *Modem, h *host) {
		lifts(t, n)
		h.ask("ATD" + patient + ";")
		h.until("VOICE CALL: BEGIN\r\n")
		if err := n.Handset("+16175554321").Call("a"); err != nil {
			t.Fatal(err)
		}
		h.until("+CRING: VOICE\r\n")
		lists(t, h, "+CLCC: 2,1,5,0,0,\"+16175554321\"")
		h.ask("AT+CHLD=0")
		lists(t, h, "+CLCC: 1,0,0,0,0,")
		if c := m.IncomingCalls(); len(c) != 1 || c[0].End != RingHungUp {
			t.Errorf("%+v", c)
		}
	}},
	"sms_blocked_in_call": {"6.1 some block", `true`, "sim7600", func(t *testing.T, n *Network, _ *Modem, h *host) {
		lifts(t, n)
		h.ask("AT+CMEE=1;D" + patient + ";")
		h.until("VOICE CALL: BEGIN\r\n")
		h.begin(plain("code"))
		h.until("+CMS ERROR: 302\r\n")
	}},
	"audio_refused": {"6.2 CPCMREG=1 fails first", `2`, "sim7600", func(t *testing.T, n *Network, _ *Modem, h *host) {
		lifts(t, n)
		h.ask("AT+CMEE=1;D" + patient + ";")
		h.until("VOICE CALL: BEGIN\r\n")
		h.rest(time.Second)
		h.say("AT+CPCMREG=1", "\r\n+CME ERROR: 3\r\n")
		h.say("AT+CPCMREG=1", "\r\n+CME ERROR: 3\r\n")
		h.ask("AT+CPCMREG=1")
	}},
	"audio_stuck": {"6.2 uplink stalls", `true`, "ec25", func(t *testing.T, n *Network, m *Modem, h *host) {
		c := carries(t, m)
		lifts(t, n)
		h.ask("AT+QPCMV=1,0")
		talks(h)
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		if _, err := c.Write(make([]byte, frameBytes)); err == nil {
			t.Error("it was read")
		}
	}},
	"audio_mute": {"6.2 one-way audio", `true`, "ec25", func(t *testing.T, n *Network, m *Modem, h *host) {
		c := carries(t, m)
		lifts(t, n)
		h.ask("AT+QPCMV=1,0")
		talks(h)
		c.SetReadDeadline(time.Now().Add(time.Second))
		if got, _ := io.ReadAll(c); len(got) != 0 {
			t.Errorf("%d octets", len(got))
		}
		set(t, m, Faults{})
		c.SetReadDeadline(time.Now().Add(time.Second))
		if got, _ := io.ReadAll(c); len(got) < 49*frameBytes || len(got) > 51*frameBytes {
			t.Errorf("%d octets in a second", len(got))
		}
	}},
	"audio_pause": {"6.2 +QPCMV: 0", `2`, "ec25", func(t *testing.T, n *Network, m *Modem, h *host) {
		c := carries(t, m)
		go io.Copy(io.Discard, c)
		p := lifts(t, n)
		h.ask("AT+QPCMV=1,0")
		h.ask("ATD" + patient + ";")
		h.until("+QPCMV: 0\r\n")
		lost := bytes.Repeat([]byte{0, 8}, 160)
		c.Write(lost)
		h.until("+QPCMV: 1\r\n")
		c.Write(bytes.Repeat([]byte{0, 9}, 160))
		h.ask("AT+CHUP")
		wav := n.Recording(p.Calls()[0].WAV)
		if bytes.Contains(wav, lost) || !bytes.Contains(wav, bytes.Repeat([]byte{0, 9}, 160)) {
			t.Errorf("%d octets were recorded", len(wav))
		}
	}},
	"play_hangs": {"6.2 +QWTTS: 0", `true`, "ec25", func(t *testing.T, n *Network, m *Modem, h *host) {
		lifts(t, n)
		talks(h)
		h.ask(`AT+QWTTS=1,1,2,"hello"`)
		h.silent(10 * time.Second)
		set(t, m, Faults{})
		h.ask(`AT+QWTTS=1,1,2,"hello"`)
		h.until("+QWTTS: 0\r\n")
	}},
	"no_key_urc": {"6.4 SIM800 often silent", `true`, "ec25", func(t *testing.T, n *Network, m *Modem, h *host) {
		change(t, lifts(t, n), HandsetChange{Presses: new("1")})
		h.ask("AT+QTONEDET=1;D" + patient + ";")
		h.silent(10 * time.Second)
	}},
	"key_twice": {"6.4 debounce", `true`, "e173", func(t *testing.T, n *Network, m *Modem, h *host) {
		change(t, lifts(t, n), HandsetChange{Presses: new("1")})
		h.ask("ATD" + patient + ";")
		if got := strings.Count(h.rest(10*time.Second), "^DDTMF: 1"); got != 2 {
			t.Errorf("told %d times", got)
		}
	}},
}
