package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
)

var (
	testBlinded = NewTable[string]("test.blinded", Blinded(0))
	// testPairs has keys of a byte, a blinded value, a number, and another blinded value.
	testPairs = NewTable[string]("test.pairs", Blinded(1, 18))
)

const blindedRows = 24

// blindedKeys are where the n-th row stands in both tables: four rows share the first blinded value.
func blindedKeys(tx *Tx, n int) (single, pair []byte) {
	single = tx.Blind("test.b", fmt.Sprint(n))
	return single, append(pairPrefix(tx, n/4, n%2), append([]byte{byte(n)}, single...)...)
}

func pairPrefix(tx *Tx, group, first int) []byte {
	return append([]byte{byte(first)}, tx.Blind("test.a", fmt.Sprint(group))...)
}

func putBlinded(tx *Tx, n int, v string) error {
	single, pair := blindedKeys(tx, n)
	return errors.Join(testBlinded.Put(tx, single, v), testPairs.Put(tx, pair, v),
		tx.Record(Entry{Action: "test.saved", Outcome: OK, Object: fmt.Sprint(n)}))
}

// fillBlinded writes the rows, one by one.
func fillBlinded(t testing.TB, s *Store) {
	t.Helper()
	for n := range blindedRows {
		if err := s.Update(context.Background(), nurse, func(tx *Tx) error { return putBlinded(tx, n, fmt.Sprintf("value %d", n)) }); err != nil {
			t.Fatal(err)
		}
	}
}

// checkBlinded finds every row by its key and by its prefix, in order, and reads the whole store.
func checkBlinded(t *testing.T, s *Store) {
	t.Helper()
	err := s.View(context.Background(), func(tx *Tx) error { return findBlinded(tx, blindedRows) })
	if err = errors.Join(err, s.Check(context.Background())); err != nil {
		t.Fatal(err)
	}
}

func findBlinded(tx *Tx, rows int) error {
	for n := range rows {
		single, pair := blindedKeys(tx, n)
		a, ok, err := testBlinded.Get(tx, single)
		b, ok2, err2 := testPairs.Get(tx, pair)
		if want := fmt.Sprintf("value %d", n); err != nil || err2 != nil || !ok || !ok2 || a != want || b != want {
			return fmt.Errorf("row %d: %q %v %w, %q %v %w", n, a, ok, err, b, ok2, err2)
		}
	}
	for group := range rows / 4 {
		for first := range 2 {
			for _, reverse := range []bool{false, true} {
				got := []string{}
				err := testPairs.Each(tx, Range{Prefix: pairPrefix(tx, group, first), Reverse: reverse}, func(key []byte, v string) error {
					n := int(key[17])
					if _, pair := blindedKeys(tx, n); !bytes.Equal(key, pair) || v != fmt.Sprintf("value %d", n) {
						return fmt.Errorf("the key of %q is not the one it was put under", v)
					}
					got = append(got, fmt.Sprint(n))
					return nil
				})
				low, high := fmt.Sprint(4*group+first), fmt.Sprint(4*group+first+2)
				if reverse {
					low, high = high, low
				}
				if err != nil || strings.Join(got, " ") != low+" "+high {
					return fmt.Errorf("group %d, %d, reverse %v: %v, %w", group, first, reverse, got, err)
				}
			}
		}
	}
	for _, table := range []*Table[string]{testBlinded, testPairs} {
		if n, err := table.Len(tx); err != nil || n != rows {
			return fmt.Errorf("%d rows in %s, %w", n, table, err)
		}
	}
	return nil
}

// rawKeys are the keys of the tables of blinded values as they stand in a file that nobody has open.
func rawKeys(t *testing.T, path string) (keys [][]byte) {
	t.Helper()
	tamper(t, path, func(tx *bolt.Tx) error {
		return errors.Join(tx.Bucket([]byte("t/test.blinded")).ForEach(func(k, _ []byte) error { keys = append(keys, bytes.Clone(k)); return nil }),
			tx.Bucket([]byte("t/test.pairs")).ForEach(func(k, _ []byte) error { keys = append(keys, bytes.Clone(k)); return nil }))
	})
	return keys
}

// blocks are all that is as long as a blinded value in some keys.
func blocks(keys [][]byte) map[string]bool {
	all := map[string]bool{}
	for _, k := range keys {
		for i := range len(k) - blindSize + 1 {
			all[string(k[i:i+blindSize])] = true
		}
	}
	return all
}

// TestRotateIndex: after it nothing of a blinded value that stood in the old file stands in the new one,
// in keys or in the ciphertext beside them, and everything is found as before; also after the next one,
// a restart, a roll and a compaction.
func TestRotateIndex(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	ctx, file := context.Background(), filepath.Join(dir, fileName)
	s := open(t, dir, k)
	fillBlinded(t, s)
	for round := range 3 {
		was := s.Index()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		before := blocks(rawKeys(t, file))
		values := sealedValues(t, file)
		s = open(t, dir, k)
		if err := s.RotateIndex(ctx, nurse); err != nil {
			t.Fatal(err)
		}
		checkBlinded(t, s)
		if now := s.Index(); now.Generation != was.Generation+1 || now.Since.IsZero() {
			t.Errorf("the index is %+v, and was %+v", now, was)
		}
		if ring := s.durable.Load().ring; len(ring.covers) != 1 {
			t.Errorf("%d covers are on the ring", len(ring.covers))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		keys := rawKeys(t, file)
		if len(keys) != 2*blindedRows {
			t.Fatalf("%d keys", len(keys))
		}
		for b := range blocks(keys) {
			if before[b] {
				t.Fatalf("round %d: something of a key is as it was", round)
			}
		}
		for v := range sealedValues(t, file) {
			if values[v] {
				t.Fatalf("round %d: a value is sealed as it was, which tells old from new keys", round)
			}
		}
		s = open(t, dir, k)
		checkBlinded(t, s)
		for _, rewrite := range []func(context.Context) error{s.Compact, s.Roll, s.Refresh} {
			if err := rewrite(ctx); err != nil {
				t.Fatal(err)
			}
			checkBlinded(t, s)
		}
	}
	export(t, s, s.Fingerprint())
	if got := coverEntries(t, s); got != "made 2, dropped 1, made 3, dropped 2, made 4, dropped 3, " {
		t.Errorf("entries about covers: %s", got)
	}
}

// coverEntries are the entries about covers in the name of the nurse.
func coverEntries(t *testing.T, s *Store) (list string) {
	t.Helper()
	err := s.View(context.Background(), func(tx *Tx) error {
		return tx.Entries(0, func(r Record) error {
			if a := r.Entry.Attrs; r.Actor == nurse && len(a) >= 2 && a[0].Value == purposeIndex && r.Entry.Outcome == OK {
				list += strings.TrimPrefix(string(r.Entry.Action), "store.key.") + " " + a[1].Value + ", "
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func sealedValues(t *testing.T, path string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	tamper(t, path, func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("t/test.blinded")).ForEach(func(_, v []byte) error { all[string(v)] = true; return nil })
	})
	return all
}

// TestAnOldKeyringOpensNothing of the file that a rotation made: neither its keys nor its values, nor the
// entries and backups that follow.
func TestAnOldKeyringOpensNothing(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	fillBlinded(t, s)
	backup(t, s, BackupOptions{})
	old := s.durable.Load().ring
	if err := s.RotateIndex(context.Background(), nurse); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, 1, "x")
	backup(t, s, BackupOptions{})
	if bytes.Equal(s.durable.Load().ring.backup, old.backup) {
		t.Error("a backup opens")
	}
	size := s.Stats().Entries
	id := s.id
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, filepath.Join(dir, fileName), func(tx *bolt.Tx) error {
		for n := range blindedRows {
			logical := old.blind("test.b", fmt.Sprint(n))
			for _, c := range old.covers {
				if tx.Bucket([]byte("t/test.blinded")).Get((&cover{key: c}).lay([]int{0}, logical)) != nil {
					t.Error("a key is where the old keyring says")
				}
			}
		}
		record := bytes.Clone(tx.Bucket(bucketAudit).Get(seqKey(size - 1)))
		if _, err := old.openEntry(stored{size - 1, &id, record}); err == nil {
			t.Error("an entry made after it opens")
		}
		return tx.Bucket([]byte("t/test.blinded")).ForEach(func(_, v []byte) error {
			if m, _, ok := cutSealed(v); !ok || find(old.keys[m.purpose], m.epoch) != nil {
				t.Error("a value is under a key of the old keyring")
			}
			return nil
		})
	})
}

// TestFormat2 opens a store of before there were covers: nothing is covered, everything is found, and the
// first rotation covers it. An older program refuses it from then on.
func TestFormat2(t *testing.T) {
	root := sha256.Sum256([]byte("format 2"))
	dir, k := t.TempDir(), keysFrom(t, root[:])
	file := filepath.Join(dir, fileName)
	gunzip(t, "testdata/format-2.db.gz", file)
	before := blocks(rawKeys(t, file))
	for range 2 { // the second time as a file of format 3 that is not covered
		s := open(t, dir, k)
		checkBlinded(t, s)
		if i := s.Index(); i.Generation != 0 || !i.Since.IsZero() {
			t.Errorf("the index is %+v", i)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	tamper(t, file, func(tx *bolt.Tx) error {
		if v := tx.Bucket(bucketMeta).Get(keyFormat); v[3] <= 2 {
			t.Errorf("an older program opens it: format %d", v[3])
		}
		return nil
	})
	s := open(t, dir, k)
	if err := s.RotateIndex(context.Background(), nurse); err != nil {
		t.Fatal(err)
	}
	checkBlinded(t, s)
	mustSave(t, s, 8, "row 8")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for b := range blocks(rawKeys(t, file)) {
		if before[b] {
			t.Fatal("something of a key is as it was")
		}
	}
	s = open(t, dir, k)
	checkBlinded(t, s)
	if v, ok := read(t, s, 3); !ok || v.Name != "row 3" || s.Index().Generation != 1 {
		t.Errorf("row 3: %v %v, index %+v", v, ok, s.Index())
	}
}

// TestRotateIndexFaults: each step fails, with no space and otherwise. Before the new file has its name
// nothing has happened and the next rotation works; after it the store ends, and the next start has the new one.
func TestRotateIndexFaults(t *testing.T) {
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
		for _, point := range indexPoints {
			t.Run(fmt.Sprintf("%s/%v", point, fault), func(t *testing.T) {
				dir, k := t.TempDir(), newTestKeys(t)
				s := open(t, dir, k)
				fillBlinded(t, s)
				s.crash = func(p string) error {
					if p == point {
						return fault
					}
					return nil
				}
				if err := s.RotateIndex(context.Background(), nurse); !errors.Is(err, fault) {
					t.Fatal(err)
				}
				s.crash = nil
				want := uint32(1)
				if point == "renamed" {
					<-s.Failed()
					_ = s.Close()
					s, want = open(t, dir, k), 2
				}
				afterIndex(t, s, dir, want)
			})
		}
	}
}

// indexPoints are the crash points of a rotation of the index.
var indexPoints = []string{"made", "taken", "copied", "filled", "renamed"}

// afterIndex checks a store whose rotation was cut short, and rotates again.
func afterIndex(t *testing.T, s *Store, dir string, want uint32) {
	t.Helper()
	for range 2 {
		if got := s.Index().Generation; got != want {
			t.Errorf("the index is of generation %d, want %d", got, want)
		}
		if ring := s.durable.Load().ring; len(ring.covers) != 1 || ring.covers[0].generation != want {
			t.Errorf("%d covers are on the ring", len(ring.covers))
		}
		checkBlinded(t, s)
		if left, _ := filepath.Glob(filepath.Join(dir, fileNew+"*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if err := s.RotateIndex(context.Background(), nurse); err != nil {
			t.Fatal(err)
		}
		want++
	}
}
