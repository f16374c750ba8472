package daemon

import (
	"context"
	"errors"
	"time"

	"pinward/tpm"
)

// A TPM that does not answer at the start may do so later: a driver that comes late, a chip that is
// busy with itself. The box comes back by itself then; nobody has to be woken.
const (
	againFirst = 5 * time.Second
	againMost  = 5 * time.Minute
)

// retry plans another try if err is a TPM that did not answer, and none otherwise: all other causes
// need a person. The caller holds turning.
func (b *box) retry(err error) {
	if !errors.Is(err, tpm.ErrUnreachable) {
		b.pause = 0
		b.again.Store(nil)
		return
	}
	b.pause = min(max(2*b.pause, againFirst), againMost)
	at := time.Now().Add(b.pause)
	b.again.Store(&at)
}

// tryAgain asks the TPM once more when it is time to, beside the loop that calls it.
func (b *box) tryAgain(ctx context.Context) {
	at := b.again.Load()
	if at == nil || time.Now().Before(*at) || !b.again.CompareAndSwap(at, nil) {
		return
	}
	b.retrying.Go(func() {
		b.turning.Lock()
		defer b.turning.Unlock()
		if b.state.Load().Name != Sealed {
			return // an operator was faster
		}
		st, err := tpm.LoadState(b.statePath())
		if err != nil {
			b.log.Error("read sealed keys", "error", err)
			return
		}
		b.unsealTPM(ctx, st, "")
	})
}
