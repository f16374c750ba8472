package store

import (
	"bytes"
	"sync"
)

// maxOpened bounds the values that are kept opened.
const maxOpened = 4096

// opened keeps values of tables that are declared [Cached]. Each stands with the sealed bytes that it
// was read from and counts for these alone. As every write seals under a nonce of its own, no value is
// ever taken for another: a snapshot gets what stands in that snapshot, and what a transaction or a
// batch that is not durable has written is plain and never comes here.
type opened struct {
	mu sync.RWMutex
	by map[*tableInfo]map[string]openedValue
	n  int
}

type openedValue struct {
	sealed []byte
	value  any
}

// get returns the value of what stands sealed under a key, nil if it is not known.
func (o *opened) get(t *tableInfo, key, sealed []byte) any {
	o.mu.RLock()
	v := o.by[t][string(key)]
	o.mu.RUnlock()
	if !bytes.Equal(v.sealed, sealed) {
		return nil
	}
	return v.value
}

func (o *opened) put(t *tableInfo, key, sealed []byte, value any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil || o.n >= maxOpened {
		o.by, o.n = map[*tableInfo]map[string]openedValue{}, 0
	}
	if o.by[t] == nil {
		o.by[t] = map[string]openedValue{}
	}
	if _, ok := o.by[t][string(key)]; !ok {
		o.n++
	}
	o.by[t][string(key)] = openedValue{bytes.Clone(sealed), value}
}
