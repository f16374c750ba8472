package store

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// kills is how often a process is killed; packaging/test --long has hundreds.
var kills = flag.Int("kills", 5, "rounds of kill -9 while the store rolls")

// busyEnv makes a child write, index, roll, compact and scrub until it is killed.
const busyEnv = "PINWARD_STORE_TEST_BUSY"

// busyChild prints the number of each row that was acknowledged, and "full" whenever the disk is. Nothing
// else may go wrong.
func busyChild(dir string) {
	ctx := context.Background()
	must := func(err error) {
		switch {
		case errors.Is(err, ErrFull):
			fmt.Println("full")
			time.Sleep(time.Millisecond)
		case err != nil:
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	s, err := Open(ctx, dir, Options{
		Keys: keysFrom(&testing.B{}, crashRoot[:]), Free: plenty, HeadEvery: 5 * time.Millisecond, mergeFrom: 40, Log: slog.New(slog.DiscardHandler),
	})
	must(err)
	first, err := strconv.Atoi(os.Args[len(os.Args)-1])
	must(err)
	for w := range 4 {
		go func() {
			for n := first + w; ; {
				err := save(s, n, strconv.Itoa(n))
				if must(err); err == nil {
					fmt.Println(n)
					n += 4
				}
			}
		}()
	}
	go func() {
		for {
			must(indexRows(s))
		}
	}()
	go func() {
		for {
			_, err := s.Scrub(ctx, 0)
			must(err)
		}
	}()
	for n := 0; ; n++ {
		if n%3 == 2 {
			must(s.Compact(ctx))
		} else if err := s.Roll(ctx); err == nil || errors.Is(err, ErrFull) {
			must(err)
		} else if s.Err() != nil { // else there was nothing to freeze
			must(s.Err())
		}
	}
}

// indexRows brings the index up to the log: under each row's number stand its entries.
func indexRows(s *Store) error {
	var list []Record
	err := s.View(context.Background(), func(tx *Tx) error {
		p, err := tx.span()
		if err != nil {
			return err
		}
		return tx.Entries(readSpan(p.live).To, func(r Record) error {
			if list = append(list, r); len(list) == 100 {
				return Stop
			}
			return nil
		})
	})
	if err != nil || len(list) == 0 {
		time.Sleep(time.Millisecond)
		return err
	}
	return s.Update(context.Background(), nurse, func(tx *Tx) error {
		var marks []Mark
		for _, r := range list {
			if r.Entry.Action == "test.saved" {
				marks = append(marks, Mark{r.Seq, r.Header.Epoch, "row", r.Entry.Object})
			}
		}
		return testLogIndex.Add(tx, list[0].Seq, list[len(list)-1].Seq+1, marks)
	})
}

// busy is a store that children work on.
type busy struct {
	dir   string
	acked map[int]bool
	round int
}

// run lets a child work until until says so of one of its lines, then kills it.
func (b *busy) run(t *testing.T, until func(line string, n int) bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], strconv.Itoa(1_000_000*b.round))
	b.round++
	cmd.Env = append(os.Environ(), childEnv+"="+b.dir, busyEnv+"=yes")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	for lines, n := bufio.NewReader(out), 0; ; n++ {
		line, err := lines.ReadString('\n')
		if err != nil { // a line that was cut was acknowledged to nobody
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break
		}
		if row, err := strconv.Atoi(line[:len(line)-1]); err == nil {
			b.acked[row] = true
		}
		if !killed && until(line[:len(line)-1], n) {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || !killed {
		t.Fatalf("the child ended by itself: %v", err)
	}
}

// check opens the store: what was acknowledged is there and found by the index, all of it is whole, and it
// rolls.
func (b *busy) check(t *testing.T) (segments int) {
	t.Helper()
	ctx := context.Background()
	s := open(t, b.dir, keysFrom(t, crashRoot[:]))
	defer closeStore(t, s)
	if err := s.Check(ctx); err != nil {
		t.Fatalf("round %d: %v", b.round, err)
	}
	rows, entries := 0, map[string]uint64{}
	err := s.View(ctx, func(tx *Tx) (err error) {
		for n := range b.acked {
			if v, ok, err := testRows.Get(tx, num(n)); err != nil || !ok || v.Name != strconv.Itoa(n) {
				return fmt.Errorf("acknowledged row %d: %v, %w", n, ok, err)
			}
		}
		if rows, err = testRows.Len(tx); err != nil {
			return err
		}
		return tx.Entries(0, func(r Record) error {
			if r.Entry.Action == "test.saved" {
				entries[r.Entry.Object] = r.Seq
			}
			return nil
		})
	})
	if err != nil || rows != len(entries) || rows < len(b.acked) {
		t.Fatalf("round %d: %d rows, %d entries, %d acknowledged, %v", b.round, rows, len(entries), len(b.acked), err)
	}
	some := slices.Sorted(maps.Keys(entries))
	err = s.View(ctx, func(tx *Tx) error {
		for range 50 {
			row, found := some[rand.IntN(len(some))], false
			err := testLogIndex.Each(tx, "row", row, s.Stats().Entries, func(from, to uint64) error {
				found = found || from <= entries[row] && entries[row] < to
				return nil
			})
			if err != nil || !found {
				return fmt.Errorf("row %s is not found by the index: %w", row, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("round %d: %v", b.round, err)
	}
	mustSave(t, s, 1_000_000*b.round-1, strconv.Itoa(1_000_000*b.round-1))
	if err := s.Roll(ctx); err != nil {
		t.Fatalf("round %d: %v", b.round, err)
	}
	if left, _ := filepath.Glob(filepath.Join(b.dir, fileNew+"*")); len(left) > 0 {
		t.Fatalf("round %d left behind: %v", b.round, left)
	}
	if bad := s.Stats().Damaged; len(bad) > 0 {
		t.Fatalf("round %d: damaged %v", b.round, bad)
	}
	return len(s.Stats().Segments)
}

// TestKilledWhileItRolls kills a process that writes, indexes, scrubs, and rolls and compacts without rest, at
// random, again and again.
func TestKilledWhileItRolls(t *testing.T) {
	t.Parallel()
	b := &busy{dir: t.TempDir(), acked: map[int]bool{}}
	n := 0
	for range *kills {
		after := rand.IntN(300)
		b.run(t, func(_ string, n int) bool { return n >= after })
		n = b.check(t)
	}
	if n <= *kills {
		t.Errorf("no child has rolled: %d segments", n)
	}
}

// TestKilledWhileItRollsOnAFullDisk does the same on a disk that fills up for real while the process works,
// and ends only after the next start.
func TestKilledWhileItRollsOnAFullDisk(t *testing.T) {
	t.Parallel()
	mnt := t.TempDir()
	if err := syscall.Mount("tmpfs", mnt, "tmpfs", 0, "size=24m"); err != nil {
		t.Fatalf("mount a small file system (this test runs as root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mnt, 0); err != nil {
			t.Error(err)
		}
	})
	b := &busy{dir: filepath.Join(mnt, "store"), acked: map[int]bool{}}
	ballast := filepath.Join(mnt, "ballast")
	for round := range 3 {
		full, after := 0, rand.IntN(20)
		b.run(t, func(line string, n int) bool {
			if n == 100 {
				var st syscall.Statfs_t
				if err := syscall.Statfs(mnt, &st); err != nil {
					t.Fatal(err)
				}
				left := max(0, int64(st.Bavail)*st.Bsize-int64(round)*(60<<10))
				if err := os.WriteFile(ballast, make([]byte, left), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
					t.Fatal(err)
				}
			}
			if line == "full" {
				full++
			}
			return full > after
		})
		// On the full disk it opens, or says why it cannot; either way nothing is put aside.
		if s, err := tryOpen(b.dir, keysFrom(t, crashRoot[:])); err == nil {
			_ = s.Close()
		} else if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		b.check(t)
	}
}
