package modemsim

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSendArrivesAndIsReported(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		start := time.Now()
		vp := byte(0)
		got := h.send(plain("Your code is 482917"), &vp)
		took := time.Since(start)
		if took <= 0 || took > 300*time.Millisecond {
			t.Errorf("a part took %v", took)
		}
		var mr byte
		if _, err := fmt.Sscanf(strings.TrimSpace(got), "+CMGS: %d", &mr); err != nil {
			t.Fatalf("answer %q: %v", got, err)
		}
		msg := texts(t, n, 1)[0]
		if msg.Text != "Your code is 482917" || msg.From != m.Number() || msg.Parts != 1 || msg.Modem != "a" ||
			time.Duration(msg.Validity) != 5*time.Minute || msg.Class != nil || msg.PID != 0 {
			t.Errorf("handset shows %#v with validity %v", msg.Text, time.Duration(msg.Validity))
		}
		if r, st := h.reportStatus(); r != mr || st != statusReceived {
			t.Errorf("report for %d, status %#x; sent %d", r, st, mr)
		}
		if m.Submitted() != 1 {
			t.Errorf("%d parts counted", m.Submitted())
		}
	})
}

func TestWrongLengthIs304(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, _ *Modem, h *host) {
		for line, body := range map[string]string{
			"AT+CMGS=23\r": "0011000B916407281553F80000AA0AE8329BFD4697D9EC37\x1a",
			"AT+CMGS=24\r": "0011000B916407281553F80000AA0AE8329BFD4697D9EC37\x1a",
			"AT+CMGS=5\r":  "nonsense\x1a", "AT+CMGS=6\r": "\x1a",
		} {
			want := "\r\n+CMS ERROR: 304\r\n"
			if strings.Contains(line, "23") { // 23 octets: this one is right
				want = "\r\n\r\nOK\r\n"
			}
			h.write(line)
			h.until("> ")
			h.write(body)
			h.until(want)
		}
		h.say("AT+CMGS=0", "\r\n+CMS ERROR: 304\r\n")
		h.say("AT+CMGS", "\r\n+CMS ERROR: 302\r\n")
	})
}

func TestESCCancelsThePrompt(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		line, body := pdu(plain("never"), nil)
		h.write(line)
		h.until("> ")
		h.write(body[:20] + "\x1b")
		if got := h.rest(time.Second); got != "\r\nOK\r\n" {
			t.Errorf("ESC answers %q", got)
		}
		h.say("AT", "\r\nOK\r\n")
		if m.Submitted() != 0 {
			t.Error("the text was sent all the same")
		}
	})
}

func TestLongTextShowsOnce(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, _ *Modem, h *host) {
		text := strings.Repeat("0123456789", 40)
		parts := bodies(text, 77)
		for _, i := range []int{2, 0, 0, 1} { // out of order, and one twice
			s := plain("")
			s.Body = parts[i]
			h.send(s, nil)
		}
		list := texts(t, n, 1)
		if list[0].Text != text || list[0].Parts != 3 {
			t.Errorf("%d parts, %d characters", list[0].Parts, len(list[0].Text))
		}
		time.Sleep(time.Second)
		if got := len(n.Handset(patient).Messages()); got != 1 {
			t.Errorf("%d texts", got)
		}
	})
}

func TestReplaceTypeOverwrites(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		first, other, second := plain("code 1"), plain("reminder"), plain("code 2")
		first.PID, other.PID, second.PID = 0x41, 0x42, 0x41
		for _, s := range []submit{first, other, second} {
			h.send(s, nil)
			time.Sleep(time.Second)
		}
		list := n.Handset(patient).Messages()
		if len(list) != 2 || list[0].Text != "reminder" || list[1].Text != "code 2" || list[1].PID != 0x41 {
			t.Errorf("%d texts are shown", len(list))
		}
		b, err := n.AddModem(ModemOptions{Name: "b"})
		if err != nil {
			t.Fatal(err)
		}
		hb := newHost(t, b)
		hb.ask("ATE0")
		hb.send(first, nil) // the same type from another number replaces nothing
		time.Sleep(time.Second)
		if got := len(n.Handset(patient).Messages()); got != 3 {
			t.Errorf("%d texts are shown", got)
		}
	})
}

func TestHandsetOffWaitsUntilItIsOn(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, _ *Modem, h *host) {
		p := n.Handset(patient)
		change(t, p, HandsetChange{On: new(false)})
		h.send(plain("later"), nil)
		time.Sleep(time.Hour)
		if len(p.Messages()) != 0 {
			t.Fatal("a handset that is off has a text")
		}
		change(t, p, HandsetChange{On: new(true)})
		if got := texts(t, n, 1)[0].Text; got != "later" {
			t.Errorf("%q", got)
		}
		if _, st := h.reportStatus(); st != statusReceived {
			t.Errorf("status %#x", st)
		}
	})
}

func change(t *testing.T, h *Handset, c HandsetChange) {
	t.Helper()
	if err := h.Set(c); err != nil {
		t.Fatal(err)
	}
}

func TestValidityExpires(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, _ *Modem, h *host) {
		p := n.Handset(patient)
		change(t, p, HandsetChange{On: new(false)})
		vp := byte(0) // five minutes
		h.send(plain("code"), &vp)
		sent := time.Now()
		if _, st := h.reportStatus(); st != statusExpired {
			t.Errorf("status %#x", st)
		}
		if took := time.Since(sent); took < 4*time.Minute || took > 6*time.Minute {
			t.Errorf("expired after %v", took)
		}
		change(t, p, HandsetChange{On: new(true)})
		time.Sleep(time.Minute)
		if len(p.Messages()) != 0 {
			t.Error("an expired text arrived")
		}
	})
}

func TestFullHandsetReportsTemporaryFailure(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, _ *Modem, h *host) {
		p := n.Handset(patient)
		change(t, p, HandsetChange{Full: new(true)})
		h.send(plain("code"), nil)
		if _, st := h.reportStatus(); st != statusMemoryFull {
			t.Errorf("status %#x", st)
		}
		change(t, p, HandsetChange{Full: new(false)})
		if _, st := h.reportStatus(); st != statusReceived {
			t.Errorf("then status %#x", st)
		}
		texts(t, n, 1)
	})
}

func TestNoReceiptsSuppressesReportsOnly(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, _ *Modem, h *host) {
		change(t, n.Handset(patient), HandsetChange{NoReceipts: new(true)})
		h.send(plain("code"), nil)
		texts(t, n, 1)
		if got := h.rest(time.Minute); got != "" {
			t.Errorf("the modem says %q", got)
		}
	})
}

func TestNoReportUnasked(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, _ *Modem, h *host) {
		s := plain("code")
		s.StatusReport = false
		h.send(s, nil)
		texts(t, n, 1)
		if got := h.rest(time.Minute); got != "" {
			t.Errorf("the modem says %q", got)
		}
	})
}

func TestReportsAreStoredWithCNMIds2(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, _ *Modem, h *host) {
		h.ask("AT+CNMI=2,1,0,2,0")
		h.send(plain("code"), nil)
		h.until("+CDSI: \"SR\",1\r\n")
		if got := h.ask(`AT+CPMS="SR";+CMGR=1`); !strings.Contains(got, "+CMGR: 0,,25\r\n") {
			t.Errorf("%q", got)
		}
	})
}

func TestRejectDuplicates(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		set(t, m, Faults{FixedMR: true})
		change(t, n.Handset(patient), HandsetChange{On: new(false)})
		s := plain("once")
		s.RejectDuplicates = true
		h.send(s, nil)
		line, body := pdu(s, nil)
		h.write(line)
		h.until("> ")
		h.write(body)
		h.until("+CMS ERROR: 197\r\n")
	})
}

func TestDirectDeliveryAndAcknowledgement(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, _ *Modem, h *host) {
		p := n.Handset(patient)
		h.ask("AT+CNMI=2,2,0,0,0")
		h.say("AT+CNMA", "\r\n+CMS ERROR: 340\r\n") // with +CSMS=0 none is due
		if err := p.Reply("no ack", "a"); err != nil {
			t.Fatal(err)
		}
		h.until("+CMT: ,")
		h.rest(time.Second)
		h.ask("AT+CSMS=1")
		if err := p.Reply("acknowledged", "a"); err != nil {
			t.Fatal(err)
		}
		h.until("+CMT: ,")
		h.rest(time.Second)
		h.say("AT+CNMA", "\r\nOK\r\n")
		if err := p.Reply("not acknowledged", "a"); err != nil {
			t.Fatal(err)
		}
		h.until("+CMT: ,")
		time.Sleep(ackTime + time.Second) // the modem switches direct routing off and stores it
		h.rest(time.Second)
		h.say("AT+CNMI?", "\r\n+CNMI: 2,0,0,0,0\r\n\r\nOK\r\n")
		if got := h.ask("AT+CMGL=4"); strings.Count(got, "+CMGL:") != 1 {
			t.Errorf("%q", got)
		}
	})
}

func TestFullStoreKeepsTextsAtTheCentre(t *testing.T) {
	world(t, ModemOptions{Profile: "e173"}, func(t *testing.T, n *Network, m *Modem, h *host) {
		set(t, m, Faults{StoreFull: true})
		if err := n.Handset(patient).Reply("waits", "a"); err != nil {
			t.Fatal(err)
		}
		h.until("^SMMEMFULL: \"SM\"")
		set(t, m, Faults{})
		h.until("+CMTI: \"SM\",0\r\n")
	})
}

func TestTextToAModemsOwnNumber(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		s := plain("self-test")
		s.To = m.Number()
		h.send(s, nil)
		got := h.rest(time.Second)
		if !strings.Contains(got, "+CMTI: \"SM\",1") || !strings.Contains(got, "+CDS: ") {
			t.Errorf("%q", got)
		}
	})
}

func TestLongReplyArrivesInParts(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, _ *Modem, h *host) {
		if err := n.Handset(patient).Reply(strings.Repeat("sí ", 60), ""); err != nil {
			t.Fatal(err)
		}
		h.until("+CMTI: \"SM\",3")
		if err := n.Handset(patient).Reply("", ""); err == nil {
			t.Error("an empty reply was taken")
		}
		if err := n.Handset(patient).Reply("x", "nobody"); err == nil {
			t.Error("a reply to nobody was taken")
		}
	})
}

func TestNoServiceIs331(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		h.ask("AT+CREG=1")
		set(t, m, Faults{Registration: 3})
		h.until("+CREG: 3\r\n")
		line, body := pdu(plain("code"), nil)
		h.write(line)
		h.until("> ")
		h.write(body)
		h.until("+CMS ERROR: 331\r\n")
		if err := n.Handset(patient).Reply("waits", "a"); err != nil {
			t.Fatal(err)
		}
		if got := h.rest(time.Minute); got != "" {
			t.Errorf("without service: %q", got)
		}
		set(t, m, Faults{Registration: 6}) // SMS only is service enough
		h.until("+CMTI: ")
	})
}

func TestCalls(t *testing.T) {
	world(t, ModemOptions{Profile: "sim7600"}, func(t *testing.T, n *Network, _ *Modem, h *host) {
		p := n.Handset(patient)
		h.ask("AT+DDET=1;D" + patient + ";")
		h.say("AT+CLCC", "\r\n+CLCC: 1,0,2,0,0,\"+16175551234\",145\r\n\r\nOK\r\n")
		h.say("AT+CLCC", "\r\n+CLCC: 1,0,3,0,0,\"+16175551234\",145\r\n\r\nOK\r\n")
		h.until("NO ANSWER\r\n")
		change(t, p, HandsetChange{Answers: new(true), Presses: new("1")})
		h.ask("ATD" + patient + ";")
		h.until("VOICE CALL: BEGIN\r\n")
		h.until("+RXDTMF: 1\r\n")
		if got := h.ask("AT+CLCC"); !strings.Contains(got, "+CLCC: 1,0,0,0,0,") {
			t.Errorf("%q", got)
		}
		time.Sleep(10 * time.Second)
		h.ask("AT+CHUP")
		calls := p.Calls()
		if len(calls) != 2 || calls[0].Answered || !calls[1].Answered || time.Duration(calls[1].Seconds) < 10*time.Second {
			t.Errorf("%d calls: %+v", len(calls), calls)
		}
		change(t, p, HandsetChange{On: new(false)})
		h.ask("ATD" + patient + ";")
		h.until("NO CARRIER\r\n")
		if err := p.Set(HandsetChange{Presses: new("x")}); err == nil {
			t.Error("a key that does not exist was taken")
		}
	})
}

func TestSameSeedSameBytes(t *testing.T) {
	run := func(seed uint64) (out string) {
		synctest.Test(t, func(t *testing.T) {
			n, err := NewNetwork(NetworkOptions{Seed: seed})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			m, err := n.AddModem(ModemOptions{Name: "a"})
			if err != nil {
				t.Fatal(err)
			}
			set(t, m, Faults{Garbage: 50, URCEvery: Duration(time.Second)})
			h := newHost(t, m)
			h.ask("ATE0;+CNMI=2,1,0,1,0")
			for range 5 {
				start := time.Now()
				out += h.send(plain("code"), nil) + time.Since(start).String()
			}
			out += h.rest(5 * time.Second)
		})
		return out
	}
	if a, b := run(1), run(1); a != b {
		t.Errorf("two runs of one seed differ:\n%q\n%q", a, b)
	}
	if run(1) == run(2) {
		t.Error("the seed changes nothing")
	}
}

func TestTypesRedactThemselves(t *testing.T) {
	m := Message{Text: "482917", From: patient}
	for _, s := range []string{fmt.Sprint(m), fmt.Sprintf("%+v", m), fmt.Sprintf("%#v", m), fmt.Sprintf("%v", []Message{m}), m.LogValue().String()} {
		if strings.Contains(s, "482917") || strings.Contains(s, "5551234") {
			t.Errorf("tells %q", s)
		}
	}
}
