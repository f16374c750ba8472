package store

import "bytes"

// Range selects keys of a table.
type Range struct {
	Prefix []byte // only keys that begin with it; empty: all
	// From says at which key to begin, inclusive, in the direction of the walk; empty: at the end of the
	// range. A walk that goes on in another transaction may find blinded values in another order by then.
	From    []byte
	Reverse bool // from the greatest key down
}

// in reports whether key is in the range, whatever the place where a walk stands.
func (r *Range) in(key []byte) bool {
	if !bytes.HasPrefix(key, r.Prefix) {
		return false
	}
	if len(r.From) == 0 {
		return true
	}
	if c := bytes.Compare(key, r.From); r.Reverse {
		return c <= 0
	} else {
		return c >= 0
	}
}

// each walks a table as the transaction sees it. A value is plain, or sealed and valid as long as the
// transaction; fn owns key.
func (tx *Tx) each(t *tableInfo, r Range, fn func(key, value []byte, sealed bool) error) error {
	if err := tx.use(); err != nil {
		return err
	}
	b, err := tx.bucket(t)
	if err != nil {
		return err
	}
	cover := tx.file.cover
	laid, err := cover.layRange(t, b.at, r)
	if err != nil {
		return err
	}
	if len(b.at) > 0 && !bytes.HasPrefix(r.From, r.Prefix) {
		// The walk begins before all keys of the prefix, or behind them, as they stand in the file.
		if bytes.Compare(laid.From, laid.Prefix) < 0 == r.Reverse && len(r.From) > 0 {
			return nil
		}
		r.From, laid.From = nil, nil
	}
	var space [5]head // a transaction has three layers at most
	sources := space[:0]
	for i, l := range tx.layers {
		switch c := l.of(t); {
		case c == nil:
		case beyond(b.at, r.Prefix):
			sources = append(sources, head{kind: inLayer, layer: newCoveredSource(c, &r, &laid, cover, b.at)})
		default:
			// The transaction's own overlay may change under the walk; the layers below it cannot.
			s := newLayerSource(c, &r, i == 0)
			s.laid = laid.Prefix
			sources = append(sources, head{kind: inLayer, layer: s})
		}
	}
	if b.rows != nil {
		sources = append(sources, head{kind: inJournal, rows: pendingSource{it: b.rows.Iter()}})
	}
	if b.bucket != nil {
		cursor := tx.takeCursor(t)
		defer tx.giveCursor(t, cursor)
		sources = append(sources, head{kind: inFile, file: fileSource{cursor: cursor}})
	}
	for i := range sources {
		sources[i].advance(&laid)
	}
	for {
		key, value, kind := merge(sources, &laid)
		if key == nil {
			return nil
		}
		if value == nil {
			continue
		}
		sealed := kind != inLayer
		if kind == inFile { // else it is a copy already
			key = bytes.Clone(key)
		}
		if beyond(b.at, r.Prefix) {
			cover.lift(b.at, key)
		} else {
			copy(key, r.Prefix)
		}
		if err := fn(key, value, sealed); err != nil {
			return err
		}
	}
}
