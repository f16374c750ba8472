package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/api"
	"pinward/daemon/health"
	"pinward/store"
)

// Actions on the nightly backups; that one was made is the store's own entry.
const (
	actBackupKept      store.Action = "backup.kept" // it lies in its folder, whole
	actBackupFailed    store.Action = "backup.failed"
	actBackupPruned    store.Action = "backup.pruned"
	actBackupRehearsed store.Action = "backup.rehearsed" // one was restored for a check
)

const (
	backupOverdue   = 36 * time.Hour
	backupLost      = 7 * 24 * time.Hour
	rehearseEvery   = 30 * 24 * time.Hour
	rehearseOverdue = 40 * 24 * time.Hour
)

// backupState is what is known of the box's backups.
type backupState struct {
	Made  time.Time // of the last one that was written whole, nightly or by hand
	File  string    // the last nightly one, a name in the folder
	Bytes int64     // of it
	Tried time.Time // of the last nightly try
	Cause string    // why that one failed, "" if it did not

	Rehearsed  time.Time // when one was last restored for a check
	Unproven   string    // why that failed, "" if it did not
	Proven     time.Time // when one was last restored whole
	ProvenFile string
}

var backups = store.NewTable[backupState]("daemon.backups")

var backupsKey = []byte("backups")

func backupsOf(tx *store.Tx) (backupState, error) {
	st, _, err := backups.Get(tx, backupsKey)
	if err != nil {
		return st, fmt.Errorf("read state of backups: %w", err)
	}
	return st, nil
}

// noteBackup changes what is known of the backups, with the entry that says why.
func noteBackup(ctx context.Context, s *store.Store, by store.Actor, e store.Entry, change func(*backupState)) error {
	return s.Update(ctx, by, func(tx *store.Tx) error {
		st, err := backupsOf(tx)
		if err != nil {
			return err
		}
		change(&st)
		if err := backups.Put(tx, backupsKey, st); err != nil {
			return fmt.Errorf("keep state of backups: %w", err)
		}
		return tx.Record(e)
	})
}

func (b *box) backupFolder() backupFolder {
	return backupFolder{dir: b.cfg.Backup.Folder, box: b.cfg.Box.ID, keep: b.cfg.Backup.Keep}
}

// tally counts what is written.
type tally struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (t *tally) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.n += int64(n)
	return n, err
}

// runBackup makes the nightly backup; pinward-backup.timer asks for it, and an update before it installs anything. The
// daemon makes it in its own name, without a login: a credential on the disk that fetches the whole store would be worth
// stealing, and whoever can send this gets nothing but a file that the recovery kit alone opens, in a folder that the
// configuration names.
func (b *box) runBackup(ctx context.Context) (any, error) {
	h, err := b.beginBackup()
	if err != nil {
		return nil, err
	}
	defer b.backing.Unlock()
	folder, at, size := b.backupFolder(), time.Now(), int64(0)
	name, err := folder.write(ctx, at, func(ctx context.Context, w io.Writer) error {
		out := &tally{w: w}
		defer func() { size = out.n }()
		return b.backup(ctx, self, out)
	})
	if err != nil {
		return nil, b.backupFailed(ctx, h, at, err)
	}
	kept := store.Entry{Action: actBackupKept, Outcome: store.OK, Attrs: []store.Attr{{Key: "file", Value: name}}}
	if err := noteBackup(ctx, h.store, self, kept, func(st *backupState) {
		st.Made, st.File, st.Bytes, st.Tried, st.Cause = at, name, size, at, ""
	}); err != nil {
		return nil, err
	}
	var st backupState
	if err := h.store.View(ctx, func(tx *store.Tx) (err error) { st, err = backupsOf(tx); return err }); err != nil {
		return nil, err
	}
	removed, err := folder.prune(st.ProvenFile)
	if len(removed) > 0 {
		err = errors.Join(err, h.store.Update(ctx, self, func(tx *store.Tx) error {
			return tx.Record(store.Entry{Action: actBackupPruned, Outcome: store.OK, Attrs: []store.Attr{{Key: "files", Value: strings.Join(removed, " ")}}})
		}))
	}
	if err != nil {
		return nil, b.backupFailed(ctx, h, at, err)
	}
	if at.Sub(st.Rehearsed) >= rehearseEvery || st.Unproven != "" {
		if err := b.rehearse(ctx, h, name, self); err != nil {
			return nil, err
		}
	}
	return map[string]any{"file": filepath.Join(folder.dir, name), "bytes": size}, nil
}

// beginBackup takes the turn of whoever works on the backups; the caller unlocks backing.
func (b *box) beginBackup() (*house, error) {
	h := b.house.Load()
	switch {
	case h == nil:
		return nil, fmt.Errorf("%w: the box is %s: see pinward status", admin.ErrState, b.state.Load().Name)
	case b.cfg.Backup.Folder == "":
		return nil, fmt.Errorf("%w: no folder for backups is configured: see [backup] in pinward.toml", admin.ErrState)
	case !b.backing.TryLock():
		return nil, fmt.Errorf("%w: a backup is being made or checked", admin.ErrState)
	}
	return h, nil
}

// backupFailed keeps why there is no backup of tonight. A caller who hung up is no reason to lose that.
func (b *box) backupFailed(ctx context.Context, h *house, at time.Time, err error) error {
	words := backupWords(err)
	failed := store.Entry{Action: actBackupFailed, Outcome: store.Failed, Attrs: []store.Attr{{Key: "cause", Value: words}}}
	kept := noteBackup(context.WithoutCancel(ctx), h.store, self, failed, func(st *backupState) { st.Tried, st.Cause = at, words })
	return errors.Join(fmt.Errorf("%w: no backup: %s", admin.ErrState, words), kept)
}

// status is what `pinward status` shows of the backups.
func (b *box) backupStatus(tx *store.Tx) (*admin.BackupStatus, error) {
	st, err := backupsOf(tx)
	if err != nil || b.cfg.Backup.Folder == "" && st.Made.IsZero() {
		return nil, err
	}
	return &admin.BackupStatus{
		Folder: b.cfg.Backup.Folder, Made: st.Made, File: st.File, Bytes: st.Bytes, Failed: st.Cause,
		Rehearsed: st.Rehearsed, Proven: st.Proven, Unproven: st.Unproven,
	}, nil
}

// checkBackup is how the backups stand. A box without any is given time after its set-up.
func (b *box) checkBackup(h *house) health.Check {
	return health.Check{Name: "backup", Ask: func() (health.State, string) {
		var st backupState
		var c commissioning
		err := h.store.View(context.Background(), func(tx *store.Tx) (err error) {
			if st, err = backupsOf(tx); err == nil {
				c, _, err = progress(tx)
			}
			return err
		})
		if err != nil {
			return health.Unknown, "how the backups stand cannot be read"
		}
		if st.Made.IsZero() {
			st.Made = c.Finished
		}
		return st.judge(time.Now(), b.cfg.Backup.Folder != "")
	}}
}

// judge says what somebody should see to. Made is when set-up was finished where there was no backup yet, and zero for a
// box without set-up (the demo), from which nothing is wanted.
func (st backupState) judge(now time.Time, nightly bool) (health.State, string) {
	age, how := now.Sub(st.Made), "pinward backup run"
	if !nightly {
		how = "see [backup] in pinward.toml"
	}
	switch {
	case st.Made.IsZero():
		return health.OK, ""
	case age > backupLost:
		return health.Fail, fmt.Sprintf("there is no backup of the last %d days: %s", int(age.Hours()/24), how)
	case st.Cause != "":
		return health.Warn, "the last backup failed: " + st.Cause
	case age > backupOverdue:
		return health.Warn, fmt.Sprintf("there is no backup of the last %d hours: %s", int(age.Hours()), how)
	case st.Unproven != "":
		return health.Warn, "a backup that was restored for a check is no good: " + st.Unproven
	case st.File != "" && now.Sub(st.Rehearsed) > rehearseOverdue:
		return health.Warn, "no backup was restored for a check for a month: pinward backup rehearse"
	}
	return health.OK, ""
}

// backupFigures are what /metrics shows of the backups.
func (h *house) backupFigures() (f api.BackupFigures) {
	if err := h.store.View(context.Background(), func(tx *store.Tx) error {
		st, err := backupsOf(tx)
		f = api.BackupFigures{Made: st.Made, Proven: st.Proven, Failed: st.Cause != "", Unproven: st.Unproven != "", Bytes: st.Bytes}
		return err
	}); err != nil {
		h.log.Error("read figures of backups", "error", err)
	}
	return f
}
