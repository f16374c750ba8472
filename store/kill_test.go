package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// killEnv tells a child at which point of what it kills itself.
const killEnv = "PINWARD_STORE_TEST_KILL"

// killed does what a test wants to see cut short: backs up or restores, and dies at the point.
func killed(dir, what string) {
	ctx := context.Background()
	k := keysFrom(&testing.B{}, crashRoot[:])
	die := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	at := func(point string) error {
		if what == point {
			die()
		}
		return nil
	}
	s, err := Open(ctx, dir, Options{Keys: k, Free: plenty})
	for n := 0; n < 20 && err == nil; n++ {
		err = save(s, n, strings.Repeat("x", 60_000))
	}
	if err == nil {
		err = s.Roll(ctx)
	}
	var b bytes.Buffer
	if err == nil {
		s.crash = at
		_, err = s.Backup(ctx, &dying{w: &b, frames: what == "in the stream", die: die}, BackupOptions{})
	}
	if err == nil {
		err = os.WriteFile(dir+".backup", b.Bytes(), 0o600)
	}
	if err == nil {
		var r io.Reader = &b
		if what == "in the middle" {
			r = io.MultiReader(io.LimitReader(&b, int64(b.Len()/2)), dying2(die))
		}
		_, err = Restore(ctx, r, dir+".new", k, RestoreOptions{crash: at})
	}
	fmt.Fprintln(os.Stderr, "still alive:", err)
	os.Exit(2)
}

// dying kills the process at the third write, if it is asked to: the header, a frame, and one more.
type dying struct {
	w      io.Writer
	frames bool
	n      int
	die    func()
}

func (d *dying) Write(p []byte) (int, error) {
	if d.n++; d.frames && d.n == 3 {
		d.die()
	}
	return d.w.Write(p)
}

// dying2 kills the process when it is read.
type dying2 func()

func (d dying2) Read([]byte) (int, error) { d(); return 0, io.ErrUnexpectedEOF }

func killChild(t *testing.T, dir, what string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, killEnv+"="+what)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the child was not killed: %v %s", err, out)
	}
}

// TestKilledInBackup: the store is whole, what was copied is removed, and what was written of the
// backup is no backup.
func TestKilledInBackup(t *testing.T) {
	for _, point := range []string{"live file copied", "in the stream"} {
		t.Run(point, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			killChild(t, dir, point)
			k := keysFrom(t, crashRoot[:])
			if left, _ := filepath.Glob(filepath.Join(dir, fileNew+"*")); len(left) != 1 {
				t.Fatalf("the copy is not there, so the child died elsewhere: %v", left)
			}
			s := open(t, dir, k)
			if left, _ := filepath.Glob(filepath.Join(dir, fileNew+"*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			whole(t, s, 20)
			data, info := backup(t, s, BackupOptions{})
			if info.Bytes != int64(len(data)) {
				t.Errorf("%d bytes were written, %d counted", len(data), info.Bytes)
			}
			if _, err := VerifyBackup(context.Background(), bytes.NewReader(data), k, t.TempDir()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestKilledInRestore: before the folder has its name there is none, and the next restore works; from
// then on there is a whole store, and a second restore is refused.
func TestKilledInRestore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, point := range []string{"in the middle", "unpacked", "taken", "filled", "linked", "renamed", "made", "named"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "store")
			killChild(t, dir, point)
			k := keysFrom(t, crashRoot[:])
			data, err := os.ReadFile(dir + ".backup")
			if err != nil {
				t.Fatal(err)
			}
			_, err = os.Stat(dir + ".new")
			if there := err == nil; there != (point == "named") {
				t.Fatalf("the folder is there: %v", there)
			}
			_, err = Restore(ctx, bytes.NewReader(data), dir+".new", k, RestoreOptions{})
			if errors.Is(err, ErrNotEmpty) != (point == "named") || err != nil && point != "named" {
				t.Fatalf("restore again: %v", err)
			}
			s := open(t, dir+".new", k)
			whole(t, s, 20)
			if _, ok := s.Restored(); !ok {
				t.Error("it does not say that it was restored")
			}
			if n := count(t, s, ActionRestored); n != 1 {
				t.Errorf("%d entries about the restore", n)
			}
			if _, err := os.Stat(dir + ".new.restoring"); err == nil {
				t.Error("left behind: the folder in which it worked")
			}
		})
	}
}
