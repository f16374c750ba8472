package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// maxKey is the longest table key.
const maxKey = 1024

// Table is one room's table of values of type T, kept as JSON or [Packed], and sealed. Declare it as an unexported
// package-level variable of its room: no other room can then write it.
//
// Keys stand in clear on the disk: use sequences or [Tx.Blind], never a number or a name. Where a blinded
// value stands in them, [Blinded] says.
type Table[T any] struct {
	info    *tableInfo
	packing packing[T] // nil keeps JSON
}

// tableInfo is what the store knows of a table.
type tableInfo struct {
	name        string
	bucket      string
	bookkeeping string
	schema      uint16
	migrate     map[uint16]func(json.RawMessage) (json.RawMessage, error) // by the schema it begins with
	purpose     Purpose
	cached      bool
	once        bool  // see DecodedOnce
	blinded     []int // see Blinded
	packing     any   // of the table's type; see Packed
}

// TableOption is an option of [NewTable].
type TableOption func(*tableInfo)

// Bookkeeping exempts a table from the rule that a change leaves an audit entry, and says why.
// It is for cursors, counters and the like; a test lists the tables that have it.
func Bookkeeping(why string) TableOption { return func(t *tableInfo) { t.bookkeeping = why } }

// Schema numbers the form of T; the default is 0. Values of an older schema go through the table's
// migrations when they are read, and are written anew in the background; a value of a newer one is
// refused with [ErrNewer].
func Schema(n uint16) TableOption { return func(t *tableInfo) { t.schema = n } }

// Migrate makes JSON of schema from into JSON of schema from+1. Where a step has no migration, the
// older JSON reads as the newer. fn must depend on nothing but the value: it runs whenever an older
// value is read, until that is written anew.
func Migrate(from uint16, fn func(json.RawMessage) (json.RawMessage, error)) TableOption {
	return func(t *tableInfo) {
		if t.migrate == nil {
			t.migrate = map[uint16]func(json.RawMessage) (json.RawMessage, error){}
		}
		t.migrate[from] = fn
	}
}

// forward brings a value of an older schema to the table's.
func (t *tableInfo) forward(plain []byte, schema uint16) ([]byte, error) {
	for ; schema < t.schema; schema++ {
		fn := t.migrate[schema]
		if fn == nil {
			continue
		}
		next, err := fn(plain)
		if err != nil {
			// Its text may quote the value, so it is not passed on.
			return nil, fmt.Errorf("%w: a value of %s has no way from schema %d to %d", ErrCorrupt, t.name, schema, schema+1)
		}
		plain = next
	}
	return plain, nil
}

// Cached keeps opened values in memory: each is opened once for every time that it was written. It is
// for policy, which has few keys and is read by every transaction. What Get and Each return is shared
// by all who read it: nothing that it points to, such as the elements of a slice, may be changed.
func Cached() TableOption { return func(t *tableInfo) { t.cached = true } }

// DecodedOnce has a transaction decode a value once, and not each time that it reads it: a decision reads
// the record that it is about in half a dozen places. What Get returns, and what was given to Put, is
// then shared by all who read it in the transaction: nothing that it points to may be changed.
func DecodedOnce() TableOption { return func(t *tableInfo) { t.once = true } }

// tables holds the names that are taken. Tables are declared while the program starts.
var tables = struct {
	sync.Mutex
	by map[string]*tableInfo
}{by: map[string]*tableInfo{}}

// NewTable declares a table. It panics if the name is taken or empty, which is a mistake in the
// program and shows at its start.
func NewTable[T any](name string, opts ...TableOption) *Table[T] {
	info := &tableInfo{name: name, bucket: "t/" + name}
	for _, o := range opts {
		o(info)
	}
	tables.Lock()
	defer tables.Unlock()
	if name == "" || tables.by[name] != nil {
		panic("store: a table's name is empty or taken: " + name)
	}
	t := &Table[T]{info: info}
	if info.packing != nil {
		t.packing = info.packing.(packing[T])
		if info.migrate != nil {
			panic("store: a packed table has no migrations: " + name)
		}
	}
	tables.by[name] = info
	return t
}

// Version is of the file's format and of the schemas of all tables: it goes up when one of them does. A program of
// a lower version may find values that it cannot read ([ErrNewer]).
func Version() int {
	tables.Lock()
	defer tables.Unlock()
	v := formatVersion
	for _, t := range tables.by {
		v += int(t.schema)
	}
	return v
}

// BookkeepingTables returns the tables that are exempt from leaving entries, with their reasons.
func BookkeepingTables() map[string]string {
	tables.Lock()
	defer tables.Unlock()
	m := map[string]string{}
	for name, t := range tables.by {
		if t.bookkeeping != "" {
			m[name] = t.bookkeeping
		}
	}
	return m
}

// Get returns the value of a key; ok is false if there is none.
func (t *Table[T]) Get(tx *Tx, key []byte) (v T, ok bool, err error) {
	if t.info.once {
		if known, ok := tx.known.get(t.info, key); ok && !tx.over {
			return known.(T), true, nil
		}
	}
	value, sealed, err := tx.get(t.info, key)
	if value == nil || err != nil {
		return v, false, err
	}
	v, err = t.open(tx, key, value, sealed)
	if t.info.once && err == nil {
		tx.known.put(t.info, key, v)
	}
	return v, err == nil, err
}

// Put sets the value of a key. If it fails the transaction fails, whether or not the error is
// returned.
func (t *Table[T]) Put(tx *Tx, key []byte, v T) error {
	plain, err := t.encode(&v)
	if err != nil {
		return tx.fail(err)
	}
	err = tx.put(t.info, key, plain)
	if t.info.once && err == nil {
		tx.known.put(t.info, key, v)
	}
	return err
}

// Delete removes a key; it is no error if there is none. If it fails the transaction fails.
func (t *Table[T]) Delete(tx *Tx, key []byte) error {
	tx.known.drop(t.info, key)
	return tx.put(t.info, key, nil)
}

// Each calls fn for the values in a range, in the order of their keys; those that differ in a blinded
// value come in an order that [Store.RotateIndex] changes. fn may change the same table:
// this Each does not see it. fn returns [Stop] to end early; any other error ends Each with it.
// fn owns key.
func (t *Table[T]) Each(tx *Tx, r Range, fn func(key []byte, v T) error) error {
	err := tx.each(t.info, r, func(key, value []byte, sealed bool) error {
		v, err := t.open(tx, key, value, sealed)
		if err != nil {
			return err
		}
		return fn(key, v)
	})
	if errors.Is(err, Stop) {
		return nil
	}
	return err
}

// Len counts the table's keys. It reads them all, but opens no value.
func (t *Table[T]) Len(tx *Tx) (int, error) {
	n := 0
	err := tx.each(t.info, Range{}, func(_, _ []byte, _ bool) error { n++; return nil })
	return n, err
}

// String names the table.
func (t *Table[T]) String() string { return t.info.name }

// open makes the value of what stands under key, sealed as in the file or plain as in a layer.
func (t *Table[T]) open(tx *Tx, key, value []byte, sealed bool) (v T, err error) {
	if !sealed {
		return t.decode(value)
	}
	if t.info.cached {
		if v, ok := tx.store.opened.get(t.info, key, value).(T); ok {
			return v, nil
		}
	}
	plain, schema, err := tx.ring.unseal(&tx.store.id, t.info.bucket, key, t.info.schema, value, t.info.name)
	if err != nil {
		return v, err
	}
	if plain, err = t.info.forward(plain, schema); err != nil {
		return v, err
	}
	if v, err = t.decode(plain); err == nil && t.info.cached {
		tx.store.opened.put(t.info, key, value, v)
	}
	return v, err
}

func (t *Table[T]) encode(v *T) ([]byte, error) {
	if t.packing != nil {
		return Pack(v, t.packing), nil
	}
	if plain := quickJSON(v); plain != nil {
		return plain, nil
	}
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode a value of %s: its type %T cannot be JSON", t.info.name, *v)
	}
	return plain, nil
}

func (t *Table[T]) decode(plain []byte) (v T, err error) {
	if t.packing != nil && len(plain) > 0 && plain[0] == packVersion {
		if v, err = Unpack(plain, t.packing); err != nil {
			return v, fmt.Errorf("%w: a value of %s: %w", ErrCorrupt, t.info.name, err)
		}
		return v, nil
	}
	if readQuickJSON(plain, &v) {
		return v, nil
	}
	if err := json.Unmarshal(plain, &v); err != nil {
		// The error of package json quotes the value, so it is not passed on.
		return v, fmt.Errorf("%w: a value of %s is not a %T", ErrCorrupt, t.info.name, v)
	}
	return v, nil
}
