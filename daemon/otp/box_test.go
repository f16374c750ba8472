package otp

import (
	"context"
	"testing"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// box is a store with a live site and one modem, and the verbs of this room on it.
type box struct{ *outboxtest.Box }

var (
	portal  = store.Actor{Kind: "client", ID: "AC0000000000000000000000000000000a"}
	patient = outboxtest.Phone("+16175551234")
	sources = outbox.Sources{Kind: Render, consent.Kind: consent.Render}
)

func newBox(t testing.TB) *box {
	t.Helper()
	return &box{outboxtest.New(t, outboxtest.Setup{Actor: portal, Sources: sources, Site: outboxtest.Riverside(), PartTime: time.Second})}
}

// start starts or resends; a refusal is committed, as a door does.
func (b *box) start(req StartRequest) (v Verification, err error) {
	b.T.Helper()
	req.Mode = contact.Live
	b.Do(func(tx *store.Tx) error {
		v, err = Start(tx, req)
		if Refusal(err) {
			return nil
		}
		return err
	})
	return v, err
}

func (b *box) mustStart(req StartRequest) Verification {
	b.T.Helper()
	v, err := b.start(req)
	if err != nil {
		b.T.Fatal(err)
	}
	return v
}

func (b *box) check(req CheckRequest) (v Verification, valid bool, err error) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) error {
		v, valid, err = Check(tx, req)
		if Refusal(err) {
			return nil
		}
		return err
	})
	return v, valid, err
}

func (b *box) get(id string) (v Verification) {
	b.T.Helper()
	err := b.Store.View(context.Background(), func(tx *store.Tx) (err error) {
		v, err = Get(tx, id)
		return err
	})
	if err != nil {
		b.T.Fatal(err)
	}
	return v
}
