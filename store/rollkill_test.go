package store

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// rollEnv makes a child kill itself at a point of a roll.
const rollEnv = "PINWARD_STORE_TEST_ROLL"

// killedInRoll writes a hundred rows, then rolls and dies at the point.
func killedInRoll(dir, point string) {
	s, err := Open(context.Background(), dir, Options{Keys: keysFrom(&testing.B{}, crashRoot[:]), Free: plenty})
	for n := 0; n < 100 && err == nil; n++ {
		err = save(s, n, "x")
	}
	if err == nil {
		s.crash = func(p string) error {
			if p == point {
				return syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
			return nil
		}
		err = s.Roll(context.Background())
	}
	fmt.Fprintln(os.Stderr, "still alive:", err)
	os.Exit(2)
}

// TestKilledInRoll kills a process at each point of a roll: the next one finds everything, and rolls.
func TestKilledInRoll(t *testing.T) {
	for _, point := range rollPoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+dir, rollEnv+"="+point)
			if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("the child was not killed: %v %s", err, out)
			}
			s := open(t, dir, keysFrom(t, crashRoot[:]))
			want := 0
			if point == "renamed" {
				want = 1
			}
			if got := segments(t, dir); got != want {
				t.Errorf("%d segments", got)
			}
			whole(t, s, 100)
			if err := s.Roll(context.Background()); err != nil {
				t.Fatal(err)
			}
			whole(t, s, 100)
		})
	}
}
