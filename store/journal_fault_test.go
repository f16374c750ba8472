package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// TestMergeFaults plays, for each kind of error, a merge that was not done and one that was done in
// truth. Nobody who wrote is told, as what they wrote is durable; it is there before, after, and for the
// next Open. Only no space leaves the store as it was.
func TestMergeFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		done  bool
		fatal bool
	}{
		{"no space, not done", syscall.ENOSPC, false, false},
		{"no space, done", syscall.ENOSPC, true, true},
		{"i/o error, not done", syscall.EIO, false, true},
		{"i/o error, done", syscall.EIO, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, k := t.TempDir(), newTestKeys(t)
			var broken atomic.Bool
			var writes atomic.Int64
			s := openJournal(t, dir, k, func(tx *bolt.Tx) error {
				writes.Add(1)
				switch {
				case !broken.Load():
					return tx.Commit()
				case c.done:
					return errors.Join(tx.Commit(), c.err)
				}
				return errors.Join(tx.Rollback(), c.err)
			})
			for n := range 20 {
				mustSave(t, s, n, "x")
			}
			broken.Store(true)
			if err := piece(s); !errors.Is(err, c.err) {
				t.Errorf("the merge: %v", err)
			}
			broken.Store(false)
			if failed := s.Err() != nil; failed != c.fatal {
				t.Fatalf("the store failed: %v", s.Err())
			}
			if !c.fatal {
				mustSave(t, s, 20, "after")
				whole(t, s, 21)
			}
			n := writes.Load()
			_ = s.Close()
			if c.fatal && (!errors.Is(s.merge(1), c.err) || writes.Load() != n) {
				t.Error("something went into the file after the failure")
			}
			whole(t, open(t, dir, k), 20)
		})
	}
}

// TestPanicInMerge: the database panics in a merge. That ends the store, not the process.
func TestPanicInMerge(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := openJournal(t, dir, k, func(*bolt.Tx) error { panic("page 7 already freed") })
	mustSave(t, s, 0, "x")
	if err := piece(s); err == nil {
		t.Error("it was merged")
	}
	<-s.Failed()
	_ = s.Close()
}

// TestFullDiskWithAJournal: while merges find no space commits go on, and what is pending is bounded: in
// the end they are refused. With space again all goes on by itself, and nothing that was accepted is lost.
func TestFullDiskWithAJournal(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s, allow := unmerged(t, dir, k)
	n := 0
	var err error
	for ; err == nil && n < 10_000; n++ {
		err = save(s, n, "x")
	}
	n--
	if !errors.Is(err, ErrFull) || s.Err() != nil || n < s.mergeFrom {
		t.Fatalf("after %d rows: %v; failed: %v", n, err, s.Err())
	}
	if p := s.durable.Load().pending.size(); p > s.maxPending() {
		t.Errorf("%d changes are pending", p)
	}
	if err := s.Accept(context.Background(), nurse, func(*Tx) error { return nil }); !errors.Is(err, ErrFull) {
		t.Errorf("Accept: %v", err)
	}
	for _, err := range []error{s.Compact(context.Background()), s.Refresh(context.Background()), s.Check(context.Background())} {
		if !errors.Is(err, ErrFull) { // they would read tables that are not as they should be
			t.Errorf("with a journal that cannot be merged: %v", err)
		}
	}
	allow()
	mustSave(t, s, n, "again")
	whole(t, s, n+1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole(t, open(t, dir, k), n+1)
}

// TestBackupHoldsTheJournal: a backup of a store whose journal is not merged is whole.
func TestBackupHoldsTheJournal(t *testing.T) {
	k := newTestKeys(t)
	s, _ := unmerged(t, t.TempDir(), k)
	for n := range 20 {
		mustSave(t, s, n, "x")
	}
	data, _ := backup(t, s, BackupOptions{})
	if _, err := VerifyBackup(context.Background(), bytes.NewReader(data), k, t.TempDir()); err != nil {
		t.Error(err)
	}
	dir := filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(context.Background(), bytes.NewReader(data), dir, k, RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	whole(t, open(t, dir, k), 20)
}

// TestDamagedJournal: a journal that is not what was written is never merged. The start says so, and puts
// the file aside.
func TestDamagedJournal(t *testing.T) {
	first := func(tx *bolt.Tx, fn func(b *bolt.Bucket, key, value []byte) error) error {
		top := tx.Bucket(bucketJournal)
		name, _ := top.Cursor().First()
		b := top.Bucket(name)
		k, v := b.Cursor().First()
		return fn(b, bytes.Clone(k), bytes.Clone(v))
	}
	for name, damage := range map[string]func(*bolt.Tx) error{
		"a bit flipped": func(tx *bolt.Tx) error {
			return first(tx, func(b *bolt.Bucket, k, v []byte) error { v[len(v)/2] ^= 4; return b.Put(k, v) })
		},
		"a deletion made of a value": func(tx *bolt.Tx) error {
			return first(tx, func(b *bolt.Bucket, k, v []byte) error {
				at := bytes.Index(v, num(0)) + 8
				n := int(binary.BigEndian.Uint32(v[at:]))
				return b.Put(k, append(append(v[:at:at], 0, 0, 0, 0), v[at+4+n:]...))
			})
		},
		"cut": func(tx *bolt.Tx) error {
			return first(tx, func(b *bolt.Bucket, k, v []byte) error { return b.Put(k, v[:20]) })
		},
		"a chunk missing": func(tx *bolt.Tx) error {
			return first(tx, func(b *bolt.Bucket, k, _ []byte) error { return b.Delete(k) })
		},
		"a chunk in another's place": func(tx *bolt.Tx) error {
			return first(tx, func(b *bolt.Bucket, k, _ []byte) error {
				return b.Put(k, bytes.Clone(b.Get(binary.BigEndian.AppendUint32(nil, 1))))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newTestKeys(t)
			s, _ := unmerged(t, t.TempDir(), k)
			for n := range 5 {
				mustSave(t, s, n, "x")
			}
			dir := crashed(t, s)
			tamper(t, filepath.Join(dir, fileName), damage)
			_, err := tryOpen(dir, k)
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "put aside") {
				t.Errorf("open: %v", err)
			}
		})
	}
}

// TestFormat3 opens a store of before there was a journal. An older program refuses it from then on.
func TestFormat3(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	mustSave(t, s, 0, "x")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, fileName)
	tamper(t, file, func(tx *bolt.Tx) error {
		return errors.Join(tx.DeleteBucket(bucketJournal), tx.Bucket(bucketMeta).Put(keyFormat, []byte{0, 0, 0, 3}))
	})
	s = open(t, dir, k)
	mustSave(t, s, 1, "x")
	whole(t, s, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, file, func(tx *bolt.Tx) error {
		if v := tx.Bucket(bucketMeta).Get(keyFormat); v[3] != 4 {
			t.Errorf("format %d", v[3])
		}
		return nil
	})
}

// mergeEnv makes a child kill itself at a point of a merge, the third time that it comes there.
const mergeEnv = "PINWARD_STORE_TEST_MERGE"

func killedInMerge(dir, point string) {
	times := 0
	s, err := Open(context.Background(), dir, Options{
		Keys: keysFrom(&testing.B{}, crashRoot[:]), Free: plenty, HeadEvery: time.Hour, Log: slog.New(slog.DiscardHandler), mergeFrom: 40,
		writeMerge: func(tx *bolt.Tx) error {
			times++
			if times == 3 && point == "merging" {
				return syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
			err := tx.Commit()
			if times == 3 {
				return syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
			return err
		},
	})
	for n := 0; n < 200 && err == nil; n++ {
		if err = save(s, n, "x"); err == nil {
			fmt.Println(n)
		}
	}
	fmt.Fprintln(os.Stderr, "still alive:", err)
	os.Exit(2)
}

// TestKilledInMerge kills a process in the middle of a pass, before a piece of it is durable and after: the
// next start has all that was acknowledged, and merges the rest.
func TestKilledInMerge(t *testing.T) {
	for _, point := range []string{"merging", "merged"} {
		t.Run(point, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+dir, mergeEnv+"="+point)
			out, err := cmd.Output()
			if err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("the child was not killed: %v %s", err, out)
			}
			acknowledged := strings.Count(string(out), "\n")
			if acknowledged < 40 {
				t.Fatalf("only %d rows were written", acknowledged)
			}
			s := open(t, dir, keysFrom(t, crashRoot[:]))
			if s.durable.Load().pending.size() == 0 {
				t.Error("nothing was in the journal")
			}
			whole(t, s, acknowledged)
		})
	}
}
