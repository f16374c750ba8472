package daemon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"pinward/store"
)

// actSealed binds the file of what happened while the box was not open into the audit.
const actSealed store.Action = "sealed.events"

// sealedLimit bounds the file: a box that is restarted all night must not fill the disk. What comes
// after is only counted.
const sealedLimit = 1 << 20

// sealedEvent is one line of the file. None of its fields ever holds anything of a patient: while the
// box is sealed nothing of a request is read.
type sealedEvent struct {
	At    time.Time `json:"at"`
	Event string    `json:"event"` // state, unseal, refused
	State string    `json:"state,omitempty"`
	Cause string    `json:"cause,omitempty"`
	HTTPS int64     `json:"https,omitempty"` // refused: requests answered 503
	MLLP  int64     `json:"mllp,omitempty"`  // refused: HL7 messages that were left with their senders
	Lost  int       `json:"lost,omitempty"`  // events that did not fit
}

// sealedLog keeps what happens while no audit can be written, in a plain file that is bound into the
// audit by its hash once the box is open. Somebody with root may rewrite it until then; that is true of
// all that a sealed box says.
type sealedLog struct {
	path string
	log  *slog.Logger

	https, mllp atomic.Int64 // refused since the last line

	mu      sync.Mutex
	lost    int
	flushed time.Time // when the refused were last written down
}

func newSealedLog(dir string, log *slog.Logger) *sealedLog {
	return &sealedLog{path: filepath.Join(dir, "sealed.jsonl"), log: log}
}

// add appends a line, durably. A file that cannot be written is told to the log and hinders nothing:
// the box must come back even from a full disk.
func (l *sealedLog) add(e sealedEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.At, e.Lost = time.Now().UTC(), l.lost
	if err := l.append(e); err != nil {
		l.lost++
		l.log.Error("keep event of a closed box", "error", err)
		return
	}
	l.lost = 0
}

var errSealedFull = errors.New("the file is full")

func (l *sealedLog) append(e sealedEvent) (err error) {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|os.O_SYNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.Size()+int64(len(line)) > sealedLimit {
		return errSealedFull
	}
	_, err = f.Write(append(line, '\n'))
	return err
}

// refused writes down how many were turned away since the last time, if any, and not more often than
// every minute unless it is the last chance.
func (l *sealedLog) refused(last bool) {
	l.mu.Lock()
	due := last || time.Since(l.flushed) >= time.Minute
	if due {
		l.flushed = time.Now()
	}
	l.mu.Unlock()
	if !due {
		return
	}
	if e := (sealedEvent{Event: "refused", HTTPS: l.https.Swap(0), MLLP: l.mllp.Swap(0)}); e.HTTPS+e.MLLP > 0 {
		l.add(e)
	}
}

// bind records the file's hash in the audit and sets the file aside under that hash, for as long as
// the audit is kept. If we crash between the two, the next start binds the same hash again: twice the
// same statement.
func (l *sealedLog) bind(ctx context.Context, s *store.Store) error {
	l.refused(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	b, err := readUpTo(l.path, 2*sealedLimit)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read events of a closed box: %w", err)
	}
	sum := sha256.Sum256(b)
	name := "sealed-" + hex.EncodeToString(sum[:8]) + ".jsonl"
	err = s.Update(ctx, self, func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: actSealed, Outcome: store.OK, Attrs: []store.Attr{
			{Key: "file", Value: name}, {Key: "sha256", Value: hex.EncodeToString(sum[:])},
			{Key: "lines", Value: fmt.Sprint(bytes.Count(b, []byte("\n")))},
		}})
	})
	if err != nil {
		return fmt.Errorf("record events of a closed box: %w", err)
	}
	if err := os.Rename(l.path, filepath.Join(filepath.Dir(l.path), name)); err != nil {
		return fmt.Errorf("set events of a closed box aside: %w", err)
	}
	return nil
}

func readUpTo(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
