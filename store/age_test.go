package store

import (
	"context"
	"errors"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// TestCollect goes through a table in steps: each looks at so many and takes so many, and a damaged value is passed over.
func TestCollect(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	file := filled(t, dir, k, 20)
	tamper(t, file, func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(testRows.info.bucket))
		v := append([]byte(nil), b.Get(num(4))...)
		v[len(v)-1] ^= 1
		return b.Put(num(4), v)
	})
	s := open(t, dir, k)
	collect := func(from []byte, look, most int, pick func([]byte, row) (bool, error)) (got []int, next []byte, err error) {
		err = s.View(context.Background(), func(tx *Tx) error {
			keys, at, err := testRows.Collect(tx, from, look, most, pick)
			for _, key := range keys {
				for n := range 20 {
					if string(key) == string(num(n)) {
						got = append(got, n)
					}
				}
			}
			next = at
			return err
		})
		return got, next, err
	}
	even := func(key []byte, _ row) (bool, error) { return key[len(key)-1]%2 == 0, nil }
	var all []int
	var at []byte
	steps := 0
	for {
		got, next, err := collect(at, 6, 2, even)
		if err != nil || len(got) > 2 {
			t.Fatalf("%v, %v", got, err)
		}
		steps++
		if all, at = append(all, got...), next; next == nil {
			break
		}
	}
	if len(all) != 9 || steps < 4 {
		t.Errorf("collected %v in %d steps", all, steps)
	}
	if got, next, err := collect(nil, 100, 100, func(key []byte, _ row) (bool, error) {
		if string(key) == string(num(8)) {
			return false, Stop
		}
		return true, nil
	}); err != nil || next != nil || len(got) != 7 {
		t.Errorf("ended early: %v, %x, %v", got, next, err)
	}
	wrong := errors.New("wrong")
	if _, _, err := collect(nil, 100, 100, func([]byte, row) (bool, error) { return true, wrong }); !errors.Is(err, wrong) {
		t.Errorf("error of pick: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
