package store

import (
	"bytes"
	"errors"
)

// Any tells whether a key begins with prefix. It looks where [Table.Each] would begin, and opens no value.
func (t *Table[T]) Any(tx *Tx, prefix []byte) (bool, error) {
	found, sure, err := tx.any(t.info, prefix)
	if err != nil || sure {
		return found, err
	}
	found = false
	err = tx.each(t.info, Range{Prefix: prefix}, func(_, _ []byte, _ bool) error {
		found = true
		return Stop
	})
	if errors.Is(err, Stop) {
		err = nil
	}
	return found, err
}

// any looks for a key in one place after the other. It is not sure where it meets a deletion, which may be of
// what stands in another.
func (tx *Tx) any(t *tableInfo, prefix []byte) (found, sure bool, err error) {
	if err := tx.use(); err != nil {
		return false, false, err
	}
	b, err := tx.bucket(t)
	if err != nil {
		return false, false, err
	}
	laid, err := tx.file.cover.layRange(t, b.at, Range{Prefix: prefix})
	if err != nil {
		return false, false, err
	}
	for _, l := range tx.layers {
		c := l.of(t)
		if c == nil {
			continue
		}
		if i, _ := c.findBytes(prefix); i < len(c.items) && len(c.items[i].key) >= len(prefix) && c.items[i].key[:len(prefix)] == string(prefix) {
			return true, c.items[i].value != nil, nil
		}
	}
	if b.rows != nil {
		it := b.rows.Iter()
		if it.Seek(string(laid.Prefix)) && len(it.Key()) >= len(prefix) && it.Key()[:len(prefix)] == string(laid.Prefix) {
			return true, *it.Value() != nil, nil
		}
	}
	if b.bucket != nil {
		c := tx.takeCursor(t)
		key, _ := c.Seek(laid.Prefix)
		found = key != nil && bytes.HasPrefix(key, laid.Prefix)
		tx.giveCursor(t, c)
	}
	return found, true, nil
}
