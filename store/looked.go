package store

// looked are the last keys that a transaction has looked up beneath its own overlay, and what it found, nothing as
// well: nothing changes there while it runs, and a decision asks half a dozen times whether a number is withdrawn.
type looked struct {
	list [8]lookup
	next int // the place that is taken next
}

type lookup struct {
	table  *tableInfo // nil: the place is free
	key    [40]byte   // most keys are shorter; longer ones are not kept
	n      int        // its length
	value  []byte     // nil if there is none
	sealed bool
}

func (k *looked) find(t *tableInfo, key []byte) *lookup {
	for i := range k.list {
		if l := &k.list[i]; l.table == t && string(l.key[:l.n]) == string(key) {
			return l
		}
	}
	return nil
}

func (k *looked) note(t *tableInfo, key, value []byte, sealed bool) {
	l := &k.list[k.next]
	if len(key) > len(l.key) {
		return
	}
	k.next = (k.next + 1) % len(k.list)
	l.table, l.n, l.value, l.sealed = t, copy(l.key[:], key), value, sealed
}
