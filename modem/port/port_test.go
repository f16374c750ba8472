package port

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/tarm/serial"
	"golang.org/x/sys/unix"
)

// The tests go through the table of reference/modem.md section 2: what tarm/serial does, and what we make of it.

const readTimeout = 100 * time.Millisecond

// device is a PTY whose master plays the modem. Its slave is held open, as a modem's other side would be; unplug closes both.
type device struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	path   string
}

func plug(t *testing.T) *device {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	d := &device{t, master, slave, slave.Name()}
	t.Cleanup(d.unplug)
	return d
}

func (d *device) unplug() {
	d.slave.Close()
	d.master.Close()
}

func (d *device) say(s string) {
	d.t.Helper()
	if _, err := d.master.WriteString(s); err != nil {
		d.t.Fatal(err)
	}
}

func bare(t *testing.T, path string, timeout time.Duration) *serial.Port {
	t.Helper()
	p, err := serial.OpenPort(&serial.Config{Name: path, Baud: 115200, ReadTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ours(t *testing.T, path string, o Options) *Port {
	t.Helper()
	if o.ReadTimeout == 0 {
		o.ReadTimeout = readTimeout
	}
	p, err := Open(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

type result struct {
	n    int
	err  error
	took time.Duration
}

// start runs f in a goroutine of its own; the result comes when it returns.
func start(f func() (int, error)) <-chan result {
	c := make(chan result, 1)
	go func() {
		t0 := time.Now()
		n, err := f()
		c <- result{n, err, time.Since(t0)}
	}()
	return c
}

// wait waits for what is expected at once, for as long as a busy machine may take.
func wait(t *testing.T, c <-chan result) result {
	t.Helper()
	select {
	case r := <-c:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("still waiting after 10 s")
	}
	panic("unreachable")
}

func TestIdleIsNotEOF(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		d := plug(t)
		p := bare(t, d.path, readTimeout)
		defer p.Close()
		if n, err := p.Read(make([]byte, 8)); n != 0 || err != io.EOF {
			t.Fatalf("tarm on an idle port: %d, %v; the reference says 0, EOF", n, err)
		}
	})
	t.Run("port", func(t *testing.T) {
		d := plug(t)
		p := ours(t, d.path, Options{})
		b := make([]byte, 8)
		got := start(func() (int, error) { return p.Read(b) })
		select {
		case r := <-got:
			t.Fatalf("Read returned %d, %v on an idle port", r.n, r.err)
		case <-time.After(10 * readTimeout): // beyond every look at the device
		}
		d.say("OK\r\n")
		if r := wait(t, got); r.err != nil || string(b[:r.n]) != "OK\r\n" {
			t.Fatalf("Read: %q, %v", b[:r.n], r.err)
		}
	})
}

func TestCloseUnderBlockedRead(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		d := plug(t)
		p := bare(t, d.path, 0)
		read := start(func() (int, error) { return p.Read(make([]byte, 8)) })
		time.Sleep(200 * time.Millisecond) // let Read block
		closed := start(func() (int, error) { return 0, p.Close() })
		select {
		case <-closed:
			t.Fatal("tarm's Close returned under a blocked Read; the reference says it hangs")
		case <-time.After(300 * time.Millisecond):
		}
		d.say("x") // releases both
		wait(t, read)
		wait(t, closed)
	})
	t.Run("port", func(t *testing.T) {
		d := plug(t)
		p := ours(t, d.path, Options{})
		read := start(func() (int, error) { return p.Read(make([]byte, 8)) })
		time.Sleep(50 * time.Millisecond)
		if r := wait(t, start(func() (int, error) { return 0, p.Close() })); r.err != nil {
			t.Fatalf("Close: %v", r.err)
		}
		if r := wait(t, read); !errors.Is(r.err, os.ErrClosed) {
			t.Fatalf("blocked Read: %v, want os.ErrClosed", r.err)
		}
		if _, err := p.Read(make([]byte, 8)); !errors.Is(err, os.ErrClosed) {
			t.Fatalf("Read after Close: %v", err)
		}
		if _, err := p.Write([]byte("AT\r")); !errors.Is(err, os.ErrClosed) {
			t.Fatalf("Write after Close: %v", err)
		}
	})
}

func TestUnplugIsNotATimeout(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		d := plug(t)
		p := bare(t, d.path, readTimeout)
		defer p.Close()
		d.unplug()
		p.Read(make([]byte, 8)) // EIO or EOF, as the hang-up falls
		if n, err := p.Read(make([]byte, 8)); n != 0 || err != io.EOF {
			t.Fatalf("tarm on an unplugged port: %d, %v; the reference says EOF, as for a timeout", n, err)
		}
	})
	t.Run("port", func(t *testing.T) {
		d := plug(t)
		p := ours(t, d.path, Options{})
		read := start(func() (int, error) { return p.Read(make([]byte, 8)) })
		d.unplug()
		if r := wait(t, read); !errors.Is(r.err, ErrUnplugged) {
			t.Fatalf("Read: %v, want ErrUnplugged", r.err)
		}
		if _, err := p.Read(make([]byte, 8)); !errors.Is(err, ErrUnplugged) {
			t.Fatalf("later Read: %v, want ErrUnplugged", err)
		}
		if _, err := p.Write([]byte("AT\r")); !errors.Is(err, ErrUnplugged) {
			t.Fatalf("Write: %v, want ErrUnplugged", err)
		}
	})
}

// A stick that was pulled and put back is another device under the same link: the old descriptor is no longer the modem's.
func TestAnotherDeviceUnderTheLink(t *testing.T) {
	before, after := plug(t), plug(t)
	link := filepath.Join(t.TempDir(), "modem1")
	if err := os.Symlink(before.path, link); err != nil {
		t.Fatal(err)
	}
	p := ours(t, link, Options{})
	read := start(func() (int, error) { return p.Read(make([]byte, 8)) })
	if err := errors.Join(os.Symlink(after.path, link+".new"), os.Rename(link+".new", link)); err != nil {
		t.Fatal(err)
	}
	if r := wait(t, read); !errors.Is(r.err, ErrUnplugged) {
		t.Fatalf("Read: %v, want ErrUnplugged", r.err)
	}
	p.Close()
	again := ours(t, link, Options{})
	after.say("RDY\r\n")
	b := make([]byte, 16)
	if n, err := again.Read(b); err != nil || string(b[:n]) != "RDY\r\n" {
		t.Fatalf("Read from the new device: %q, %v", b[:n], err)
	}
}

// 64 KiB is more than any tty takes without a reader.
var flood = make([]byte, 64<<10)

func TestWriteIsNotTaken(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		d := plug(t)
		p := bare(t, d.path, readTimeout)
		write := start(func() (int, error) { return p.Write(flood) })
		select {
		case r := <-write:
			t.Fatalf("tarm's Write returned %d, %v; the reference says it blocks", r.n, r.err)
		case <-time.After(500 * time.Millisecond):
		}
		d.unplug() // releases it
		wait(t, write)
		p.Close()
	})
	t.Run("port", func(t *testing.T) {
		d := plug(t)
		before := runtime.NumGoroutine()
		for range 20 { // a port that is stuck is opened again and again: nothing may grow
			p, err := Open(context.Background(), d.path, Options{ReadTimeout: readTimeout, WriteTimeout: 50 * time.Millisecond})
			if err != nil {
				t.Fatalf("Open after a stuck port: %v", err)
			}
			if _, err := p.Write(flood); !errors.Is(err, ErrStuck) {
				t.Fatalf("Write: %v, want ErrStuck", err)
			}
			if _, err := p.Write([]byte("AT\r")); !errors.Is(err, os.ErrClosed) {
				t.Fatalf("Write after ErrStuck: %v, want os.ErrClosed", err)
			}
		}
		if after := runtime.NumGoroutine(); after > before {
			t.Fatalf("%d goroutines before, %d after 20 stuck ports", before, after)
		}
	})
}

func TestOneProcessOnly(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		d := plug(t)
		p := bare(t, d.path, readTimeout)
		defer p.Close()
		q, err := serial.OpenPort(&serial.Config{Name: d.path, Baud: 115200, ReadTimeout: readTimeout})
		if err != nil {
			t.Fatalf("tarm's second OpenPort: %v; the reference says it succeeds", err)
		}
		q.Close()
	})
	t.Run("port", func(t *testing.T) {
		d := plug(t)
		p := ours(t, d.path, Options{})
		if _, err := Open(context.Background(), d.path, Options{}); !errors.Is(err, ErrBusy) {
			t.Fatalf("second Open: %v, want ErrBusy", err)
		}
		unprivileged(t, func() error {
			if _, err := serial.OpenPort(&serial.Config{Name: d.path, Baud: 115200}); !errors.Is(err, unix.EBUSY) {
				return fmt.Errorf("another program's open: %v, want EBUSY", err)
			}
			_, err := Open(context.Background(), d.path, Options{})
			if !errors.Is(err, ErrBusy) {
				return fmt.Errorf("second Open without privilege: %v, want ErrBusy", err)
			}
			return nil
		})
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		q := ours(t, d.path, Options{})
		d.say("OK\r\n")
		if _, err := q.Read(make([]byte, 8)); err != nil {
			t.Fatalf("Read after the owner closed: %v", err)
		}
	})
}

// TIOCEXCL outlives a descriptor that was given up but is still held by a blocked system call (reference 9).
func TestGivenUpPortOpensAgain(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		d := plug(t)
		p := bare(t, d.path, readTimeout)
		defer p.Close()
		if err := unix.IoctlSetInt(int(d.slave.Fd()), unix.TIOCEXCL, 0); err != nil {
			t.Fatal(err)
		}
		unprivileged(t, func() error {
			if _, err := serial.OpenPort(&serial.Config{Name: d.path, Baud: 115200}); !errors.Is(err, unix.EBUSY) {
				return fmt.Errorf("open beside an abandoned descriptor: %v; the reference says EBUSY", err)
			}
			return nil
		})
	})
	t.Run("port", func(t *testing.T) {
		d := plug(t) // d.slave stays open: the tty lives on with all its flags
		p := ours(t, d.path, Options{WriteTimeout: 50 * time.Millisecond})
		if _, err := p.Write(flood); !errors.Is(err, ErrStuck) {
			t.Fatalf("Write: %v, want ErrStuck", err)
		}
		unprivileged(t, func() error {
			q, err := Open(context.Background(), d.path, Options{ReadTimeout: readTimeout})
			if err != nil {
				return fmt.Errorf("open the given-up port: %w", err)
			}
			return q.Close()
		})
	})
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(context.Background(), filepath.Join(dir, "none"), Options{}); !errors.Is(err, ErrUnplugged) {
		t.Errorf("no node: %v, want ErrUnplugged", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), file, Options{}); err == nil {
		t.Error("a plain file opened as a serial port")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Open(ctx, plug(t).path, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFlushDropsOldInput(t *testing.T) {
	d := plug(t)
	p := ours(t, d.path, Options{})
	d.say("+CMGS: 7\r\n")
	time.Sleep(20 * time.Millisecond)
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	d.say("RDY\r\n")
	b := make([]byte, 64)
	n, err := p.Read(b)
	if err != nil || string(b[:n]) != "RDY\r\n" {
		t.Fatalf("Read after Flush: %q, %v", b[:n], err)
	}
}

// unprivileged runs f without CAP_SYS_ADMIN, to which TIOCEXCL does not apply: the daemon has none. Capabilities belong to the
// thread.
func unprivileged(t *testing.T, f func() error) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had [2]unix.CapUserData
	if err := unix.Capget(&hdr, &had[0]); err != nil {
		t.Fatal(err)
	}
	without := had
	without[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
	if err := unix.Capset(&hdr, &without[0]); err != nil {
		t.Fatal(err)
	}
	err := f()
	if e := unix.Capset(&hdr, &had[0]); e != nil {
		t.Fatal(e)
	}
	if err != nil {
		t.Fatal(err)
	}
}
