package store

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// Index finds entries of the log by values that stand in their sealed part, such as a patient. Under the
// blinded value it notes in which stretches of the log that occurs: a stretch is as long as what a
// search reads at once, so that one key stands for many entries.
//
// The index of a month stays in that month's file: a roll leaves it behind, so the live file is as small
// after six years as after one month, and a search walks from the newest file to the oldest. What a
// file's index covers is noted; a stretch of the log that none covers is read whole, so an index that
// is behind, or lost with a damaged segment, makes a search slow and never wrong.
//
// Values are blinded under a key made from the one that seals the entries themselves. So a month that
// is shredded takes its index along, wherever copies of that are, and no other key's rotation touches it.
//
// Blinded values are random, so an index in their order would be written all over, and each commit cost
// more the longer the file is. Keys therefore begin with epoch and era, a fixed number of entries: what
// is written stays within the newest era.
type Index struct{ name string }

// Stretch is how many entries a stretch of an [Index] has.
const Stretch = 512

// perEra is how many stretches an era has: a stretch's place in its era is the last byte of a key.
const perEra = 256

// A key is epoch (4 bytes), era (4), blinded value, place of the stretch in its era (1). With 96 bits two
// values meet by chance in no log of this size, and one that did would cost a search 512 entries.
const (
	indexPair  = 4 + 4
	indexBlind = 12
	indexKey   = indexPair + indexBlind + 1
)

// Mark says that a value stands in an entry.
type Mark struct {
	Seq     uint64
	Epoch   uint32 // of the entry's header
	Purpose string // different purposes never meet
	Value   string
}

// IndexSpan says for which entries an index has marks in a file.
type IndexSpan struct {
	Name     string `json:"name"` // of the index
	From, To uint64 // To is not among them
}

// indexName holds the name that is taken, and the names of tables that the index came in the place of.
var indexName struct {
	sync.Mutex
	name    string
	retired []string
}

// NewIndex declares the index of the log; there can be one. Under another name than before it is made
// anew. Tables named in replaces are of an older program: they are left behind when the file is next
// written anew, which is soon. It panics on a second index, which is a mistake in the program.
func NewIndex(name string, replaces ...string) *Index {
	indexName.Lock()
	defer indexName.Unlock()
	if name == "" || indexName.name != "" {
		panic("store: the log has an index already: " + indexName.name)
	}
	indexName.name, indexName.retired = name, replaces
	return &Index{name}
}

// isRetired reports whether a bucket is that of a table which an index has replaced.
func isRetired(bucket string) bool {
	indexName.Lock()
	defer indexName.Unlock()
	return len(bucket) > 2 && bucket[:2] == "t/" && slices.Contains(indexName.retired, bucket[2:])
}

// isIndex reports whether a bucket is an index.
func isIndex(bucket string) bool { return len(bucket) > 2 && bucket[:2] == "x/" }

// indexed are marks to be written: those of the entries [From, To).
type indexed struct {
	IndexSpan
	keys [][]byte
}

// Add notes the marks of the entries from the sequence number from on and below to. It goes on where the
// last Add ended; entries that it gets again do no harm. Marks of an entry whose key was shredded are
// left out. Of several goroutines only one may add.
func (x *Index) Add(tx *Tx, from, to uint64, marks []Mark) error {
	if err := tx.mayWrite(); err != nil {
		return err
	}
	add := indexed{IndexSpan: IndexSpan{x.name, from, to}}
	b := blinder{ring: tx.ring}
	for _, m := range marks {
		blind, err := b.blind(m.Epoch, m.Purpose, m.Value)
		if err != nil {
			return tx.fail(err)
		}
		if blind == nil {
			continue
		}
		n := m.Seq / Stretch
		key := append(indexPairKey(m.Epoch, n/perEra), blind...)
		add.keys = append(add.keys, append(key, byte(n%perEra)))
	}
	slices.SortFunc(add.keys, bytes.Compare)
	add.keys = slices.CompactFunc(add.keys, bytes.Equal)
	tx.indexed = append(tx.indexed, add)
	return nil
}

func indexPairKey(epoch uint32, era uint64) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(make([]byte, 0, indexKey), epoch), uint32(era))
}

// blinder blinds values for an index; it keeps the key of the last epoch.
type blinder struct {
	ring  *ring
	epoch uint32
	key   *macKey // nil if the epoch's key is gone
}

// blind is nil if the key of the epoch is gone.
func (b *blinder) blind(epoch uint32, purpose, value string) ([]byte, error) {
	if epoch != b.epoch {
		b.epoch, b.key = epoch, nil
		if k := find(b.ring.keys[PurposeAudit], epoch); k != nil && k.key != nil {
			key, err := hkdf.Expand(sha256.New, k.key, "index", 32)
			if err != nil {
				return nil, fmt.Errorf("make index key: %w", err)
			}
			b.key = newMacKey(key)
		}
	}
	if b.key == nil {
		return nil, nil
	}
	var stack [128]byte
	in := append(stack[:0], "index/v1"...)
	in = binary.BigEndian.AppendUint32(in, uint32(len(purpose)))
	in = append(append(in, purpose...), value...)
	return b.key.sum(make([]byte, 0, 32), in)[:indexBlind], nil
}

// fill writes the marks. The span is that of the file which they go into: a roll may have come between
// the transaction and its commit.
func (a *indexed) fill(tx *bolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists([]byte("x/" + a.Name))
	if err != nil {
		return err
	}
	for _, k := range a.keys {
		if b.Get(k) != nil {
			continue // a page that would be written for nothing
		}
		if err := b.Put(k, []byte{}); err != nil {
			return err
		}
	}
	span := readSpan(tx)
	if span.Name != a.Name || a.From > span.To {
		span = IndexSpan{a.Name, a.From, a.From} // what lies between is covered by no index
	}
	span.To = max(span.To, a.To)
	return putSpan(tx, span)
}

// readSpan is what the index of a live file covers.
func readSpan(tx *bolt.Tx) (s IndexSpan) {
	v := tx.Bucket(bucketMeta).Get(keyIndex)
	if len(v) < 16 {
		return s
	}
	return IndexSpan{string(v[16:]), binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])}
}

func putSpan(tx *bolt.Tx, s IndexSpan) error {
	v := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, s.From), s.To)
	return tx.Bucket(bucketMeta).Put(keyIndex, append(v, s.Name...))
}

// moveSpan has the index go on in a new file, and returns what it covers in the old one.
func moveSpan(src, dst *bolt.Tx) (IndexSpan, error) {
	old := readSpan(src)
	if old.Name == "" {
		return old, nil
	}
	return old, putSpan(dst, IndexSpan{old.Name, old.To, old.To})
}
