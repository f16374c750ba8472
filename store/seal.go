package store

import (
	"encoding/binary"
	"fmt"
)

// A sealed value is: version, schema (2 bytes), epoch (4 bytes), nonce, ciphertext, tag. Its
// additional data is where it stands: store, bucket, key, epoch, schema. So a value that was cut,
// flipped, or moved from elsewhere does not open. (That a whole file is an older copy is what the
// counter finds, not this.)
const (
	sealVersion = 1
	sealHead    = 1 + 2 + 4
	sealExtra   = sealHead + 12 + 16
)

// where appends the additional data of a value.
func where(b []byte, id *[16]byte, bucket string, key []byte, schema uint16, epoch uint32) []byte {
	b = append(b, sealVersion)
	b = append(b, id[:]...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(bucket))), bucket...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(key))), key...)
	b = binary.BigEndian.AppendUint32(b, epoch)
	return binary.BigEndian.AppendUint16(b, schema)
}

// seal appends the sealed value to b.
func (k *sealKey) seal(b []byte, id *[16]byte, bucket string, key []byte, schema uint16, plain []byte) []byte {
	var stack [256]byte
	aad := where(stack[:0], id, bucket, key, schema, k.epoch)
	b = append(b, sealVersion)
	b = binary.BigEndian.AppendUint16(b, schema)
	b = binary.BigEndian.AppendUint32(b, k.epoch)
	return k.aead.Seal(b, nil, plain, aad)
}

// unseal opens a value that was found under bucket and key. table is for the error only.
func (r *ring) unseal(id *[16]byte, bucket string, key []byte, schema uint16, sealed []byte, table string) ([]byte, error) {
	if len(sealed) < sealExtra || sealed[0] != sealVersion {
		return nil, fmt.Errorf("%w: a value of %s is cut or no value", ErrCorrupt, table)
	}
	stored := binary.BigEndian.Uint16(sealed[1:])
	if stored > schema {
		return nil, fmt.Errorf("%w: a value of %s", ErrNewer, table)
	}
	epoch := binary.BigEndian.Uint32(sealed[3:])
	k := find(r.data, epoch)
	if k == nil {
		return nil, fmt.Errorf("%w: a value of %s is under a key that is not on the ring", ErrCorrupt, table)
	}
	var stack [256]byte
	aad := where(stack[:0], id, bucket, key, stored, epoch)
	plain, err := k.aead.Open(nil, nil, sealed[sealHead:], aad)
	if err != nil {
		return nil, fmt.Errorf("%w: a value of %s does not open", ErrCorrupt, table)
	}
	return plain, nil
}
