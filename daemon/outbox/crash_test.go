package outbox

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"pinward/store"
)

// image copies the store's folder as it is on the disk now, as a crash would leave it, and opens the
// copy as the daemon does at its start.
func (b *box) image() *box {
	b.t.Helper()
	c := &box{t: b.t, dir: b.t.TempDir(), keys: b.keys, src: b.src}
	if err := os.CopyFS(c.dir, os.DirFS(b.dir)); err != nil {
		b.t.Fatal(err)
	}
	c.open()
	b.t.Cleanup(func() {
		if err := c.store.Close(); err != nil {
			b.t.Errorf("close store: %v", err)
		}
	})
	c.do(ResetSenders)
	return c
}

func (b *box) recover() (n int) {
	b.t.Helper()
	b.do(func(tx *store.Tx) (err error) { n, err = Recover(tx); return err })
	return n
}

// A crash at each step of a hand-over: what was acknowledged is there, and what was in hand is
// settled once.
func TestCrashAtEachStep(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	m := b.put(notice(1))

	c := b.image() // after Put
	c.state(m.ID, Queued)
	if n := c.recover(); n != 0 {
		t.Errorf("recovered %d before any hand-over", n)
	}
	c.report(modem("a", "red"))
	c.must("a")

	job := b.must("a")
	c = b.image() // after Next, with the text on air
	c.state(m.ID, Sending)
	if n := c.recover(); n != 1 {
		t.Errorf("recovered %d, want 1", n)
	}
	c.state(m.ID, Unknown)
	c.recorded(m.ID, ActionSending, ActionUnknown)
	c.report(modem("a", "red"))
	c.none("a")
	c.receive(job, 5, 0) // the text had left, and its receipt finds it
	c.state(m.ID, Delivered)

	b.settle(job, sentAs(5))
	c = b.image() // after Settle
	c.state(m.ID, Sent)
	if n := c.recover(); n != 0 {
		t.Errorf("recovered %d after it was settled", n)
	}
	c.receive(job, 5, 0)
	c.state(m.ID, Delivered)
	c.coherent()
}

// A record that the disk has damaged is said to be so, and holds nobody up.
func TestDamagedRecordBlocksNoOther(t *testing.T) {
	b := newBox(t)
	bad := b.put(code(1))
	time.Sleep(time.Millisecond)
	fine := b.put(code(2))
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, b.dir, "t/outbox.messages", bad.ID)
	b.open()
	b.report(modem("a", "red"))
	if job := b.must("a"); job.Message.ID != fine.ID {
		t.Fatal("wrong message")
	} else {
		b.settle(job, sentAs(1))
	}
	b.recorded(bad.ID, ActionUnreadable)
	b.none("a")
	b.expire()
}

// damage flips a bit of a value in the store's file.
func damage(t *testing.T, dir, bucket, key string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := 0
	for _, name := range files {
		db, err := bolt.Open(name, 0o600, &bolt.Options{Timeout: time.Second})
		if err != nil {
			continue // not the store's file
		}
		err = db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket([]byte(bucket))
			if b == nil || b.Get([]byte(key)) == nil {
				return nil
			}
			v := append([]byte(nil), b.Get([]byte(key))...)
			v[len(v)-1] ^= 1
			flipped++
			return b.Put([]byte(key), v)
		})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if flipped != 1 {
		t.Fatalf("damaged %d values, want 1", flipped)
	}
}
