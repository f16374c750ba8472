package daemon

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/store"
)

// rehearsalKeys open a backup with the box's root key and sign what is made of it with a key of the moment: a rehearsal
// must not raise the TPM's counter, nor sign a head of another log in the box's name.
type rehearsalKeys struct {
	store.Keys
	signer *ecdsa.PrivateKey
}

// SignHead implements store.Keys.
func (k rehearsalKeys) SignHead(_ context.Context, note []byte) ([]byte, error) {
	sum := sha256.Sum256(note)
	return ecdsa.SignASN1(rand.Reader, k.signer, sum[:])
}

// Signer implements store.Keys.
func (k rehearsalKeys) Signer() *ecdsa.PublicKey { return &k.signer.PublicKey }

// Counter implements store.Keys: there is none.
func (rehearsalKeys) Counter(context.Context) (uint64, error) { return 0, errors.ErrUnsupported }

// Anchor implements store.Keys: there is no counter.
func (rehearsalKeys) Anchor(context.Context, [32]byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// rehearseBackup restores the newest nightly backup, or the one that is named, for an operator.
func (b *box) rehearseBackup(r *http.Request, _ *store.Store, by store.Actor) (any, error) {
	var req struct {
		File string `json:"file"` // a name in the folder; "" is the newest
	}
	if err := decodeStrictly(r, &req); err != nil {
		return nil, err
	}
	h, err := b.beginBackup()
	if err != nil {
		return nil, err
	}
	defer b.backing.Unlock()
	names, err := b.backupFolder().list()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", admin.ErrState, backupWords(err))
	}
	name := ""
	for _, n := range names {
		if req.File == "" || n == req.File {
			name = n
		}
	}
	if name == "" {
		return nil, fmt.Errorf("%w: there is no such backup in %s", admin.ErrState, b.cfg.Backup.Folder)
	}
	if err := b.rehearse(r.Context(), h, name, by); err != nil {
		return nil, err
	}
	return map[string]string{"file": name}, nil
}

// rehearsalPath is the throwaway store of a rehearsal. It holds what the store holds, under the same keys, and is removed
// when the rehearsal is over, and by the next one if we crash within it.
func (b *box) rehearsalPath() string { return filepath.Join(b.cfg.Box.State, "rehearsal") }

// rehearse restores a backup into a throwaway store, opens it and looks into it, and keeps what came of it.
func (b *box) rehearse(ctx context.Context, h *house, name string, by store.Actor) error {
	err := b.restoreAside(ctx, name)
	words := ""
	e := store.Entry{Action: actBackupRehearsed, Outcome: store.OK, Attrs: []store.Attr{{Key: "file", Value: name}}}
	if err != nil {
		words = backupWords(err)
		e.Outcome, e.Attrs = store.Failed, append(e.Attrs, store.Attr{Key: "cause", Value: words})
	}
	at := time.Now()
	kept := noteBackup(context.WithoutCancel(ctx), h.store, by, e, func(st *backupState) {
		st.Rehearsed, st.Unproven = at, words
		switch {
		case words == "":
			st.Proven, st.ProvenFile = at, name
		case st.ProvenFile == name: // it was good once
			st.ProvenFile = ""
		}
	})
	if err != nil {
		err = fmt.Errorf("%w: %s was restored for a check, and is no good: %s", admin.ErrState, name, words)
	}
	return errors.Join(err, kept)
}

func (b *box) restoreAside(ctx context.Context, name string) (err error) {
	b.turning.Lock()
	_, keys, st, err := b.sealedKeys()
	b.turning.Unlock()
	if err != nil {
		return err
	}
	path := b.rehearsalPath()
	remove := func() error { return errors.Join(os.RemoveAll(path), os.RemoveAll(path+".restoring")) }
	if err := remove(); err != nil {
		return fmt.Errorf("remove last rehearsal: %w", err)
	}
	defer func() { err = errors.Join(err, remove()) }()
	f, err := os.Open(filepath.Join(b.cfg.Backup.Folder, name))
	if err != nil {
		return fmt.Errorf("open backup: %w", err)
	}
	defer f.Close()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make signer: %w", err)
	}
	aside := rehearsalKeys{keys, signer}
	quiet := slog.New(slog.DiscardHandler)
	info, err := store.Restore(ctx, f, path, aside, store.RestoreOptions{By: self, Log: quiet})
	if err != nil {
		return err
	}
	// The root key that opened it came from the TPM. After a loss it has to come from the kit, by what the backup carries.
	var clear clearPart
	if err := json.Unmarshal(info.Clear, &clear); err != nil || clear.Version != 1 {
		return errors.New("it does not carry the sealed keys")
	}
	if string(clear.TPM.Kit.ID) != string(st.Kit.ID) {
		return errors.New("it opens by an earlier recovery kit only: make a new backup")
	}
	s, err := store.Open(ctx, path, store.Options{Origin: "pinward/" + b.cfg.Box.ID, Keys: aside, Log: quiet, Existing: true})
	if err != nil {
		return err
	}
	err = s.View(ctx, func(tx *store.Tx) error { return lived(tx, info.Entries) })
	return errors.Join(err, s.Close())
}

// lived tells whether a restored store is one that a box could go on with: it has its log, its site and its people.
func lived(tx *store.Tx, entries uint64) error {
	if _, restored := tx.Restored(); !restored {
		return errors.New("it does not know that it was restored")
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return err
	}
	people, err := access.Users(tx)
	if err != nil {
		return err
	}
	if site.Name == "" || len(people) == 0 || entries == 0 {
		return errors.New("it holds no site, or nobody who may log in")
	}
	return nil
}
