package store

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestFileSystems: a network file system is refused before anything is made in it, a doubtful one is
// logged, and any other passes without a word.
func TestFileSystems(t *testing.T) {
	for _, c := range []struct {
		name, release string
		magic         int64
		refused       bool
		warning       string
	}{
		{"NFS", "6.1.0", 0x6969, true, ""},
		{"CIFS", "6.1.0", 0xff534d42, true, ""},
		{"SMB2", "6.1.0", 0xfe534d42, true, ""},
		{"tmpfs", "6.1.0", magicTmp, false, "in memory"},
		{"FUSE", "6.1.0", magicFUSE, false, "outside the kernel"},
		{"ext4", "6.1.0-25-amd64", magicExt, false, ""},
		{"ext4 before fast commits", "5.4.0-190-generic", magicExt, false, ""},
		{"ext4 with fast commits", "5.10.93", magicExt, false, "fast_commit"},
		{"ext4 mended", "5.10.94-rt1", magicExt, false, ""},
		{"ext4 without a patch level", "5.14", magicExt, false, "fast_commit"},
		{"ext4 5.15.26", "5.15.26", magicExt, false, "fast_commit"},
		{"ext4 5.15.27", "5.15.27", magicExt, false, ""},
		{"ext4 5.16", "5.16.20", magicExt, false, "fast_commit"},
		{"ext4 5.17", "5.17.0", magicExt, false, ""},
		{"xfs on an old kernel", "5.10.1", 0x58465342, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log strings.Builder
			dir := t.TempDir()
			s, err := Open(context.Background(), dir, Options{
				Keys: newTestKeys(t), Free: plenty, Log: slog.New(slog.NewTextHandler(&log, nil)),
				mounted: func(string) (mount, error) { return mount{c.magic, c.release}, nil },
			})
			if err == nil {
				err = s.Close()
			}
			if errors.Is(err, ErrFileSystem) != c.refused || err != nil && !c.refused {
				t.Errorf("error %v", err)
			}
			if list, _ := os.ReadDir(dir); c.refused && len(list) > 0 {
				t.Errorf("made in it: %v", list)
			}
			if warned := strings.Contains(log.String(), "level=WARN"); warned != (c.warning != "") || !strings.Contains(log.String(), c.warning) {
				t.Errorf("the log: %s", log.String())
			}
		})
	}
}

// TestAskMount asks the real kernel about a real file system; one that does not answer is an error.
func TestAskMount(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatalf("mount a small file system (this test runs as root): %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	m, err := askMount(dir)
	if err != nil || m.magic != magicTmp || strings.Count(m.release, ".") < 1 {
		t.Errorf("%+v, %v", m, err)
	}
	away := errors.New("away")
	_, err = Open(context.Background(), t.TempDir(), Options{
		Keys: newTestKeys(t), Free: plenty, mounted: func(string) (mount, error) { return mount{}, away },
	})
	if !errors.Is(err, away) {
		t.Errorf("error %v", err)
	}
}
