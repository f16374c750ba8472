package record

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pinward/store"
	"pinward/store/audit"
	"pinward/store/storetest"
)

// headedBox signs heads quickly, so that a witness has something to see.
func headedBox(t *testing.T) *store.Store {
	t.Helper()
	o := storetest.Options(storetest.NewKeys(t))
	o.HeadEvery = 10 * time.Millisecond
	return storetest.OpenIn(t, filepath.Join(t.TempDir(), "store"), o)
}

// head makes an entry and waits for a head that covers it.
func head(t *testing.T, s *store.Store) {
	t.Helper()
	storetest.Update(t, s, func(tx *store.Tx) error { return tx.Record(store.Entry{Action: "tick", Outcome: store.OK}) })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if st := s.Stats(); st.Headed == st.Entries {
			return
		}
		if time.Now().After(end) {
			t.Fatal("no head is signed")
		}
	}
}

func status(t *testing.T, s *store.Store, name string) WitnessStatus {
	t.Helper()
	var found WitnessStatus
	storetest.View(t, s, func(tx *store.Tx) error {
		list, err := Witnesses(tx)
		for _, w := range list {
			if w.Name == name {
				found = w
			}
		}
		return err
	})
	return found
}

// verifyAgainst exports the log and holds it against a witness's file.
func verifyAgainst(t *testing.T, s *store.Store, file string) (audit.Report, error) {
	t.Helper()
	var b bytes.Buffer
	if err := s.Export(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := audit.Unpack(&b, dir); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return audit.Verify(t.Context(), dir, audit.VerifyOptions{Signer: s.Fingerprint(), Witness: f})
}

func TestFileWitnessKeepsHeads(t *testing.T) {
	s := headedBox(t)
	path := filepath.Join(t.TempDir(), "heads.txt")
	w := Witness{Name: "share", OffBox: true, Give: FileWitness(path)}
	for range 3 {
		head(t, s)
		if err := feed(t.Context(), s, portal, w); err != nil {
			t.Fatal(err)
		}
		if err := feed(t.Context(), s, portal, w); err != nil { // nothing new
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "\n") != 3 {
		t.Fatalf("the file is %q, %v", text, err)
	}
	st := status(t, s, "share")
	if !st.OffBox || st.Size != s.Stats().Headed || st.Behind != 0 || st.At.IsZero() || st.Trouble != "" {
		t.Errorf("status %+v", st)
	}
	// A crash cut the last line: it is closed and the head comes again.
	if err := os.WriteFile(path, text[:len(text)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	head(t, s)
	if err := feed(t.Context(), s, portal, w); err != nil {
		t.Fatal(err)
	}
	r, err := verifyAgainst(t, s, path)
	if err != nil || r.Witnessed != 3 || r.WitnessEnd != s.Stats().Headed {
		t.Errorf("%d heads witnessed up to %d, %v", r.Witnessed, r.WitnessEnd, err)
	}
}

// TestWitnessFindsTheOlderCopy: the file knows more than the log, or another log, and says so.
func TestWitnessFindsTheOlderCopy(t *testing.T) {
	s, other := headedBox(t), headedBox(t)
	path := filepath.Join(t.TempDir(), "heads.txt")
	for range 3 {
		head(t, other)
	}
	if err := feed(t.Context(), other, portal, Witness{Name: "share", Give: FileWitness(path)}); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	head(t, s)
	w := Witness{Name: "share", Give: FileWitness(path)}
	if err := feed(t.Context(), s, portal, w); !errors.Is(err, audit.ErrOtherHistory) {
		t.Errorf("given a shorter log: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("it was written to all the same")
	}
	if st := status(t, s, "share"); st.Trouble == "" || st.Behind == 0 {
		t.Errorf("status %+v", st)
	}
	if _, err := verifyAgainst(t, s, path); !errors.Is(err, audit.ErrBundle) {
		t.Errorf("verified against another log's heads: %v", err)
	}
}

// TestWitnessAway: what the witness missed is one line when it is back, and health knows how long.
func TestWitnessAway(t *testing.T) {
	inBubble(t, func(b *box) {
		var back atomic.Bool
		lines := make(chan string, 10)
		w := Witness{Name: "siem", OffBox: true, Give: func(_ context.Context, line string) error {
			if !back.Load() {
				return errors.New("away")
			}
			lines <- line
			return nil
		}}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		var log bytes.Buffer
		go func() { defer close(done); Feed(ctx, b.store, portal, w, slog.New(slog.NewTextHandler(&log, nil))) }()
		time.Sleep(25 * time.Hour) // the box signs a head each day
		list := func() (l []WitnessStatus) {
			if err := b.store.View(context.Background(), func(tx *store.Tx) (err error) { l, err = Witnesses(tx); return err }); err != nil {
				t.Fatal(err)
			}
			return l
		}
		if l := list(); len(l) != 1 || l[0].Lag < 3000 || l[0].Trouble != "away" {
			t.Errorf("status %+v", l)
		}
		back.Store(true)
		time.Sleep(2 * witnessEvery)
		synctest.Wait()
		if l := list(); len(lines) != 1 || l[0].Lag != 0 || l[0].Trouble != "" {
			t.Errorf("%d lines, status %+v", len(lines), list())
		}
		if n := strings.Count(log.String(), "witness has not got the head"); n != 1 {
			t.Errorf("the log says it %d times", n)
		}
		cancel()
		<-done
	})
}

// TestForgetDropsWhatIsNotNamed: a witness that was taken out of the configuration is no witness.
func TestForgetDropsWhatIsNotNamed(t *testing.T) {
	s := headedBox(t)
	storetest.Update(t, s, func(tx *store.Tx) error {
		if err := errors.Join(Received(tx, "old", true, 1), Received(tx, "new", true, 1)); err != nil {
			return err
		}
		return Forget(tx, func(name string) bool { return name == "new" })
	})
	if status(t, s, "old").At.IsZero() == false || status(t, s, "new").At.IsZero() {
		t.Error("the wrong one is gone")
	}
}
