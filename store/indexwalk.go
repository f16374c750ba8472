package store

import (
	"bytes"
	"encoding/binary"
	"errors"

	bolt "go.etcd.io/bbolt"
)

// Each calls fn for the stretches of the log that may hold a value, the newest first, each cut to the
// entries below the sequence number below: those that an index names, and all where none is. Files are
// looked into one after the other, the newest first. When one has been looked through, fn gets an empty
// stretch at its beginning, so that a search which finds nothing can be bounded and go on later.
// fn returns [Stop] to end early; any other error ends Each with it.
func (x *Index) Each(tx *Tx, purpose, value string, below uint64, fn func(from, to uint64) error) error {
	err := x.each(tx, purpose, value, below, fn)
	if errors.Is(err, Stop) {
		return nil
	}
	return err
}

func (x *Index) each(tx *Tx, purpose, value string, below uint64, fn func(from, to uint64) error) error {
	if err := tx.use(); err != nil {
		return err
	}
	p, err := tx.span()
	if err != nil {
		return err
	}
	v := sought{blinder: blinder{ring: tx.ring}, index: x, purpose: purpose, value: value}
	live := func(fn func(*bolt.Tx) error) error { return fn(p.live) }
	end, err := v.part(readSpan(p.live), live, below, fn)
	for i := len(p.file.segments) - 1; i >= 0 && err == nil; i-- {
		end, err = v.part(p.file.segments[i].Indexed, p.file.segments[i].view, end, fn)
	}
	if err != nil {
		return err
	}
	return everyStretch(0, end, fn)
}

// sought is a value that is looked for.
type sought struct {
	blinder
	index          *Index
	purpose, value string
}

// part walks what is below end and not below one file's span, and returns where it came to.
func (v *sought) part(span IndexSpan, view func(func(*bolt.Tx) error) error, end uint64, fn func(from, to uint64) error) (uint64, error) {
	if span.Name != v.index.name || span.From >= end {
		return end, nil
	}
	if err := everyStretch(span.To, end, fn); err != nil {
		return end, err
	}
	end = min(end, span.To)
	var list []uint64
	err := view(func(tx *bolt.Tx) (err error) {
		list, err = v.stretches(tx, end)
		return err
	})
	switch {
	case errors.Is(err, ErrCorrupt): // the segment is out of use, and so is its index
		err = everyStretch(span.From, end, fn)
	case err == nil:
		for _, n := range list {
			if err := fn(max(n*Stretch, span.From), min((n+1)*Stretch, end)); err != nil {
				return end, err
			}
		}
	}
	if err == nil {
		err = fn(span.From, span.From)
	}
	return span.From, err
}

// stretches lists the stretches of a file that hold the value and begin below end, the newest first. It
// looks into one place for each epoch and era.
func (v *sought) stretches(tx *bolt.Tx, end uint64) (list []uint64, err error) {
	b := tx.Bucket([]byte("x/" + v.index.name))
	if b == nil {
		return nil, nil
	}
	c := b.Cursor()
	for k, _ := c.Last(); len(k) == indexKey; k, _ = c.Prev() {
		pair := bytes.Clone(k[:indexPair])
		era := uint64(binary.BigEndian.Uint32(pair[4:]))
		if era*perEra*Stretch < end {
			blind, err := v.blind(binary.BigEndian.Uint32(pair), v.purpose, v.value)
			if err != nil {
				return nil, err
			}
			if blind != nil {
				list = appendPlaces(list, c, append(bytes.Clone(pair), blind...), era, end)
			}
		}
		c.Seek(pair) // Prev is then the last key of the pair before
	}
	return list, nil
}

// appendPlaces adds the stretches under one prefix, the newest first.
func appendPlaces(list []uint64, c *bolt.Cursor, prefix []byte, era, end uint64) []uint64 {
	k, _ := c.Seek(after(prefix))
	if k == nil {
		k, _ = c.Last()
	} else {
		k, _ = c.Prev()
	}
	for ; len(k) == indexKey && bytes.HasPrefix(k, prefix); k, _ = c.Prev() {
		n := era*perEra + uint64(k[indexKey-1])
		// A stretch in which the month ends stands under two epochs.
		if n*Stretch < end && (len(list) == 0 || n < list[len(list)-1]) {
			list = append(list, n)
		}
	}
	return list
}

// everyStretch calls fn for all stretches between two entries.
func everyStretch(from, to uint64, fn func(from, to uint64) error) error {
	for to > from {
		begin := max(from, (to-1)/Stretch*Stretch)
		if err := fn(begin, to); err != nil {
			return err
		}
		to = begin
	}
	return nil
}
