package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// ErrOtherHistory means that a witness's file holds heads that the log does not have.
var ErrOtherHistory = errors.New("the witness holds heads that this log does not have: the store was set back, or there are two histories; compare with pinward audit verify --witness")

// AppendHead adds a [HeadLine] to a witness's file, with the time before it, and syncs the file. It
// refuses a head over fewer entries than the last one there, or with another root over as many:
// [ErrOtherHistory]. A head that is there already is not added again.
func AppendHead(f *os.File, line string) error {
	last, _, cut, err := LastHead(f)
	if err != nil {
		return fmt.Errorf("read witness file: %w", err)
	}
	given, err := headOf(line)
	if err != nil {
		return err
	}
	if last.Size > given.Size || last.Size == given.Size && last.Size > 0 && last.Root != given.Root {
		return ErrOtherHistory
	}
	if last.Size == given.Size {
		return f.Sync() // it is there: the receipt was lost
	}
	out := time.Now().UTC().Format(time.RFC3339) + " " + line + "\n"
	if cut {
		out = "\n" + out
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("write witness file: %w", err)
	}
	if _, err := f.WriteString(out); err != nil {
		return fmt.Errorf("write witness file: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync witness file: %w", err)
	}
	return nil
}

func headOf(line string) (h Head, err error) {
	err = HeadLines(strings.NewReader(line), func(note []byte) error {
		h, _, _, err = ParseNote(note)
		return err
	})
	return h, err
}

// tailSize is far more than a line of a witness file.
const tailSize = 64 << 10

// LastHead returns the last head in a witness's file and its note, empty if there is none, and whether
// the file's last line was cut by a crash.
func LastHead(f *os.File) (last Head, note []byte, cut bool, err error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return last, nil, false, err
	}
	tail := make([]byte, min(size, tailSize))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return last, nil, false, err
	}
	err = HeadLines(bytes.NewReader(tail), func(n []byte) error {
		h, _, _, err := ParseNote(n)
		if err == nil && h.Size >= last.Size {
			last, note = h, n
		}
		return err
	})
	return last, note, len(tail) > 0 && tail[len(tail)-1] != '\n', err
}
