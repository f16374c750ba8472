package modemsim

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// host drives a modem over its port by hand, as a driver's author would with a terminal.
type host struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
	// pace is the pause that the device wants before a command.
	pace time.Duration
}

func newHost(t *testing.T, m *Modem) *host {
	t.Helper()
	c, err := m.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return &host{t, c, bufio.NewReader(c), m.profile.pace}
}

func (h *host) write(s string) {
	h.t.Helper()
	time.Sleep(h.pace)
	if _, err := io.WriteString(h.c, s); err != nil {
		h.t.Fatalf("write: %v", err)
	}
}

// until reads up to and with the first occurrence of mark. It gives up after
// ten minutes: of the bubble's time, so at once.
func (h *host) until(mark string) string {
	h.t.Helper()
	h.c.SetReadDeadline(time.Now().Add(10 * time.Minute))
	var b strings.Builder
	for !strings.HasSuffix(b.String(), mark) {
		c, err := h.r.ReadByte()
		if err != nil {
			h.t.Fatalf("waiting for %q: read %q, then %v", mark, b.String(), err)
		}
		b.WriteByte(c)
	}
	return b.String()
}

// rest reads what comes within d.
func (h *host) rest(d time.Duration) string {
	h.t.Helper()
	h.c.SetReadDeadline(time.Now().Add(d))
	b, _ := io.ReadAll(h.r)
	return string(b)
}

// ask runs a command line that ends with OK.
func (h *host) ask(line string) string {
	h.t.Helper()
	h.write(line + "\r")
	return h.until("OK\r\n")
}

// say runs a command line and holds the whole answer against want.
func (h *host) say(line, want string) {
	h.t.Helper()
	h.write(line + "\r")
	if got := h.rest(time.Second); got != want {
		h.t.Errorf("%s answers %q, want %q", line, got, want)
	}
}

// pdu is an SMS-SUBMIT for +CMGS, with its length.
func pdu(s submit, vp *byte) (line, body string) {
	tpdu := s.encode(vp)
	return fmt.Sprintf("AT+CMGS=%d\r", len(tpdu)), fmt.Sprintf("00%X\x1a", tpdu)
}

const patient = "+16175551234"

func plain(text string) submit {
	return submit{To: patient, StatusReport: true, Body: bodies(text, 1)[0]}
}

// send sends s and returns all up to the final result.
func (h *host) send(s submit, vp *byte) string {
	h.t.Helper()
	line, body := pdu(s, vp)
	h.write(line)
	h.until("> ")
	h.write(body)
	return h.until("\r\n\r\nOK\r\n")
}

// world runs f in a synctest bubble with a network and one modem, its echo off
// and reports on, and ends all of it.
func world(t *testing.T, o ModemOptions, f func(t *testing.T, n *Network, m *Modem, h *host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n, err := NewNetwork(NetworkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		o.Name = "a"
		m, err := n.AddModem(o)
		if err != nil {
			t.Fatal(err)
		}
		h := newHost(t, m)
		h.ask("ATE0;+CMEE=1;+CMGF=0;+CNMI=2,1,0,1,0")
		f(t, n, m, h)
	})
}

// texts waits a minute for count texts at the patient's handset.
func texts(t *testing.T, n *Network, count int) []Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	list, err := n.Handset(patient).Wait(ctx, count)
	if err != nil {
		t.Fatalf("waiting for %d texts: %v, there are %d", count, err, len(n.Handset(patient).Messages()))
	}
	return list
}

// reportStatus reads the next +CDS and returns TP-MR and TP-ST.
func (h *host) reportStatus() (mr, st byte) {
	h.t.Helper()
	h.until("+CDS: ")
	h.until("\r\n")
	line := strings.TrimSpace(h.until("\r\n"))
	_, tpdu, err := splitSMSC(unhex(h.t, line))
	if err != nil || len(tpdu) < 5 || tpdu[0]&3 != 2 {
		h.t.Fatalf("not a status report: %s", line)
	}
	return tpdu[1], tpdu[len(tpdu)-1]
}
