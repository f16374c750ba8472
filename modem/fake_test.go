package modem

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pinward/modem/port"
)

// fake is a modem that knows the few commands of its table and answers ERROR to all others. It is deliberately stupid: where the
// simulator is what a module does, it is the least that a module may do.
type fake struct {
	t *testing.T

	mu      sync.Mutex
	answers map[string]string // by command without "AT": information lines and final result, parted by '|'; "-" is silence
	heard   []string          // commands and PDUs, in order, without AT and Ctrl-Z
	opened  int
	conn    net.Conn
	prompt  bool
}

const fakeIMEI = "350000000000006"

// least is what a modem must know to send at all.
func least() map[string]string {
	return map[string]string{
		"": "OK", "+CGSN": fakeIMEI + "|OK", "+CPIN?": "+CPIN: READY|OK", "+CMGF=0": "OK", `+CSCA?`: `+CSCA: "+16175559001",145|OK`,
		`+CPMS="SM"`: "+CPMS: 0,10|OK", "+CNMI=2,1,0,0,0": "OK", "+CREG?": "+CREG: 0,1|OK", "+CMGS": "+CMGS: 7|OK",
	}
}

func (f *fake) open(context.Context) (io.ReadWriteCloser, error) {
	ours, theirs := net.Pipe()
	f.mu.Lock()
	f.opened++
	f.conn, f.prompt = theirs, false
	f.mu.Unlock()
	go f.serve(theirs)
	return usb{ours}, nil
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	var line []byte
	buf := make([]byte, 256)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		for _, b := range buf[:n] {
			switch {
			case b == 0x1b:
				line = nil
				f.mu.Lock()
				f.prompt = false
				f.mu.Unlock()
			case b == '\r' || b == 0x1a:
				f.command(c, string(line))
				line = nil
			case b != '\n': // at ends its lines with CR LF
				line = append(line, b)
			}
		}
	}
}

func (f *fake) command(c net.Conn, text string) {
	f.mu.Lock()
	cmd, isCommand := strings.CutPrefix(text, "AT")
	name := cmd
	switch {
	case f.prompt:
		f.prompt, name, cmd = false, "+CMGS", text
	case !isCommand:
		f.mu.Unlock()
		return
	case strings.HasPrefix(cmd, "+CMGS="):
		f.heard = append(f.heard, cmd)
		if f.answers[cmd] == "" {
			f.prompt = true
			f.mu.Unlock()
			c.Write([]byte("\r\n> "))
			return
		}
	}
	f.heard = append(f.heard, cmd)
	answer, known := f.answers[name]
	f.mu.Unlock()
	switch {
	case answer == "-":
		return
	case !known:
		answer = "ERROR"
	}
	c.Write([]byte("\r\n" + strings.ReplaceAll(answer, "|", "\r\n\r\n") + "\r\n"))
}

// set changes one answer.
func (f *fake) set(cmd, answer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[cmd] = answer
}

func (f *fake) say(s string) {
	f.mu.Lock()
	c := f.conn
	f.mu.Unlock()
	c.Write([]byte(s))
}

// count says how often a command was given.
func (f *fake) count(cmd string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, h := range f.heard {
		if h == cmd {
			n++
		}
	}
	return n
}

// onFake drives a fake with these answers besides the least ones.
func onFake(t *testing.T, more map[string]string, o Options, do func(f *fake, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, answers: least()}
		for cmd, a := range more {
			f.answers[cmd] = a
		}
		w := &world{t: t, log: &safeBuffer{}, done: make(chan error, 1)}
		o.Name, o.Log = "modem1", slog.New(slog.NewTextHandler(w.log, nil))
		w.m = New(f.open, o)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { w.done <- w.m.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-w.done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}()
		do(f, w)
	})
}

// Every step that is best effort may be refused, and the module still sends (reference 4).
func TestLeastModem(t *testing.T) {
	onFake(t, nil, Options{}, func(f *fake, w *world) {
		st := w.ready()
		if st.Profile != "generic" || st.Alarms != 0 || st.IMEI != fakeIMEI {
			w.t.Fatalf("%+v", st)
		}
		if sent, err := w.send("hello"); err != nil || sent.Ref != 7 {
			w.t.Fatalf("%v, %v", sent, err)
		}
		parts, err := w.m.Encode(SMS{To: patient, Text: string(make160())})
		if err != nil {
			w.t.Fatal(err)
		}
		if sent, err := w.m.SendAll(context.Background(), parts); err != nil || len(sent) != 2 { // without CMMS, ICCID and IMSI
			w.t.Fatalf("%d parts, %v", len(sent), err)
		}
	})
}

// Each step has a time of its own: a command that is not answered once costs time, and nothing else.
func TestEachStepMayBeSilentOnce(t *testing.T) {
	var steps []string
	onFake(t, nil, Options{}, func(f *fake, w *world) {
		w.ready()
		time.Sleep(time.Second)
		f.mu.Lock()
		defer f.mu.Unlock()
		seen := map[string]bool{"+CGSN": true} // the proof itself; line's tests have it
		for _, h := range f.heard {
			if !seen[h] {
				seen[h] = true
				steps = append(steps, h)
			}
		}
	})
	if len(steps) < 25 {
		t.Fatalf("%d steps of bring-up", len(steps))
	}
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			onFake(t, map[string]string{step: "-"}, Options{}, func(f *fake, w *world) {
				time.Sleep(25 * time.Second) // over the step's own time; a listing has 20 s
				if f.count(step) == 0 {
					w.t.Fatal("the step was not reached")
				}
				f.mu.Lock()
				if was, known := least()[step]; known {
					f.answers[step] = was
				} else {
					delete(f.answers, step)
				}
				f.mu.Unlock()
				if st := w.ready(); st.Resets != 0 {
					w.t.Fatalf("%d resets", st.Resets)
				}
				if _, err := w.send("hello"); err != nil {
					w.t.Fatal(err)
				}
			})
		})
	}
}

// Another modem at the same port is brought up as what it is; what was known of the first is forgotten.
func TestAnotherModemAtThePort(t *testing.T) {
	onFake(t, nil, Options{}, func(f *fake, w *world) {
		w.ready()
		f.set("+CGSN", "350000000000014|OK")
		f.set("+CGMI", "Quectel|OK")
		f.set("+CGMM", "EC25|OK")
		f.mu.Lock()
		f.conn.Close()
		f.mu.Unlock()
		st := w.until("the other modem", time.Minute, func(s Status) bool { return s.Ready && s.IMEI == "350000000000014" })
		if st.Profile != "quectel-ec25" || st.Reboots != 0 {
			w.t.Fatalf("%+v", st)
		}
		if _, err := w.send("hello"); err != nil {
			w.t.Fatal(err)
		}
	})
}

// The port errors of a session that only fails to open have words for the operator.
func TestBusyPortIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(func(context.Context) (io.ReadWriteCloser, error) { return nil, port.ErrBusy },
			Options{Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := m.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if alarmOf(port.ErrBusy) != AlarmPortBusy || plain(port.ErrBusy) != "another program uses the port" {
			t.Fatal("a port that is in use is not named")
		}
	})
}
