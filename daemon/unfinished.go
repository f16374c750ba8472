package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"pinward/daemon/admin"
	"pinward/tpm"
)

// unfinishedPath is the mark of a set-up or a restore under way: while it is there and no sealed keys
// are, the store beside it belongs to keys that were never saved. Nobody has a share that opens it, and
// nobody was told that it exists; so a start after a crash may remove it. Without the mark a store
// without keys is a loss, which the box shows and never repairs by itself.
func (b *box) unfinishedPath() string { return filepath.Join(b.cfg.Box.State, "unfinished") }

// beginUnfinished sets the mark for a set-up or a restore. A store that somebody has put here meanwhile
// is not theirs to replace.
func (b *box) beginUnfinished() error {
	if exists(b.storePath()) {
		return fmt.Errorf("%w: a store is here already (%s): restart to see what it is, or move it away", admin.ErrState, b.storePath())
	}
	return b.markUnfinished("")
}

// discard is what the mark says of a set-up that is to be begun again: its keys are to go as well, and
// the TPM is given back first, or nobody could own it again.
const discard = "discard"

// markUnfinished sets the mark, durably, before anything is made or removed that it speaks of.
func (b *box) markUnfinished(what string) error {
	f, err := os.OpenFile(b.unfinishedPath(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(what)
		err = errors.Join(err, f.Sync(), f.Close(), syncFolder(b.cfg.Box.State))
	}
	if err != nil {
		return fmt.Errorf("mark unfinished set-up: %w", err)
	}
	return nil
}

// discarding tells whether the keys that are here are to go: setup --again was cut off.
func (b *box) discarding() bool {
	what, err := os.ReadFile(b.unfinishedPath())
	return err == nil && string(what) == discard
}

// discardKeys gives the TPM back and removes a set-up that is to be begun again. What of it was done
// already is left, so that a crash within it is ended by the next start.
func (b *box) discardKeys(ctx context.Context, keys *tpm.Keys) error {
	if err := keys.Release(ctx); err != nil {
		return err
	}
	return errors.Join(keys.Close(), b.discardUnfinished())
}

// endUnfinished takes the mark away, once the keys are saved or all that it speaks of is gone.
func (b *box) endUnfinished() error {
	err := os.Remove(b.unfinishedPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncFolder(b.cfg.Box.State)
	}
	if err != nil {
		return fmt.Errorf("end unfinished set-up: %w", err)
	}
	return nil
}

// discardUnfinished removes what a set-up or a restore made that is not to be: the keys first, which may
// be saved although saving them failed. If we crash within it, the next start does the rest.
func (b *box) discardUnfinished() error {
	if err := os.Remove(b.statePath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove unfinished set-up: %w", err)
	}
	err := errors.Join(syncFolder(b.cfg.Box.State), os.RemoveAll(b.storePath()), os.RemoveAll(b.storePath()+".restoring"))
	if err != nil {
		return fmt.Errorf("remove unfinished store: %w", err)
	}
	return b.endUnfinished()
}

// syncFolder makes what was made, renamed or removed in a folder durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
