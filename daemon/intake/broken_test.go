package intake

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pinward/hl7"
	"pinward/hl7/mllp"
)

// The folder testdata/broken holds what real feeds send and some reader lost a message over: one file for
// each cause that section 1.2 of the reference names, with the answers that it earns beside it.
//
// NAME.in is what goes over the wire. A line that begins with # tells the cause; the file's own line ends are
// nothing. <CR> <LF> <VT> <FS> <FF> <NUL> and <XX> are bytes, {now} is the time as MSH-7 has it, {64k} as many
// letters, {20000} fields and {20000 segments} segments; <CLOSE> ends the sender's side.
//
// NAME.out has a line for each answer, MSH-9 and MSH-12 of it, MSA-1, MSA-2, and the place and code of its
// ERR; then how the connection ends: "goes on" (the next message on it is answered) or "closed". A line
// "refused: ..." is what the log and the audit are told.
func TestBroken(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.in")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	p := newBrokenPort(t)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".in")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.check(t, name, 0)
		})
	}
}

// However the bytes are cut into packets, the answers are the same (elixir-mllp#62, ipf#106,
// dcm4chee-arc-light#447). CR FF and FS LF are ends only where the sender then waits, so that files with
// those are sent in one piece above.
func TestBrokenByteByByte(t *testing.T) {
	p := newBrokenPort(t)
	for _, name := range []string{"frame-lf-between", "frame-doubled", "frame-fs-in-data", "segment-lf", "segment-cr-in-field", "duplicate", "msh-version-25-wrong"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.check(t, name, 1)
		})
	}
}

// brokenPort is a port that all files go to, each as another hospital.
type brokenPort struct {
	b       *box
	address string
	next    atomic.Int32

	mu      sync.Mutex
	refused map[string][]string // by the sender's address
}

func newBrokenPort(t *testing.T) *brokenPort {
	p := &brokenPort{b: newBox(t), refused: map[string][]string{}}
	p.address = p.b.port(mllp.Limits{MaxFrame: 64 << 10}, func(who hl7.Peer, err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.refused[who.Addr.String()] = append(p.refused[who.Addr.String()], err.Error())
	})
	return p
}

func (p *brokenPort) check(t *testing.T, name string, n int) {
	t.Helper()
	in, err := os.ReadFile("testdata/broken/" + name + ".in")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/broken/" + name + ".out")
	if err != nil {
		t.Fatal(err)
	}
	hospital := fmt.Sprint("R", p.next.Add(1))
	if got := p.converse(t, onWire(t, strings.ReplaceAll(string(in), "RIVERSIDE", hospital)), n, bytes.Contains(want, []byte("refused: "))); got != string(want) {
		t.Errorf("answered\n%s\nnot\n%s", got, want)
	}
}

// lastID is MSH-10 of the message behind each file.
const lastID = "LAST"

const closeMark = "\x00CLOSE\x00"

// onWire makes the bytes of an .in file.
func onWire(t *testing.T, in string) []byte {
	t.Helper()
	var text strings.Builder
	for line := range strings.Lines(in) {
		if !strings.HasPrefix(line, "#") {
			text.WriteString(strings.TrimRight(line, "\n"))
		}
	}
	s := strings.NewReplacer("{now}", ts(time.Now()), "{64k}", strings.Repeat("x", 64<<10), "{20000}", strings.Repeat("|y", 20000),
		"{20000 segments}", strings.Repeat("NTE|1\r", 20000), "<CR>", "\r", "<LF>", "\n", "<VT>", "\v", "<FS>", "\x1c", "<FF>", "\f",
		"<NUL>", "\x00", "<CLOSE>", closeMark).Replace(text.String())
	var out []byte
	for {
		before, after, found := strings.Cut(s, "<")
		out = append(out, before...)
		if !found {
			return out
		}
		n, err := strconv.ParseUint(after[:2], 16, 8)
		if err != nil || after[2] != '>' {
			t.Fatalf("no byte: <%s", after[:3])
		}
		out, s = append(out, byte(n)), after[3:]
	}
}

// converse sends raw to a real port, in pieces of n bytes (0 is one piece), and tells what came back; alerts
// says that the audit is to hear of it.
func (p *brokenPort) converse(t *testing.T, raw []byte, n int, alerts bool) string {
	t.Helper()
	w := p.b.wire(p.address)
	raw, closes := bytes.CutSuffix(raw, []byte(closeMark))
	waits := bytes.Contains(raw, []byte("\r\f")) || bytes.Contains(raw, []byte("\x1c\n"))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for len(raw) > 0 {
			size := len(raw)
			if n > 0 {
				size = min(n, size)
			}
			if _, err := w.c.Write(raw[:size]); err != nil {
				return // it was closed
			}
			raw = raw[size:]
		}
		if closes {
			_ = w.c.(*net.TCPConn).CloseWrite()
			return
		}
		// What follows tells whether the stream is still in step. CR FF and FS LF are ends where the sender waits.
		if waits {
			time.Sleep(500 * time.Millisecond)
		}
		_, _ = w.c.Write(mllp.AppendFrame(nil, []byte(header("ADT^A60", lastID, time.Now())+"\rPID|1||1^^^RIV^MR\r")))
	}()
	var out strings.Builder
	for {
		frame, err := w.r.Next()
		if err != nil {
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				t.Fatal("neither an answer nor a close")
			}
			fmt.Fprintln(&out, "closed")
			break
		}
		for _, secret := range []string{"QUACKENBUSH", "ZEBULON", "4711", "617555"} {
			if bytes.Contains(frame, []byte(secret)) {
				t.Errorf("an answer repeats a value of the message: %s", secret)
			}
		}
		m, err := hl7.Parse(frame)
		if err != nil {
			t.Fatalf("an answer is no message: %v", err)
		}
		if m.Get("MSA-2") == lastID {
			fmt.Fprintln(&out, "goes on")
			break
		}
		place := m.Get("ERR-2")
		if place == "" {
			place = m.Get("ERR-1")
		}
		fmt.Fprintln(&out, strings.TrimSpace(fmt.Sprintf("%s %s %s %q %s %s", m.MSH(9).Raw(), m.Get("MSH-12"), m.Get("MSA-1"), m.Get("MSA-2"), place, m.Get("ERR-3.1"))))
		if m.Get("MSA-1") != "AA" && m.Get("MSA-3") == "" {
			t.Error("a negative answer without words in MSA-3, the only ones that Mirth's operator sees")
		}
	}
	from := w.c.LocalAddr().String()
	w.c.Close()
	<-sent
	for _, why := range p.told(from, alerts) {
		fmt.Fprintln(&out, "refused: "+why)
	}
	return out.String()
}

// told is what the audit is told of a sender; it may come a moment after the close, and is waited for where
// it has to come.
func (p *brokenPort) told(from string, waits bool) []string {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		list := p.refused[from]
		delete(p.refused, from) // another may come from the same port
		p.mu.Unlock()
		if len(list) > 0 || !waits || time.Now().After(end) {
			return list
		}
	}
}
