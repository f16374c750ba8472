package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// indexEnv makes a child kill itself at a point of a rotation of the index, or at the fortieth under load.
const indexEnv = "PINWARD_STORE_TEST_INDEX"

// killedInIndex fills a store, then rotates and dies at the point.
func killedInIndex(dir, point string) {
	ctx := context.Background()
	s, err := Open(ctx, dir, Options{Keys: keysFrom(&testing.B{}, crashRoot[:]), Free: plenty})
	for n := 0; n < blindedRows && err == nil; n++ {
		err = s.Update(ctx, nurse, func(tx *Tx) error { return putBlinded(tx, n, fmt.Sprintf("value %d", n)) })
	}
	var rounds atomic.Int64
	if err == nil {
		s.crash = func(p string) error {
			if p == point || point == "load" && rounds.Add(1) == 40 {
				return syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
			return nil
		}
	}
	if point == "load" { // others write all the time, and it rotates all the time
		for w := range 4 {
			go func() {
				for n := w; ; n += 4 {
					if err := save(s, n, "x"); err != nil {
						fmt.Fprintln(os.Stderr, err)
						os.Exit(2)
					}
					fmt.Println(n)
				}
			}()
		}
	}
	for err == nil {
		err = s.RotateIndex(ctx, nurse)
	}
	fmt.Fprintln(os.Stderr, "still alive:", err)
	os.Exit(2)
}

// TestKilledInRotationOfIndex kills a process at each point of it: the next one finds the old file whole
// or the new one, with one cover on the ring, and rotates.
func TestKilledInRotationOfIndex(t *testing.T) {
	for _, point := range indexPoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+dir, indexEnv+"="+point)
			if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("the child was not killed: %v %s", err, out)
			}
			want := uint32(1)
			if point == "renamed" {
				want = 2
			}
			afterIndex(t, open(t, dir, keysFrom(t, crashRoot[:])), dir, want)
		})
	}
}

// TestKilledWhileRotatingUnderLoad: what was acknowledged is there, whatever file it went into.
func TestKilledWhileRotatingUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, indexEnv+"=load")
	out, err := cmd.Output()
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the child was not killed: %v", err)
	}
	s := open(t, dir, keysFrom(t, crashRoot[:]))
	if got := s.Index().Generation; got < 5 {
		t.Errorf("it was killed in generation %d: too soon to show anything", got)
	}
	rows := strings.Fields(string(out))
	err = s.View(context.Background(), func(tx *Tx) error {
		for _, row := range rows[:max(0, len(rows)-1)] { // the last line may be cut
			var n int
			if _, err := fmt.Sscan(row, &n); err != nil {
				return err
			}
			if _, ok, err := testRows.Get(tx, num(n)); err != nil || !ok {
				return fmt.Errorf("acknowledged row %d: %v, %w", n, ok, err)
			}
		}
		return nil
	})
	if err = errors.Join(err, s.Check(context.Background())); err != nil || len(rows) < 20 {
		t.Fatalf("%d rows: %v", len(rows), err)
	}
	checkBlinded(t, s)
}
