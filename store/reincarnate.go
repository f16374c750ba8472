package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"pinward/store/audit"
)

// reincarnate makes another store of the one in dir: the log goes on, what it held until now is frozen
// as it is, and every live value is sealed anew under another id and new keys.
func reincarnate(ctx context.Context, dir string, keys Keys, o RestoreOptions, h *BackupHeader) (err error) {
	s := newStore(dir, Options{Keys: keys, Log: o.Log})
	s.crash = o.crash
	if err := s.openFile(ctx, dir, Options{Keys: keys, LockTimeout: time.Second}); err != nil {
		return err
	}
	s.wgc.Go(s.commitLoop)
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.restart(ctx, o.By, h); err != nil {
		return err
	}
	if err := s.signHead(ctx); err != nil {
		return err
	}
	w, err := s.beginRewrite(false)
	if err != nil {
		return err
	}
	var id [16]byte
	_, _ = rand.Read(id[:])
	w.as = &id
	if err = w.nearly(ctx); err == nil {
		err = s.between(w.replace)
	}
	if err != nil {
		w.abandon()
	}
	return err
}

// restart records where the log comes from, and has everything from here on under new keys.
func (s *Store) restart(ctx context.Context, by audit.Actor, h *BackupHeader) error {
	n, err := s.askCounter(ctx)
	counts := !errors.Is(err, errors.ErrUnsupported)
	if counts && err != nil {
		return fmt.Errorf("read counter: %w", err)
	}
	return s.update(ctx, &Tx{actor: by, renews: true}, func(tx *Tx) error {
		var made []Purpose
		for p := range purposes {
			if len(tx.ring.keys[p]) == 0 {
				continue
			}
			next, err := tx.ring.withNext(p, tx.now)
			if err != nil {
				return err
			}
			tx.ring, tx.ringNew = next, true
			made = append(made, p)
		}
		if err := tx.Record(Entry{Action: ActionRestored, Outcome: OK, Attrs: originOf(h)}); err != nil {
			return err
		}
		if err := tx.newSigner(s.keys.Signer()); err != nil {
			return err
		}
		for _, p := range made {
			if err := tx.keyMade(p.String(), last(tx.ring.keys[p])); err != nil {
				return err
			}
		}
		r := *tx.ring
		var dead []uint32
		for d := range r.code { // no code of before is any good
			dead = append(dead, d)
		}
		r.code, r.backup = map[uint32]*macKey{}, nil
		tx.ring, tx.restored = &r, tx.now
		if err := tx.keysDropped(dead); err != nil || !counts {
			return err
		}
		return s.bind(tx, n, audit.OK)
	})
}

// value is what a value becomes in the new file: the same, or sealed anew for another store or under the
// keys in use. One that is damaged goes along as it is: it opens there as little as here, and all the
// others are saved.
func (w *rewrite) value(r *ring, bucket string, key, sealed []byte) ([]byte, error) {
	if w.as == nil && !w.anew || !strings.HasPrefix(bucket, "t/") {
		return sealed, nil
	}
	id := &w.store.id
	if w.as != nil {
		id = w.as
	}
	plain, schema, err := r.unseal(&w.store.id, bucket, key, ^uint16(0), sealed, bucket[2:])
	if errors.Is(err, ErrCorrupt) {
		return sealed, nil
	}
	if err != nil {
		return nil, err
	}
	m, _, _ := cutSealed(sealed)
	w.sealed[m.purpose]++
	return last(r.keys[m.purpose]).seal(nil, id, m.purpose, bucket, key, schema, plain), nil
}

// putState writes the state of the log with the number of values that were sealed on the way.
func (w *rewrite) putState(dst *bolt.Tx, old *durable, id *[16]byte) error {
	var seals [purposes]uint64
	for i := range seals {
		seals[i] = w.store.seals[i].Load() + w.sealed[i]
	}
	key := last(old.ring.keys[PurposeData])
	sealed := key.seal(nil, id, PurposeData, string(bucketMeta), keyState, 0, encodeState(&old.state, &seals))
	return dst.Bucket(bucketMeta).Put(keyState, sealed)
}

// rename gives the new file the notes of another store.
func (w *rewrite) rename(dst *bolt.Tx, old *durable, next *file) error {
	m := dst.Bucket(bucketMeta)
	if old.size != old.head.size {
		return errors.New("an entry was added while the store was restored")
	}
	at, err := old.ring.vouch(w.as, string(keyRestored), old.restored)
	if err != nil {
		return err
	}
	err = errors.Join(m.Put(keyID, w.as[:]), w.putState(dst, old, w.as), m.Put(keyRestored, at), m.Delete(keyScrub))
	if err != nil {
		return err
	}
	return writePlace(dst, old.ring, w.as, next)
}

// Restored tells since when the store is one that was restored, until [LiftRestore]: what is older
// than that must not be acted on.
func (s *Store) Restored() (at time.Time, ok bool) {
	at = s.durable.Load().restored
	return at, !at.IsZero()
}

// Restored is [Store.Restored] as the transaction sees it.
func (tx *Tx) Restored() (at time.Time, ok bool) { return tx.restored, !tx.restored.IsZero() }

// LiftRestore lets everything go on after a restore, in the name of the transaction's actor.
func LiftRestore(tx *Tx) error {
	if err := tx.mayWrite(); err != nil {
		return err
	}
	if tx.restored.IsZero() {
		return nil
	}
	tx.restored = time.Time{}
	v, err := tx.ring.vouch(&tx.store.id, string(keyRestored), tx.restored)
	if err != nil {
		return tx.fail(err)
	}
	tx.raw = append(tx.raw, rawPut{bucketMeta, keyRestored, v})
	return tx.Record(Entry{Action: ActionLifted, Outcome: OK})
}
