package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// crashRoot is the root key of the crash test: parent and children open the same store.
var crashRoot = sha256.Sum256([]byte("crash test"))

// child writes from several goroutines until it is killed, and prints the number of each row that was
// acknowledged. It takes its numbers from where the parent says.
func child(dir string) {
	s, err := Open(context.Background(), dir, Options{Keys: keysFrom(&testing.B{}, crashRoot[:]), Free: plenty, HeadEvery: 5 * time.Millisecond, mergeFrom: 40})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	first, err := strconv.Atoi(os.Args[len(os.Args)-1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	var mu sync.Mutex
	for w := range 8 {
		go func() {
			for n := first + w; ; n += 8 {
				if err := save(s, n, strconv.Itoa(n)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(2)
				}
				mu.Lock()
				fmt.Println(n)
				mu.Unlock()
			}
		}()
	}
	select {}
}

// TestKilledUnderLoad kills a writing process again and again: what was acknowledged is there, the
// whole log verifies, and the next process goes on.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acknowledged := map[int]bool{}
	for round := range 6 {
		cmd := exec.Command(os.Args[0], strconv.Itoa(1_000_000*round))
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 100+37*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			row, err := strconv.Atoi(lines.Text())
			if err != nil {
				continue // the last line may be cut; it was not acknowledged to anybody
			}
			acknowledged[row] = true
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}

		s := open(t, dir, keysFrom(t, crashRoot[:]))
		if err := s.Check(context.Background()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		err = s.View(context.Background(), func(tx *Tx) error {
			for n := range acknowledged {
				if v, ok, err := testRows.Get(tx, num(n)); err != nil || !ok || v.Name != strconv.Itoa(n) {
					return fmt.Errorf("acknowledged row %d: %v, %w", n, ok, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		// Nothing is half there: each row has its entry.
		rows, entries := 0, 0
		err = s.View(context.Background(), func(tx *Tx) error {
			if rows, err = testRows.Len(tx); err != nil {
				return err
			}
			return tx.Entries(0, func(r Record) error {
				if r.Entry.Action == "test.saved" {
					entries++
				}
				return nil
			})
		})
		if err != nil || rows != entries || rows < len(acknowledged) {
			t.Fatalf("round %d: %d rows, %d entries, %d acknowledged, %v", round, rows, entries, len(acknowledged), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
