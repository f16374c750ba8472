package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/store"
	"pinward/store/audit"
	"pinward/tpm"
)

// actBackupVerified says that a backup was read whole and found to be true.
const actBackupVerified store.Action = "backup.verified"

func (b *box) backupRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "POST /backup/verify", May: access.Operate, Do: b.verifyBackup},
		{Pattern: "POST /backup/rehearse", May: access.Operate, Do: b.rehearseBackup},
		{Pattern: "POST /restore/lift", May: access.SiteWrite, Do: liftRestore},
	}
}

// BackupReport is what a person wants to know of a backup.
type BackupReport struct {
	Origin   string    `json:"origin"`
	Made     time.Time `json:"made"`
	Entries  uint64    `json:"entries"`
	Bytes    int64     `json:"bytes"`
	Signer   string    `json:"signer"`
	Segments int       `json:"segments"`          // months in it
	Skipped  []string  `json:"skipped,omitempty"` // months that an earlier backup at the same place holds
	Missing  []string  `json:"missing,omitempty"` // months that were damaged when it was made
}

func reportOf(i store.BackupInfo) BackupReport {
	r := BackupReport{Origin: i.Origin, Made: i.Made, Entries: i.Entries, Bytes: i.Bytes, Segments: len(i.Segments)}
	if key, err := audit.ParseKey(i.Signer); err == nil {
		r.Signer = audit.Fingerprint(key)
	}
	for _, s := range i.Skipped {
		r.Skipped = append(r.Skipped, segmentWords(s))
	}
	for _, s := range i.Missing {
		r.Missing = append(r.Missing, segmentWords(s))
	}
	return r
}

func segmentWords(s store.SegmentInfo) string {
	return fmt.Sprintf("segment %d, entries %d to %d", s.Number, s.From, s.To)
}

// clearPart is what a backup shows to whoever wants to restore it: the sealed keys, that two shares of
// the recovery kit open.
type clearPart struct {
	Version int       `json:"version"`
	TPM     tpm.State `json:"tpm"`
}

// backup streams a backup. It is the caller's to keep it off this box, and to have it verified.
func (b *box) backup(ctx context.Context, by store.Actor, w io.Writer) error {
	b.turning.Lock()
	h, _, st, err := b.sealedKeys()
	b.turning.Unlock()
	if err != nil {
		return err
	}
	if st.Rotating() {
		return fmt.Errorf("%w: the root key is being rotated: finish that first (pinward key rotate --continue)", admin.ErrState)
	}
	clear, err := json.Marshal(clearPart{Version: 1, TPM: st})
	if err != nil {
		return fmt.Errorf("encode keys for backup: %w", err)
	}
	if _, err = h.store.Backup(ctx, w, store.BackupOptions{By: by, Clear: clear}); err != nil {
		return err
	}
	// If the root key was replaced meanwhile, the shares in it may not open the keyring in it.
	b.turning.Lock()
	defer b.turning.Unlock()
	if _, _, now, err := b.sealedKeys(); err != nil || !now.Equal(st) {
		return errors.Join(fmt.Errorf("%w: the keys were changed while the backup was made: make it again", admin.ErrState), err)
	}
	return nil
}

// handBackup streams a backup to an operator.
func (b *box) handBackup(ctx context.Context, by store.Actor, w io.Writer) error {
	if err := b.backup(ctx, by, w); err != nil {
		return err
	}
	h := b.house.Load()
	if h == nil {
		return errNotOpen // it stops
	}
	made := store.Entry{Action: actBackupKept, Outcome: store.OK, Attrs: []store.Attr{{Key: "file", Value: "streamed to the operator"}}}
	return noteBackup(ctx, h.store, by, made, func(st *backupState) { st.Made = time.Now() })
}

// verifyBackup reads a backup of this box whole: everything in it must open and fit.
func (b *box) verifyBackup(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	b.turning.Lock()
	h := b.house.Load()
	if h == nil {
		b.turning.Unlock()
		return nil, errNotOpen
	}
	keys := h.keys // a rotation replaces them
	b.turning.Unlock()
	info, err := store.VerifyBackup(r.Context(), r.Body, keys, b.cfg.Box.State)
	if err != nil {
		return nil, fmt.Errorf("%w: this is no backup that this box could be restored from: %w", admin.ErrState, err)
	}
	err = s.Update(r.Context(), by, func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: actBackupVerified, Outcome: store.OK, Attrs: []store.Attr{
			{Key: "made", Value: info.Made.UTC().Format(time.RFC3339)}, {Key: "entries", Value: fmt.Sprint(info.Entries)},
		}})
	})
	return reportOf(info), err
}

// restore makes this empty box the one that a backup was made of. Two shares of the recovery kit give
// the root key; it is sealed to this machine's TPM, which signs from here on.
//
// The state file is written last. If we crash before, a store is left that no key here opens: the next
// start removes it, and the restore is done again.
func (b *box) restore(ctx context.Context, req admin.Restore, r io.Reader) (any, error) {
	b.turning.Lock()
	defer b.turning.Unlock()
	if st := b.state.Load(); st.Name != Empty {
		return nil, fmt.Errorf("%w: it is %s, and only an empty box can be restored to", admin.ErrState, st.Name)
	}
	var head bytes.Buffer
	header, err := store.InspectBackup(io.TeeReader(r, &head))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	if want := "pinward/" + b.cfg.Box.ID; header.Origin != want {
		return nil, fmt.Errorf("%w: it is a backup of %s: set box.id in pinward.toml to that name", admin.ErrState, strings.TrimPrefix(header.Origin, "pinward/"))
	}
	var clear clearPart
	if err := json.Unmarshal(header.Clear, &clear); err != nil || clear.Version != 1 {
		return nil, fmt.Errorf("%w: the backup does not hold the sealed keys as this version knows them", admin.ErrState)
	}
	recovered, err := tpm.Recover(ctx, clear.TPM, req.Shares)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	defer recovered.Close()
	var st tpm.State
	keys, err := b.keys(ctx, func(dev *tpm.Device) (keys *tpm.Keys, err error) {
		st, keys, err = tpm.Reseal(ctx, dev, recovered, clear.TPM, tpm.ResealOptions{
			Mode: tpm.Mode(b.cfg.TPM.Unseal), Passphrase: req.Passphrase, NewTPM: true,
		})
		return keys, err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	if err := b.beginUnfinished(); err != nil {
		return nil, errors.Join(err, keys.Close())
	}
	by := store.Actor{Kind: "root", ID: "restore"}
	info, err := store.Restore(ctx, io.MultiReader(&head, r), b.storePath(), counting(keys), store.RestoreOptions{By: by, Log: b.log})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", admin.ErrState, errors.Join(err, keys.Close(), b.discardUnfinished()))
	}
	if err := tpm.SaveState(b.statePath(), st); err != nil {
		return nil, errors.Join(err, keys.Close(), b.discardUnfinished())
	}
	if err := b.endUnfinished(); err != nil {
		b.log.Error("restore", "error", err) // the next start does it
	}
	b.own(ctx, keys)
	b.open(ctx, keys, nil)
	if now := b.state.Load(); now.Name != Open {
		return nil, fmt.Errorf("%w: restored, and still sealed: %s", admin.ErrState, now.Cause)
	}
	return reportOf(info), nil
}

// liftRestore lets a restored box go on: the outbox, and what is older than the restore.
func liftRestore(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	at, ok := s.Restored()
	if !ok {
		return nil, fmt.Errorf("%w: nothing was restored, or it was lifted already", admin.ErrState)
	}
	err := s.Update(r.Context(), by, store.LiftRestore)
	return map[string]string{"restored": at.Format(time.RFC3339)}, err
}
