package daemon

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/store"
	"pinward/tpm"
)

// Actions on the box's keys.
const (
	actSuspend    store.Action = "key.suspend"
	actPassphrase store.Action = "key.passphrase"
	actLockout    store.Action = "key.lockout.reset"
	actResume     store.Action = "key.resume" // a suspension was used up by a start
)

// keyRoutes are what an operator does with the keys of an open box.
func (b *box) keyRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "GET /key", May: access.StatusRead, Do: b.keyStatus},
		{Pattern: "POST /key/suspend", May: access.SiteWrite, Do: b.suspend},
		{Pattern: "POST /key/passphrase", May: access.SiteWrite, Do: b.changePassphrase},
		{Pattern: "POST /key/lockout", May: access.SiteWrite, Do: b.resetLockout},
	}
}

// KeyStatus is what `pinward key status` shows. Nothing in it is secret.
type KeyStatus struct {
	Mode       string       `json:"mode"` // what a start needs
	SecureBoot string       `json:"secure_boot"`
	Why        string       `json:"why,omitempty"` // Secure Boot is not on
	PCRs       []int        `json:"pcrs,omitempty"`
	Kit        string       `json:"kit"` // its id, as on the shares
	LastDrill  time.Time    `json:"last_drill,omitzero"`
	Drilled    []int        `json:"drilled,omitempty"` // shares of the last drill
	Holders    []KeyHolder  `json:"holders,omitempty"`
	Suspended  bool         `json:"suspended"` // for the next start
	Rotating   bool         `json:"rotating"`
	Signer     string       `json:"signer"`
	Former     []KeySigner  `json:"former,omitempty"` // signers of the TPMs before this one
	TPM        *tpm.Info    `json:"tpm,omitempty"`
	TPMError   string       `json:"tpm_error,omitempty"`
	Warnings   []string     `json:"warnings,omitempty"`
	Anchors    AnchorStatus `json:"anchors"`
	Index      KeyIndex     `json:"index"`
}

// AnchorStatus is how the log is bound to the TPM's counter.
type AnchorStatus struct {
	Last    time.Time `json:"last,omitzero"`
	Counter uint64    `json:"counter"`
	Error   string    `json:"error,omitempty"` // why the last try failed
}

// KeySigner is a key that signed heads once.
type KeySigner struct {
	Fingerprint string    `json:"fingerprint"`
	Until       time.Time `json:"until"`
}

// drillEvery is how long a drill proves anything: holders move, envelopes get lost.
const drillEvery = 365 * 24 * time.Hour

var errNoTPM = fmt.Errorf("%w: the keys of this box are not in a TPM", admin.ErrState)

// sealedKeys are the keys of a box that has a TPM, with the state that belongs to them. The caller
// holds turning.
func (b *box) sealedKeys() (*house, *tpm.Keys, tpm.State, error) {
	h := b.house.Load()
	if h == nil {
		return nil, nil, tpm.State{}, errNotOpen
	}
	keys, ok := h.keys.(*tpm.Keys)
	if !ok {
		return nil, nil, tpm.State{}, errNoTPM
	}
	st, err := tpm.LoadState(b.statePath())
	return h, keys, st, err
}

// askLimit is how long a status waits for the chip.
const askLimit = 5 * time.Second

// keyStatus shows how the keys stand. It waits for nobody: while another command has the keys, or the
// chip hangs, it shows what is known without them, and says so.
func (b *box) keyStatus(r *http.Request, s *store.Store, _ store.Actor) (any, error) {
	st, err := tpm.LoadState(b.statePath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, errNoTPM
	}
	if err != nil {
		return nil, err
	}
	k := b.keyState(st, s)
	err = s.View(r.Context(), func(tx *store.Tx) error {
		c, _, err := progress(tx)
		k.Holders = c.holders()
		return err
	})
	if err != nil {
		return nil, err
	}
	if info, err := b.askChip(r.Context()); err != nil {
		k.TPMError = err.Error()
	} else {
		k.TPM = &info
	}
	k.Warnings = keyWarnings(k, time.Now())
	return k, nil
}

// keyState is what is known of the keys without the chip.
func (b *box) keyState(st tpm.State, of *store.Store) KeyStatus {
	boot, why := tpm.SecureBoot(b.cfg.TPM.Sysfs)
	s := KeyStatus{
		Mode: string(st.Mode), SecureBoot: string(boot), Why: why, Kit: hex.EncodeToString(st.Kit.ID),
		Suspended: st.Suspension != nil, Rotating: st.Rotating(), Signer: of.Fingerprint(), Index: keyIndex(of),
	}
	for _, p := range st.Seal.PCRs {
		s.PCRs = append(s.PCRs, p.Index)
	}
	for _, former := range st.Signers {
		s.Former = append(s.Former, KeySigner{Fingerprint: hex.EncodeToString(former.Fingerprint), Until: former.ReplacedAt})
	}
	if st.LastDrill != nil {
		s.LastDrill, s.Drilled = st.LastDrill.At, st.LastDrill.Shares
	}
	a := of.Anchors()
	s.Anchors.Last, s.Anchors.Counter = a.At, a.Counter
	if a.Trouble != nil {
		s.Anchors.Error = a.Trouble.Error()
	}
	return s
}

// askChip asks the TPM what it is and how it stands, unless another command has it.
func (b *box) askChip(ctx context.Context) (tpm.Info, error) {
	if !b.turning.TryLock() {
		since, held := b.turning.held()
		if !held {
			since = time.Now() // it has just ended
		}
		return tpm.Info{}, fmt.Errorf("not asked: another key command is at work since %s", since.Local().Format(time.TimeOnly))
	}
	dev := b.device // it may be asked while others ask it
	b.turning.Unlock()
	if dev == nil {
		return tpm.Info{}, errNoTPM
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	info, err := dev.Info(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v: %w", askLimit, tpm.ErrUnreachable)
	}
	return info, err
}

// keyWarnings are what a person should see to, in words.
func keyWarnings(s KeyStatus, now time.Time) (w []string) {
	if s.LastDrill.IsZero() || now.Sub(s.LastDrill) > drillEvery {
		w = append(w, "the recovery kit was not tried for a year: run pinward key drill with two of its holders")
	}
	if s.Suspended {
		w = append(w, "suspended: until the next start is over, whoever takes the box opens it, whatever he boots")
	}
	if s.Rotating {
		w = append(w, "a rotation of the root key did not end: run pinward key rotate --continue")
	}
	if s.Mode == string(tpm.ModeTPM) {
		w = append(w, "it opens by itself: a stolen box that boots as before is not protected")
	}
	if s.TPM != nil && s.TPM.InLockout {
		w = append(w, "the TPM is in lockout, by another program's doing: pinward key lockout-reset ends it")
	}
	return w
}

// suspend lets the box open once after a firmware update.
func (b *box) suspend(r *http.Request, _ *store.Store, by store.Actor) (any, error) {
	var req struct {
		Passphrase string `json:"passphrase"`
		Resets     int    `json:"resets"`
	}
	return b.alter(r, by, actSuspend, &req, func(ctx context.Context, keys *tpm.Keys, st tpm.State) (tpm.State, []store.Attr, error) {
		st, err := tpm.Suspend(ctx, keys, st, tpm.SuspendOptions{Passphrase: req.Passphrase, Resets: req.Resets})
		return st, []store.Attr{{Key: "resets", Value: fmt.Sprint(max(1, req.Resets))}}, err
	})
}

func (b *box) changePassphrase(r *http.Request, _ *store.Store, by store.Actor) (any, error) {
	var req struct {
		Old    string   `json:"old"`
		Shares []string `json:"shares"`
		New    string   `json:"new"`
	}
	return b.alter(r, by, actPassphrase, &req, func(ctx context.Context, _ *tpm.Keys, st tpm.State) (tpm.State, []store.Attr, error) {
		st, err := tpm.ChangePassphrase(ctx, b.device, st, tpm.PassphraseChange{Old: req.Old, Shares: req.Shares, New: req.New})
		return st, nil, err
	})
}

func (b *box) resetLockout(r *http.Request, _ *store.Store, by store.Actor) (any, error) {
	return b.alter(r, by, actLockout, &struct{}{}, func(ctx context.Context, keys *tpm.Keys, st tpm.State) (tpm.State, []store.Attr, error) {
		return st, nil, keys.ResetLockout(ctx)
	})
}

// alter does something with the keys and saves the state that comes of it, which then counts. The entry
// comes before that, and a failure is an entry too: if we crash between the two, the audit says more
// than happened, never less.
func (b *box) alter(r *http.Request, by store.Actor, act store.Action, req any,
	do func(context.Context, *tpm.Keys, tpm.State) (tpm.State, []store.Attr, error)) (any, error) {
	if err := decodeStrictly(r, req); err != nil {
		return nil, err
	}
	b.turning.Lock()
	defer b.turning.Unlock()
	h, keys, st, err := b.sealedKeys()
	if err != nil {
		return nil, err
	}
	after, attrs, failed := do(r.Context(), keys, st)
	outcome := store.OK
	if failed != nil {
		outcome = store.Failed
	}
	err = h.store.Update(r.Context(), by, func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: act, Outcome: outcome, Attrs: attrs})
	})
	if failed != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", admin.ErrState, failed), err)
	}
	if err == nil && !after.Equal(st) {
		if err = tpm.SaveState(b.statePath(), after); err == nil && !after.Rotating() {
			b.dropRotation() // it would put back what was just changed
		}
	}
	if err != nil {
		return nil, err
	}
	return map[string]string{"done": string(act)}, nil
}

// decodeStrictly reads the body of a control request, and names the place where it is wrong.
func decodeStrictly(r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: request body at byte %d: %w", admin.ErrState, dec.InputOffset(), err)
	}
	return nil
}
