package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// fileName is the store's file in its folder; fileNew begins the name of one that is being made.
const (
	fileName = "pinward.db"
	fileNew  = ".pinward.db.new-"
)

// openFile takes the folder, opens or makes the live file, and loads what transactions start from.
// Everything that touches the memory map is guarded: a damaged file is an error, and never the end of
// the process.
func (s *Store) openFile(ctx context.Context, dir string, o Options) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := s.checkMount(dir); err != nil {
		return err
	}
	s.path = filepath.Join(dir, fileName)
	var err error
	if s.folder, err = lockFolder(dir, o.LockTimeout); err != nil {
		return err
	}
	if err := s.openLive(ctx, dir, o); err != nil {
		return errors.Join(s.quarantined(err), s.folder.Close())
	}
	return nil
}

// openLive opens the live file. The folder is ours: what an interrupted making or roll left behind
// belongs to nobody.
func (s *Store) openLive(ctx context.Context, dir string, o Options) error {
	old, _ := filepath.Glob(filepath.Join(dir, fileNew+"*"))
	for _, f := range old {
		_ = os.Remove(f)
	}
	switch info, err := os.Stat(s.path); {
	case errors.Is(err, fs.ErrNotExist):
		if o.Existing {
			return fmt.Errorf("%w (%s): restore the newest backup into an empty folder", errMissing, s.path)
		}
		if err := mayCreate(dir); err != nil {
			return err
		}
		if err := s.create(ctx, dir, o); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("open file: %w", err)
	case info.Size() < 4*4096:
		return fmt.Errorf("%w: the file was cut", ErrCorrupt) // bbolt would make an empty one of it
	}
	var db *bolt.DB
	err := guard(func() (err error) {
		if db, err = openBolt(s.path, o.LockTimeout); err != nil {
			return err
		}
		var d *durable
		if err := db.View(func(tx *bolt.Tx) (err error) { d, err = s.load(ctx, db, tx, o); return err }); err != nil {
			return err
		}
		if d.format < formatVersion || d.grown {
			if err := s.upgrade(d); err != nil {
				return fmt.Errorf("upgrade file: %w", asFull(err))
			}
		}
		if err := s.unfreeze(d.file.place.Number); err != nil {
			return err
		}
		return db.View(func(tx *bolt.Tx) error { d.txid = tx.ID(); s.adopt(d); return nil })
	}, func() {})
	if err != nil && db != nil {
		_ = guard(db.Close, func() {})
	}
	return err
}

// unfreeze takes away the segment's name that a roll had given to the live file when we crashed.
func (s *Store) unfreeze(number uint32) error {
	path := filepath.Join(filepath.Dir(s.path), fmt.Sprintf(segmentName, number))
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end roll: %w", err)
	}
	if sameFile(path, s.path) {
		return os.Remove(path)
	}
	_, err = putAside(path) // a copy of the folder keeps no hard links; or somebody's file
	return err
}

// lockFolder takes the folder for this process. The lock is on the folder and not on a file in it,
// since the live file is replaced when the store rolls.
func lockFolder(dir string, timeout time.Duration) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	for end := time.Now().Add(timeout); ; time.Sleep(50 * time.Millisecond) {
		err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock folder: %w", err), d.Close())
		}
		if time.Now().After(end) {
			return nil, errors.Join(ErrLocked, d.Close())
		}
	}
}

// openBolt opens a bbolt file with the settings that the reference measured: the free list synced
// (else a cold start reads the whole file) and held in a map, and a memory map large enough that
// growing seldom has to wait for readers.
func openBolt(path string, timeout time.Duration) (*bolt.DB, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: timeout, FreelistType: bolt.FreelistMapType, InitialMmapSize: 1 << 30,
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case isFull(err):
		return nil, fmt.Errorf("%w: %w", ErrFull, err)
	}
	return nil, fmt.Errorf("open file: %w", err)
}

// create makes the file under another name, syncs it and only then gives it its name: bbolt does not
// survive a power cut during its very first writes. If we crash before the rename there is no store;
// after it there is a whole one.
func (s *Store) create(ctx context.Context, dir string, o Options) error {
	var suffix [8]byte
	_, _ = rand.Read(suffix[:])
	tmp := filepath.Join(dir, fileNew+hex.EncodeToString(suffix[:]))
	defer func() { _ = os.Remove(tmp) }()
	db, err := openBolt(tmp, o.LockTimeout)
	if err != nil {
		return err
	}
	err = errors.Join(db.Update(func(tx *bolt.Tx) error { return initialise(ctx, tx, o) }), db.Close())
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	if err := os.Rename(tmp, s.path); err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// sameFile reports whether two names are of one file that is there.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

func (s *Store) fileSize() int64 {
	info, err := os.Stat(s.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// parallel runs fn over [0, n) in pieces on all processors, if there is enough to do.
func parallel(n, least int, fn func(lo, hi int)) {
	workers := min(runtime.GOMAXPROCS(0), n/least)
	if workers <= 1 {
		fn(0, n)
		return
	}
	done := make(chan struct{})
	for w := range workers {
		go func() {
			fn(n*w/workers, n*(w+1)/workers)
			done <- struct{}{}
		}()
	}
	for range workers {
		<-done
	}
}
