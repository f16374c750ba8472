package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"pinward/daemon/admin"
	"pinward/tpm"
)

// giveUp clears the TPM, or gives it back to the programs that it is kept for, and says what came of it.
func giveUp(ctx context.Context, keys *tpm.Keys, keep string) string {
	if keep == "" {
		return cleared(keys.Destroy(ctx))
	}
	return kept(keep, keys.Release(ctx))
}

func cleared(err error) string {
	switch {
	case errors.Is(err, tpm.ErrCleared):
		return "NOT cleared by this box: it was cleared by somebody before, or it is not the one that held the keys. If the board was replaced, clear the old one in its firmware's menu"
	case err != nil:
		return "NOT cleared: clear it in the firmware's menu before the machine leaves the house"
	}
	return "cleared: no copy of what was sealed to it opens any more"
}

func kept(reason string, err error) string {
	s := "left as it is: " + reason + "; a copy of the state folder of before opens on this machine"
	if err != nil && !errors.Is(err, tpm.ErrCleared) {
		s += "; its owner and lockout authorisation were NOT given back: only the firmware's menu clears it now"
	}
	return s
}

// remains are the paths that go with a box.
func (b *box) remains() []string {
	return []string{b.statePath(), b.storePath(), b.storePath() + ".restoring", b.rehearsalPath(), b.rehearsalPath() + ".restoring",
		filepath.Join(b.cfg.Box.State, "sealed.jsonl"), b.unfinishedPath()}
}

// finishEnd removes all that is left of the box but the certificate, and adds to the certificate whether it could. It may be done
// again, and each start does until nothing is left.
func (b *box) finishEnd(c *Certificate) error {
	err := b.saveCertificate(*c) // what became of the TPM, before the sealed keys go, by which another start could see to it
	if err != nil {
		b.log.Error("end of the box", "error", err) // it stays "not known", which is true of what the disk says
	}
	var left []error
	for _, path := range b.remains() {
		left = append(left, os.RemoveAll(path))
	}
	failed := errors.Join(errors.Join(left...), syncFolder(b.cfg.Box.State))
	c.Store = storeRemoved
	next := b.afterEnd()
	if failed != nil {
		c.Store = "NOT removed: " + failed.Error() + ". Remove them by hand, or wipe the disk"
		next = "see that " + b.cfg.Box.State + " can be written to, then restart: what is left is removed then"
	}
	err = errors.Join(err, failed, b.saveCertificate(*c))
	b.enterEnded(*c, next)
	if err != nil {
		return fmt.Errorf("remove what is left of the box: %w", err)
	}
	return nil
}

func (b *box) enterEnded(c Certificate, next string) {
	b.enter(Decommissioned, "this box was taken out of service; the TPM was "+c.TPM+"; the store was "+c.Store, next)
}

func (b *box) afterEnd() string {
	return "the certificate is " + b.certificatePath() + "; pinward decommission shows it. To use the machine for a new box, keep that file elsewhere, remove it here and restart"
}

// finished tells whether the certificate says all, and nothing is left to remove.
func (b *box) finished(c Certificate) bool {
	return c.Store == storeRemoved && !slices.ContainsFunc(b.remains(), exists)
}

// ended goes on with an end that was certified, at a start. It reports whether the box has one.
func (b *box) ended(ctx context.Context) bool {
	text, err := os.ReadFile(b.certificatePath())
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	var c Certificate
	if err = errors.Join(err, json.Unmarshal(text, &c)); err != nil {
		b.enter(Sealed, "the certificate of this box's end cannot be read: "+err.Error(), "look at "+b.certificatePath())
		return true
	}
	if st, err := tpm.LoadState(b.statePath()); err == nil && c.TPM == tpmUnknown {
		keys, err := b.keys(ctx, func(dev *tpm.Device) (*tpm.Keys, error) {
			_, keys, err := tpm.Unseal(ctx, dev, st, "") // where it takes a passphrase, nobody is here to give it
			return keys, err
		})
		switch {
		case err == nil:
			c.TPM = giveUp(ctx, keys, c.KeepTPM)
			err = keys.Close()
		case c.KeepTPM != "":
			c.TPM = kept(c.KeepTPM, err)
		default:
			c.TPM = cleared(err)
		}
		if err != nil {
			b.log.Error("end of the box", "error", err)
		}
	}
	if b.finished(c) {
		b.enterEnded(c, b.afterEnd())
		return true
	}
	if err := b.finishEnd(&c); err != nil {
		b.log.Error("end of the box", "error", err)
	}
	return true
}

// certificate is shown in the last state of a box, to whoever may open the control socket.
func (b *box) certificate() (any, error) {
	var c Certificate
	text, err := os.ReadFile(b.certificatePath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: this box was not taken out of service", admin.ErrState)
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	return c, err
}
