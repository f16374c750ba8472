package outbox

import (
	"errors"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

func TestNextRefusesMisuse(t *testing.T) {
	b := newBox(t)
	take := func(name string) error {
		return b.try(func(tx *store.Tx) error { _, _, err := Next(tx, name, b.src); return err })
	}
	if err := take("a"); !errors.Is(err, ErrUnknownSender) {
		t.Errorf("unknown sender: %v", err)
	}
	b.report(modem("a", "red"))
	b.put(code(1))
	b.put(code(2))
	job := b.must("a")
	if err := take("a"); !errors.Is(err, ErrInHand) {
		t.Errorf("second without settling: %v", err)
	}
	b.settle(job, sentAs(1))
	err := b.try(func(tx *store.Tx) error { return Settle(tx, job.Message.ID, job.Attempt, sentAs(2)) })
	if !errors.Is(err, ErrSettled) {
		t.Errorf("settled twice: %v", err)
	}
	err = b.try(func(tx *store.Tx) error { return Settle(tx, "SM00", 0, sentAs(2)) })
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("settled what is not there: %v", err)
	}
}

func TestPutRefuses(t *testing.T) {
	b := newBox(t)
	for field, spoil := range map[string]func(*Message){
		"kind":    func(m *Message) { m.Kind = "" },
		"lane":    func(m *Message) { m.Lane = 0 },
		"to":      func(m *Message) { m.To = contact.Phone{} },
		"route":   func(m *Message) { m.Route = nil },
		"expires": func(m *Message) { m.Expires = time.Now().Add(-time.Second) },
		"replace": func(m *Message) { m.Replace = 8 },
	} {
		m := code(1)
		spoil(&m)
		var invalid *InvalidError
		err := b.try(func(tx *store.Tx) error { _, err := Put(tx, m); return err })
		if !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	m := code(1)
	m.Route = []Step{{Channel: "pigeon"}}
	if err := b.try(func(tx *store.Tx) error { _, err := Put(tx, m); return err }); err == nil {
		t.Error("an unknown channel was accepted")
	}
}

func TestIdleNextWritesNothing(t *testing.T) {
	b := newBox(t)
	s := modem("a", "red")
	b.report(s)
	before := b.size()
	changed, stop := b.store.Watch(Changed)
	defer stop()
	for range 10 {
		b.report(s)
		b.none("a")
	}
	b.expire()
	if b.size() != before {
		t.Error("idling left entries")
	}
	select {
	case <-changed:
		t.Error("idling signalled a change")
	default:
	}
}
