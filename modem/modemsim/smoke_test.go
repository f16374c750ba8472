package modemsim

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// host drives a modem over its port by hand.
type host struct {
	t  *testing.T
	rw io.ReadWriter
	r  *bufio.Reader
}

func newHost(t *testing.T, m *Modem) *host {
	t.Helper()
	c, err := m.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return &host{t, c, bufio.NewReader(c)}
}

func (h *host) write(s string) {
	h.t.Helper()
	if _, err := io.WriteString(h.rw, s); err != nil {
		h.t.Fatal(err)
	}
}

// until reads up to and with the end of mark.
func (h *host) until(mark string) string {
	h.t.Helper()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), mark) {
		c, err := h.r.ReadByte()
		if err != nil {
			h.t.Fatalf("read %q, then %v", b.String(), err)
		}
		b.WriteByte(c)
	}
	return b.String()
}

func TestSmoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := NewNetwork(NetworkOptions{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		m, err := n.AddModem(ModemOptions{Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		h := newHost(t, m)
		h.write("AT\r")
		fmt.Printf("%q\n", h.until("OK\r\n"))
		h.write("ATE0;+CMEE=1;+CMGF=0;+CNMI=2,1,0,1,0\r")
		fmt.Printf("%q\n", h.until("OK\r\n"))
		h.write("AT+CREG?;+CPMS?\r")
		fmt.Printf("%q\n", h.until("OK\r\n"))
		h.write("AT+CMGS=24\r")
		h.until("> ")
		h.write("0031000B913316325476F80000010BC3F79C0C8AC966B49A0D\x1a")
		start := time.Now()
		fmt.Printf("%q\n", h.until("OK\r\n"))
		fmt.Println(time.Since(start))
		time.Sleep(time.Second)
		fmt.Println(len(n.Handset("+33612345678").Messages()), n.Handset("+33612345678").Messages()[0].Text)
		fmt.Printf("%q\n", h.until("CDS"))
		fmt.Printf("%q\n", h.until("\r\n"))
		fmt.Printf("%q\n", h.until("\r\n"))
		if err := n.Handset("+33612345678").Reply("Yes!", ""); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%q\n", h.until("1\r\n"))
		h.write("AT+CMGL=4\r")
		fmt.Printf("%q\n", h.until("OK\r\n"))
	})
}
