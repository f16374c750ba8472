package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/sys/unix"

	"pinward/daemon"
)

// journalPath is where journald takes lines with fields (systemd.io/JOURNAL_NATIVE_PROTOCOL).
const journalPath = "/run/systemd/journal/socket"

// A journald that hangs takes no line, and whoever logs waits with it: a sender, with a patient's code in its hand. So one
// line waits, and those of the next seconds are counted, not sent. They do not go to stderr either: that is the same journald's.
const (
	journalPatience = time.Second
	journalRest     = 10 * time.Second
)

// journalSocket sends lines to journald. It does what go-systemd's journal.Send does, over a socket that is
// connected: the one there has itself given an address, by bind(2), which our unit denies.
type journalSocket struct {
	path string
	mu   sync.Mutex
	conn *net.UnixConn // nil before the first line, and after a failure
	deaf time.Time     // until then nothing is sent: journald let a line wait
	lost int           // lines since it did
}

// Send gives journald one line; fields are by their names there. An error means that journald is not there; while it is and
// hangs, the line is lost, and the first one after it says how many were.
func (j *journalSocket) Send(message string, p journal.Priority, fields map[string]string) error {
	line := appendField(nil, "PRIORITY", strconv.Itoa(int(p)))
	line = appendField(line, "MESSAGE", message)
	for name, value := range fields {
		line = appendField(line, name, value)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if time.Now().Before(j.deaf) {
		j.lost++
		return nil
	}
	err := j.write(line)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) { // a journald that started anew has another socket
		j.close()
		err = j.write(line)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		j.lost++
		j.deaf = time.Now().Add(journalRest)
		return nil
	case err != nil:
		j.close()
		return fmt.Errorf("write to journal: %w", err)
	case j.lost > 0:
		const words = "the journal took no lines for a time"
		note := appendField(nil, "PRIORITY", strconv.Itoa(int(journal.PriWarning)))
		note = appendField(note, "MESSAGE", fmt.Sprintf("%s lost=%d", words, j.lost))
		note = appendField(note, "MESSAGE_ID", messageID(words))
		note = appendField(note, "SYSLOG_IDENTIFIER", "pinwardd")
		if j.write(appendField(note, "LOST", strconv.Itoa(j.lost))) == nil {
			j.lost = 0
		}
	}
	return nil
}

func (j *journalSocket) write(line []byte) error {
	if j.conn == nil {
		c, err := daemon.DialLocal(context.Background(), "unixgram", j.path)
		if err != nil {
			return err
		}
		j.conn = c.(*net.UnixConn)
	}
	if err := j.conn.SetWriteDeadline(time.Now().Add(journalPatience)); err != nil {
		return err
	}
	_, err := j.conn.Write(line)
	if errors.Is(err, syscall.EMSGSIZE) || errors.Is(err, syscall.ENOBUFS) {
		return j.writeLong(line)
	}
	return err
}

// writeLong hands over, in a sealed file in memory, what is longer than a datagram may be.
func (j *journalSocket) writeLong(line []byte) error {
	fd, err := unix.MemfdCreate("journal", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fmt.Errorf("make file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "journal")
	defer f.Close()
	if _, err := f.Write(line); err != nil {
		return fmt.Errorf("write file in memory: %w", err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL); err != nil {
		return fmt.Errorf("seal file in memory: %w", err)
	}
	raw, err := j.conn.SyscallConn() // net.UnixConn.WriteMsgUnix takes no connected datagram socket
	if err != nil {
		return err
	}
	rights := unix.UnixRights(int(f.Fd()))
	var sent error
	err = raw.Write(func(socket uintptr) bool {
		sent = unix.Sendmsg(int(socket), nil, rights, nil, 0)
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, sent)
}

func (j *journalSocket) close() {
	if j.conn != nil {
		_ = j.conn.Close()
		j.conn = nil
	}
}

// appendField writes NAME=value, or, where the value has lines, its length in front of it.
func appendField(b []byte, name, value string) []byte {
	if !strings.Contains(value, "\n") {
		return fmt.Appendf(b, "%s=%s\n", name, value)
	}
	b = append(b, name+"\n"...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	return append(append(b, value...), '\n')
}
