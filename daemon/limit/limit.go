// Package limit counts what may happen only so often: budgets over sliding windows, and failures in
// a row with a growing delay (NIST SP 800-63B section 3.2.2).
//
// It knows numbers and keys, not why something is counted. Its counters are bookkeeping: a taken
// start is an entry of whoever took it, and a transaction that fails gives back what it took. Keys
// are blinded here, so a caller passes a phone number or an address as it is.
package limit

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"pinward/store"
)

// Budget allows Max takes in any Window. Two budgets of one name share their counters.
type Budget struct {
	Name    string        `json:"name"`    // "number.hour"
	Max     int           `json:"max"`     // 0 is no limit
	Window  time.Duration `json:"window"`  // sliding; nanoseconds
	Reserve int           `json:"reserve"` // of Max, what only authenticated staff may take

	public bool
}

// For returns the budget as it stands for a class of callers: the public leaves the reserve alone.
func (b Budget) For(staff bool) Budget {
	b.public = !staff
	return b
}

func (b Budget) cap() int {
	if b.public {
		return max(b.Max-b.Reserve, 0)
	}
	return b.Max
}

// Exceeded says which budget is used up, and when a take may succeed again.
type Exceeded struct {
	Budget     string
	RetryAfter time.Duration
}

func (e *Exceeded) Error() string {
	return fmt.Sprintf("budget %s is used up, retry after %s", e.Budget, e.RetryAfter.Round(time.Second))
}

// exactMax is up to which size a budget remembers each take. Beyond it takes are counted in buckets
// of Window/buckets, a bucket counting in full until all of it has left the window: never too many
// pass, and a take comes back up to one bucket late.
const (
	exactMax = 64
	buckets  = 32
)

// used is one counter: N[i] takes at the instant or in the bucket beginning at At[i], in
// milliseconds since 1970, oldest first.
type used struct {
	At    []int64
	N     []int
	Until int64 // nothing of it counts from here on
}

var counters = store.NewTable[used]("limit.counters", store.Blinded(0), store.Schema(1), store.Packed(usedFields),
	store.Bookkeeping("how often something was done lately; what was done is an entry of its own"))

// usedFields are the packed form of a counter: its takes in one piece, each as the instant, counted from the one
// before, and how many.
func usedFields(f *store.Fields, u *used) {
	var b []byte
	if !f.Reading() {
		at := int64(0)
		for i := range u.At {
			b = binary.AppendUvarint(binary.AppendVarint(b, u.At[i]-at), uint64(u.N[i]))
			at = u.At[i]
		}
	}
	store.TextField(f, 1, &b)
	store.IntField(f, 2, &u.Until)
	if !f.Reading() {
		return
	}
	for at := int64(0); len(b) > 0; {
		step, size := binary.Varint(b)
		n, more := binary.Uvarint(b[max(0, size):])
		if size <= 0 || more <= 0 {
			f.Refuse()
			return
		}
		b, at = b[size+more:], at+step
		u.At, u.N = append(u.At, at), append(u.N, int(n))
	}
}

func (b Budget) exact() bool { return b.Max <= exactMax }

// grain is the resolution of a counter in milliseconds.
func (b Budget) grain() int64 {
	if b.exact() {
		return 1
	}
	return max(b.Window.Milliseconds()/buckets, 1)
}

// life is how long a take counts, from the beginning of its bucket.
func (b Budget) life() int64 {
	if b.exact() {
		return b.Window.Milliseconds()
	}
	return b.Window.Milliseconds() + b.grain()
}

// key puts the budgets of one key, such as a number's hour and day, side by side: they are taken
// together.
func (b Budget) key(tx *store.Tx, key string) []byte {
	return append(tx.Blind("limit", key), b.Name...)
}

// load reads a counter without what has left the window.
func (b Budget) load(tx *store.Tx, key string) (used, error) {
	u, _, err := counters.Get(tx, b.key(tx, key))
	if err != nil {
		return used{}, fmt.Errorf("read budget %s: %w", b.Name, err)
	}
	now := tx.Now().UnixMilli()
	i := 0
	for i < len(u.At) && u.At[i]+b.life() <= now {
		i++
	}
	u.At, u.N = u.At[i:], u.N[i:]
	return u, nil
}

func (b Budget) save(tx *store.Tx, key string, u used) error {
	k := b.key(tx, key)
	if len(u.At) == 0 {
		if err := counters.Delete(tx, k); err != nil {
			return fmt.Errorf("clear budget %s: %w", b.Name, err)
		}
		return nil
	}
	u.Until = u.At[len(u.At)-1] + b.life()
	if err := counters.Put(tx, k, u); err != nil {
		return fmt.Errorf("keep budget %s: %w", b.Name, err)
	}
	return nil
}

func (u used) sum() (n int) {
	for _, k := range u.N {
		n += k
	}
	return n
}

// left returns how many takes are left, and the wait until one is.
func (b Budget) left(u used, now int64) (n int, wait time.Duration) {
	if n = b.cap() - u.sum(); n > 0 {
		return n, 0
	}
	// Enough of the oldest have to leave for one to fit.
	over := 1 - n
	for i, k := range u.N {
		if over -= k; over <= 0 {
			return 0, time.Duration(u.At[i]+b.life()-now) * time.Millisecond
		}
	}
	return 0, b.Window // all of it is reserved: waiting does not help the public
}

// Take takes one from the budget of key, or fails with *Exceeded.
func Take(tx *store.Tx, b Budget, key string) error {
	if b.Max <= 0 {
		return nil
	}
	u, err := b.load(tx, key)
	if err != nil {
		return err
	}
	if n, wait := b.left(u, tx.Now().UnixMilli()); n == 0 {
		return &Exceeded{Budget: b.Name, RetryAfter: wait}
	}
	return b.take(tx, key, u)
}

// take adds one to what was loaded, and keeps it.
func (b Budget) take(tx *store.Tx, key string, u used) error {
	now := tx.Now().UnixMilli()
	at := now - now%b.grain()
	if b.exact() && tx.Now().After(time.UnixMilli(now)) {
		at++ // rounded up, or a take would leave the window up to a millisecond early
	}
	if i := len(u.At) - 1; i >= 0 && u.At[i] == at {
		u.N[i]++
	} else {
		u.At, u.N = append(u.At, at), append(u.N, 1)
	}
	return b.save(tx, key, u)
}

// Charge is one take of several that stand or fall together.
type Charge struct {
	Budget Budget
	Key    string
}

// TakeAll takes from every budget or from none, and fails with the *Exceeded that lasts longest. No two
// charges may be of one budget and key.
func TakeAll(tx *store.Tx, charges ...Charge) error {
	var worst *Exceeded
	loaded := make([]used, len(charges))
	for i, c := range charges {
		if c.Budget.Max <= 0 {
			continue
		}
		u, err := c.Budget.load(tx, c.Key)
		if err != nil {
			return err
		}
		if n, wait := c.Budget.left(u, tx.Now().UnixMilli()); n == 0 && (worst == nil || wait > worst.RetryAfter) {
			worst = &Exceeded{Budget: c.Budget.Name, RetryAfter: wait}
		}
		loaded[i] = u
	}
	if worst != nil {
		return worst
	}
	for i, c := range charges {
		if c.Budget.Max <= 0 {
			continue
		}
		if err := c.Budget.take(tx, c.Key, loaded[i]); err != nil {
			return err
		}
	}
	return nil
}

// Peek returns how many takes are left without taking one, and the wait while none is. A budget
// without limit always has one left.
func Peek(tx *store.Tx, b Budget, key string) (left int, wait time.Duration, err error) {
	if b.Max <= 0 {
		return 1, 0, nil
	}
	u, err := b.load(tx, key)
	if err != nil {
		return 0, 0, err
	}
	left, wait = b.left(u, tx.Now().UnixMilli())
	return left, wait, nil
}

// Give gives the newest take back, for what was taken and then not done. With none taken it does
// nothing.
func Give(tx *store.Tx, b Budget, key string) error {
	if b.Max <= 0 {
		return nil
	}
	u, err := b.load(tx, key)
	if err != nil || len(u.N) == 0 {
		return err
	}
	i := len(u.N) - 1
	if u.N[i]--; u.N[i] == 0 {
		u.At, u.N = u.At[:i], u.N[:i]
	}
	return b.save(tx, key, u)
}

// Forget gives all takes back: whoever is counted by key begins anew.
func Forget(tx *store.Tx, b Budget, key string) error { return b.save(tx, key, used{}) }

// Sweep forgets counters that have run out. It looks at no more than n, beginning at cursor (nil is
// the beginning), and returns where to go on, nil at the end.
func Sweep(tx *store.Tx, cursor []byte, n int) (next []byte, err error) {
	now := tx.Now().UnixMilli()
	err = counters.Each(tx, store.Range{From: cursor}, func(key []byte, u used) error {
		if n--; n < 0 {
			next = slices.Clone(key)
			return store.Stop
		}
		if u.Until <= now {
			return counters.Delete(tx, key)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sweep budgets: %w", err)
	}
	return next, nil
}
