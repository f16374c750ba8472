package line

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warthog618/modem/at"
)

func TestUpload(t *testing.T) {
	data := "RIFF....WAVE"
	for name, ready := range map[string]string{"CONNECT": "\r\nCONNECT\r\n", "prompt": "\r\n>"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := plugRaw(t)
				l := New(ours, Options{})
				done := make(chan []string, 1)
				go func() {
					info, err := l.Upload(context.Background(), Cmd{Text: `+QFUPL="c.wav",12`, Class: Rest}, []byte(data), time.Minute)
					if err != nil {
						t.Errorf("upload: %v", err)
					}
					done <- info
				}()
				expect(t, theirs, `AT+QFUPL="c.wav",12`+"\r")
				theirs.Write([]byte(ready))
				expect(t, theirs, data) // and no Ctrl-Z
				theirs.Write([]byte("\r\n+QFUPL: 12,300a\r\n\r\nOK\r\n"))
				same(t, "answer", <-done, "+QFUPL: 12,300a")
				go func() {
					expect(t, theirs, "AT\r")
					theirs.Write([]byte("\r\nOK\r\n"))
				}()
				if _, err := do(l, "", time.Second); err != nil {
					t.Fatalf("command after the upload: %v", err)
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestStuckWritesLeaveNothing(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ours, _ := plugRaw(t)
			a := at.New(ours)
			done := make(chan error, 50)
			for range 50 {
				go func() {
					_, err := a.Command("", at.WithTimeout(time.Second))
					done <- err
				}()
			}
			time.Sleep(time.Hour)
			if len(done) != 0 {
				t.Fatalf("%d of 50 commands returned in an hour; the reference says none", len(done))
			}
			ours.Close()
			for range 50 {
				<-done
			}
		})
	})
	for name, wrap := range map[string]func(io.ReadWriteCloser) io.ReadWriteCloser{
		"line":                    func(c io.ReadWriteCloser) io.ReadWriteCloser { return c },
		"line without a deadline": func(c io.ReadWriteCloser) io.ReadWriteCloser { return noDeadline{c} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, _ := plugRaw(t)
				l := New(wrap(ours), Options{})
				done := make(chan error, 50)
				for range 50 {
					go func() {
						_, err := do(l, "", time.Second)
						done <- err
					}()
				}
				start := time.Now()
				for range 50 {
					if err := <-done; !errors.Is(err, ErrStuck) {
						t.Fatalf("%v, want ErrStuck", err)
					}
				}
				if d := time.Since(start); d > 5*time.Second {
					t.Fatalf("the last returned after %v", d)
				}
				if err := l.Close(); !errors.Is(err, ErrStuck) {
					t.Fatalf("Close: %v", err)
				}
			}) // the bubble itself fails if a goroutine is left
		})
	}
}

type noDeadline struct{ io.ReadWriteCloser }

func TestReopenLeaksNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	for i := range 1000 {
		ours, theirs := plugRaw(t)
		l := New(ours, Options{})
		go func() {
			b := make([]byte, 64)
			for {
				if _, err := theirs.Read(b); err != nil {
					return
				}
				if i%2 == 0 {
					theirs.Write([]byte("\r\nOK\r\n"))
				}
			}
		}()
		done := make(chan error, 1)
		go func() {
			_, err := do(l, "", time.Hour)
			done <- err
		}()
		if i%2 == 0 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			if err := <-done; !errors.Is(err, ErrClosed) {
				t.Fatalf("command of a closed line: %v", err)
			}
		}
		theirs.Close()
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after 1,000 lines", before, runtime.NumGoroutine())
		}
		runtime.Gosched()
	}
}

func TestPortThatVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := plugRaw(t)
		l := New(ours, Options{})
		done := make(chan error, 1)
		go func() {
			_, err := sms(l, pdu)
			done <- err
		}()
		expect(t, theirs, "AT+CMGS=24\r")
		theirs.Write([]byte("\r\n> "))
		half := make([]byte, 10)
		if _, err := io.ReadFull(theirs, half); err != nil {
			t.Fatal(err)
		}
		theirs.Close() // in the middle of the PDU
		err := <-done
		if err == nil || errors.Is(err, ErrNoPrompt) || errors.Is(err, ErrNotStarted) {
			t.Fatalf("half a PDU was written: %v", err)
		}
		<-l.Ended()
		if _, err := do(l, "", time.Second); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrNotStarted) {
			t.Fatalf("command on a closed line: %v", err)
		}
		if _, ok := <-l.URCs(); ok {
			t.Fatal("a URC from a closed line")
		}
		if err := l.Close(); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
			t.Fatalf("Close: %v", err)
		}
	})
}

func TestErrorsShowNoArgument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, f := open(t, Options{}, answers(map[string]string{
			"ATD+16175551234;":  "\r\nERROR\r\n",
			`AT+CPIN="4711"`:    "\r\n+CME ERROR: incorrect password\r\n",
			`AT+CUSD=1,"*100#"`: "\r\n+CME ERROR: +16175551234 is not valid\r\n",
		}))
		for _, cmd := range []string{"D+16175551234;", `+CPIN="4711"`, `+CUSD=1,"*100#"`, `+CMGD=4711`} {
			if l.Dirty() {
				if _, err := l.Resync(context.Background(), ""); err != nil {
					t.Fatal(err)
				}
			}
			_, err := do(l, cmd, time.Second)
			if err == nil {
				t.Fatalf("%s: no error", cmd)
			}
			for _, secret := range []string{"5551234", "4711", "*100#"} {
				if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
					t.Errorf("the error of %s shows its argument: %v", safe(cmd), err)
				}
			}
		}
		if f.count("AT+CMGD=4711") != 1 {
			t.Fatal("not written")
		}
	})
}
