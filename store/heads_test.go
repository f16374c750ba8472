package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/store/audit"
)

// export unpacks the store's bundle and verifies it against a signer.
func export(t *testing.T, s *Store, signer string) audit.Report {
	t.Helper()
	var b bytes.Buffer
	if err := s.Export(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := audit.Unpack(&b, dir); err != nil {
		t.Fatal(err)
	}
	r, err := audit.Verify(context.Background(), dir, audit.VerifyOptions{Signer: signer})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestExportVerifies: the bundle verifies against the fingerprint, also with several heads, and while
// others write.
func TestExportVerifies(t *testing.T) {
	k := newTestKeys(t)
	s := open(t, t.TempDir(), k)
	if r := export(t, s, s.Fingerprint()); r.Entries != 4 || r.Heads != 1 || r.Origin != s.Origin() || !r.Pinned {
		t.Errorf("a new store's report is %+v", r)
	}
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := save(s, n, "x"); err != nil {
				stopped <- err
				return
			}
		}
	}()
	var last uint64
	for range 5 {
		mustSave(t, s, 1, "y")
		r := export(t, s, s.Fingerprint())
		if r.Entries <= last {
			t.Errorf("%d entries after %d", r.Entries, last)
		}
		last = r.Entries
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	r := export(t, s, s.Fingerprint())
	if st := s.Stats(); r.Entries != st.Entries || st.Headed != st.Entries || st.Size == 0 || st.LastCommit.IsZero() || st.LastEntry.IsZero() {
		t.Errorf("report of %d entries, figures %+v", r.Entries, st)
	}
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestSignerIsReplaced: a store goes on under another signing key, back to the first, and past one
// that never signed; the bundle names them in order.
func TestSignerIsReplaced(t *testing.T) {
	dir, a, b := t.TempDir(), newTestKeys(t), newTestKeys(t)
	c := newTestKeys(t)
	b.aead, c.aead = a.aead, a.aead // the same root key
	c.setErr(errors.New("this key never signs"))
	for _, k := range []*testKeys{a, b, c, a} {
		s, err := tryOpen(dir, k)
		if err != nil {
			t.Fatal(err)
		}
		mustSave(t, s, 1, "x")
		if err := s.Close(); (err != nil) != (k == c) {
			t.Fatal(err)
		}
	}
	s := open(t, dir, a)
	r := export(t, s, s.Fingerprint())
	fa, fb := audit.Fingerprint(a.Signer()), audit.Fingerprint(b.Signer())
	if want := []string{fa, fb, fa}; strings.Join(r.Signers, " ") != strings.Join(want, " ") {
		t.Errorf("signers %v, want %v", r.Signers, want)
	}
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestReveal: one entry is proved to somebody with the signer's key.
func TestReveal(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	for n := range 150 {
		mustSave(t, s, n, "x")
	}
	reveal := func(seq uint64) (o audit.Opening, err error) {
		err = s.View(context.Background(), func(tx *Tx) error { o, err = tx.Reveal(seq); return err })
		return o, err
	}
	if _, err := reveal(0); err == nil {
		t.Error("an entry under no head is revealed")
	}
	if err := s.signHead(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{0, 4, 63, 64, 127, 128, 153} {
		o, err := reveal(seq)
		if err != nil {
			t.Fatal(err)
		}
		r, err := audit.VerifyOpening(&o, s.keys.Signer())
		if err != nil || r.Seq != seq {
			t.Errorf("entry %d: %v, %v", seq, r, err)
		}
	}
	if _, err := reveal(154); err == nil {
		t.Error("an entry that is not there is revealed")
	}
	err := s.View(context.Background(), func(tx *Tx) error {
		h, err := audit.VerifyNote(tx.Head(), s.keys.Signer())
		if err != nil || h.Size != 154 {
			t.Errorf("the head covers %d, %v", h.Size, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestHeadsInTime: a head is signed each interval if there is something new, and never without; a
// signer that fails is tried again and logged, and Close signs what is left.
func TestHeadsInTime(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s, err := Open(context.Background(), dir, Options{Keys: k, HeadEvery: time.Minute, Free: plenty, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		headed := func() uint64 { synctest.Wait(); return s.Stats().Headed }
		if n := headed(); n != 0 {
			t.Errorf("a head over %d at once", n)
		}
		time.Sleep(61 * time.Second)
		if n := headed(); n != 4 {
			t.Errorf("after a minute a head over %d", n)
		}
		time.Sleep(time.Hour)
		if k.signs != 1 || headed() != 4 {
			t.Errorf("%d signatures of a log that stands still", k.signs)
		}
		mustSave(t, s, 1, "x")
		k.setErr(errors.New("busy"))
		time.Sleep(3 * time.Minute)
		if n := headed(); n != 4 || strings.Count(log.String(), "head not signed") != 3 {
			t.Errorf("head over %d with a signer that fails; log %s", n, log.String())
		}
		k.setErr(nil)
		time.Sleep(time.Minute)
		if n := headed(); n != 5 {
			t.Errorf("head over %d with a signer that works again", n)
		}
		mustSave(t, s, 2, "x")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n := s.Stats().Headed; n != 6 {
			t.Errorf("after Close a head over %d", n)
		}
	})
}

// TestCloseWithoutSigner: the head cannot be signed; the file is closed and nothing is lost.
func TestCloseWithoutSigner(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	mustSave(t, s, 1, "x")
	away := errors.New("the TPM is away")
	k.setErr(away)
	if err := s.Close(); !errors.Is(err, away) {
		t.Errorf("Close: %v", err)
	}
	k.setErr(nil)
	s = open(t, dir, k)
	if _, ok := read(t, s, 1); !ok || s.Stats().Headed != 0 {
		t.Errorf("after reopening %v, headed %d", ok, s.Stats().Headed)
	}
}

// TestKeysRotate: data and audit keys by month, code keys by day; what is old still opens, but a code
// key is gone after two days; each coming and going is an entry.
func TestKeysRotate(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(context.Background(), dir, Options{Keys: k, HeadEvery: time.Hour, Free: plenty, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		code := func(epoch uint32) (mac []byte, today uint32, err error) {
			e2 := s.Update(context.Background(), nurse, func(tx *Tx) error {
				today = tx.CodeEpoch()
				if epoch == 0 {
					epoch = today
				}
				mac, err = tx.CodeMAC(epoch, []byte("code/v1"))
				return tx.Record(Entry{Action: "test.code", Outcome: OK})
			})
			if e2 != nil {
				t.Fatal(e2)
			}
			return mac, today, err
		}
		first, day1, err := code(0)
		if err != nil || len(first) != 32 {
			t.Fatalf("%x, %v", first, err)
		}
		mustSave(t, s, 1, "in the first month")
		epoch := last(s.durable.Load().ring.keys[PurposeData]).epoch

		time.Sleep(48 * time.Hour)
		second, day3, err := code(0)
		if err != nil || day3 != day1+2 || bytes.Equal(first, second) {
			t.Errorf("two days later: %x on %d, %v", second, day3, err)
		}
		if again, _, err := code(day1); err != nil || !bytes.Equal(again, first) {
			t.Errorf("the key of two days ago: %x, %v", again, err)
		}
		time.Sleep(24*time.Hour + time.Minute) // the hourly round has been
		synctest.Wait()
		if _, _, err := code(day1); !errors.Is(err, ErrKeyGone) {
			t.Errorf("the key of three days ago: %v", err)
		}
		if _, ok := s.durable.Load().ring.code[day1]; ok {
			t.Error("it is still on the ring")
		}

		time.Sleep(31 * 24 * time.Hour)
		mustSave(t, s, 2, "in the second month")
		if got := last(s.durable.Load().ring.keys[PurposeData]).epoch; got != epoch+1 {
			t.Errorf("data key epoch %d after %d", got, epoch)
		}
		for n := 1; n <= 2; n++ {
			if _, ok := read(t, s, n); !ok {
				t.Errorf("row %d is gone", n)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(context.Background(), dir, Options{Keys: k, Free: plenty, Log: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(context.Background()); err != nil {
			t.Error(err)
		}
		count := map[string]int{}
		err = s.View(context.Background(), func(tx *Tx) error {
			return tx.Entries(0, func(r Record) error {
				switch r.Entry.Action {
				case ActionKeyMade:
					count["made "+r.Entry.Attrs[0].Value]++
					if c, err := hex.DecodeString(r.Entry.Attrs[2].Value); err != nil || len(c) != 32 {
						t.Errorf("commitment %q", r.Entry.Attrs[2].Value)
					}
				case ActionKeyDropped:
					count["dropped "+r.Entry.Attrs[0].Value]++
				}
				return nil
			})
		})
		if err != nil {
			t.Error(err)
		}
		for what, want := range map[string]int{"made data": 2, "made audit": 2, "made code": 3, "dropped code": 3} {
			if count[what] != want {
				t.Errorf("%s: %d entries, want %d", what, count[what], want)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTimeNeverGoesBack: an instant is never before that of the last entry, whatever the clock says.
func TestTimeNeverGoesBack(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	ahead := time.Now().Add(time.Hour).UTC()
	s.mu.Lock()
	s.batch.state.last = ahead // as an entry before the clock was set back would have left it
	s.mu.Unlock()
	var now time.Time
	err := s.Update(context.Background(), nurse, func(tx *Tx) error {
		now = tx.Now()
		return tx.Record(Entry{Action: "test.saved", Outcome: OK})
	})
	if err != nil || !now.Equal(ahead) || now.Location() != time.UTC {
		t.Errorf("instant %v, want %v; %v", now, ahead, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, k)
	err = s.View(context.Background(), func(tx *Tx) error { now = tx.Now(); return nil })
	if err != nil || now.Before(ahead) {
		t.Errorf("after reopening %v; %v", now, err)
	}
}

// TestWornKeyIsReplaced: within a month too, when it has sealed as much as it may.
func TestWornKeyIsReplaced(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	mustSave(t, s, 1, "x")
	s.seals[PurposeData].Store(maxSeals)
	s.seals[PurposeAudit].Store(maxSeals)
	for n := 2; n < 5; n++ {
		mustSave(t, s, n, "y")
	}
	r := s.durable.Load().ring
	if len(r.keys[PurposeData]) != 2 || len(r.keys[PurposeAudit]) != 2 || s.seals[PurposeData].Load() > 20 {
		t.Errorf("%d data keys, %d audit keys, %d seals", len(r.keys[PurposeData]), len(r.keys[PurposeAudit]), s.seals[PurposeData].Load())
	}
	seals := s.seals[PurposeData].Load()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, k)
	if got := s.seals[PurposeData].Load(); got < seals {
		t.Errorf("the count is %d after reopening, was %d", got, seals)
	}
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
}
