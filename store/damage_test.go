package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// filled makes a store of some rows, closes it, and returns its file.
func filled(t *testing.T, dir string, k Keys, rows int) string {
	t.Helper()
	s := open(t, dir, k)
	err := s.Update(context.Background(), nurse, func(tx *Tx) error {
		for n := range rows {
			if err := testRows.Put(tx, num(n), row{Name: fmt.Sprintf("row %d", n)}); err != nil {
				return err
			}
			if err := tx.Record(Entry{Action: "test.saved", Outcome: OK, Object: fmt.Sprint(n)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, fileName)
}

// tamper changes the file by bbolt, as somebody with the disk in his hands can.
func tamper(t *testing.T, file string, fn func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(file, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// writeSparse writes a file without the zeros at its end, which is most of a young store.
func writeSparse(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, bytes.TrimRight(data, "\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

func tryOpen(dir string, k Keys) (*Store, error) {
	return Open(context.Background(), dir, Options{Keys: k, Free: plenty, HeadEvery: time.Hour})
}

// TestMovedValueDoesNotOpen: a sealed value opens only where it was put: not under another key, in
// another table, under another epoch or schema, nor in another store.
func TestMovedValueDoesNotOpen(t *testing.T) {
	rows := []byte(testRows.info.bucket)
	for name, change := range map[string]func(tx *bolt.Tx) error{
		"another key": func(tx *bolt.Tx) error {
			b := tx.Bucket(rows)
			return b.Put(num(1), bytes.Clone(b.Get(num(0))))
		},
		"another table": func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(testIndex.info.bucket))
			if err != nil {
				return err
			}
			return b.Put(num(1), bytes.Clone(tx.Bucket(rows).Get(num(1))))
		},
		"another epoch": func(tx *bolt.Tx) error {
			v := bytes.Clone(tx.Bucket(rows).Get(num(1)))
			v[6]++
			return tx.Bucket(rows).Put(num(1), v)
		},
		"another version": func(tx *bolt.Tx) error {
			v := bytes.Clone(tx.Bucket(rows).Get(num(1)))
			v[0]++
			return tx.Bucket(rows).Put(num(1), v)
		},
		"cut": func(tx *bolt.Tx) error {
			v := bytes.Clone(tx.Bucket(rows).Get(num(1)))
			return tx.Bucket(rows).Put(num(1), v[:len(v)-1])
		},
		"empty": func(tx *bolt.Tx) error { return tx.Bucket(rows).Put(num(1), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, k := t.TempDir(), newTestKeys(t)
			tamper(t, filled(t, dir, k, 3), change)
			s := open(t, dir, k)
			err := s.View(context.Background(), func(tx *Tx) error {
				_, _, err := testRows.Get(tx, num(1))
				_, _, err2 := testIndex.Get(tx, num(1))
				return errors.Join(err, err2)
			})
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("Get: %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "test.") {
				t.Errorf("the error does not name the table: %v", err)
			}
			if err := s.Check(context.Background()); !errors.Is(err, ErrCorrupt) {
				t.Errorf("Check: %v", err)
			} else {
				saidOnce(t, err)
			}
		})
	}
	t.Run("another store", func(t *testing.T) {
		k := newTestKeys(t)
		dir := t.TempDir()
		other := filled(t, filepath.Join(dir, "a"), k, 2)
		var stolen []byte
		tamper(t, other, func(tx *bolt.Tx) error { stolen = bytes.Clone(tx.Bucket(rows).Get(num(1))); return nil })
		tamper(t, filled(t, filepath.Join(dir, "b"), k, 2), func(tx *bolt.Tx) error { return tx.Bucket(rows).Put(num(1), stolen) })
		s := open(t, filepath.Join(dir, "b"), k)
		err := s.View(context.Background(), func(tx *Tx) error { _, _, err := testRows.Get(tx, num(1)); return err })
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("Get: %v", err)
		}
	})
	t.Run("newer schema", func(t *testing.T) {
		dir, k := t.TempDir(), newTestKeys(t)
		tamper(t, filled(t, dir, k, 2), func(tx *bolt.Tx) error {
			v := bytes.Clone(tx.Bucket(rows).Get(num(1)))
			v[2]++
			return tx.Bucket(rows).Put(num(1), v)
		})
		s := open(t, dir, k)
		err := s.View(context.Background(), func(tx *Tx) error { _, _, err := testRows.Get(tx, num(1)); return err })
		if !errors.Is(err, ErrNewer) {
			t.Errorf("Get: %v", err)
		}
	})
}

// TestTamperedLogIsRefused: at the next start, or when it is read.
func TestTamperedLogIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(tx *bolt.Tx) error
		start  bool // found at the start; else by Check
	}{
		"state gone":      {func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyState) }, true},
		"state flipped":   {flip(bucketMeta, keyState, 20), true},
		"keyring flipped": {flip(bucketMeta, keyKeyring, 20), true},
		"last entry gone": {func(tx *bolt.Tx) error { return tx.Bucket(bucketAudit).Delete(num(203)) }, true},
		"entry added":     {func(tx *bolt.Tx) error { return tx.Bucket(bucketAudit).Put(num(204), []byte{1}) }, true},
		"head flipped": {func(tx *bolt.Tx) error {
			k, v := tx.Bucket(bucketHeads).Cursor().Last()
			v = bytes.Clone(v)
			v[len(v)-10] ^= 1
			return tx.Bucket(bucketHeads).Put(bytes.Clone(k), v)
		}, true},
		"head gone, entry altered": {func(tx *bolt.Tx) error {
			k, _ := tx.Bucket(bucketHeads).Cursor().Last()
			if err := tx.Bucket(bucketHeads).Delete(bytes.Clone(k)); err != nil {
				return err
			}
			return flip(bucketAudit, num(100), 45)(tx)
		}, true},
		"a bucket gone":            {func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketTree) }, true},
		"meta gone":                {func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketMeta) }, true},
		"hash of the edge flipped": {flip(bucketTree, nodeKey(7, 0), 3), true},
		"kept hash flipped":        {flip(bucketTree, nodeKey(6, 1), 3), false},
		"header flipped":           {flip(bucketAudit, num(100), 45), false},
		"sealed body flipped":      {flip(bucketAudit, num(100), -5), false},
		"middle entry gone":        {func(tx *bolt.Tx) error { return tx.Bucket(bucketAudit).Delete(num(100)) }, false},
		"two entries exchanged": {func(tx *bolt.Tx) error {
			b := tx.Bucket(bucketAudit)
			x, y := bytes.Clone(b.Get(num(100))), bytes.Clone(b.Get(num(101)))
			return errors.Join(b.Put(num(100), y), b.Put(num(101), x))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir, k := t.TempDir(), newTestKeys(t)
			tamper(t, filled(t, dir, k, 200), c.change)
			s, err := tryOpen(dir, k)
			if err == nil {
				defer s.Close()
				if c.start {
					t.Fatal("the store opens")
				}
				err = s.Check(context.Background())
			}
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrWrongKey) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func flip(bucket, key []byte, at int) func(tx *bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		v := bytes.Clone(tx.Bucket(bucket).Get(key))
		if at < 0 {
			at += len(v)
		}
		v[at] ^= 1
		return tx.Bucket(bucket).Put(key, v)
	}
}

// TestDamagedFileIsAnError flips bits of the raw file, zeroes pages and cuts it: each time the store
// opens and reads true, or says so; it never reads a wrong value and never ends the process.
func TestDamagedFileIsAnError(t *testing.T) {
	t.Parallel()
	k := newTestKeys(t)
	const rows = 300
	file := filled(t, t.TempDir(), k, rows)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(good, "\x00"))
	rnd := rand.New(rand.NewPCG(3, 4))
	found := 0
	for i := range 60 {
		bad := bytes.Clone(good)
		switch i % 3 {
		case 0:
			bit := rnd.IntN(used * 8)
			bad[bit/8] ^= 1 << (bit % 8)
		case 1:
			page := rnd.IntN(used/4096) * 4096
			clear(bad[page : page+4096])
		case 2:
			bad = bad[:rnd.IntN(used)]
		}
		dir := t.TempDir()
		writeSparse(t, filepath.Join(dir, fileName), bad)
		if readAll(t, dir, k, rows) {
			found++
		}
	}
	if found < 20 { // all the cut ones at least
		t.Errorf("only %d of 60 damages were found", found)
	}
}

// readAll reports whether the store was found damaged; a wrong value fails the test.
func readAll(t *testing.T, dir string, k Keys, rows int) (found bool) {
	t.Helper()
	s, err := tryOpen(dir, k)
	if err != nil {
		return true
	}
	err = s.View(context.Background(), func(tx *Tx) error {
		for n := range rows {
			v, ok, err := testRows.Get(tx, num(n))
			if err != nil {
				return err
			}
			if ok && v.Name != fmt.Sprintf("row %d", n) {
				t.Errorf("row %d reads as another", n)
			}
			if !ok {
				found = true // bbolt's own pages have no checksum: a whole subtree can be lost; the log tells
			}
		}
		return nil
	})
	return errors.Join(err, s.Check(context.Background()), s.Close()) != nil || found
}

// TestFileCutUnderARunningStore: reading past the new end is an error, not the end of the process.
func TestFileCutUnderARunningStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, newTestKeys(t))
	for n := range 300 {
		mustSave(t, s, n, "x")
	}
	if err := os.Truncate(filepath.Join(dir, fileName), 4096*3); err != nil {
		t.Fatal(err)
	}
	err := s.View(context.Background(), func(tx *Tx) error {
		_, err := testRows.Len(tx)
		return err
	})
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("View: %v", err)
	}
	err = save(s, 1, "y")
	if err == nil {
		t.Error("Update goes through")
	}
}

func TestWrongKeyNewerLockedForeign(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	file := filled(t, dir, k, 2)

	if _, err := tryOpen(dir, newTestKeys(t)); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another root key: %v", err)
	}
	if _, err := Open(context.Background(), dir, Options{Keys: k, Origin: "pinward/other"}); err == nil || !strings.Contains(err.Error(), "origin") {
		t.Errorf("another origin: %v", err)
	}
	s := open(t, dir, k)
	if _, err := Open(context.Background(), dir, Options{Keys: k, LockTimeout: 20 * time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second process: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, file, func(tx *bolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyFormat, binary.BigEndian.AppendUint32(nil, formatVersion+1))
	})
	if _, err := tryOpen(dir, k); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer format: %v", err)
	}
	if err := os.WriteFile(file, []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tryOpen(dir, k); !errors.Is(err, ErrCorrupt) {
		t.Errorf("no database: %v", err)
	}
	if _, err := Open(context.Background(), dir, Options{}); err == nil {
		t.Error("it opens without keys")
	}
}

// TestMakingIsAllOrNothing: what an interrupted making left is no store, and is cleared away; and if
// the keys fail there is none either.
func TestMakingIsAllOrNothing(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	left := filepath.Join(dir, fileNew+"0123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.setErr(errors.New("no key today"))
	if _, err := tryOpen(dir, k); err == nil {
		t.Fatal("a store was made without its keys")
	}
	if _, err := os.Stat(filepath.Join(dir, fileName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file is there: %v", err)
	}
	k.setErr(nil)
	open(t, dir, k)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != fileName {
		t.Errorf("files %v, %v", files, err)
	}
}

// TestNothingInClear greps the raw file for everything that was put into it.
func TestNothingInClear(t *testing.T) {
	const number, name, mrn = "+16175551234", "Zebulon Quux", "MRN-90210-X"
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	err := s.Update(context.Background(), Actor{Kind: "user", ID: "zquux-login", OnBehalfOf: name}, func(tx *Tx) error {
		if err := testRows.Put(tx, tx.Blind("phone", number), row{Name: name + number}); err != nil {
			return err
		}
		if _, err := tx.CodeMAC(tx.CodeEpoch(), []byte("x")); err != nil {
			return err
		}
		return tx.Record(Entry{Action: "test.saved", Outcome: OK, Object: number, Subject: mrn, Attrs: []Attr{{Key: "k", Value: name}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	var bundle bytes.Buffer
	if err := s.Export(context.Background(), &bundle); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	for where, data := range map[string][]byte{"file": raw, "bundle": bundle.Bytes()} {
		if !bytes.Contains(data, []byte("test.saved")) {
			t.Errorf("the %s does not even hold the action: the test looks at the wrong thing", where)
		}
		for _, secret := range []string{number, number[1:], "Zebulon", "zquux", "90210"} {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%q stands in the %s", secret, where)
			}
		}
	}
}
