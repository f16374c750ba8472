package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinward/daemon/health"
)

func folderOf(t *testing.T, keep int) backupFolder {
	t.Helper()
	return backupFolder{dir: t.TempDir(), box: "ward7", keep: keep}
}

func wrote(words string) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, words)
		return err
	}
}

func backupNames(t *testing.T, f backupFolder) []string {
	t.Helper()
	list, err := f.list()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var aNight = time.Date(2026, 11, 22, 1, 15, 0, 0, time.UTC)

// TestBackupFolderFaults: whatever fails, no file of a backup's own name is half of one, and the next night works.
func TestBackupFolderFaults(t *testing.T) {
	f := folderOf(t, 3)
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO, context.Canceled} {
		_, err := f.write(t.Context(), aNight, func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, "half of a")
			return errors.Join(err, &os.PathError{Op: "write", Path: "x", Err: cause})
		})
		if !errors.Is(err, cause) {
			t.Errorf("%v came out as %v", cause, err)
		}
		if all, err := os.ReadDir(f.dir); err != nil || len(all) > 0 {
			t.Errorf("%v left %v, %v", cause, all, err)
		}
	}
	// A crash in the middle leaves the part; the next night removes it. What else lies there is not ours.
	for _, name := range []string{f.name(aNight) + partSuffix, "pinward-ward70-20260101T000000Z.backup", "notes.txt", "pinward-ward7-old.backup"} {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	name, err := f.write(t.Context(), aNight, wrote("a whole one"))
	if err != nil {
		t.Fatal(err)
	}
	if got := backupNames(t, f); !slices.Equal(got, []string{name}) {
		t.Errorf("listed: %v", got)
	}
	if _, err := f.write(t.Context(), aNight, wrote("another")); err != nil {
		t.Fatal(err) // in the same second: it takes the place of the first
	}
	if all, err := os.ReadDir(f.dir); err != nil || len(all) != 4 {
		t.Errorf("the folder holds %v, %v", all, err)
	}
	gone := backupFolder{dir: filepath.Join(f.dir, "none"), box: "ward7", keep: 3}
	if _, err := gone.write(t.Context(), aNight, wrote("x")); err == nil || !strings.Contains(backupWords(err), "is the share mounted?") {
		t.Errorf("a folder that is not there: %v", err)
	}
	if w := backupWords(fmt.Errorf("write: %w", syscall.ENOSPC)); w != "the disk of the backups is full" {
		t.Errorf("a full disk: %s", w)
	}
}

// TestBackupPrune: days are kept, not files: a hundred backups in an hour drive no older day out; and the one that was
// restored for a check stays however old it is.
func TestBackupPrune(t *testing.T) {
	f := folderOf(t, 3)
	put := func(at time.Time) string {
		t.Helper()
		name, err := f.write(t.Context(), at, wrote("x"))
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	proven := put(aNight.AddDate(0, -1, 0))
	put(aNight.AddDate(0, 0, -5))
	want := []string{proven, put(aNight.AddDate(0, 0, -4)), put(aNight.AddDate(0, 0, -1))}
	for i := range 100 {
		put(aNight.Add(time.Duration(i) * time.Second))
	}
	want = append(want, put(aNight.Add(time.Hour)))
	removed, err := f.prune(proven)
	if err != nil || len(removed) != 101 {
		t.Errorf("%d removed, %v", len(removed), err)
	}
	if got := backupNames(t, f); !slices.Equal(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
	if removed, err = f.prune(proven); err != nil || len(removed) > 0 {
		t.Errorf("again: %v, %v", removed, err)
	}
	// Without a proven one the three youngest days are left.
	if _, err = f.prune(""); err != nil || len(backupNames(t, f)) != 3 {
		t.Errorf("%v, %v", backupNames(t, f), err)
	}
}

func TestBackupJudge(t *testing.T) {
	now := aNight
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, c := range map[string]struct {
		st      backupState
		nightly bool
		state   health.State
		words   string
	}{
		"demo":            {backupState{}, false, health.OK, ""},
		"fresh":           {backupState{Made: ago(time.Hour), File: "f", Rehearsed: ago(24 * time.Hour)}, true, health.OK, ""},
		"old":             {backupState{Made: ago(37 * time.Hour)}, true, health.Warn, "last 37 hours: pinward backup run"},
		"none configured": {backupState{Made: ago(37 * time.Hour)}, false, health.Warn, "[backup] in pinward.toml"},
		"lost":            {backupState{Made: ago(8 * 24 * time.Hour), Cause: "x"}, true, health.Fail, "last 8 days"},
		"failed":          {backupState{Made: ago(time.Hour), Cause: "the disk of the backups is full"}, true, health.Warn, "is full"},
		"no good":         {backupState{Made: ago(time.Hour), Unproven: "damaged", Rehearsed: now}, true, health.Warn, "no good: damaged"},
		"unproven":        {backupState{Made: ago(time.Hour), File: "f", Rehearsed: ago(41 * 24 * time.Hour)}, true, health.Warn, "backup rehearse"},
	} {
		if state, words := c.st.judge(now, c.nightly); state != c.state || !strings.Contains(words, c.words) || (c.words == "") != (words == "") {
			t.Errorf("%s: %v, %q", name, state, words)
		}
	}
}
