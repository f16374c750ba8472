package store

import (
	"context"
	"encoding/json"
	"fmt"
)

// ringFile is the keyring as it is wrapped. Version 1 had data, audit and code keys alone, version 2 no
// covers.
type ringFile struct {
	Version int
	Index   []byte
	Data    []sealKeyFile
	Audit   []sealKeyFile
	Queue   []sealKeyFile `json:",omitempty"`
	Policy  []sealKeyFile `json:",omitempty"`
	Consent []sealKeyFile `json:",omitempty"`
	Code    map[uint32][]byte
	Backup  []byte      `json:",omitempty"`
	Cover   []coverFile `json:",omitempty"`
}

type sealKeyFile struct {
	Epoch, Period uint32
	Seen          uint32 `json:",omitempty"`
	Key           []byte // null: shredded
}

type coverFile struct {
	Generation, Made uint32
	Key              []byte
}

const ringVersion = 3

// sets are the file's keys by their purpose.
func (f *ringFile) sets() [purposes]*[]sealKeyFile {
	return [purposes]*[]sealKeyFile{&f.Data, &f.Audit, &f.Queue, &f.Policy, &f.Consent}
}

// wrap encodes and wraps the ring, and clears the plain copy.
func (r *ring) wrap(ctx context.Context, k Keys) ([]byte, error) {
	f := ringFile{Version: ringVersion, Index: r.index.key, Code: map[uint32][]byte{}, Backup: r.backup}
	for d, k := range r.code {
		f.Code[d] = k.key
	}
	for _, k := range r.covers {
		f.Cover = append(f.Cover, coverFile{k.generation, k.made, k.key})
	}
	for p, set := range f.sets() {
		for _, k := range r.keys[p] {
			*set = append(*set, sealKeyFile{k.epoch, k.period, k.seen, k.key})
		}
	}
	plain, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode keyring: %w", err)
	}
	defer clear(plain)
	wrapped, err := k.Wrap(ctx, plain)
	if err != nil {
		return nil, fmt.Errorf("wrap keyring: %w", err)
	}
	return wrapped, nil
}

// unwrapRing is the inverse of wrap.
func unwrapRing(ctx context.Context, k Keys, wrapped []byte) (*ring, error) {
	plain, err := k.Unwrap(ctx, wrapped)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrongKey, err)
	}
	defer clear(plain)
	var f ringFile
	if err := json.Unmarshal(plain, &f); err != nil || len(f.Index) != 32 {
		return nil, fmt.Errorf("%w: keyring", ErrCorrupt)
	}
	if f.Version > ringVersion {
		return nil, ErrNewer
	}
	r := &ring{index: newMacKey(f.Index), code: map[uint32]*macKey{}, backup: f.Backup}
	for d, key := range f.Code {
		r.code[d] = newMacKey(key)
	}
	for _, k := range f.Cover {
		c, err := newCoverKey(k.Generation, k.Made, k.Key)
		if err != nil || len(k.Key) != 32 {
			return nil, fmt.Errorf("%w: keyring", ErrCorrupt)
		}
		r.covers = append(r.covers, c)
	}
	for p, set := range f.sets() {
		for _, k := range *set {
			key := &sealKey{epoch: k.Epoch, period: k.Period} // shredded
			if k.Key != nil {
				if key, err = newSealKey(k.Epoch, k.Period, k.Key); err != nil {
					return nil, fmt.Errorf("%w: keyring", ErrCorrupt)
				}
			}
			key.seen = k.Seen
			r.keys[p] = append(r.keys[p], key)
		}
	}
	return r, nil
}
