package record

import (
	"context"
	"errors"
	"fmt"
	"os"

	"pinward/store/audit"
)

// FileWitness appends each head to a file, one a line with the time before it, and syncs it: a file
// on a share of another machine, which keeps snapshots. A file that knows more than the log, or other
// heads, is not written to: [audit.ErrOtherHistory].
func FileWitness(path string) func(context.Context, string) error {
	return func(_ context.Context, line string) error {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return fmt.Errorf("open witness file: %w", err)
		}
		return errors.Join(audit.AppendHead(f, line), f.Close())
	}
}
