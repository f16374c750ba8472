package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
)

// vouch encodes what the store notes about its own files, in clear, with a MAC under the long-lived
// index key: nobody without the keyring can make a file stand where it does not belong, and no change
// of data keys ever has to touch it.
func (r *ring) vouch(id *[16]byte, what string, v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", what, err)
	}
	return r.vouchBytes(id, what, plain), nil
}

// vouchBytes is vouch of what is encoded already.
func (r *ring) vouchBytes(id *[16]byte, what string, plain []byte) []byte {
	return append(plain, r.voucher(id, what, plain)...)
}

// vouched is the inverse of vouch.
func (r *ring) vouched(id *[16]byte, what string, value []byte, v any) error {
	plain, err := r.vouchedBytes(id, what, value)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return fmt.Errorf("%w: the note %q about its files", ErrCorrupt, what)
	}
	return nil
}

// vouchedBytes is the inverse of vouchBytes; what it returns is a part of value.
func (r *ring) vouchedBytes(id *[16]byte, what string, value []byte) ([]byte, error) {
	n := len(value) - sha256.Size
	if n < 0 || !hmac.Equal(value[n:], r.voucher(id, what, value[:n])) {
		return nil, fmt.Errorf("%w: the note %q about its files is not what was written", ErrCorrupt, what)
	}
	return value[:n], nil
}

func (r *ring) voucher(id *[16]byte, what string, plain []byte) []byte {
	return r.index.sum(nil, []byte("vouch/v1\x00"), id[:], []byte{byte(len(what))}, []byte(what), plain)
}
