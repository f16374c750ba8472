package line

import (
	"context"
	"fmt"
	"time"
)

// Hello asks a port of which nothing is known whether an AT command set is behind it: "AT", up to tries times, each time waiting
// for OK. Nothing else is written: a diagnostic or NMEA port takes more than that for commands of its own (reference 3). ErrTimeout
// says that no OK came. The line is dirty afterwards: an OK of an earlier question may still come, and Resync must follow.
func (l *Line) Hello(ctx context.Context, tries int, each time.Duration) error {
	_, err := l.do(ctx, &request{cmd: Cmd{Class: HangUp}, over: true, run: func(*request) ([]string, error) {
		defer l.mark()
		return nil, l.hello(ctx, tries, each)
	}})
	return err
}

func (l *Line) hello(ctx context.Context, tries int, each time.Duration) error {
	c, lines := l.exchange("", nil, true)
	defer l.leave(c)
	for range tries {
		l.tapOut("AT")
		if _, err := l.write([]byte("AT\r")); err != nil {
			return fmt.Errorf("AT: %w", err)
		}
		wait := time.NewTimer(each)
		for asked := true; asked; {
			select {
			case <-ctx.Done():
				wait.Stop()
				return context.Cause(ctx)
			case <-wait.C:
				asked = false
			case s, open := <-lines:
				switch {
				case !open:
					wait.Stop()
					return fmt.Errorf("AT: %w", c.abort)
				case s == "OK":
					wait.Stop()
					return nil
				}
			}
		}
	}
	return fmt.Errorf("AT: %w", ErrTimeout)
}
