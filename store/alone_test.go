package store

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// TestCommitsAlone: a transaction that comes while nothing is going on is committed by its own goroutine, those that
// come meanwhile by the loop, together; and the loop merges what both left behind.
func TestCommitsAlone(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	var who atomic.Pointer[string] // committed last
	entered, release := make(chan struct{}, 10), make(chan struct{})
	var gate atomic.Bool
	s.write = func(tx *bolt.Tx) error {
		stack := make([]byte, 16<<10)
		stack = stack[:runtime.Stack(stack, false)]
		for _, name := range []string{".commitAlone(", ".commitLoop("} {
			if bytes.Contains(stack, []byte(name)) {
				who.Store(&name)
			}
		}
		if gate.Load() {
			entered <- struct{}{}
			<-release
		}
		return tx.Commit()
	}
	// The loop has still something to do: it is told once of what it may merge later.
	for n := 0; who.Load() == nil || *who.Load() != ".commitAlone("; n++ {
		if err := save(s, n, "value"); err != nil || n == 1000 {
			t.Fatal("no transaction commits alone", err)
		}
	}
	gate.Store(true)
	done := make(chan error, 4)
	put := func(n int) { done <- save(s, n, "value") }
	go put(2000)
	<-entered
	for n := range 3 {
		go put(2001 + n)
	}
	waiting(s, 3)
	release <- struct{}{}
	<-entered // all three at once
	if by := *who.Load(); by != ".commitLoop(" {
		t.Errorf("what came meanwhile is committed by %s", by)
	}
	close(release)
	for range 4 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if len(entered) > 0 {
		t.Error("what came meanwhile takes more than one commit")
	}
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
	for s.durable.Load().pending.size() > 0 { // the test's own limit ends it
		runtime.Gosched()
	}
}

// TestMergesThoughTheClockWasSetBack: what is pending is merged when nothing comes, whatever the clock said before.
func TestMergesThoughTheClockWasSetBack(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	for s.merged(nil) != nil || len(s.wake) > 0 {
		runtime.Gosched()
	}
	s.since = time.Now().UTC().Round(0).Add(time.Hour)
	if err := save(s, 1, "value"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); s.durable.Load().pending.size() > 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("nothing is merged")
		}
	}
}

// aloneEnv has a child panic in the commit of a lone transaction.
const aloneEnv = "PINWARD_STORE_TEST_ALONE"

type panickingKeys struct {
	*testKeys
	armed atomic.Bool
}

func (k *panickingKeys) Wrap(ctx context.Context, secret []byte) ([]byte, error) {
	if k.armed.Load() {
		panic("wrapping")
	}
	return k.testKeys.Wrap(ctx, secret)
}

// panicsAlone is the child: it survives its own panic, as a server of requests does.
func panicsAlone(dir string) {
	defer func() {
		if recover() != nil {
			fmt.Println("survived")
			os.Exit(0)
		}
	}()
	k := &panickingKeys{testKeys: keysFrom(&testing.B{}, crashRoot[:])}
	s, err := Open(context.Background(), dir, Options{Keys: k, Free: plenty})
	if err == nil {
		k.armed.Store(true)
		err = s.Update(context.Background(), nurse, func(tx *Tx) error { tx.CodeEpoch(); return nil })
	}
	fmt.Println("went on:", err)
	os.Exit(0)
}

// TestPanicOfALoneCommit ends the process, as one in the loop does, though the caller would survive it: nobody knows
// what is on the disk.
func TestPanicOfALoneCommit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, aloneEnv+"=yes")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "panic: wrapping") {
		t.Errorf("the child ended with %v:\n%s", err, out)
	}
	if err := open(t, dir, keysFrom(t, crashRoot[:])).Check(context.Background()); err != nil {
		t.Error(err)
	}
}
