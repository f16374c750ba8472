package store

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"pinward/store/audit"
)

// ErrNotEmpty means that a restore was asked for into a folder that holds something.
var ErrNotEmpty = errors.New("folder is not empty")

// InspectBackup reads what a backup says in clear. Without the root key nobody can tell whether it is
// true: that takes [VerifyBackup].
func InspectBackup(r io.Reader) (BackupHeader, error) {
	h, _, err := readTop(r)
	return h, err
}

// VerifyBackup reads a whole backup: it must open, its live file must be the log that its last head
// signed, and every value and entry in it must open and fit. It unpacks it into a folder below tmp,
// by default that of the system, and removes that. Segments that the backup left out are not judged.
func VerifyBackup(ctx context.Context, r io.Reader, keys Keys, tmp string) (BackupInfo, error) {
	info, err := verifyBackup(ctx, r, keys, tmp)
	if err != nil {
		return info, fmt.Errorf("verify backup: %w", err)
	}
	return info, nil
}

func verifyBackup(ctx context.Context, r io.Reader, keys Keys, tmp string) (info BackupInfo, err error) {
	dir, err := os.MkdirTemp(tmp, "pinward-verify-")
	if err != nil {
		return info, fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir)
	counted := &countedReader{r: r}
	if info.BackupHeader, err = unpack(ctx, counted, keys, dir, func(string) bool { return true }); err != nil {
		return info, err
	}
	info.Bytes = counted.n
	s := newStore(dir, Options{Keys: keys, Log: slog.New(slog.DiscardHandler)})
	if err := s.openFile(ctx, dir, Options{Keys: keys, LockTimeout: time.Second}); err != nil {
		return info, err
	}
	s.wgc.Go(s.commitLoop) // merges the journal
	defer s.close()
	if d := s.durable.Load(); d.size != info.Entries || !bytes.Equal(d.head.note, info.Head) {
		return info, fmt.Errorf("%w: it holds another state than its header says", ErrBackup)
	}
	absent := map[uint32]bool{}
	for _, list := range [][]SegmentInfo{info.Skipped, info.Missing} {
		for _, g := range list {
			absent[g.Number] = true
		}
	}
	report, err := s.examine(ctx, func(g SegmentInfo) bool { return absent[g.Number] })
	if err == nil && len(report.Findings) > 0 {
		err = fmt.Errorf("%w: %d findings, the first: %s", ErrCorrupt, len(report.Findings), report.Findings[0].What)
	}
	return info, err
}

// unpack opens a backup and writes the files that are wanted into dir, synced.
func unpack(ctx context.Context, r io.Reader, keys Keys, dir string, want func(name string) bool) (h BackupHeader, err error) {
	in := &opener{r: whileNotDone{ctx, r}}
	if h, in.top, err = readTop(in.r); err != nil {
		return h, err
	}
	ring, err := unwrapRing(ctx, keys, h.Keyring)
	if err != nil {
		return h, err
	}
	wrap, err := newAEAD(ring.backup)
	if err != nil {
		return h, fmt.Errorf("%w: its keyring has no backup key", ErrBackup)
	}
	key, err := wrap.Open(nil, nil, h.Key, append([]byte("backup key/v1\x00"), h.Store[:]...))
	if err != nil {
		return h, fmt.Errorf("%w: its key does not open", ErrBackup)
	}
	defer clear(key)
	if in.aead, err = newAEAD(key); err != nil {
		return h, err
	}
	names := map[string]bool{fileName: true}
	for _, g := range h.Segments {
		names[fmt.Sprintf(segmentName, g.Number)] = true
	}
	t := tar.NewReader(in)
	for {
		f, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return h, as(ErrBackup, err)
		}
		if !names[f.Name] {
			return h, fmt.Errorf("%w: a file that its header does not list", ErrBackup)
		}
		delete(names, f.Name)
		if !want(f.Name) {
			continue
		}
		if err := takeFile(t, filepath.Join(dir, f.Name)); err != nil {
			return h, asFull(err)
		}
	}
	if _, err := io.Copy(io.Discard, in); err != nil { // the end has to be there, too
		return h, err
	}
	if len(names) > 0 {
		return h, fmt.Errorf("%w: %d files are missing", ErrBackup, len(names))
	}
	return h, nil
}

func takeFile(r io.Reader, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("unpack file: %w", err)
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("unpack file: %w", err)
	}
	return nil
}

// countedReader counts what is read.
type countedReader struct {
	r io.Reader
	n int64
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// RestoreOptions say how to restore.
type RestoreOptions struct {
	// By is who restores; by default the store itself.
	By audit.Actor
	// Earlier are backups that hold the segments which this one left out. Each is read as far as
	// needed. A segment that none of them holds stays missing, and the rest goes on without it.
	Earlier []io.Reader
	Log     *slog.Logger

	crash func(point string) error // in tests of crashes
}

func (o *RestoreOptions) at(point string) error {
	if o.crash == nil {
		return nil
	}
	return o.crash(point)
}

// Restore makes a store of a backup in dir, on this machine or another; keys hold the same root key,
// and may have another signer. What it makes is a new store with the old one's log and records: it has
// another id, and other keys for all that it will seal, so that nothing is sealed twice under one key
// should the old one live on. Its next entry says where it comes from. [Store.Restored] is true until
// somebody calls [LiftRestore].
//
// It works in a folder beside dir and gives that its name in the end: if it fails, or we crash, dir is
// as empty as before.
//
// Errors to branch on: [ErrNotEmpty], [ErrBackup], [ErrWrongKey], [ErrNewer], [ErrFull].
func Restore(ctx context.Context, r io.Reader, dir string, keys Keys, o RestoreOptions) (BackupInfo, error) {
	if o.By == (audit.Actor{}) {
		o.By = self
	}
	info, err := restore(ctx, r, filepath.Clean(dir), keys, o)
	if err != nil {
		return info, fmt.Errorf("restore store: %w", err)
	}
	return info, nil
}

func restore(ctx context.Context, r io.Reader, dir string, keys Keys, o RestoreOptions) (info BackupInfo, err error) {
	if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
		return info, ErrNotEmpty
	}
	tmp := dir + ".restoring"
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(tmp, 0o700)); err != nil {
		return info, fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(tmp)
	counted := &countedReader{r: r}
	if info.BackupHeader, err = unpack(ctx, counted, keys, tmp, func(string) bool { return true }); err != nil {
		return info, err
	}
	info.Bytes = counted.n
	if err := fetchSkipped(ctx, &info.BackupHeader, keys, tmp, o.Earlier); err != nil {
		return info, err
	}
	if err := o.at("unpacked"); err != nil {
		return info, err
	}
	if err := reincarnate(ctx, tmp, keys, o, &info.BackupHeader); err != nil {
		return info, err
	}
	// If we crash before this, dir is empty; after it, it is whole.
	if err := errors.Join(syncDir(tmp), o.at("made")); err != nil {
		return info, err
	}
	if err := errors.Join(os.Rename(tmp, dir), syncDir(filepath.Dir(dir)), o.at("named")); err != nil {
		return info, fmt.Errorf("name folder: %w", err)
	}
	return info, nil
}

// fetchSkipped takes from earlier backups the segments that this one left out.
func fetchSkipped(ctx context.Context, h *BackupHeader, keys Keys, dir string, earlier []io.Reader) error {
	want := map[string]bool{}
	for _, g := range h.Skipped {
		want[fmt.Sprintf(segmentName, g.Number)] = true
	}
	for _, r := range earlier {
		_, err := unpack(ctx, r, keys, dir, func(name string) bool {
			w := want[name]
			delete(want, name)
			return w
		})
		if err != nil {
			return fmt.Errorf("read earlier backup: %w", err)
		}
	}
	return nil
}

// originOf are the details of the entry that says where a restored store comes from.
func originOf(h *BackupHeader) []Attr {
	head := ""
	if h.Head != nil {
		sum := audit.NoteHash(h.Head)
		head = hex.EncodeToString(sum[:])
	}
	signer := ""
	if key, err := audit.ParseKey(h.Signer); err == nil {
		signer = audit.Fingerprint(key)
	}
	return []Attr{
		{Key: "head", Value: head}, {Key: "signer", Value: signer},
		{Key: "entries", Value: decimal(h.Entries)}, {Key: "made", Value: h.Made.Format(time.RFC3339)},
	}
}
