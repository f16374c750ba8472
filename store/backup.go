package store

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pinward/store/audit"
)

// backupFormat numbers the form of a backup.
const backupFormat = 1

// BackupOptions say what goes into a backup.
type BackupOptions struct {
	// By is who asked for it; by default the store itself.
	By audit.Actor
	// Clear is kept in clear in the header: what is needed to get at the keys again, such as the wrapped
	// root key with its recovery shares. Never a secret.
	Clear []byte
	// Have lists segments that an earlier backup at the same place holds; they are left out.
	Have []SegmentID
}

// BackupHeader is what stands in clear at the beginning of a backup. All of it is authenticated by
// every frame that follows.
type BackupHeader struct {
	Format   int
	Origin   string
	Store    [16]byte // id of the store
	Made     time.Time
	Entries  uint64        // in the log
	Head     []byte        // the last signed head, a note; nil if there was none
	Signer   []byte        // SubjectPublicKeyInfo of the key that signs heads
	Clear    []byte        // of BackupOptions
	Keyring  []byte        // wrapped under the root key
	Key      []byte        // of the frames, sealed under the keyring's backup key
	Segments []SegmentInfo // in this backup
	Skipped  []SegmentInfo // left out, since the place had them
	Missing  []SegmentInfo // damaged in the store when it was made
}

// BackupInfo describes a backup that was written or verified.
type BackupInfo struct {
	BackupHeader
	Bytes int64 // of the whole stream
}

// Backup writes one consistent state of the store to w, encrypted, while everything goes on. w may be
// slow: the live file is copied beside it first, so that no snapshot lasts longer than that copy.
// Whoever has the root key can read it, and nobody else.
//
// Errors to branch on: [ErrFull].
func (s *Store) Backup(ctx context.Context, w io.Writer, o BackupOptions) (BackupInfo, error) {
	info, err := s.backup(ctx, w, o)
	if err != nil {
		return info, fmt.Errorf("back up store: %w", err)
	}
	if o.By == (audit.Actor{}) {
		o.By = self
	}
	err = s.update(ctx, &Tx{actor: o.By}, func(tx *Tx) error {
		return tx.Record(Entry{Action: ActionBackup, Outcome: OK, Attrs: []Attr{
			{Key: "entries", Value: decimal(info.Entries)}, {Key: "segments", Value: decimal(uint64(len(info.Segments)))},
			{Key: "bytes", Value: decimal(uint64(info.Bytes))},
		}})
	})
	if err != nil {
		return info, fmt.Errorf("record backup: %w", err)
	}
	return info, nil
}

func (s *Store) backup(ctx context.Context, w io.Writer, o BackupOptions) (BackupInfo, error) {
	var info BackupInfo
	if err := s.signHead(ctx); err != nil {
		s.log.Warn("backup is made without a new head", "error", err)
	}
	copied, wrapper, segs, err := s.copyWithKey(ctx, &info.BackupHeader)
	if err != nil {
		return info, asFull(err)
	}
	defer os.Remove(copied)
	if err := s.at("live file copied"); err != nil {
		return info, err
	}
	info.Format, info.Made, info.Origin, info.Store = backupFormat, time.Now().UTC().Round(0), s.origin, s.id
	info.Clear = o.Clear
	if info.Signer, err = audit.MarshalKey(s.keys.Signer()); err != nil {
		return info, err
	}
	var put []*segment
	for _, g := range segs {
		switch {
		case slices.Contains(o.Have, g.ID()):
			info.Skipped = append(info.Skipped, g.SegmentInfo)
		case g.bad.Load() != nil:
			info.Missing = append(info.Missing, g.SegmentInfo)
		default:
			info.Segments, put = append(info.Segments, g.SegmentInfo), append(put, g)
		}
	}
	key := randomKey()
	wrap, err := newAEAD(wrapper)
	if err != nil {
		return info, err
	}
	info.Key = wrap.Seal(nil, nil, key, append([]byte("backup key/v1\x00"), info.Store[:]...))
	out := &sealer{w: w}
	if out.aead, err = newAEAD(key); err != nil {
		return info, err
	}
	top := 0
	if out.top, top, err = writeTop(w, &info.BackupHeader); err != nil {
		return info, err
	}
	t := tar.NewWriter(out)
	for _, g := range put {
		if err := putFile(ctx, t, g.path, fmt.Sprintf(segmentName, g.Number)); err != nil {
			return info, err
		}
	}
	if err := errors.Join(putFile(ctx, t, copied, fileName), t.Close(), out.Close()); err != nil {
		return info, err
	}
	info.Bytes = int64(top) + out.bytes
	return info, nil
}

// copyWithKey copies the live file and gives the key on the copy's keyring that wraps those of backups.
func (s *Store) copyWithKey(ctx context.Context, h *BackupHeader) (path string, wrapper []byte, segs []*segment, err error) {
	for {
		if err := s.needBackupKey(ctx); err != nil {
			return "", nil, nil, err
		}
		if path, segs, err = s.copyLive(ctx, h); err != nil {
			return "", nil, nil, err
		}
		r, err := unwrapRing(ctx, s.keys, h.Keyring)
		if err == nil && r.backup != nil {
			return path, r.backup, segs, nil
		}
		_ = os.Remove(path)
		if err != nil {
			return "", nil, nil, err
		}
		// A rotation of the index has taken the key off the ring meanwhile.
	}
}

// needBackupKey makes the key that wraps those of backups.
func (s *Store) needBackupKey(ctx context.Context) error {
	if s.durable.Load().ring.backup != nil {
		return nil
	}
	return s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		if tx.ring.backup != nil {
			return nil
		}
		n := *tx.ring
		n.backup = randomKey()
		tx.ring, tx.ringNew = &n, true
		return tx.keyEntry(purposeBackup, 1, n.backup)
	})
}

// copyLive copies the live file as one durable snapshot has it, and fills in what the header says of it.
// If we crash, the copy is removed at the next start.
func (s *Store) copyLive(ctx context.Context, h *BackupHeader) (path string, segs []*segment, err error) {
	if err := s.space.room(uint64(usedSize(s.durable.Load().file.db))); err != nil {
		return "", nil, fmt.Errorf("copy live file: %w", err)
	}
	var suffix [8]byte
	_, _ = rand.Read(suffix[:])
	path = filepath.Join(filepath.Dir(s.path), fileNew+hex.EncodeToString(suffix[:]))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", nil, fmt.Errorf("copy live file: %w", err)
	}
	err = s.inPieces(ctx, func(p *span, _ *ring) (bool, error) {
		h.Entries = p.size()
		h.Keyring = bytes.Clone(p.live.Bucket(bucketMeta).Get(keyKeyring))
		_, note := p.live.Bucket(bucketHeads).Cursor().Last()
		h.Head = bytes.Clone(note)
		segs = p.file.segments
		out := &failure{w: f}
		if _, err := p.live.WriteTo(out); err != nil {
			return false, errors.Join(out.err, err) // bbolt says what failed in words alone
		}
		return true, nil
	})
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path)
		return "", nil, fmt.Errorf("copy live file: %w", err)
	}
	return path, segs, nil
}

// failure is a writer that keeps the error with which it failed.
type failure struct {
	w   io.Writer
	err error
}

func (f *failure) Write(p []byte) (n int, err error) {
	n, err = f.w.Write(p)
	f.err = errors.Join(f.err, err)
	return n, err
}

// putFile adds one file to the archive.
func putFile(ctx context.Context, t *tar.Writer, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size()}); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := io.Copy(t, whileNotDone{ctx, f}); err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	return nil
}

// whileNotDone is a reader that fails when ctx is done.
type whileNotDone struct {
	ctx context.Context
	io.Reader
}

func (r whileNotDone) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
