package daemon_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinward/daemon"
)

// socketFolder is a folder with a short path: the name of a socket may have 108 bytes.
func socketFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dial")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// startRelay builds the real relay and runs it over a list of names; it returns its socket.
func startRelay(t *testing.T, list map[string]string) string {
	t.Helper()
	dir := socketFolder(t)
	bin := filepath.Join(dir, "relay")
	if out, err := exec.Command("go", "build", "-o", bin, "../cmd/relay").CombinedOutput(); err != nil {
		t.Fatalf("build relay: %v\n%s", err, out)
	}
	var b strings.Builder
	b.WriteString("[dial]\n")
	for name, addr := range list {
		b.WriteString(name + " = \"" + addr + "\"\n")
	}
	config, socket := filepath.Join(dir, "relay.toml"), filepath.Join(dir, "s")
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-config", config, "-socket", socket)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the relay's stop: %v", err)
		}
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("unixpacket", socket); err == nil {
			c.Close()
			return socket
		}
		if time.Now().After(end) {
			t.Fatal("the relay does not listen")
		}
	}
}

// echo listens on loopback and sends back what it gets, until the test ends.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

// descriptors counts those that this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	runtime.GC() // what only a finalizer would close counts as closed: it is no leak that grows
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// settled fails unless the number of descriptors comes back to what it was.
func settled(t *testing.T, before int) {
	t.Helper()
	var now int
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if now = descriptors(t); now <= before {
			return
		}
	}
	t.Errorf("%d descriptors are open, %d before", now, before)
}

func TestRelayDial(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	there := echo(t)
	dial := daemon.RelayDial(startRelay(t, map[string]string{"siem": there, "gone": closed.Addr().String()}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	before := descriptors(t)

	t.Run("connects", func(t *testing.T) {
		for range 20 {
			c, err := dial(ctx, "siem")
			if err != nil {
				t.Fatal(err)
			}
			if got := c.RemoteAddr().String(); got != there {
				t.Errorf("the connection goes to %s, want %s", got, there)
			}
			if _, err := c.Write([]byte("ping")); err != nil {
				t.Fatal(err)
			}
			// The relay keeps no copy: with one, this end of the connection would reach nobody.
			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(c); err != nil || string(got) != "ping" {
				t.Fatalf("read %q, %v", got, err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	for name, want := range map[string]string{
		"unlisted":               "unknown-name",
		"SIEM":                   "unknown-name",
		there:                    "unknown-name", // an address is no name
		strings.Repeat("x", 300): "unknown-name",
		"gone":                   "refused",
	} {
		t.Run(want, func(t *testing.T) {
			c, err := dial(ctx, name)
			if !errors.Is(err, daemon.ErrRelay) || !strings.Contains(err.Error(), want) || c != nil {
				t.Errorf("dial: %v, %v, want %s", c, err, want)
			}
		})
	}
	t.Run("no name", func(t *testing.T) {
		if c, err := dial(ctx, ""); err == nil {
			c.Close()
			t.Error("an empty name was dialled")
		}
	})
	settled(t, before)
}

func TestRelayDialWithoutRelay(t *testing.T) {
	before := descriptors(t)
	_, err := daemon.RelayDial(filepath.Join(socketFolder(t), "s"))(t.Context(), "siem")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("dial: %v, want that the socket does not exist", err)
	}
	settled(t, before)
}

// falseRelay answers each request as given, with so many descriptors of a kind.
func falseRelay(t *testing.T, answer func(*net.UnixConn)) string {
	t.Helper()
	socket := filepath.Join(socketFolder(t), "s")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			if _, err := c.Read(make([]byte, 256)); err == nil {
				answer(c)
			}
			c.Close()
		}
	}()
	return socket
}

// TestRelayDialMalformedAnswers: whatever a relay that was taken over answers, the dial ends with an
// error and no descriptor stays open.
func TestRelayDialMalformedAnswers(t *testing.T) {
	pass := func(text string, n int) func(*net.UnixConn) {
		return func(c *net.UnixConn) {
			var fds []int
			for range n {
				fd, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
				if err != nil {
					return
				}
				defer syscall.Close(fd)
				fds = append(fds, fd)
			}
			c.WriteMsgUnix([]byte(text), syscall.UnixRights(fds...), nil)
		}
	}
	for name, answer := range map[string]func(*net.UnixConn){
		"hangs up":                    func(*net.UnixConn) {},
		"ok without a descriptor":     func(c *net.UnixConn) { c.Write([]byte("ok")) },
		"reason with a descriptor":    pass("unreachable", 1),
		"two descriptors":             pass("ok", 2),
		"more than there is room for": pass("ok", 20),
		"descriptor of another kind":  pass("ok", 1),
		"longer than any answer":      pass("ok"+strings.Repeat(" ", 4000), 1),
		"bytes that are no text":      func(c *net.UnixConn) { c.Write([]byte{0xff, 0xfe, 0}) },
	} {
		t.Run(name, func(t *testing.T) {
			dial := daemon.RelayDial(falseRelay(t, answer))
			before := descriptors(t)
			for range 5 {
				c, err := dial(t.Context(), "siem")
				if err == nil {
					c.Close()
					t.Fatal("it was taken for a connection")
				}
				if !strings.Contains(err.Error(), "dial siem by relay") {
					t.Errorf("the error does not say what was dialled: %v", err)
				}
			}
			settled(t, before)
		})
	}
}

func TestRelayDialEndsWithItsContext(t *testing.T) {
	asked, release := make(chan struct{}, 1), make(chan struct{})
	dial := daemon.RelayDial(falseRelay(t, func(*net.UnixConn) {
		asked <- struct{}{}
		<-release
	}))
	t.Cleanup(func() { close(release) })
	why := errors.New("the shift is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-asked
		cancel(why)
	}()
	if _, err := dial(ctx, "siem"); !errors.Is(err, why) {
		t.Errorf("dial: %v, want the cause of its context", err)
	}
	if _, err := dial(ctx, "siem"); err == nil {
		t.Error("an ended context dialled")
	}
}
