package store

// maxKnown bounds the values that one transaction keeps decoded.
const maxKnown = 16

// known are values that a transaction has decoded or written, of tables that are declared
// [DecodedOnce]. They are few, so they are searched and not hashed. When there is no room the oldest
// goes: what a decision is about is read again and again, and what a walk meets is not.
type known struct {
	list []knownValue
	next int // the place that is taken next once list is full
}

type knownValue struct {
	table *tableInfo
	key   string
	value any
}

func (k *known) find(t *tableInfo, key []byte) int {
	for i := range k.list {
		if v := &k.list[i]; v.table == t && v.key == string(key) {
			return i
		}
	}
	return -1
}

func (k *known) get(t *tableInfo, key []byte) (any, bool) {
	if i := k.find(t, key); i >= 0 {
		return k.list[i].value, true
	}
	return nil, false
}

func (k *known) put(t *tableInfo, key []byte, value any) {
	i := k.find(t, key)
	switch {
	case i >= 0:
		k.list[i].value = value
		return
	case len(k.list) < maxKnown:
		k.list = append(k.list, knownValue{t, string(key), value})
		return
	}
	k.list[k.next] = knownValue{t, string(key), value}
	k.next = (k.next + 1) % maxKnown
}

func (k *known) drop(t *tableInfo, key []byte) {
	if i := k.find(t, key); i >= 0 {
		k.list[i] = knownValue{}
	}
}
