package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// top is a view of the box that stays up to date. It needs no login: what it shows is what status and
// metrics show.
func (c *client) top() *cobra.Command {
	var once bool
	var every time.Duration
	cmd := &cobra.Command{
		Use: "top", Short: "Watch the box live: modems, lanes, codes, HL7, health; q quits", Args: cobra.NoArgs,
		Long: "Top shows the box once more every two seconds. Rates are of the last minute, or since it was started.\n" +
			"q, Escape or Ctrl-C quits. --once prints one view, with rates of one second, for a script or a ticket.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond {
				return errors.New("--every wants at least 100ms")
			}
			if once || !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd())) {
				return c.topOnce(cmd.Context())
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			return c.topLive(ctx, every)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "print one view and end")
	cmd.Flags().DurationVar(&every, "every", 2*time.Second, "how often it is shown anew")
	return cmd
}

// look asks the daemon for all that a view needs.
func (c *client) look(ctx context.Context) (look, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	l := look{at: time.Now()}
	if err := c.get(ctx, http.MethodGet, "/status", nil, &l.status); err != nil {
		return l, err
	}
	var err error
	l.figures, err = c.scrape(ctx)
	return l, err
}

func (c *client) topOnce(ctx context.Context) error {
	first, err := c.look(ctx)
	if err != nil {
		return err
	}
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	second, err := c.look(ctx)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(map[string]any{"status": second.status, "rates": ratesOf(first, second)})
	}
	width := 120
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		width = w
	}
	_, err = os.Stdout.Write(render(first, second, width, 0, false))
	return err
}

// Sequences of ECMA-48 and xterm.
const (
	altScreen  = "\x1b[?1049h\x1b[?25l" // another screen without a cursor
	mainScreen = "\x1b[?25h\x1b[?1049l"
	home       = "\x1b[H"
	clearRest  = "\x1b[J"
	clearLine  = "\x1b[K"
)

// rateSpan is over how long rates are told.
const rateSpan = time.Minute

// topLive shows view after view until a key quits. The terminal is as it was afterwards.
func (c *client) topLive(ctx context.Context, every time.Duration) error {
	in := int(os.Stdin.Fd())
	before, err := term.MakeRaw(in)
	if err != nil {
		return fmt.Errorf("take terminal: %w", err)
	}
	defer term.Restore(in, before)
	fmt.Print(altScreen)
	defer fmt.Print(mainScreen)
	var seen []look
	for {
		now, err := c.look(ctx)
		frame := []byte("pinward top: " + errorText(err) + "; it is tried again, q quits\r\n")
		if err == nil {
			seen = append(seen, now)
			for len(seen) > 2 && now.at.Sub(seen[1].at) >= rateSpan {
				seen = seen[1:]
			}
			width, height := 80, 24
			if w, h, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
				width, height = w, h
			}
			frame = render(seen[0], now, width, height, true)
		}
		if err := show(os.Stdout, frame); err != nil {
			return err
		}
		if quit, err := waitForKey(ctx, in, every); quit || err != nil {
			return err
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// show writes a frame over the last one, without a moment at which the screen is empty.
func show(w io.Writer, frame []byte) error {
	frame = bytes.ReplaceAll(bytes.TrimSuffix(frame, []byte("\n")), []byte("\n"), []byte(clearLine+"\r\n"))
	_, err := w.Write(append(append([]byte(home), frame...), clearLine+clearRest...))
	return err
}

// waitForKey waits for a key that quits, for so long. It polls in this goroutine: one that reads would
// stay behind with the terminal.
func waitForKey(ctx context.Context, fd int, span time.Duration) (quit bool, err error) {
	for end := time.Now().Add(span); ; {
		left := time.Until(end)
		if ctx.Err() != nil {
			return true, nil
		}
		if left <= 0 {
			return false, nil
		}
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, int(min(left, 200*time.Millisecond)/time.Millisecond)+1)
		if errors.Is(err, unix.EINTR) || n == 0 {
			continue
		}
		if err != nil {
			return true, fmt.Errorf("wait for key: %w", err)
		}
		keys := make([]byte, 32)
		n, err = unix.Read(fd, keys)
		if err != nil || n == 0 {
			return true, nil // the terminal has gone
		}
		if bytes.ContainsAny(keys[:n], "qQ\x03\x04") || n == 1 && keys[0] == 0x1b {
			return true, nil
		}
		return false, nil // any other key shows it anew
	}
}
