package store

import (
	"bytes"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
)

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

// source is one of the sorted streams that a walk merges: a layer, or the file.
type source interface {
	// next moves on; key is nil at the end. A nil value is a deletion. sealed says that the value is
	// as it stands on the disk.
	next() (key, value []byte, sealed bool)
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
	var sources []*head
	for i, l := range tx.layers {
		switch c := l.of(t); {
		case c == nil:
		case beyond(b.at, r.Prefix):
			sources = append(sources, newHead(newCoveredSource(c, &r, &laid, cover, b.at)))
		default:
			// The transaction's own overlay may change under the walk; the layers below it cannot.
			s := newLayerSource(c, &r, i == 0)
			s.laid = laid.Prefix
			sources = append(sources, newHead(s))
		}
	}
	if b.bucket != nil {
		sources = append(sources, newHead(&fileSource{cursor: b.bucket.Cursor(), r: &laid}))
	}
	for {
		key, value, sealed := merge(sources, r.Reverse)
		if key == nil {
			return nil
		}
		if value == nil {
			continue
		}
		if sealed { // else it is a copy already
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

// head is a source with the item it stands at.
type head struct {
	source
	key, value []byte
	sealed     bool
}

func newHead(s source) *head {
	h := &head{source: s}
	h.advance()
	return h
}

func (h *head) advance() { h.key, h.value, h.sealed = h.next() }

// merge takes the next key; of several sources that have it, the topmost (first) decides.
func merge(sources []*head, reverse bool) (key, value []byte, sealed bool) {
	var best *head
	for _, h := range sources {
		if h.key == nil {
			continue
		}
		if best == nil {
			best = h
			continue
		}
		if c := bytes.Compare(h.key, best.key); c != 0 && c < 0 != reverse {
			best = h
		}
	}
	if best == nil {
		return nil, nil, false
	}
	key, value, sealed = best.key, best.value, best.sealed
	for _, h := range sources {
		if h != best && bytes.Equal(h.key, key) {
			h.advance()
		}
	}
	best.advance()
	return key, value, sealed
}

// layerSource walks a layer's changes.
type layerSource struct {
	items []*change
	i     int
	step  int
	laid  []byte // what the keys' prefix is in the file
}

func newLayerSource(c *changes, r *Range, snapshot bool) *layerSource {
	lo, _ := c.find(string(r.Prefix))
	hi := len(c.items)
	if end := after(r.Prefix); end != nil {
		hi, _ = c.find(string(end))
	}
	if len(r.From) > 0 {
		i, found := c.find(string(r.From))
		if r.Reverse {
			if found {
				i++
			}
			hi = max(lo, min(hi, i))
		} else {
			lo = min(hi, max(lo, i))
		}
	}
	s := &layerSource{items: c.items[lo:hi], step: 1}
	if snapshot {
		s.items = slices.Clone(s.items)
	}
	if r.Reverse {
		s.i, s.step = len(s.items)-1, -1
	}
	return s
}

func (s *layerSource) next() (key, value []byte, sealed bool) {
	if s.i < 0 || s.i >= len(s.items) {
		return nil, nil, false
	}
	n := s.items[s.i]
	s.i += s.step
	key = []byte(n.key)
	copy(key, s.laid)
	return key, n.value, false
}

// beyond reports whether blinded values stand in keys beyond a prefix. If none does, the keys that begin
// with it differ in nothing that is covered.
func beyond(at []int, prefix []byte) bool {
	return len(at) > 0 && at[len(at)-1]+blindSize > len(prefix)
}

// newCoveredSource walks a layer's changes in the order in which their keys stand in the file.
func newCoveredSource(c *changes, r, laid *Range, cover *cover, at []int) *layerSource {
	within := newLayerSource(c, &Range{Prefix: r.Prefix}, false)
	s := &layerSource{step: 1}
	for _, n := range within.items {
		if key := cover.lay(at, []byte(n.key)); laid.in(key) {
			s.items = append(s.items, &change{string(key), n.value})
		}
	}
	slices.SortFunc(s.items, func(a, b *change) int { return strings.Compare(a.key, b.key) })
	if r.Reverse {
		s.i, s.step = len(s.items)-1, -1
	}
	return s
}

// fileSource walks a bucket of the file.
type fileSource struct {
	cursor  *bolt.Cursor
	r       *Range
	started bool
}

func (s *fileSource) next() (key, value []byte, sealed bool) {
	switch {
	case !s.started:
		s.started = true
		key, value = s.first()
	case s.r.Reverse:
		key, value = s.cursor.Prev()
	default:
		key, value = s.cursor.Next()
	}
	if key == nil || !s.r.in(key) {
		return nil, nil, false
	}
	if value == nil {
		value = []byte{} // a nested bucket or an empty value: neither was written here, and neither opens
	}
	return key, value, true
}

// first finds the first key of the walk.
func (s *fileSource) first() (key, value []byte) {
	r := s.r
	if !r.Reverse {
		return s.cursor.Seek(slices.MaxFunc([][]byte{r.Prefix, r.From}, bytes.Compare))
	}
	// The first key after the range, then one back.
	end := after(r.Prefix)
	if len(r.From) > 0 && (end == nil || bytes.Compare(r.From, end) < 0) {
		end = append(bytes.Clone(r.From), 0)
	}
	if end == nil {
		return s.cursor.Last()
	}
	if k, _ := s.cursor.Seek(end); k == nil {
		return s.cursor.Last()
	}
	return s.cursor.Prev()
}

// after returns the least key above all that begin with prefix; nil if there is none.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
