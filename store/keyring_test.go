package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	testQueue   = NewTable[row]("test.queue", Queue())
	testPolicy  = NewTable[row]("test.policy", Policy())
	testConsent = NewTable[row]("test.consent", Consents())
)

func put(t *testing.T, s *Store, table *Table[row], n int) {
	t.Helper()
	err := s.Update(context.Background(), nurse, func(tx *Tx) error {
		return errors.Join(table.Put(tx, num(n), row{Count: n}), tx.Record(Entry{Action: "test.put", Outcome: OK}))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func mustGet(t *testing.T, s *Store, table *Table[row], n int) {
	t.Helper()
	err := s.View(context.Background(), func(tx *Tx) error {
		v, ok, err := table.Get(tx, num(n))
		if err == nil && (!ok || v.Count != n) {
			err = fmt.Errorf("row %d of %s: %v, %v", n, table, v, ok)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func epochs(s *Store, p Purpose) (list []uint32) {
	for _, k := range s.KeyInfos() {
		if k.Purpose == p {
			list = append(list, k.Epoch)
		}
	}
	return list
}

// TestQueueKeysEnd: what stands in a queue longer than a day is sealed anew, and the old key is dropped
// days later, with an entry; so what was deleted cannot be read again, wherever its bytes still lie.
func TestQueueKeysEnd(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, k)
		put(t, s, testQueue, 1)
		put(t, s, testQueue, 2)
		for range 8 {
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			mustGet(t, s, testQueue, 1)
		}
		if got := epochs(s, PurposeQueue); len(got) > 5 || got[0] < 3 {
			t.Errorf("queue keys %v after eight days", got)
		}
		if n := count(t, s, ActionKeyDropped); n == 0 {
			t.Error("no entry about a dropped key")
		}
		mustGet(t, s, testQueue, 2)
		if err := s.Check(context.Background()); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, k)
		mustGet(t, s, testQueue, 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestPolicyKeysAreKept: the key of a setting is kept while the setting is in effect, however long,
// and for its time after that; keys of consents likewise.
func TestPolicyKeysAreKept(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, k)
		s.keepFor = 60 * 24 * time.Hour // six years are too many minutes for a test
		s.cancel()                      // the upkeep: so many minutes take a test long
		s.wg.Wait()
		years := func(d time.Duration) {
			t.Helper()
			time.Sleep(d)
			if err := s.Refresh(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		put(t, s, testPolicy, 1)
		put(t, s, testConsent, 1)
		years(400 * 24 * time.Hour)
		put(t, s, testPolicy, 2)
		years(time.Hour)
		if got := epochs(s, PurposePolicy); len(got) != 2 {
			t.Errorf("policy keys %v while the old one is in effect", got)
		}
		mustGet(t, s, testPolicy, 1)
		put(t, s, testPolicy, 1) // replaced: the old key is no longer in effect
		years(50 * 24 * time.Hour)
		if got := epochs(s, PurposePolicy); len(got) != 2 {
			t.Errorf("policy keys %v within the time", got)
		}
		years(20 * 24 * time.Hour)
		if got := epochs(s, PurposePolicy); len(got) != 1 || got[0] != 2 {
			t.Errorf("policy keys %v after the time", got)
		}
		if got := epochs(s, PurposeConsent); got[0] != 1 {
			t.Errorf("consent keys %v", got)
		}
		mustGet(t, s, testConsent, 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := Open(context.Background(), t.TempDir(), Options{Keys: k, Keep: Retention - 1}); err == nil {
		t.Error("a store that keeps keys for less than six years opens")
	}
}

// TestShred: a month is shredded when its time is over and nothing holds it. What is left is the
// header; the log still verifies, and who tried in vain is recorded.
func TestShred(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		s := open(t, dir, k)
		mustSave(t, s, 0, "x")
		if err := s.Shred(ctx, nurse, PurposeAudit, 1, nil); !errors.Is(err, ErrKept) {
			t.Errorf("the current month: %v", err)
		}
		time.Sleep(32 * 24 * time.Hour) // rolls too: the month is in a segment
		mustSave(t, s, 1, "x")
		if err := s.Shred(ctx, nurse, PurposeAudit, 1, nil); !errors.Is(err, ErrKept) {
			t.Errorf("within six years: %v", err)
		}
		s.keepFor = 0
		hold := errors.New("matter 7")
		err := s.Shred(ctx, nurse, PurposeAudit, 1, func(_ *Tx, i KeyInfo) error {
			if i.Epoch != 1 || i.To.Sub(i.From) < 28*24*time.Hour {
				t.Errorf("asked about %+v", i)
			}
			return hold
		})
		if !errors.Is(err, hold) || !errors.Is(err, ErrKept) {
			t.Errorf("under a hold: %v", err)
		}
		if err := s.Shred(ctx, nurse, PurposeQueue, 1, nil); !errors.Is(err, ErrKept) {
			t.Errorf("a queue key: %v", err)
		}
		if err := s.Shred(ctx, nurse, PurposeAudit, 1, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Shred(ctx, nurse, PurposeAudit, 1, nil); !errors.Is(err, ErrKeyGone) {
			t.Errorf("a second time: %v", err)
		}
		for range 2 {
			shredded, refused, dropped := 0, 0, 0
			err := s.View(ctx, func(tx *Tx) error {
				return tx.Entries(0, func(r Record) error {
					if r.Shredded {
						shredded++
						if r.Entry.Action == "" || r.Actor.ID != "" || r.Entry.Object != "" || r.Time.IsZero() {
							t.Errorf("a shredded entry reads %s by %s", r, r.Actor)
						}
					}
					if r.Entry.Action == ActionKeyDropped && r.Actor == nurse {
						if r.Entry.Outcome == Refused {
							refused++
						} else {
							dropped++
						}
					}
					return nil
				})
			})
			if err != nil || shredded < 5 || refused != 2 || dropped != 1 {
				t.Errorf("%d shredded, %d refused, %d dropped, %v", shredded, refused, dropped, err)
			}
			if err := s.Check(ctx); err != nil {
				t.Error(err)
			}
			if err := s.signHead(ctx); err != nil {
				t.Fatal(err)
			}
			err = s.View(ctx, func(tx *Tx) error { _, err := tx.Reveal(0); return err })
			if !errors.Is(err, ErrShredded) {
				t.Errorf("reveal: %v", err)
			}
			export(t, s, s.Fingerprint())
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, k)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRewrap: the keyring goes under another root key, durably; if that fails the old one stays.
func TestRewrap(t *testing.T) {
	dir, a, b := t.TempDir(), newTestKeys(t), newTestKeys(t)
	s := open(t, dir, a)
	put(t, s, testQueue, 1)
	b.setErr(errors.New("the TPM is away"))
	if err := s.Rewrap(context.Background(), nurse, b); err == nil {
		t.Error("a failed wrap is no error")
	}
	if s.Fingerprint() == fingerprint(b) {
		t.Error("the new keys are in use after a failure")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, a)
	b.setErr(nil)
	if err := s.Rewrap(context.Background(), nurse, b); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, 0, "x")
	whole(t, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tryOpen(dir, a); !errors.Is(err, ErrWrongKey) {
		t.Errorf("with the old root key: %v", err)
	}
	s = open(t, dir, b)
	mustGet(t, s, testQueue, 1)
	whole(t, s, 1)
}

func fingerprint(k Keys) string { return (&Store{keys: hold(k)}).Fingerprint() }

// TestMigrate: an older value is brought forward when it is read, and written anew by Refresh, after
// which its migration is not needed any more.
func TestMigrate(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	old := NewTable[struct{ Full string }]("test.migrated", Bookkeeping("a test"))
	err := s.Update(context.Background(), nurse, func(tx *Tx) error {
		for n := range 150 {
			if err := old.Put(tx, num(n), struct{ Full string }{fmt.Sprint("n", n)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	type v2 struct{ First, Last string }
	next := &Table[v2]{info: &tableInfo{name: "test.migrated", bucket: "t/test.migrated", bookkeeping: "a test"}}
	runs := 0
	Schema(2)(next.info)
	Migrate(0, func(raw json.RawMessage) (json.RawMessage, error) {
		runs++
		var v struct{ Full string }
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, err
		}
		return json.Marshal(map[string]string{"Last": v.Full})
	})(next.info)
	Migrate(1, func(raw json.RawMessage) (json.RawMessage, error) {
		if string(raw) == `{"Last":"n149"}` {
			return nil, errors.New("n149 is a secret")
		}
		return raw, nil
	})(next.info)
	get := func(n int) (v v2, err error) {
		err = s.View(context.Background(), func(tx *Tx) error { v, _, err = next.Get(tx, num(n)); return err })
		return v, err
	}
	if v, err := get(3); err != nil || v.Last != "n3" {
		t.Errorf("read %v, %v", v, err)
	}
	if _, err := get(149); !errors.Is(err, ErrCorrupt) || err != nil && !redacted(err, "n149") {
		t.Errorf("a migration that fails: %v", err)
	}
	err = s.Update(context.Background(), nurse, func(tx *Tx) error { return next.Delete(tx, num(149)) })
	if err != nil {
		t.Fatal(err)
	}
	tables.Lock()
	tables.by["test.migrated"] = next.info
	tables.Unlock()
	if err := s.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	runs = 0
	for n := range 149 {
		if v, err := get(n); err != nil || v.Last != fmt.Sprint("n", n) {
			t.Errorf("row %d: %v, %v", n, v, err)
		}
	}
	if runs != 0 {
		t.Errorf("migrated %d times after the refresh", runs)
	}
	err = s.View(context.Background(), func(tx *Tx) error { _, _, err := old.Get(tx, num(1)); return err })
	if !errors.Is(err, ErrNewer) {
		t.Errorf("the older program reads it: %v", err)
	}
}

func redacted(err error, secret string) bool {
	return !strings.Contains(err.Error(), secret)
}
