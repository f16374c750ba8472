package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Backup is where the nightly backups go. Who controls Folder can have them written where they are lost; to read one he
// still needs two shares of the recovery kit.
type Backup struct {
	// Folder takes the nightly backups, best on a share of another machine that is mounted there; the unit has to let the
	// daemon write to it (ReadWritePaths=). Empty: none are made by themselves, and health asks for some by hand.
	Folder string `toml:"folder"`
	// Keep is of how many days backups are kept: of each the last one, and the one that was last restored for a check.
	Keep int `toml:"keep"`
}

func (c Backup) check() error {
	if c.Folder != "" && !filepath.IsAbs(c.Folder) {
		return errors.New("folder: must be an absolute path")
	}
	if c.Keep < 2 || c.Keep > 3650 {
		return errors.New("keep: must be 2 to 3650")
	}
	return nil
}

// backupFolder is the folder of the nightly backups of one box.
type backupFolder struct {
	dir, box string
	keep     int
}

// backupStamp is the time in a backup's name, in UTC, so that names sort by age.
const backupStamp = "20060102T150405Z"

func (f backupFolder) name(at time.Time) string {
	return "pinward-" + f.box + "-" + at.UTC().Format(backupStamp) + ".backup"
}

// partSuffix is of a backup that is being written: no file of a backup's own name is ever half of one.
const partSuffix = ".part"

// write has a new backup written and gives its name. What a crash left of an earlier one is removed first.
func (f backupFolder) write(ctx context.Context, at time.Time, write func(context.Context, io.Writer) error) (name string, err error) {
	left, err := filepath.Glob(filepath.Join(f.dir, "pinward-"+f.box+"-*"+partSuffix))
	if err != nil {
		return "", fmt.Errorf("look into backup folder: %w", err)
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return "", fmt.Errorf("remove cut-off backup: %w", err)
		}
	}
	name = f.name(at)
	path := filepath.Join(f.dir, name)
	out, err := os.OpenFile(path+partSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("write backup: %w", err)
	}
	err = write(ctx, out)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("write backup: %w", err), os.Remove(path+partSuffix))
	}
	if err := errors.Join(os.Rename(path+partSuffix, path), syncFolder(f.dir)); err != nil {
		return "", fmt.Errorf("write backup: %w", err)
	}
	return name, nil
}

var stampInName = regexp.MustCompile(`-([0-9]{8}T[0-9]{6}Z)\.backup$`)

// list are the names of the backups in the folder, oldest first.
func (f backupFolder) list() (names []string, err error) {
	all, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, fmt.Errorf("look into backup folder: %w", err)
	}
	for _, e := range all {
		rest, ours := strings.CutPrefix(e.Name(), "pinward-"+f.box)
		if ours && stampInName.FindString(e.Name()) == rest && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// prune removes backups that need not be kept: of each of the last days that have any the newest stays, and so does
// proven. Days count and not files, so that whoever has many made in an hour drives no older one out.
func (f backupFolder) prune(proven string) (removed []string, err error) {
	names, err := f.list()
	if err != nil {
		return nil, err
	}
	days := map[string]bool{}
	for _, name := range slices.Backward(names) {
		day := stampInName.FindStringSubmatch(name)[1][:8]
		if name == proven || !days[day] && len(days) < f.keep {
			days[day] = true
			continue
		}
		if err := os.Remove(filepath.Join(f.dir, name)); err != nil {
			return removed, fmt.Errorf("remove old backup: %w", err)
		}
		removed = append(removed, name)
	}
	return removed, nil
}

// backupWords says what kept a backup from being written, for the operator.
func backupWords(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "the disk of the backups is full"
	case errors.Is(err, syscall.EROFS), errors.Is(err, os.ErrPermission):
		return "the daemon may not write to the folder of the backups: is it pinward's own, and in ReadWritePaths= of pinward.service?"
	case errors.Is(err, os.ErrNotExist):
		return "the folder of the backups is not there: is the share mounted?"
	}
	return err.Error()
}
