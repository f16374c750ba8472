package store

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// blindSize is the size of what [Tx.Blind] returns, and of a block of AES.
const blindSize = aes.BlockSize

// Blinded says where in a table's keys blinded values stand: the offsets of their 16 bytes, in order.
// On the disk each is covered: it is replaced by its image under a permutation whose key [Store.RotateIndex]
// replaces. So the rooms see the same bytes for ever, while what is on the disk changes with each
// rotation. A value that a key is too short for is not there; a range may begin or end only between
// values.
func Blinded(offsets ...int) TableOption {
	for i, at := range offsets {
		if at < 0 || i > 0 && at < offsets[i-1]+blindSize {
			panic("store: blinded values of a table are not in order")
		}
	}
	return func(t *tableInfo) { t.blinded = offsets }
}

// BlindedTables returns, by name, the tables that are declared as [Blinded], and where.
func BlindedTables() map[string][]int {
	tables.Lock()
	defer tables.Unlock()
	m := map[string][]int{}
	for name, t := range tables.by {
		if t.blinded != nil {
			m[name] = slices.Clone(t.blinded)
		}
	}
	return m
}

// coverKey is one generation of what covers blinded values: an AES-256 key, used on single blocks. That
// needs no mode, as a block is the output of an HMAC and in itself as good as random.
type coverKey struct {
	generation uint32 // counts from 1
	made       uint32 // day
	key        []byte
	block      cipher.Block
}

func newCoverKey(generation, made uint32, key []byte) (*coverKey, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make cover: %w", err)
	}
	return &coverKey{generation, made, key, block}, nil
}

// cover is how blinded values stand in the keys of one file. It never changes.
type cover struct {
	key *coverKey        // nil in generation 0: a file that was made before there were covers
	at  map[string][]int // by bucket, where; a bucket that is not listed is not covered
}

// coverNote is a cover as the file notes it. What the file says counts, not what the program declares:
// a bucket that was filled before its table was declared as [Blinded], or that no room declares any
// more, stays readable as it is, and follows at the next rotation, or is carried along.
type coverNote struct {
	Generation uint32
	Tables     map[string][]int
}

func (c *cover) note() coverNote { return coverNote{c.generation(), c.at} }

// generation is 0 if nothing is covered.
func (c *cover) generation() uint32 {
	if c.key == nil {
		return 0
	}
	return c.key.generation
}

// of tells where the blinded values stand in the keys of a bucket; nil if none is covered.
func (c *cover) of(bucket string) []int {
	if c.key == nil {
		return nil
	}
	return c.at[bucket]
}

// lay returns a key as it stands in the file: another slice, if anything in it is covered.
func (c *cover) lay(at []int, key []byte) []byte {
	if len(at) == 0 {
		return key
	}
	key = bytes.Clone(key)
	c.layIn(at, key)
	return key
}

// layIn is lay in place.
func (c *cover) layIn(at []int, key []byte) {
	for _, i := range at {
		if i+blindSize <= len(key) {
			c.key.block.Encrypt(key[i:], key[i:])
		}
	}
}

// lift is the inverse of lay, in place.
func (c *cover) lift(at []int, key []byte) {
	for _, i := range at {
		if i+blindSize <= len(key) {
			c.key.block.Decrypt(key[i:], key[i:])
		}
	}
}

// lifted is lift of a key that is not ours.
func (c *cover) lifted(at []int, key []byte) []byte {
	if len(at) == 0 {
		return key
	}
	key = bytes.Clone(key)
	c.lift(at, key)
	return key
}

// layRange is a range as it stands in the file.
func (c *cover) layRange(t *tableInfo, at []int, r Range) (Range, error) {
	for _, i := range at {
		for _, edge := range [][]byte{r.Prefix, r.From} {
			if i < len(edge) && len(edge) < i+blindSize {
				return r, fmt.Errorf("walk %s: the range ends within a blinded value", t.name)
			}
		}
	}
	r.Prefix, r.From = c.lay(at, r.Prefix), c.lay(at, r.From)
	return r, nil
}

// next is the cover of a file that is made from this one's: with another key, for all tables as they
// are declared now.
func (c *cover) next(key *coverKey) *cover {
	n := &cover{key: key, at: maps.Clone(c.at)}
	if n.at == nil {
		n.at = map[string][]int{}
	}
	tables.Lock()
	defer tables.Unlock()
	for _, t := range tables.by {
		if t.blinded != nil {
			n.at[t.bucket] = t.blinded
		} else {
			delete(n.at, t.bucket)
		}
	}
	return n
}

// loadCover reads how the blinded values of a file are covered. grown says that a table is new to the
// file, and has to be noted before anything is written to it.
func (s *Store) loadCover(tx *bolt.Tx, r *ring) (c *cover, grown bool, err error) {
	v := tx.Bucket(bucketMeta).Get(keyCover)
	if v == nil {
		return &cover{}, false, nil
	}
	var note coverNote
	if err := r.vouched(&s.id, string(keyCover), v, &note); err != nil {
		return nil, false, err
	}
	c = &cover{key: r.coverOf(note.Generation), at: note.Tables}
	if c.key == nil {
		return nil, false, fmt.Errorf("%w: the keyring has no cover of generation %d", ErrCorrupt, note.Generation)
	}
	for bucket, at := range c.next(c.key).at {
		if c.at[bucket] == nil && tx.Bucket([]byte(bucket)) == nil {
			if !grown {
				c.at, grown = maps.Clone(c.at), true
			}
			c.at[bucket] = at
		}
	}
	return c, grown, nil
}

// writeCover notes in a file how its blinded values are covered.
func writeCover(dst *bolt.Tx, r *ring, id *[16]byte, c *cover) error {
	if c.key == nil {
		return nil
	}
	v, err := r.vouch(id, string(keyCover), c.note())
	if err != nil {
		return err
	}
	return dst.Bucket(bucketMeta).Put(keyCover, v)
}

// coverOf returns the cover of a generation, nil if the ring has none.
func (r *ring) coverOf(generation uint32) *coverKey {
	for _, k := range r.covers {
		if k.generation == generation {
			return k
		}
	}
	return nil
}

// withCovers returns a ring that has these covers and no other.
func (r *ring) withCovers(keys ...*coverKey) *ring {
	n := *r
	n.covers = slices.DeleteFunc(keys, func(k *coverKey) bool { return k == nil })
	return &n
}
