package store

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
)

// TestContext: one that is done keeps a transaction from beginning, and its function from running.
func TestContext(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	never := func(*Tx) error { t.Error("it ran"); return nil }
	for name, err := range map[string]error{
		"Update": s.Update(ctx, nurse, never), "Accept": s.Accept(ctx, nurse, never), "View": s.View(ctx, never),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Update": save(s, 1, "x"), "View": s.View(context.Background(), never), "Close": s.Close(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s of a closed store: %v", name, err)
		}
	}
}

// TestWatch: a signal comes after a commit, and only then; several may be one.
func TestWatch(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	due, other := NewTopic("due"), NewTopic("other")
	ch, stop := s.Watch(due)
	otherCh, stopOther := s.Watch(other)
	defer stopOther()
	signal := func(fail error) error {
		return s.Update(context.Background(), nurse, func(tx *Tx) error { tx.Signal(due); return fail })
	}
	if err := signal(errors.New("no")); err == nil {
		t.Fatal("it did not fail")
	}
	select {
	case <-ch:
		t.Error("a failed transaction signalled")
	default:
	}
	for range 3 {
		if err := signal(nil); err != nil {
			t.Fatal(err)
		}
	}
	<-ch
	select {
	case <-ch:
		t.Error("more than one signal is kept")
	case <-otherCh:
		t.Error("another topic was signalled")
	default:
	}
	stop()
	if err := signal(nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ch:
		t.Error("a signal came after stop")
	default:
	}
}

// TestCloseUnderLoad: each writer either is acknowledged, and then its row is there, or gets ErrClosed;
// none hangs. An Export that meets Close ends too.
func TestCloseUnderLoad(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	var wg sync.WaitGroup
	saved := make([]int, 8)
	for w := range saved {
		wg.Go(func() {
			for ; ; saved[w]++ {
				if err := save(s, w*100_000+saved[w], "x"); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	wg.Go(func() {
		for {
			if err := s.Export(context.Background(), io.Discard); err != nil {
				return
			}
		}
	})
	for s.Stats().Entries < 200 {
		runtime.Gosched()
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	s = open(t, dir, k)
	for w, n := range saved {
		for i := range n {
			if _, ok := read(t, s, w*100_000+i); !ok {
				t.Fatalf("row %d of writer %d was acknowledged and is gone", i, w)
			}
		}
	}
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
}
