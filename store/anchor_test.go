package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/store/audit"
)

// set makes Anchor fail from here on, or no more.
func (c *testChip) set(before error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before = before
}

// made counts the anchors so far: the store's goroutine makes them.
func (c *testChip) made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.anchors
}

// TestAnchoredEachHour: also when idle, never twice in an hour over restarts, and the bundle verifies.
func TestAnchoredEachHour(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := newCountingKeys(t)
		s := openCounting(t, dir, k)
		time.Sleep(5*time.Hour + 30*time.Minute)
		synctest.Wait()
		if k.chip.made() != 5 || s.Anchors().Counter != 105 || s.Anchors().Trouble != nil {
			t.Errorf("%d anchors in five hours and a half; %+v", k.chip.made(), s.Anchors())
		}
		for range 20 { // a crash loop
			closeStore(t, s)
			s = openCounting(t, dir, k)
			time.Sleep(75 * time.Second)
			synctest.Wait()
		}
		if k.chip.made() != 5 {
			t.Errorf("%d anchors after restarts within the hour", k.chip.made())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		r := export(t, s, s.Fingerprint())
		if r.Anchors != 6 || r.Counter != 106 || len(r.Findings) != 0 {
			t.Errorf("report %+v", r)
		}
		closeStore(t, s)
	})
}

// TestAnchorFaults is the fault matrix of the increment: it failed and was not done, it failed and was
// done, and a crash at each place; afterwards the log verifies and goes on.
func TestAnchorFaults(t *testing.T) {
	away := errors.New("the TPM is away")
	for name, c := range map[string]struct {
		fault func(*testChip)
		want  string
	}{
		"not done":                     {func(c *testChip) { c.before = away }, ""},
		"too soon":                     {func(c *testChip) { c.soon = true }, ""},
		"done but reported failed":     {func(c *testChip) { c.after = away }, "store.anchor.lost failed"},
		"done, failed, and then away":  {func(c *testChip) { c.after, c.ask = away, away }, "store.anchor.lost failed"},
		"not done, and then away":      {func(c *testChip) { c.before, c.ask = away, away }, ""},
		"raised by somebody meanwhile": {func(c *testChip) { c.before = away; c.counter += 3 }, "store.counter failed"},
	} {
		for _, crash := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				if crash && strings.HasPrefix(name, "raised") {
					return // at a start that is a rollback: TestRollback
				}
				dir, k := t.TempDir(), newCountingKeys(t)
				s := openCounting(t, dir, k)
				ctx := context.Background()
				mustSave(t, s, 1, "x")
				if err := s.anchor(ctx); err != nil {
					t.Fatal(err)
				}
				mustSave(t, s, 2, "x")
				c.fault(k.chip)
				if err := s.anchor(ctx); err == nil {
					t.Fatal("no error")
				}
				k.chip.before, k.chip.after, k.chip.ask, k.chip.soon = nil, nil, nil, false
				if crash {
					closeStore(t, s)
					s = openCounting(t, dir, k)
				}
				for range 2 {
					if err := s.anchor(ctx); err != nil {
						t.Fatal(err)
					}
				}
				want := []string{"store.counter ok", "store.anchor ok", c.want, "store.anchor ok", "store.anchor ok"}
				want = slices.DeleteFunc(want, func(s string) bool { return s == "" })
				if name == "raised by somebody meanwhile" {
					want[2] = c.want
				}
				if got := actions(t, s); !slices.Equal(got, want) {
					t.Errorf("entries %v, want %v", got, want)
				}
				if r := export(t, s, s.Fingerprint()); r.Anchors != 3 {
					t.Errorf("%d anchors", r.Anchors)
				}
				closeStore(t, s)
			})
		}
	}
}

// TestCrashWithinAnchor puts back what a crash leaves: the announcement is durable, and the counter was
// or was not raised.
func TestCrashWithinAnchor(t *testing.T) {
	for raised, want := range map[bool]string{false: "store.counter ok", true: "store.anchor.lost failed"} {
		dir, k := t.TempDir(), newCountingKeys(t)
		s := openCounting(t, dir, k)
		st, _, err := s.readCounter(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		st.Value, st.Pending = st.Value+1, true
		if err := s.note(context.Background(), st); err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
		if raised {
			k.chip.counter++
		}
		s = openCounting(t, dir, k)
		if got := actions(t, s); got[len(got)-1] != want {
			t.Errorf("raised %v: entries %v", raised, got)
		}
		if err := s.anchor(context.Background()); err != nil {
			t.Error(err)
		}
		if r := export(t, s, s.Fingerprint()); r.Anchors != 1 {
			t.Errorf("%d anchors", r.Anchors)
		}
		closeStore(t, s)
	}
}

// TestRollback: an older copy of the folder is put back. The store stays closed, until somebody takes
// it; then it goes on, and the verifier says what happened.
func TestRollback(t *testing.T) {
	dir, k := filepath.Join(t.TempDir(), "store"), newCountingKeys(t)
	s := openCounting(t, dir, k)
	mustSave(t, s, 1, "x")
	if err := s.anchor(context.Background()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s = openCounting(t, dir, k)
	mustSave(t, s, 2, "lost")
	if err := s.anchor(context.Background()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(old))); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := tryCounting(dir, k); !errors.Is(err, ErrRollback) {
			t.Fatalf("an older copy opens: %v", err)
		}
	}
	boss := audit.Actor{Kind: audit.KindUser, ID: "boss"}
	s = openCounting(t, dir, k, func(o *Options) { o.AcceptRollback = &Acceptance{By: boss, Why: "disk replaced"} })
	mustSave(t, s, 3, "x")
	if err := s.anchor(context.Background()); err != nil {
		t.Fatal(err)
	}
	r := export(t, s, s.Fingerprint())
	if r.Anchors != 2 || len(r.Findings) != 1 || !strings.Contains(r.Findings[0], "older than the TPM's counter") {
		t.Errorf("report %+v", r)
	}
	closeStore(t, s)
	closeStore(t, openCounting(t, dir, k))
}

// TestCounterGoneOrLow: a TPM that was cleared or replaced keeps the store closed; so does one that
// does not answer. Another signer has another counter.
func TestCounterGoneOrLow(t *testing.T) {
	dir, k := t.TempDir(), newCountingKeys(t)
	closeStore(t, openCounting(t, dir, k))
	k.chip.counter = 42
	if _, err := tryCounting(dir, k); !errors.Is(err, ErrCounterGone) {
		t.Errorf("a counter that went back: %v", err)
	}
	k.chip.counter, k.chip.ask = 100, ErrCounterGone
	if _, err := tryCounting(dir, k); !errors.Is(err, ErrCounterGone) {
		t.Errorf("no counter: %v", err)
	}
	k.chip.ask = context.DeadlineExceeded
	if _, err := tryCounting(dir, k); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a TPM that does not answer: %v", err)
	}
	k.chip.ask = nil
	other := newCountingKeys(t)
	other.aead, other.chip.counter = k.aead, 7
	s := openCounting(t, dir, other)
	if got := actions(t, s); !slices.Equal(got, []string{"store.counter ok", "store.counter ok"}) {
		t.Errorf("entries %v", got)
	}
	closeStore(t, s)
}

// TestAnchorLate: a TPM that fails for hours holds up nothing, is an entry, and the log verifies.
func TestAnchorLate(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := newCountingKeys(t)
		s := openCounting(t, dir, k)
		k.chip.set(errors.New("the TPM is away"))
		for range 7 * 60 {
			time.Sleep(time.Minute)
			mustSave(t, s, 1, "x")
		}
		if s.Anchors().Trouble == nil {
			t.Error("no trouble to see")
		}
		k.chip.set(nil)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		want := []string{"store.counter ok", "store.anchor.late failed", "store.anchor.late failed", "store.anchor.late failed", "store.anchor ok"}
		if got := actions(t, s); !slices.Equal(got, want) {
			t.Errorf("entries %v", got)
		}
		if r := export(t, s, s.Fingerprint()); r.Anchors != 1 || len(r.Findings) != 3 {
			t.Errorf("report %+v", r)
		}
		closeStore(t, s)
	})
}

// TestExportRange: each part between two heads verifies by itself, with its anchors.
func TestExportRange(t *testing.T) {
	k := newCountingKeys(t)
	s := openCounting(t, t.TempDir(), k)
	ctx := context.Background()
	for n := range 30 {
		for i := range 1 + n*7%50 {
			mustSave(t, s, i, "x")
		}
		if n%4 == 0 {
			if err := s.anchor(ctx); err != nil {
				t.Fatal(err)
			}
		} else if err := s.signHead(ctx); err != nil {
			t.Fatal(err)
		}
	}
	size := s.Stats().Entries
	for from := uint64(0); from < size; from += 61 {
		for to := from + 1; to <= size; to += 173 {
			var b bytes.Buffer
			if err := s.ExportRange(ctx, &b, from, to); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "part")
			if err := audit.Unpack(&b, dir); err != nil {
				t.Fatal(err)
			}
			r, err := audit.Verify(ctx, dir, audit.VerifyOptions{Signer: s.Fingerprint()})
			if err != nil || r.From > from || r.From+r.Entries < min(to, size) {
				t.Fatalf("part %d to %d: from %d, %d entries, %v", from, to, r.From, r.Entries, err)
			}
		}
	}
	closeStore(t, s)
}
