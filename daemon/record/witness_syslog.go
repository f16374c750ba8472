package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

// syslogPatience bounds one delivery.
const syslogPatience = 20 * time.Second

// syslogMessage is a head as RFC 5424 writes it: app-name pinward, message id head, no structured data.
func syslogMessage(at time.Time, host, line string) string {
	return syslogHeader(priorityHead, at, host, strconv.Itoa(os.Getpid()), "head") + line
}

// SyslogWitness sends each head to a log server that dial connects to. On a stream (TCP or TLS) the
// message is framed by its length (RFC 5425 section 4.3), and the server has to
// close its side after ours, which shows that it read all; a datagram socket takes it whole.
//
// Syslog acknowledges nothing: a server that reads and then loses the line is not found out here, but
// by whoever compares its file with a bundle.
func SyslogWitness(dial func(context.Context) (net.Conn, error)) func(context.Context, string) error {
	host, _ := os.Hostname()
	return func(ctx context.Context, line string) error {
		ctx, cancel := context.WithTimeout(ctx, syslogPatience)
		defer cancel()
		c, err := dial(ctx)
		if err != nil {
			return fmt.Errorf("reach log server: %w", err)
		}
		defer c.Close()
		stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
		defer stop()
		if err := sendSyslog(c, syslogMessage(time.Now(), host, line)); err != nil {
			return fmt.Errorf("send to log server: %w", err)
		}
		return nil
	}
}

func sendSyslog(c net.Conn, message string) error {
	half, stream := c.(interface{ CloseWrite() error })
	if network := c.LocalAddr().Network(); !stream || network == "unixgram" {
		_, err := io.WriteString(c, message)
		return err
	}
	if err := writeFrame(c, message); err != nil {
		return err
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
