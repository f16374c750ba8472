package store

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// gate holds the committer inside a commit, so that several transactions meet in the next batch.
type gate struct {
	entered chan struct{} // a commit stands at the gate
	open    chan struct{} // close to let commits through
}

func gated(s *Store) *gate {
	g := &gate{make(chan struct{}, 100), make(chan struct{})}
	s.write = func(tx *bolt.Tx) error {
		g.entered <- struct{}{}
		<-g.open
		return tx.Commit()
	}
	return g
}

// waiting waits until the batch that waits holds n entries.
func waiting(s *Store, n int) {
	for {
		s.mu.Lock()
		have := len(s.batch.entries)
		s.mu.Unlock()
		if have >= n {
			return
		}
		runtime.Gosched()
	}
}

// TestNeighboursInABatch: in one batch one transaction fails, one panics, one ends its goroutine; the
// others become durable, and nothing of these three does.
func TestNeighboursInABatch(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	g := gated(s)
	boom := errors.New("boom")
	var wg sync.WaitGroup
	results := make([]error, 6)
	try := func(i int, fn func(tx *Tx) error) {
		wg.Go(func() {
			results[i] = errors.New("ended without an answer")
			results[i] = s.Update(context.Background(), nurse, func(tx *Tx) error {
				if err := testRows.Put(tx, num(i), row{Count: i}); err != nil {
					return err
				}
				if err := tx.Record(Entry{Action: "test.saved", Outcome: OK}); err != nil {
					return err
				}
				return fn(tx)
			})
		})
	}
	fine := func(*Tx) error { return nil }
	try(0, fine)
	<-g.entered
	try(1, fine)
	waiting(s, 1)
	ran := make(chan struct{}, 3)
	try(2, func(*Tx) error { ran <- struct{}{}; return boom })
	try(3, func(*Tx) error { ran <- struct{}{}; panic("secret 4711") })
	wg.Go(func() {
		_ = s.Update(context.Background(), nurse, func(tx *Tx) error {
			_ = testRows.Put(tx, num(4), row{})
			_ = tx.Record(Entry{Action: "test.saved", Outcome: OK})
			ran <- struct{}{}
			runtime.Goexit()
			return nil
		})
	})
	for range 3 {
		<-ran
	}
	try(5, fine)
	waiting(s, 2)
	close(g.open)
	wg.Wait()
	if results[0] != nil || results[1] != nil || results[5] != nil {
		t.Errorf("the sound ones got %v, %v, %v", results[0], results[1], results[5])
	}
	if !errors.Is(results[2], boom) {
		t.Errorf("the failing one got %v", results[2])
	}
	if !errors.Is(results[3], ErrPanicked) || strings.Contains(results[3].Error(), "4711") || !strings.Contains(results[3].Error(), "TestNeighboursInABatch") {
		t.Errorf("the panicking one got %v", results[3])
	}
	for i, want := range []bool{true, true, false, false, false, true} {
		if _, ok := read(t, s, i); ok != want {
			t.Errorf("row %d is there: %v, want %v", i, ok, want)
		}
	}
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
	if got := s.Stats().Entries; got != 4+3 {
		t.Errorf("%d entries", got)
	}
}

// TestLaterTransactionSeesEarlierOne: before the first is durable; and it waits for it.
func TestLaterTransactionSeesEarlierOne(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	g := gated(s)
	exists := errors.New("exists")
	results := make(chan error, 3)
	first := func() { results <- save(s, 1, "one") }
	again := func() {
		results <- s.Update(context.Background(), nurse, func(tx *Tx) error {
			if _, ok, err := testRows.Get(tx, num(1)); err != nil || !ok {
				return errors.Join(errors.New("it is not seen"), err)
			}
			return exists
		})
	}
	go first()
	<-g.entered
	go again()
	// "It exists" may rest on a write that is not durable yet, so it is not told before that.
	select {
	case err := <-results:
		t.Fatalf("an answer came before the commit: %v", err)
	default:
	}
	close(g.open)
	a, b := <-results, <-results
	if errors.Is(a, exists) {
		a, b = b, a
	}
	if a != nil || !errors.Is(b, exists) {
		t.Errorf("answers %v and %v", a, b)
	}
}

// TestViewWaitsUntilItIsDurable: bbolt shows a commit to readers before its last sync; we do not.
func TestViewWaitsUntilItIsDurable(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	synced := make(chan struct{})
	shown := make(chan struct{})
	s.write = func(tx *bolt.Tx) error {
		err := tx.Commit()
		close(shown)
		<-synced
		return err
	}
	saved := make(chan error, 1)
	go func() { saved <- save(s, 1, "one") }()
	<-shown
	begun := make(chan struct{})
	seen := make(chan bool, 1)
	go func() {
		close(begun)
		_, ok := read(t, s, 1)
		select {
		case <-synced:
			seen <- ok
		default:
			t.Error("a View ended before what it saw was durable")
			seen <- ok
		}
	}()
	<-begun
	for range 100 {
		runtime.Gosched()
	}
	close(synced)
	if !<-seen {
		t.Error("the View does not see the commit that it waited for")
	}
	if err := <-saved; err != nil {
		t.Error(err)
	}
}

// TestNoSilentChange: a transaction that writes and records nothing is rolled back.
func TestNoSilentChange(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	mustSave(t, s, 2, "two")
	before := s.Stats().Entries
	for name, fn := range map[string]func(tx *Tx) error{
		"put":    func(tx *Tx) error { return testRows.Put(tx, num(1), row{}) },
		"delete": func(tx *Tx) error { return testRows.Delete(tx, num(2)) },
		"both": func(tx *Tx) error {
			return errors.Join(testCursor.Put(tx, num(1), 1), testIndex.Put(tx, num(1), struct{}{}))
		},
		"a code key alone": func(tx *Tx) error { tx.CodeEpoch(); return testRows.Put(tx, num(1), row{}) },
	} {
		if err := s.Update(context.Background(), nurse, fn); !errors.Is(err, ErrNoEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := read(t, s, 1); ok {
		t.Error("the silent put is there")
	}
	if _, ok := read(t, s, 2); !ok {
		t.Error("the silent delete was done")
	}
	// Bookkeeping is exempt, and leaves no entry.
	err := s.Update(context.Background(), nurse, func(tx *Tx) error { return testCursor.Put(tx, num(1), 7) })
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(context.Background(), func(tx *Tx) error {
		if v, ok, err := testCursor.Get(tx, num(1)); err != nil || !ok || v != 7 {
			t.Errorf("the cursor is %d, %v, %v", v, ok, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Stats().Entries; got != before {
		t.Errorf("%d entries, before it were %d", got, before)
	}
	if why := BookkeepingTables()["test.cursor"]; why != "a test's cursor" {
		t.Errorf("the list of exempt tables says %q", why)
	}
	if len(BookkeepingTables()) != 4 { // with another test's and the store's own two
		t.Errorf("exempt are %v", BookkeepingTables())
	}
}

// TestSwallowedErrorStillFails: half of a decision does not become durable because a caller ignored
// an error of the other half.
func TestSwallowedErrorStillFails(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	for name, fn := range map[string]func(tx *Tx){
		"empty key": func(tx *Tx) { _ = testRows.Put(tx, nil, row{}) },
		"long key":  func(tx *Tx) { _ = testRows.Delete(tx, make([]byte, maxKey+1)) },
		"bad entry": func(tx *Tx) { _ = tx.Record(Entry{Action: "Not An Action", Outcome: OK}) },
	} {
		err := s.Update(context.Background(), nurse, func(tx *Tx) error {
			fn(tx)
			if err := testRows.Put(tx, num(1), row{}); err != nil {
				return err
			}
			return tx.Record(Entry{Action: "test.saved", Outcome: OK})
		})
		if err == nil {
			t.Errorf("%s: the transaction went through", name)
		}
	}
	if _, ok := read(t, s, 1); ok {
		t.Error("half of a failed transaction is there")
	}
}

// TestViewChangesNothing, and a transaction that leaked is of no use.
func TestViewChangesNothing(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	mustSave(t, s, 1, "one")
	var leaked *Tx
	err := s.View(context.Background(), func(tx *Tx) error {
		leaked = tx
		for name, err := range map[string]error{
			"put": testRows.Put(tx, num(1), row{}), "delete": testRows.Delete(tx, num(1)),
			"record": tx.Record(Entry{Action: "test.saved", Outcome: OK}),
		} {
			if !errors.Is(err, ErrReadOnly) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if tx.Actor() != (Actor{}) || tx.Recorded() != 0 || tx.Now().IsZero() {
			t.Error("the View has an actor, an entry or no instant")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := testRows.Get(leaked, num(1)); err == nil {
		t.Error("a leaked transaction reads")
	}
	if err := s.View(context.Background(), func(*Tx) error { panic("x") }); !errors.Is(err, ErrPanicked) {
		t.Errorf("a panic in a View: %v", err)
	}
}
