package store

import (
	"bytes"
	"slices"
	"strings"

	"github.com/tidwall/btree"
	bolt "go.etcd.io/bbolt"
)

// head is one of the sorted streams that a walk merges, with the item it stands at. It is no interface: a
// decision walks a dozen times, mostly to find nothing, and this stays on the stack.
type head struct {
	key, value []byte // key is nil at the end; a nil value is a deletion
	kind       headKind
	layer      layerSource
	rows       pendingSource
	file       fileSource
}

// headKind says where a stream comes from. Values of a layer are plain, the others as they stand on the disk.
type headKind int

const (
	inLayer headKind = iota
	inJournal
	inFile
)

func (h *head) advance(r *Range) {
	switch h.kind {
	case inLayer:
		h.key, h.value = h.layer.next()
	case inJournal:
		h.key, h.value = h.rows.next(r)
	case inFile:
		h.key, h.value = h.file.next(r)
	}
}

// merge takes the next key; of several sources that have it, the topmost (first) decides.
func merge(sources []head, r *Range) (key, value []byte, kind headKind) {
	var best *head
	for i := range sources {
		h := &sources[i]
		if h.key == nil {
			continue
		}
		if best == nil {
			best = h
			continue
		}
		if c := bytes.Compare(h.key, best.key); c != 0 && c < 0 != r.Reverse {
			best = h
		}
	}
	if best == nil {
		return nil, nil, inLayer
	}
	key, value = best.key, best.value
	for i := range sources {
		if h := &sources[i]; h != best && bytes.Equal(h.key, key) {
			h.advance(r)
		}
	}
	best.advance(r)
	return key, value, best.kind
}

// layerSource walks a layer's changes.
type layerSource struct {
	items []*change
	i     int
	step  int
	laid  []byte // what the keys' prefix is in the file
}

func newLayerSource(c *changes, r *Range, snapshot bool) layerSource {
	lo, _ := c.findBytes(r.Prefix)
	hi := len(c.items)
	if end := after(r.Prefix); end != nil {
		hi, _ = c.findBytes(end)
	}
	if len(r.From) > 0 {
		i, found := c.findBytes(r.From)
		if r.Reverse {
			if found {
				i++
			}
			hi = max(lo, min(hi, i))
		} else {
			lo = min(hi, max(lo, i))
		}
	}
	s := layerSource{items: c.items[lo:hi], step: 1}
	if snapshot {
		s.items = slices.Clone(s.items)
	}
	if r.Reverse {
		s.i, s.step = len(s.items)-1, -1
	}
	return s
}

func (s *layerSource) next() (key, value []byte) {
	if s.i < 0 || s.i >= len(s.items) {
		return nil, nil
	}
	n := s.items[s.i]
	s.i += s.step
	key = []byte(n.key)
	copy(key, s.laid)
	return key, n.value
}

// beyond reports whether blinded values stand in keys beyond a prefix. If none does, the keys that begin
// with it differ in nothing that is covered.
func beyond(at []int, prefix []byte) bool {
	return len(at) > 0 && at[len(at)-1]+blindSize > len(prefix)
}

// newCoveredSource walks a layer's changes in the order in which their keys stand in the file.
func newCoveredSource(c *changes, r, laid *Range, cover *cover, at []int) layerSource {
	within := newLayerSource(c, &Range{Prefix: r.Prefix}, false)
	s := layerSource{step: 1}
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

// pendingSource walks the pending changes of a table.
type pendingSource struct {
	it      btree.MapIter[string, *[]byte]
	started bool
}

func (s *pendingSource) next(r *Range) (key, value []byte) {
	ok := false
	switch {
	case !s.started:
		s.started = true
		ok = s.first(r)
	case r.Reverse:
		ok = s.it.Prev()
	default:
		ok = s.it.Next()
	}
	if !ok {
		return nil, nil
	}
	if key = []byte(s.it.Key()); !r.in(key) {
		return nil, nil
	}
	return key, *s.it.Value()
}

// first finds the first key of the walk.
func (s *pendingSource) first(r *Range) bool {
	if !r.Reverse {
		return s.it.Seek(string(r.begin()))
	}
	if end := r.end(); end != nil && s.it.Seek(string(end)) {
		return s.it.Prev()
	}
	return s.it.Last()
}

// fileSource walks a bucket of the file.
type fileSource struct {
	cursor  *bolt.Cursor
	started bool
}

func (s *fileSource) next(r *Range) (key, value []byte) {
	switch {
	case !s.started:
		s.started = true
		key, value = s.first(r)
	case r.Reverse:
		key, value = s.cursor.Prev()
	default:
		key, value = s.cursor.Next()
	}
	if key == nil || !r.in(key) {
		return nil, nil
	}
	if value == nil {
		value = []byte{} // a nested bucket or an empty value: neither was written here, and neither opens
	}
	return key, value
}

// first finds the first key of the walk.
func (s *fileSource) first(r *Range) (key, value []byte) {
	if !r.Reverse {
		return s.cursor.Seek(r.begin())
	}
	end := r.end()
	if end == nil {
		return s.cursor.Last()
	}
	if k, _ := s.cursor.Seek(end); k == nil {
		return s.cursor.Last()
	}
	return s.cursor.Prev()
}

// begin is where a walk upwards begins.
func (r *Range) begin() []byte {
	if bytes.Compare(r.From, r.Prefix) > 0 {
		return r.From
	}
	return r.Prefix
}

// end is the first key behind a walk downwards; nil is behind all.
func (r *Range) end() []byte {
	end := after(r.Prefix)
	if len(r.From) > 0 && (end == nil || bytes.Compare(r.From, end) < 0) {
		end = append(bytes.Clone(r.From), 0)
	}
	return end
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
