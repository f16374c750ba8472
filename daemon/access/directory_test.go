package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pinward/daemon/limit"
	"pinward/store"
)

var rules = GroupRules{Nurse: {"cn=nurses"}, Admin: {"cn=admins"}}

// hospital is a directory of people by name, with one password for all.
type hospital struct {
	people map[string]Person
	down   bool
	shown  []string // names whose password it saw
}

func (h *hospital) directory() *Directory {
	return &Directory{Tries: 4, Rules: rules, Login: func(_ context.Context, name, password string) (Answer, error) {
		if h.down {
			return Answer{Cause: "the directory does not answer", Tell: ErrDirectory}, nil
		}
		p, ok := h.people[name]
		if !ok {
			return Answer{Cause: "nobody of this name in the directory"}, nil
		}
		h.shown = append(h.shown, name)
		if password != "right" {
			return Answer{Shown: true, Cause: "wrong password"}, nil
		}
		return Answer{OK: true, Shown: true, Person: p}, nil
	}}
}

func jane() Person {
	return Person{ID: "6a616e65", Name: "jdoe", FullName: "Jane Doe", Groups: []string{"cn=nurses"}}
}

func newHospital() *hospital { return &hospital{people: map[string]Person{"jdoe": jane()}} }

// come is a login as a door does it: two transactions, and the directory between them.
func (b *box) come(d *Directory, name, password, address string) (token string, err error) {
	b.t.Helper()
	var a Attempt
	if err = b.store.Update(context.Background(), operator, func(tx *store.Tx) (err error) {
		a, err = BeginLogin(tx, d, name, address)
		return err
	}); err != nil {
		return "", err
	}
	p, err := a.Prove(context.Background(), NewPasswords(4), password)
	if err != nil {
		return "", err
	}
	b.do(func(tx *store.Tx) error {
		_, token, err = EndLogin(tx, a, p)
		if Refusal(err) {
			return nil
		}
		return err
	})
	return token, err
}

func (b *box) entries(action store.Action) (out []store.Entry) {
	b.view(func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error {
			if r.Entry.Action == action {
				out = append(out, r.Entry)
			}
			return nil
		})
	})
	return out
}

func attr(e store.Entry, key string) string {
	i := slices.IndexFunc(e.Attrs, func(a store.Attr) bool { return a.Key == key })
	if i < 0 {
		return ""
	}
	return e.Attrs[i].Value
}

// TestAPersonOfTheDirectoryLogsIn: their groups are their roles, their id is in the audit, and no password is kept.
func TestAPersonOfTheDirectoryLogsIn(t *testing.T) {
	inBubble(t, func(b *box) {
		h := newHospital()
		token, err := b.come(h.directory(), " JDoe ", "right", "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		p, _, err := b.session(token)
		if err != nil || !p.Has(Nurse) || p.Has(Admin) || !p.Staff || p.Name != "jdoe" || p.Actor.ID != actorOf("jdoe", jane().ID) || p.Actor.ID == "jdoe" {
			t.Errorf("she is %+v, %v", p, err)
		}
		if e := b.last().Entry; e.Action != ActionLogin || e.Object != p.Actor.ID || attr(e, "by") != "directory" {
			t.Errorf("entry %+v", e)
		}
		b.view(func(tx *store.Tx) error {
			u, err := FindUser(tx, "jdoe")
			if err != nil || len(u.Password.Hash) != 0 || u.FullName != "Jane Doe" || !u.OfDirectory() {
				t.Errorf("kept is %+v, %v", u, err)
			}
			return nil
		})
		made := len(b.entries(ActionUserCreate))
		if _, err := b.come(h.directory(), "jdoe", "right", "10.0.0.1"); err != nil || len(b.entries(ActionUserCreate)) != made || len(b.entries(ActionUserChange)) != 0 {
			t.Errorf("the second login changes the account: %v", err)
		}
		p1 := h.people["jdoe"]
		p1.Groups = []string{"cn=admins", "cn=nurses"}
		h.people["jdoe"] = p1
		if token, err = b.come(h.directory(), "jdoe", "right", "10.0.0.1"); err != nil {
			t.Fatal(err)
		}
		if p, _, _ := b.session(token); !p.Has(Admin) {
			t.Error("a new group gives no role at the next login")
		}
	})
}

// TestLocalNamesAreNotLookedUp: and nobody of the directory comes in under one.
func TestLocalNamesAreNotLookedUp(t *testing.T) {
	inBubble(t, func(b *box) {
		b.user("admin", Admin)
		h := newHospital()
		h.people["admin"] = Person{ID: "aa", Name: "admin", Groups: []string{"cn=admins"}}
		h.people["alias"] = Person{ID: "aa", Name: "admin", Groups: []string{"cn=admins"}}
		if _, err := b.come(h.directory(), "Admin", "right", "10.0.0.1"); !errors.Is(err, ErrDenied) || len(h.shown) != 0 {
			t.Errorf("%v, shown %v", err, h.shown)
		}
		if _, err := b.come(h.directory(), "alias", "right", "10.0.0.1"); !errors.Is(err, ErrDenied) {
			t.Errorf("by an alias: %v", err)
		}
		if e := b.last().Entry; attr(e, "cause") != "the name is a local account's" {
			t.Errorf("entry %+v", e)
		}
		if _, err := b.come(h.directory(), "jdoe", "right", "10.0.0.1"); err != nil {
			t.Fatal(err)
		}
		// Nor is a local account made over a person of the directory.
		err := b.store.Update(t.Context(), operator, func(tx *store.Tx) error {
			_, err := CreateUser(tx, "jdoe", quick, []Role{Nurse})
			return err
		})
		if !errors.Is(err, ErrUserExists) {
			t.Errorf("a local account over her: %v", err)
		}
		err = b.store.Update(t.Context(), operator, func(tx *store.Tx) error {
			_, err := CreateUser(tx, actorOf("x", "y"), quick, []Role{Nurse})
			return err
		})
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("a local name that reads as a person's of the directory: %v", err)
		}
	})
}

// TestTriesStayBelowTheDirectorysLimit: guessing here does not lock her account there, which most directories do at the fifth
// wrong password or later. Her own right one begins the count anew, as it does there.
func TestTriesStayBelowTheDirectorysLimit(t *testing.T) {
	inBubble(t, func(b *box) {
		h := newHospital()
		for round := range 3 {
			for i := range 3 {
				if _, err := b.come(h.directory(), "jdoe", "guess", fmt.Sprintf("10.0.%d.%d", round, i)); !errors.Is(err, ErrDenied) {
					t.Fatal(err)
				}
			}
			if _, err := b.come(h.directory(), "jdoe", "right", "10.0.0.1"); err != nil {
				t.Fatal(err)
			}
		}
		h.shown = nil
		for i := range 20 {
			_, err := b.come(h.directory(), "jdoe", "guess", fmt.Sprintf("10.1.0.%d", i))
			if e, held := errors.AsType[*limit.Exceeded](err); held != (i >= 4) || held && e.RetryAfter > directoryWindow {
				t.Errorf("try %d: %v", i, err)
			}
		}
		if len(h.shown) != 4 {
			t.Errorf("the directory saw %d tries", len(h.shown))
		}
		time.Sleep(directoryWindow)
		if _, err := b.come(h.directory(), "jdoe", "right", "10.0.0.1"); err != nil {
			t.Errorf("after half an hour: %v", err)
		}
		// Many at once are counted before they are made.
		begun := 0
		for range 20 {
			err := b.store.Update(t.Context(), operator, func(tx *store.Tx) error {
				_, err := BeginLogin(tx, h.directory(), "jdoe", "10.0.0.1")
				return err
			})
			if err == nil {
				begun++
			}
		}
		if begun != 4 {
			t.Errorf("%d at once were begun", begun)
		}
	})
}

// TestDirectoryDown: who is of it is told so, at any rate, and nobody is held back afterwards for it; local accounts go on.
func TestDirectoryDown(t *testing.T) {
	inBubble(t, func(b *box) {
		h := newHospital()
		h.down = true
		for range 50 {
			if _, err := b.come(h.directory(), "jdoe", "right", "10.0.0.1"); !errors.Is(err, ErrDirectory) {
				t.Fatal(err)
			}
		}
		if n := len(b.entries(ActionLogin)); n != unanswered.Max {
			t.Errorf("%d entries about 50 logins", n)
		}
		b.user("night", Admin)
		b.do(func(tx *store.Tx) error { // of few iterations: how a password is hashed is tested elsewhere
			a, err := BeginLogin(tx, h.directory(), "night", "10.0.0.1")
			if err != nil || a.directory != nil {
				t.Errorf("a local account waits for the directory: %v", err)
			}
			_, _, err = EndLogin(tx, a, Proof{ok: true})
			return err
		})
		h.down = false
		if _, err := b.come(h.directory(), "jdoe", "right", "10.0.0.1"); err != nil {
			t.Errorf("when it is back: %v", err)
		}
	})
}

// TestWhatARefusalTells: no more than the directory said of a right password.
func TestWhatARefusalTells(t *testing.T) {
	inBubble(t, func(b *box) {
		for i, c := range []struct {
			answer Answer
			want   error
		}{
			{Answer{Shown: true, Cause: "the account is locked after wrong passwords"}, ErrDenied},
			{Answer{Shown: true, Cause: "the password has expired", Tell: ErrPasswordDue}, ErrPasswordDue},
			{Answer{Shown: true, Cause: "the account is disabled", Tell: ErrBarred}, ErrBarred},
			{Answer{Shown: true, OK: true, Person: Person{ID: "01", Name: "max", Groups: []string{"cn=cooks"}}}, ErrNoRole},
			{Answer{Shown: true, OK: true, Person: Person{Name: "max", Groups: []string{"cn=nurses"}}}, ErrDenied},
			{Answer{Cause: "too many", Tell: ErrTooMany}, ErrTooMany},
		} {
			d := &Directory{Tries: 4, Rules: rules, Login: func(context.Context, string, string) (Answer, error) { return c.answer, nil }}
			if _, err := b.come(d, fmt.Sprintf("max%d", i), "typed", "10.0.0.1"); !errors.Is(err, c.want) {
				t.Errorf("%+v: %v", c.answer, err)
			}
			if e := b.last().Entry; e.Action != ActionLogin || e.Outcome != store.Refused || attr(e, "cause") == "" || e.Object != "" {
				t.Errorf("%+v: entry %+v", c.answer, e)
			}
		}
		d := newHospital().directory()
		for _, typed := range []string{"", string(make([]byte, MaxPassword+1))} {
			if _, err := b.come(d, "jdoe", typed, "10.0.0.1"); !errors.Is(err, ErrDenied) {
				t.Errorf("a password of %d bytes: %v", len(typed), err)
			}
		}
	})
}
