package line

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warthog618/modem/at"
)

const testIMEI = "861536030196001"

// fake is the modem's end of an in-process port: a script that answers what it is told. It is deliberately stupid.
type fake struct {
	conn net.Conn
	wg   sync.WaitGroup

	mu  sync.Mutex
	got []string // commands and PDUs, in order; ESC as "ESC"
}

// script answers one input; say may be called any number of times, also later.
type script func(in string, say func(string))

// plug gives the driver's end of a port with a fake behind it.
func plug(t *testing.T, s script) (net.Conn, *fake) {
	t.Helper()
	ours, theirs := net.Pipe()
	f := &fake{conn: theirs}
	f.wg.Add(1)
	go f.serve(s)
	t.Cleanup(func() {
		ours.Close()
		theirs.Close()
		f.wg.Wait()
	})
	return ours, f
}

func (f *fake) serve(s script) {
	defer f.wg.Done()
	var in []byte
	b := make([]byte, 512)
	for {
		n, err := f.conn.Read(b)
		for _, c := range b[:n] {
			switch c {
			case 0x1b:
				f.note("ESC")
				in = nil
				s("ESC", f.say)
			case '\r', '\n', 0x1a:
				if len(in) == 0 {
					continue
				}
				text := string(in)
				if c == 0x1a {
					text += "^Z"
				}
				in = nil
				f.note(text)
				s(text, f.say)
			default:
				in = append(in, c)
			}
		}
		if err != nil {
			return
		}
	}
}

func (f *fake) note(s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, s)
}

func (f *fake) heard() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.got...)
}

func (f *fake) count(s string) int {
	n := 0
	for _, g := range f.heard() {
		if g == s {
			n++
		}
	}
	return n
}

func (f *fake) say(s string) { f.conn.Write([]byte(s)) }

// later says s after d, if anybody still listens.
func later(d time.Duration, say func(string), s string) { time.AfterFunc(d, func() { say(s) }) }

// answers is a script of fixed answers; what is not in it is not answered.
func answers(m map[string]string) script {
	return func(in string, say func(string)) {
		if a, ok := m[in]; ok {
			say(a)
		} else if in == "AT+CGSN" {
			say("\r\n" + testIMEI + "\r\n\r\nOK\r\n")
		}
	}
}

// open makes a line on a fake.
func open(t *testing.T, o Options, s script) (*Line, *fake) {
	t.Helper()
	conn, f := plug(t, s)
	l := New(conn, o)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l, f
}

func do(l *Line, cmd string, timeout time.Duration) ([]string, error) {
	return l.Do(context.Background(), Cmd{Text: cmd, Class: Rest}, timeout)
}

func sms(l *Line, pdu string) ([]string, error) {
	return l.SMS(context.Background(), Cmd{Text: "+CMGS=24", Class: Code}, pdu, 10*time.Second, 300*time.Second)
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Fatalf("%s: %q, want %q", what, got, want)
	}
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("%s: error %v, want %v", what, err, target)
	}
}

// urcs takes what is waiting.
func urcs(l *Line) []string {
	var out []string
	for {
		select {
		case u, ok := <-l.URCs():
			if !ok {
				return out
			}
			if u.PDU != "" {
				u.Line += " " + u.PDU
			}
			out = append(out, u.Line)
		default:
			return out
		}
	}
}

// bareAT is at.AT on the port as warthog618 means it: the tests of a defect show it there first.
func bareAT(t *testing.T, s script, o ...at.Option) (*at.AT, *fake) {
	t.Helper()
	conn, f := plug(t, s)
	a := at.New(conn, o...)
	t.Cleanup(func() {
		conn.Close()
		<-a.Closed()
	})
	return a, f
}

// pdu is a TPDU as in reference/modem.md 5.1.
const pdu = "0031000B913316325476F80000010BC3F79C0C8AC966B49A0D"

// plugRaw gives both ends of a port with nobody behind it.
func plugRaw(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	ours, theirs = net.Pipe()
	t.Cleanup(func() {
		ours.Close()
		theirs.Close()
	})
	return ours, theirs
}

// expect reads exactly s from the driver.
func expect(t *testing.T, theirs net.Conn, s string) {
	t.Helper()
	b := make([]byte, len(s))
	if _, err := io.ReadFull(theirs, b); err != nil || string(b) != s {
		t.Errorf("read %q, %v; want %q", b, err, s)
	}
}

func netPipe(b *testing.B) (ours, theirs net.Conn) {
	ours, theirs = net.Pipe()
	b.Cleanup(func() {
		ours.Close()
		theirs.Close()
	})
	return ours, theirs
}
