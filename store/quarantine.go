package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// asideMark is in the name of every file that was put aside.
const asideMark = ".damaged-"

// putAside renames a damaged file, so that nothing reads it any more and whoever repairs the box finds
// it. Nothing is ever deleted. A disk that reports errors is another matter: there the file may be
// whole, and stays.
func putAside(path string) (aside string, err error) {
	if err := readable(path); err != nil {
		return "", err
	}
	aside = path + asideMark + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("put file aside: %w", err)
	}
	return aside, syncDir(filepath.Dir(path))
}

// readable returns an error if the disk cannot read the file.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read file: %w", err)
	}
	defer f.Close()
	if _, err := io.Copy(io.Discard, f); errors.Is(err, syscall.EIO) {
		return fmt.Errorf("read file: %w", err)
	}
	return nil
}

// quarantined puts the live file aside if err says that it is damaged, and adds what to do now.
func (s *Store) quarantined(err error) error {
	if !errors.Is(err, ErrCorrupt) || errors.Is(err, errMissing) {
		return err
	}
	aside, err2 := putAside(s.path)
	if err2 != nil {
		return fmt.Errorf("%w (file %s; it stays where it is: %w)", err, s.path, err2)
	}
	return fmt.Errorf("%w; the file was put aside as %s; restore the newest backup into an empty folder, "+
		"or rename the file back if the disk was at fault", err, aside)
}

// errMissing is an ErrCorrupt where there is no file to put aside.
var errMissing = fmt.Errorf("%w: its live file is missing", ErrCorrupt)

// mayCreate refuses to begin a new log beside the remains of another: an empty store after a damage
// would look like a good start and be the loss of everything.
func mayCreate(dir string) error {
	for _, pattern := range []string{"*" + asideMark + "*", "segment-*.db"} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			return fmt.Errorf("%w, but %s is there: restore the newest backup into an empty folder, "+
				"or rename the file back if the disk was at fault", errMissing, found[0])
		}
	}
	return nil
}
