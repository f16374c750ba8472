package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/pelletier/go-toml/v2"
)

// dialTimeout ends a dial to an address that the unit's address list drops in silence.
const dialTimeout = 10 * time.Second

// loadTargets reads the list: a table [dial] of names to host:port. It is read strictly; whoever
// controls it can choose among the addresses that the unit's own list allows, and no others.
func loadTargets(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open list: %w", err)
	}
	defer f.Close()
	var list struct {
		Dial map[string]string `toml:"dial"`
	}
	if err := toml.NewDecoder(f).DisallowUnknownFields().Decode(&list); err != nil {
		return nil, fmt.Errorf("%s: %w", path, placed(err))
	}
	for name, addr := range list.Dial {
		if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' }) {
			return nil, fmt.Errorf("%s: dial: %q is no name: 1 to %d bytes without spaces", path, name, maxName)
		}
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("%s: dial.%s: want host:port", path, name)
		}
	}
	return list.Dial, nil
}

// maxName is the longest name that a request can hold.
const maxName = 255

// placed puts line and column in front of what the decoder says.
func placed(err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		first := &strict.Errors[0]
		line, col := first.Position()
		return fmt.Errorf("line %d, column %d: unknown key %q", line, col, strings.Join(first.Key(), "."))
	}
	if at, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, col := at.Position()
		return fmt.Errorf("line %d, column %d: %s", line, col, strings.TrimPrefix(at.Error(), "toml: "))
	}
	return err
}

type relay struct {
	targets map[string]string
	log     *slog.Logger
}

// serve answers until ctx ends, then waits for the dials under way.
func serve(ctx context.Context, l *net.UnixListener, r relay) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		r.log.Warn("notify systemd", "error", err)
	}
	var dials sync.WaitGroup
	defer dials.Wait()
	for {
		c, err := l.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		dials.Go(func() {
			defer c.Close()
			if err := r.answer(ctx, c); err != nil {
				r.log.Warn("dial for the daemon", "error", err)
			}
		})
	}
}

// answer reads the name before anything else: a peer that is refused before its packet was read
// would see a reset instead of the reason.
func (r relay) answer(ctx context.Context, c *net.UnixConn) error {
	if err := c.SetDeadline(time.Now().Add(dialTimeout + 5*time.Second)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	hurry := context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Now()) }) // a peer that says nothing holds no stop up
	defer hurry()
	buf := make([]byte, maxName+1)
	n, err := c.Read(buf)
	if err != nil {
		return fmt.Errorf("read name: %w", err)
	}
	name := string(buf[:n])
	addr, ok := r.targets[name]
	if !ok {
		return errors.Join(errors.New("asked for a name that is not on the list"), say(c, "unknown-name"))
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	out, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return errors.Join(fmt.Errorf("dial %s: %w", name, err), say(c, reasonOf(err)))
	}
	defer out.Close() // our copy; while it lived, the daemon's close would send no FIN
	raw, err := out.(*net.TCPConn).SyscallConn()
	if err != nil {
		return fmt.Errorf("take descriptor: %w", err)
	}
	var sent error
	if err := raw.Control(func(fd uintptr) {
		_, _, sent = c.WriteMsgUnix([]byte("ok"), syscall.UnixRights(int(fd)), nil)
	}); err != nil {
		return fmt.Errorf("take descriptor: %w", err)
	}
	return sent
}

// reasonOf is why a dial failed, in the words that pinward doctor explains.
func reasonOf(err error) string {
	var unknown *net.DNSError
	var slow net.Error
	switch {
	case errors.As(err, &unknown):
		return "no-such-host"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.As(err, &slow) && slow.Timeout():
		return "timed-out"
	}
	return "unreachable"
}

func say(c *net.UnixConn, reason string) error {
	_, err := c.Write([]byte(reason))
	return err
}
