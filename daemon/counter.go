package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"pinward/daemon/health"
	"pinward/daemon/outbox"
	"pinward/store"
	"pinward/store/audit"
	"pinward/tpm"
)

// tpmKeys gives the store a TPM's keys: the two rooms know nothing of each other, and each has its own
// words for a counter that is gone or was just raised.
type tpmKeys struct{ *tpm.Keys }

// Counter implements store.Keys.
func (k tpmKeys) Counter(ctx context.Context) (uint64, error) {
	n, err := k.Keys.Counter(ctx)
	return n, inStoreWords(err)
}

// Anchor implements store.Keys.
func (k tpmKeys) Anchor(ctx context.Context, noteHash [32]byte) ([]byte, error) {
	attestation, err := k.Keys.Anchor(ctx, noteHash)
	return attestation, inStoreWords(err)
}

func inStoreWords(err error) error {
	switch {
	case errors.Is(err, tpm.ErrCleared):
		return fmt.Errorf("%w: %w", store.ErrCounterGone, err)
	case errors.Is(err, tpm.ErrAnchorTooSoon):
		return fmt.Errorf("%w: %w", store.ErrAnchorSoon, err)
	}
	return err
}

// counting is how the store sees keys.
func counting(keys store.Keys) store.Keys {
	if k, ok := keys.(*tpm.Keys); ok {
		return tpmKeys{k}
	}
	return keys
}

// storeRemedy is what helps a store that could not be opened for this reason.
func storeRemedy(err error) string {
	switch {
	case errors.Is(err, store.ErrRollback):
		return "put the newest copy of the store back and restart; if there is none, two holders of the recovery kit run: pinward key unseal --kit --accept-rollback WHY"
	case errors.Is(err, store.ErrCounterGone):
		return "if the TPM was cleared or replaced by you, run: pinward key unseal --kit --new-tpm; if not, treat the box as tampered with"
	case errors.Is(err, tpm.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
		return "see that the TPM answers, then run: pinward key unseal"
	}
	return "restore the store from the backup, then restart"
}

// acceptance is the operator's word that an older store is taken; nil if there is none.
func acceptance(why string) *store.Acceptance {
	if why = strings.TrimSpace(why); why == "" {
		return nil
	}
	return &store.Acceptance{By: store.Actor{Kind: store.KindRoot, ID: "recovery kit"}, Why: why, Also: holdLanes}
}

// holdLanes holds every lane of a store that is older than the counter: it does not know what was sent
// since, and a text that goes out twice is worse than one that a person looks at first.
func holdLanes(tx *store.Tx) error {
	for _, l := range []outbox.Lane{outbox.OTP, outbox.Notice, outbox.Bulk} {
		if err := outbox.Pause(tx, l); err != nil {
			return err
		}
	}
	return nil
}

// headLate is for how long the TPM may sign no head before health warns: it is asked each minute.
const headLate = 15 * time.Minute

// checkAnchors warns when no head can be signed, and when the TPM has not bound the audit to its counter for two hours.
func (h *house) checkAnchors() health.Check {
	return health.Check{Name: "anchors", Ask: func() (health.State, string) {
		st := h.store.Anchors()
		if u := h.store.Unsigned(); u != nil && time.Since(u.Since) > headLate {
			return health.Warn, fmt.Sprintf("no head of the audit was signed for %v: %v", time.Since(u.Since).Round(time.Minute), u.Err)
		}
		since := time.Since(later(st.At, h.since))
		if !st.Counted || since < audit.AnchorLate+10*time.Minute {
			return health.OK, ""
		}
		cause := fmt.Sprintf("the audit was not anchored to the TPM for %v", since.Round(time.Minute))
		if st.Trouble != nil {
			cause += ": " + st.Trouble.Error()
		}
		return health.Warn, cause
	}}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
