package access

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"pinward/store"
	"pinward/store/storetest"
)

var operator = store.Actor{Kind: "user", ID: "root-operator"}

type box struct {
	t     testing.TB
	store *store.Store
	dir   string
}

func newBox(t testing.TB) *box {
	t.Helper()
	b := &box{t: t, dir: t.TempDir()}
	s, err := store.Open(context.Background(), b.dir, store.Options{
		Origin: "pinward/test", Keys: storetest.NewKeys(t), Log: slog.New(slog.DiscardHandler), HeadEvery: 24 * time.Hour, Strict: storetest.Strict(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.store = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func inBubble(t *testing.T, fn func(b *box)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(newBox(t)) })
}

func (b *box) do(fn func(*store.Tx) error) {
	b.t.Helper()
	if err := b.store.Update(context.Background(), operator, fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) view(fn func(*store.Tx) error) {
	b.t.Helper()
	if err := b.store.View(context.Background(), fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) client(scopes ...Role) (c Client, secret string) {
	b.t.Helper()
	b.do(func(tx *store.Tx) (err error) {
		c, secret, err = CreateClient(tx, "portal", scopes)
		return err
	})
	return c, secret
}

func (b *box) authenticate(sid, secret string) (p Principal, err error) {
	b.view(func(tx *store.Tx) error {
		p, err = AuthenticateClient(tx, sid, secret)
		return nil
	})
	return p, err
}

// quick is a hash that costs nothing, for tests of what stands around it.
var quick = PasswordHash{Iterations: 1, Salt: []byte("salt"), Hash: make([]byte, 32)}

func (b *box) user(name string, roles ...Role) {
	b.t.Helper()
	b.do(func(tx *store.Tx) error {
		_, err := CreateUser(tx, name, quick, roles)
		return err
	})
}

func (b *box) login(name, address string, verified bool) (token string, err error) {
	b.t.Helper()
	b.do(func(tx *store.Tx) error {
		_, token, err = Login(tx, name, address, verified)
		if Refusal(err) {
			return nil
		}
		return err
	})
	return token, err
}

func (b *box) session(token string) (p Principal, stale bool, err error) {
	b.view(func(tx *store.Tx) error {
		_, p, stale, err = FindSession(tx, token)
		return nil
	})
	return p, stale, err
}

func (b *box) last() (last store.Record) {
	b.view(func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error { last = r; return nil })
	})
	return last
}
