package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/btree"
	bolt "go.etcd.io/bbolt"
)

// A commit does not put its values where they belong: keys are blinded, so each would change a page of
// its own, and a batch of thirty messages some three hundred. It appends them to the journal, a bucket
// that only grows at its end, and the committer merges them into their tables behind, many at a time
// and in the order of their keys; see [Store.merge]. What is not merged yet is held in memory as well,
// as pending. What a transaction sees of the file is therefore two things that belong together: a
// snapshot of the file, and the pending changes over it.
//
// The journal is a bucket of buckets, one for each generation. A merge works through all that is pending
// in passes; a pass begins a new generation, and at its end all older ones are dropped, as every change
// in them is in its table. If we crash at any point, what was merged is in the journal still, and
// merging it twice is as good as once: the journal holds the newest change of each key, whatever the
// tables hold.
//
// A rewrite of the file (roll, compaction, rotation of the index, restore) reads tables as they stand.
// It begins with an empty journal, and as long as it lasts commits put values where they belong.
var bucketJournal = []byte("journal") // generation (8 bytes) -> bucket of counter (4 bytes) -> changes, vouched for

const (
	// chunkSize is about how many bytes of changes stand under one key of the journal. Two fill a leaf of
	// two pages.
	chunkSize = 3800
	// sumSize is what vouching adds to a chunk.
	sumSize = 32
	// pendingDegree is that of the trees in memory: a commit copies the nodes that it changes.
	pendingDegree = 8
)

// rows are the pending changes of one table by key as it stands in the file, the values sealed; nil is
// a deletion. They stand behind pointers: a commit copies nodes, for each change one or two.
type rows = btree.Map[string, *[]byte]

// pending is what the journal holds over the tables of its file. It never changes: a commit and a merge
// make the next one, and share with it what stays.
type pending struct {
	tables []pendingTable // in the order of their buckets; none is empty
	n      int            // changes
}

type pendingTable struct {
	bucket string
	rows   *rows
}

// of returns the changes of a table, nil if there are none.
func (p *pending) of(bucket string) *rows {
	if p == nil {
		return nil
	}
	if i, ok := p.find(bucket); ok {
		return p.tables[i].rows
	}
	return nil
}

func (p *pending) find(bucket string) (int, bool) {
	return slices.BinarySearchFunc(p.tables, bucket, func(t pendingTable, bucket string) int { return strings.Compare(t.bucket, bucket) })
}

func (p *pending) size() int {
	if p == nil {
		return 0
	}
	return p.n
}

// with returns the pending changes with those of a batch over them. Puts of one table stand together.
func (p *pending) with(values []sealedPut) *pending {
	if len(values) == 0 {
		return p
	}
	e := p.edit()
	sealed := make([][]byte, len(values))
	for i := range values {
		sealed[i] = values[i].value
		e.set(values[i].table.bucket, values[i].laid, &sealed[i])
	}
	return e.pending
}

// pendingEdit makes one pending from another.
type pendingEdit struct {
	*pending
	bucket string
	rows   *rows // of bucket: our own copy
}

func (p *pending) edit() *pendingEdit {
	e := &pendingEdit{pending: &pending{}}
	if p != nil {
		e.n, e.tables = p.n, slices.Clone(p.tables)
	}
	return e
}

// table makes the rows of a bucket our own. Buckets may come in any order, but each turn costs a copy.
func (e *pendingEdit) table(bucket string) *rows {
	if e.rows != nil && e.bucket == bucket {
		return e.rows
	}
	i, there := e.find(bucket)
	if there {
		e.rows = e.tables[i].rows.Copy()
		e.tables[i].rows = e.rows
	} else {
		e.rows = btree.NewMap[string, *[]byte](pendingDegree)
		e.tables = slices.Insert(e.tables, i, pendingTable{bucket, e.rows})
	}
	e.bucket = bucket
	return e.rows
}

func (e *pendingEdit) set(bucket, key string, value *[]byte) {
	if _, was := e.table(bucket).Set(key, value); !was {
		e.n++
	}
}

// drop takes changes away that are merged.
func (e *pendingEdit) drop(list []mergedRow) {
	for _, m := range list {
		if _, was := e.table(m.bucket).Delete(m.key); was {
			e.n--
		}
		if e.rows.Len() == 0 {
			i, _ := e.find(m.bucket)
			e.tables = slices.Delete(e.tables, i, i+1)
			e.rows = nil
		}
	}
}

// mergedRow is one pending change on its way into its table.
type mergedRow struct {
	bucket, key string
	value       []byte
}

// after returns up to most changes behind a place, in the order of buckets and keys; over says that
// there are no more behind them.
func (p *pending) after(bucket, key string, most int) (list []mergedRow, over bool) {
	if p == nil {
		return nil, true
	}
	for _, t := range p.tables {
		if t.bucket < bucket {
			continue
		}
		it := t.rows.Iter()
		ok := it.First()
		if t.bucket == bucket {
			ok = it.Seek(key + "\x00")
		}
		for ; ok; ok = it.Next() {
			if len(list) == most {
				return list, false
			}
			list = append(list, mergedRow{t.bucket, it.Key(), *it.Value()})
		}
	}
	return list, true
}

// chunk is a piece of the journal: the changes of values[from:to].
type chunk struct {
	from, to int
	bytes    []byte
}

// layOut places the values of a batch in the chunks of the journal: each gets its key as it stands in
// the file, and the place where it will be sealed. A change is bucket (empty: as before), key and value,
// with 2, 2 and 4 bytes of length before them; an empty value is a deletion.
func (p *prepared) layOut(c *cover) {
	size, keys := 0, 0
	for i := range p.values {
		v := &p.values[i]
		size += 8 + len(v.table.bucket) + len(v.key) + v.sealedSize()
		keys += len(v.key)
	}
	// More than enough: each chunk but the last is full.
	b := make([]byte, 0, size+sumSize*(size/chunkSize+2))
	names := make([]byte, 0, keys)
	begin, from := 0, 0
	end := func(to int) {
		p.chunks = append(p.chunks, chunk{from, to, b[begin : len(b) : len(b)+sumSize]})
		b = b[:len(b)+sumSize]
		begin, from = len(b), to
	}
	for i := range p.values {
		v := &p.values[i]
		if len(b) > begin && len(b)-begin+8+len(v.table.bucket)+len(v.key)+v.sealedSize() > chunkSize {
			end(i)
		}
		bucket := v.table.bucket
		if i > from && p.values[i-1].table == v.table {
			bucket = ""
		}
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(bucket))), bucket...)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(v.key))), v.key...)
		laid := b[len(b)-len(v.key):]
		c.layIn(c.of(v.table.bucket), laid)
		names = append(names, laid...)
		n := v.sealedSize()
		b = binary.BigEndian.AppendUint32(b, uint32(n))
		v.value = b[len(b) : len(b) : len(b)+n]
		b = b[:len(b)+n]
	}
	if len(b) > begin {
		end(len(p.values))
	}
	all := string(names)
	for i := range p.values {
		n := len(p.values[i].key)
		p.values[i].laid, all = all[:n], all[n:]
	}
}

// chunkName is what a chunk is vouched for as.
func chunkName(generation uint64, n uint32) string {
	return string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64([]byte("journal"), generation), n))
}

// eachChange calls fn for the changes in a chunk, in order; key and value are parts of it.
func eachChange(b []byte, fn func(bucket string, key, value []byte)) error {
	bucket := ""
	for len(b) > 0 {
		var name, key, value []byte
		ok := false
		if name, b, ok = cutPart(b, 2); ok {
			if key, b, ok = cutPart(b, 2); ok {
				value, b, ok = cutPart(b, 4)
			}
		}
		if len(name) > 0 {
			bucket = string(name)
		}
		if !ok || bucket == "" || len(key) == 0 {
			return fmt.Errorf("%w: the journal", ErrCorrupt)
		}
		if len(value) == 0 {
			value = nil
		}
		fn(bucket, key, value)
	}
	return nil
}

// cutPart takes what stands behind a length of so many bytes.
func cutPart(b []byte, width int) (part, rest []byte, ok bool) {
	if len(b) < width {
		return nil, nil, false
	}
	n := 0
	for _, c := range b[:width] {
		n = n<<8 | int(c)
	}
	if b = b[width:]; n > len(b) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// loadJournal reads what is not merged yet. That is bounded, so a start costs the same however large the
// store is; the committer merges it behind.
func (s *Store) loadJournal(tx *bolt.Tx, d *durable) error {
	top := tx.Bucket(bucketJournal)
	if top == nil {
		return nil // of an older format
	}
	e := d.pending.edit()
	err := top.ForEachBucket(func(name []byte) error {
		if len(name) != 8 {
			return fmt.Errorf("%w: the journal", ErrCorrupt)
		}
		generation, next := binary.BigEndian.Uint64(name), uint32(0)
		err := top.Bucket(name).ForEach(func(k, v []byte) error {
			plain, err := d.ring.vouchedBytes(&s.id, chunkName(generation, next), v)
			if err != nil {
				return err
			}
			if len(k) != 4 || binary.BigEndian.Uint32(k) != next {
				return fmt.Errorf("%w: the journal has a gap", ErrCorrupt)
			}
			next++
			return eachChange(bytes.Clone(plain), func(bucket string, key, value []byte) { e.set(bucket, string(key), &value) })
		})
		s.journal = journal{generation: generation + 1}
		return err
	})
	d.pending = e.pending
	return err
}
