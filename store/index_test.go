package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"
)

var testLogIndex = NewIndex("test.log/2", "test.log")

// marked is what a test knows to be in the index.
type marked struct {
	to    uint64
	spots map[string][]uint64 // value -> entries, in order
}

// add indexes the next entries, some of which have marks; there need not be such entries in the log.
func (m *marked) add(t testing.TB, s *Store, n uint64, marks map[uint64]string) {
	t.Helper()
	from := m.to
	m.to += n
	err := s.Update(context.Background(), nurse, func(tx *Tx) error {
		var list []Mark
		for seq, v := range marks {
			list = append(list, Mark{Seq: seq, Epoch: epochOf(tx.ring, PurposeAudit), Purpose: "test", Value: v})
		}
		return testLogIndex.Add(tx, from, m.to, list)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range slices.Sorted(maps.Keys(marks)) {
		m.spots[marks[seq]] = append(m.spots[marks[seq]], seq)
	}
}

// check walks a value below an end and holds what comes against what is known.
func (m *marked) check(t testing.TB, s *Store, value string, below uint64) {
	t.Helper()
	has := func(from, to uint64) bool {
		return slices.ContainsFunc(m.spots[value], func(seq uint64) bool { return seq >= from && seq < to })
	}
	end, left := below, 0
	for _, seq := range m.spots[value] {
		if seq < below {
			left++
		}
	}
	for _, r := range stretchesOf(t, s, value, below) {
		if r[0] >= r[1] || r[1] > end || r[1]-r[0] > Stretch {
			t.Fatalf("%s below %d: stretch %v after one from %d", value, below, r, end)
		}
		if n := r[0] / Stretch; r[0] < m.to && !has(n*Stretch, (n+1)*Stretch) {
			t.Fatalf("%s below %d: nothing is in stretch %v", value, below, r)
		}
		for _, seq := range m.spots[value] {
			if seq >= r[0] && seq < r[1] {
				left--
			}
		}
		end = r[0]
	}
	if left != 0 {
		t.Fatalf("%s below %d: %d marks were not come by", value, below, left)
	}
}

// stretchesOf lists what a walk comes by.
func stretchesOf(t testing.TB, s *Store, value string, below uint64) (list [][2]uint64) {
	t.Helper()
	err := s.View(context.Background(), func(tx *Tx) error {
		return testLogIndex.Each(tx, "test", value, below, func(from, to uint64) error {
			if from < to {
				list = append(list, [2]uint64{from, to})
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestIndex adds marks of frequent and of rare values in steps of all sizes, over stretches, eras and
// files, and rolls, compacts and restarts in between: a walk comes by each mark once, from the newest to
// the oldest, and by nothing that is known to hold none.
func TestIndex(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	rnd := rand.New(rand.NewPCG(1, 2))
	m := &marked{spots: map[string][]uint64{}}
	for step := range 60 {
		n := uint64(rnd.IntN(900) + 1)
		if step%7 == 0 {
			n = uint64(rnd.IntN(3 * perEra * Stretch))
		}
		marks := map[uint64]string{}
		for range 8 {
			marks[m.to+rnd.Uint64N(n)] = fmt.Sprintf("v%d", min(rnd.IntN(12), rnd.IntN(12)))
		}
		if step == 30 {
			marks[m.to] = "once"
		}
		m.add(t, s, n, marks)
		switch step % 9 {
		case 3:
			mustSave(t, s, step, "x")
			if err := s.Roll(ctx); err != nil {
				t.Fatal(err)
			}
		case 5:
			if err := s.Compact(ctx); err != nil {
				t.Fatal(err)
			}
		case 7:
			closeStore(t, s)
			s = open(t, dir, k)
		}
	}
	for i := range 13 {
		value := fmt.Sprintf("v%d", i)
		if i == 12 {
			value = "once"
		}
		for _, below := range []uint64{0, 1, Stretch, Stretch + 1, perEra * Stretch, perEra*Stretch + 1, m.to / 2, m.to, m.to + 3*Stretch + 1} {
			m.check(t, s, value, below)
		}
		for range 20 {
			m.check(t, s, value, rnd.Uint64N(m.to))
		}
	}
	if got := stretchesOf(t, s, "once", m.to); len(got) != 1 {
		t.Errorf("a value that is in one entry: %v", got)
	}
	// A walk that is told to stop stops, also between two files.
	for most := 1; most < 12; most++ {
		n := 0
		err := s.View(ctx, func(tx *Tx) error {
			return testLogIndex.Each(tx, "test", "v0", m.to, func(uint64, uint64) error {
				if n++; n == most {
					return Stop
				}
				return nil
			})
		})
		if err != nil || n != most {
			t.Errorf("stopped after %d: %d, %v", most, n, err)
		}
	}
}

// indexKeys counts the keys of the index in the live file.
func indexKeys(t testing.TB, s *Store) (n int) {
	t.Helper()
	err := s.durable.Load().file.db.View(func(tx *bolt.Tx) error {
		if b := tx.Bucket([]byte("x/" + testLogIndex.name)); b != nil {
			return b.ForEach(func(_, _ []byte) error { n++; return nil })
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestIndexStaysBehind: a roll takes no key of the index along, what is added while it goes on is noted for
// the file that it gets into, and entries that are added twice are one mark.
func TestIndexStaysBehind(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	mustSave(t, s, 0, "x")
	m := &marked{spots: map[string][]uint64{}}
	for i := range uint64(40) {
		m.add(t, s, 100, map[uint64]string{i * 100: "a", i*100 + 1: "b"})
	}
	before := indexKeys(t, s)
	if err := s.Update(context.Background(), nurse, func(tx *Tx) error {
		return testLogIndex.Add(tx, 0, 100, []Mark{{0, epochOf(tx.ring, PurposeAudit), "test", "a"}})
	}); err != nil || before != 16 || indexKeys(t, s) != before {
		t.Fatalf("%d keys, then %d, %v", before, indexKeys(t, s), err)
	}
	added := make(chan struct{})
	s.crash = func(p string) error {
		if p == "filled" { // the transaction runs over the old file, and is committed into the new one
			go func() {
				m.add(t, s, 100, map[uint64]string{4000: "a"})
				close(added)
			}()
			for n := 0; n == 0; runtime.Gosched() {
				s.mu.Lock()
				n = len(s.batch.indexed)
				s.mu.Unlock()
			}
		}
		return nil
	}
	if err := s.Roll(context.Background()); err != nil {
		t.Fatal(err)
	}
	<-added
	s.crash = nil
	if n := indexKeys(t, s); n != 1 {
		t.Errorf("%d keys in the new file", n)
	}
	for _, v := range []string{"a", "b", "c"} {
		m.check(t, s, v, m.to)
	}
	if got := s.Stats().Segments[0].Indexed; got != (IndexSpan{testLogIndex.name, 0, 4000}) {
		t.Errorf("the segment's index covers %v", got)
	}
}

// TestIndexOfADamagedSegment is gone with it: what it covered is come by whole, the rest as before.
func TestIndexOfADamagedSegment(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	m := &marked{spots: map[string][]uint64{}}
	for i := range 3 {
		mustSave(t, s, i, "x")
		m.add(t, s, 10*Stretch, map[uint64]string{m.to + 700: "a"})
		if err := s.Roll(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	s.durable.Load().file.segments[1].quarantine("a test says so")
	got := stretchesOf(t, s, "a", m.to)
	if len(got) != 12 || got[0] != [2]uint64{21 * Stretch, 22 * Stretch} || got[1][1] != 20*Stretch || got[10][0] != 10*Stretch || got[11][0] != Stretch {
		t.Errorf("stretches %v", got)
	}
}

// TestIndexInThePlaceOfATable: what an older program indexed by a table is left behind, and never frozen.
func TestIndexInThePlaceOfATable(t *testing.T) {
	for name, do := range map[string]func(*Store) error{
		"upkeep": func(s *Store) error { return s.compactIfDue(context.Background(), s.since) },
		"roll":   func(s *Store) error { return s.Roll(context.Background()) },
	} {
		dir, k := t.TempDir(), newTestKeys(t)
		file := filled(t, dir, k, 3)
		tamper(t, file, func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket([]byte("t/test.log"))
			return errors.Join(err, b.Put([]byte("k"), []byte("v")))
		})
		s := open(t, dir, k)
		if !s.hasRetired() {
			t.Fatal("it is not there")
		}
		if err := do(s); err != nil {
			t.Fatal(err)
		}
		if s.hasRetired() {
			t.Errorf("%s: it is still in the live file", name)
		}
		for _, g := range s.Stats().Segments {
			err := s.durable.Load().file.segments[g.Number-1].view(func(tx *bolt.Tx) error {
				if tx.Bucket([]byte("t/test.log")) != nil {
					t.Errorf("%s: it was frozen", name)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		if err := s.Check(context.Background()); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, fileNew+"*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// TestShredTakesTheIndexAlong: when a month's key is gone, its marks are found by nobody, wherever they stand;
// those of other months are.
func TestShredTakesTheIndexAlong(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, k)
		mustSave(t, s, 0, "x")
		m := &marked{spots: map[string][]uint64{}}
		m.add(t, s, 4*Stretch, map[uint64]string{700: "a"})
		time.Sleep(32 * 24 * time.Hour)
		mustSave(t, s, 1, "x") // under the next month's key
		m.add(t, s, 4*Stretch, map[uint64]string{5 * Stretch: "a"})
		if got := stretchesOf(t, s, "a", m.to); len(got) != 2 {
			t.Errorf("before: %v", got)
		}
		s.keepFor = 0
		if err := s.Shred(context.Background(), nurse, PurposeAudit, 1, nil); err != nil {
			t.Fatal(err)
		}
		if got := stretchesOf(t, s, "a", m.to); len(got) != 1 || got[0][0] != 5*Stretch {
			t.Errorf("after: %v", got)
		}
		// Nor are such marks made any more.
		err := s.Update(context.Background(), nurse, func(tx *Tx) error {
			return testLogIndex.Add(tx, m.to, m.to+1, []Mark{{m.to, 1, "test", "a"}})
		})
		if n := indexKeys(t, s); err != nil || n != 1 {
			t.Errorf("%d marks in the live file, %v", n, err)
		}
		closeStore(t, s)
	})
}
