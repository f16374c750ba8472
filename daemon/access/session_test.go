package access

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pinward/daemon/limit"
	"pinward/store"
)

func TestLoginGivesASessionThatEndsByIdlenessAndAge(t *testing.T) {
	inBubble(t, func(b *box) {
		b.user("Mary", Nurse)
		token, err := b.login("mary ", "10.0.0.1", true)
		if err != nil {
			t.Fatal(err)
		}
		p, _, err := b.session(token)
		if err != nil || p.Actor.ID != "mary" || !p.Staff || !p.Can(Verify) || p.Can(AccountsWrite) {
			t.Fatalf("principal %+v, %v", p.Roles, err)
		}
		if _, _, err := b.session(token + "x"); !errors.Is(err, ErrDenied) {
			t.Errorf("another token: %v", err)
		}
		for at := time.Duration(0); at < SessionMax-time.Minute; at += 10 * time.Minute {
			time.Sleep(10 * time.Minute)
			_, stale, err := b.session(token)
			if at < SessionMax-10*time.Minute && (err != nil || !stale) {
				t.Fatalf("after %v of use: stale %t, %v", at, stale, err)
			}
			if err == nil {
				b.do(func(tx *store.Tx) error { return Touch(tx, token) })
			}
		}
		if _, _, err := b.session(token); !errors.Is(err, ErrDenied) {
			t.Errorf("after twelve hours of use: %v", err)
		}
		token, _ = b.login("mary", "10.0.0.1", true)
		time.Sleep(SessionIdle)
		if _, _, err := b.session(token); !errors.Is(err, ErrDenied) {
			t.Errorf("after fifteen idle minutes: %v", err)
		}
		b.do(Sweep)
		b.view(func(tx *store.Tx) error {
			if n, err := sessions.Len(tx); err != nil || n != 0 {
				t.Errorf("%d sessions are left, %v", n, err)
			}
			return nil
		})
	})
}

func TestLogoutDisablingAndNewPasswordEndSessions(t *testing.T) {
	inBubble(t, func(b *box) {
		b.user("mary", Nurse)
		for name, end := range map[string]func(tx *store.Tx, token string) error{
			"logout":   EndSession,
			"password": func(tx *store.Tx, _ string) error { return SetPassword(tx, "mary", quick) },
			"disabled": func(tx *store.Tx, _ string) error {
				return SetUser(tx, User{Name: "mary", Roles: []Role{Nurse}, Disabled: true})
			},
		} {
			b.do(func(tx *store.Tx) error { return SetUser(tx, User{Name: "mary", Roles: []Role{Nurse}}) })
			token, err := b.login("mary", "10.0.0.1", true)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			b.do(func(tx *store.Tx) error { return end(tx, token) })
			if _, _, err := b.session(token); !errors.Is(err, ErrDenied) {
				t.Errorf("session after %s: %v", name, err)
			}
		}
	})
}

func TestWrongPasswordsAreCountedRecordedAndHeldBack(t *testing.T) {
	inBubble(t, func(b *box) {
		b.user("mary", Nurse)
		for range loginsOfName.Max {
			if _, err := b.login("mary", "10.0.0.1", false); !errors.Is(err, ErrDenied) {
				t.Fatal(err)
			}
		}
		if r := b.last(); r.Entry.Action != ActionLogin || r.Entry.Outcome != store.Refused || r.Entry.Object != "mary" {
			t.Errorf("entry of a wrong password is %v", r.Entry)
		}
		ask := func(name, address string) (err error) {
			b.view(func(tx *store.Tx) error { _, err = hashOf(tx, name, address); return nil })
			return err
		}
		if e, ok := errors.AsType[*limit.Exceeded](ask("MARY", "10.0.0.2")); !ok || e.RetryAfter <= 0 {
			t.Error("the name is not held back")
		}
		if err := ask("john", "10.0.0.2"); err != nil {
			t.Errorf("another name from another address: %v", err)
		}
		for i := range 10 {
			b.login(fmt.Sprintf("guess%d", i), "10.0.0.1", false)
		}
		if _, ok := errors.AsType[*limit.Exceeded](ask("john", "10.0.0.1")); !ok {
			t.Error("the address is not held back")
		}
		if r := b.last(); r.Entry.Object != "" {
			t.Error("what was typed as an unknown name is in the log: it may be a password")
		}
		time.Sleep(15 * time.Minute)
		if err := ask("mary", "10.0.0.1"); err != nil {
			t.Errorf("fifteen minutes later: %v", err)
		}
	})
}

func TestAFloodOfWrongKeysDoesNotFillTheLog(t *testing.T) {
	b := newBox(t)
	n := 0
	for range 200 {
		b.do(func(tx *store.Tx) error {
			err := Refuse(tx, "AC00000000000000000000000000000000", "10.0.0.9")
			if _, ok := errors.AsType[*limit.Exceeded](err); ok {
				return nil
			}
			n++
			return err
		})
	}
	if n != keysOfAddress.Max {
		t.Errorf("%d of 200 wrong keys are recorded", n)
	}
	b.do(func(tx *store.Tx) error { return Refuse(tx, "my-secret-in-the-wrong-field", "10.0.0.10") })
	if r := b.last(); r.Entry.Object != "" {
		t.Error("what is no SID is in the log")
	}
}

// TestLastAdmin: whatever is taken away, somebody is left who may let people in.
func TestLastAdmin(t *testing.T) {
	inBubble(t, func(b *box) {
		b.user("ann", Admin)
		b.user("bo", Admin)
		b.do(func(tx *store.Tx) error { return SetUser(tx, User{Name: "ann", Roles: []Role{Admin}, Disabled: true}) })
		for what, u := range map[string]User{"disabled": {Name: "bo", Roles: []Role{Admin}, Disabled: true}, "a nurse": {Name: "bo", Roles: []Role{Nurse}}} {
			err := b.store.Update(t.Context(), operator, func(tx *store.Tx) error { return SetUser(tx, u) })
			if !errors.Is(err, ErrLastAdmin) {
				t.Errorf("the last admin is %s: %v", what, err)
			}
		}
		b.do(func(tx *store.Tx) error { return SetUser(tx, User{Name: "ann", Roles: []Role{Admin}}) })
		b.do(func(tx *store.Tx) error { return SetUser(tx, User{Name: "bo", Roles: []Role{Nurse}}) })
		b.do(func(tx *store.Tx) error {
			list, err := Review(tx)
			if len(list) != 2 {
				t.Errorf("%d accounts to review, want 2", len(list))
			}
			return err
		})
	})
}
