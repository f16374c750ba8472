package store

import (
	"encoding/binary"
	"fmt"
)

// A sealed value is: version, purpose (1 byte; not in version 1, where it is data), schema (2 bytes),
// epoch (4 bytes), nonce, ciphertext, tag. Its additional data is where it stands: store, bucket, key,
// and all that is before the nonce. So a value that was cut, flipped, or moved from elsewhere does not
// open. (That a whole file is an older copy is what the counter finds, not this.)
const (
	sealVersion = 2
	sealHead    = 1 + 1 + 2 + 4
	sealRest    = 12 + 16
	sealExtra   = sealHead + sealRest
)

// sealMark is what stands before the nonce of a sealed value.
type sealMark struct {
	version byte
	purpose Purpose
	schema  uint16
	epoch   uint32
}

// cutSealed splits a sealed value into its mark and its ciphertext; ok is false if it is none.
func cutSealed(sealed []byte) (m sealMark, rest []byte, ok bool) {
	if len(sealed) == 0 {
		return m, nil, false
	}
	m.version = sealed[0]
	b := sealed[1:]
	switch m.version {
	case 1:
	case sealVersion:
		if len(b) == 0 || Purpose(b[0]) >= purposes {
			return m, nil, false
		}
		m.purpose, b = Purpose(b[0]), b[1:]
	default:
		return m, nil, false
	}
	if len(b) < 6+sealRest {
		return m, nil, false
	}
	m.schema, m.epoch = binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[2:])
	return m, b[6:], true
}

// where appends the additional data of a value.
func (m sealMark) where(b []byte, id *[16]byte, bucket string, key []byte) []byte {
	b = append(b, m.version)
	b = append(b, id[:]...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(bucket))), bucket...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(key))), key...)
	if m.version > 1 {
		b = append(b, byte(m.purpose))
	}
	b = binary.BigEndian.AppendUint32(b, m.epoch)
	return binary.BigEndian.AppendUint16(b, m.schema)
}

// seal appends the sealed value to b.
func (k *sealKey) seal(b []byte, id *[16]byte, p Purpose, bucket string, key []byte, schema uint16, plain []byte) []byte {
	b, _ = k.sealWith(nil, b, id, p, bucket, key, schema, plain)
	return b
}

// sealWith is seal for who seals many values: scratch takes the additional data, and is returned.
func (k *sealKey) sealWith(scratch, b []byte, id *[16]byte, p Purpose, bucket string, key []byte, schema uint16, plain []byte) (sealed, _ []byte) {
	m := sealMark{sealVersion, p, schema, k.epoch}
	b = append(b, m.version, byte(m.purpose))
	b = binary.BigEndian.AppendUint16(b, m.schema)
	b = binary.BigEndian.AppendUint32(b, m.epoch)
	scratch = m.where(scratch[:0], id, bucket, key)
	return k.aead.Seal(b, nil, plain, scratch), scratch
}

// unseal opens a value that was found under bucket and key, and tells the schema that it has. table
// is for the error only.
func (r *ring) unseal(id *[16]byte, bucket string, key []byte, newest uint16, sealed []byte, table string) (plain []byte, schema uint16, err error) {
	m, rest, ok := cutSealed(sealed)
	if !ok {
		return nil, 0, fmt.Errorf("%w: a value of %s is cut or no value", ErrCorrupt, table)
	}
	if m.schema > newest {
		return nil, 0, fmt.Errorf("%w: a value of %s", ErrNewer, table)
	}
	k := find(r.keys[m.purpose], m.epoch)
	if k == nil || k.key == nil {
		return nil, 0, fmt.Errorf("%w: a value of %s is under a key that is not on the ring", ErrCorrupt, table)
	}
	var stack [256]byte
	plain, err = k.aead.Open(nil, nil, rest, m.where(stack[:0], id, bucket, key))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: a value of %s does not open", ErrCorrupt, table)
	}
	return plain, m.schema, nil
}
