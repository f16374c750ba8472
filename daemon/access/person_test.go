package access

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pinward/daemon/limit"
	"pinward/store"
)

// TestNamesMoveInTheDirectory: a person keeps their account under a new name, and a new person under an old name gets none
// of the old one's. What was disabled here stays so.
func TestNamesMoveInTheDirectory(t *testing.T) {
	inBubble(t, func(b *box) {
		h := newHospital()
		first, err := b.come(h.directory(), "jdoe", "right", "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		was, _, _ := b.session(first)
		married := jane()
		married.Name = "jsmith"
		h.people = map[string]Person{"jsmith": married, "jdoe": {ID: "6a6f686e", Name: "jdoe", Groups: []string{"cn=nurses"}}}
		second, err := b.come(h.directory(), "jsmith", "right", "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		now, _, err := b.session(second)
		if err != nil || now.Actor.ID == was.Actor.ID || now.Actor.ID[len("jsmith"):] != was.Actor.ID[len("jdoe"):] {
			t.Errorf("she was %q and is %q, %v", was.Actor.ID, now.Actor.ID, err)
		}
		if _, _, err := b.session(first); !errors.Is(err, ErrDenied) {
			t.Errorf("the session of her old name: %v", err)
		}
		b.do(func(tx *store.Tx) error {
			u, err := FindUser(tx, "jsmith")
			u.Disabled = true
			return errors.Join(err, SetUser(tx, u))
		})
		john, err := b.come(h.directory(), "jdoe", "right", "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if p, _, _ := b.session(john); p.Actor.ID[len("jdoe"):] == was.Actor.ID[len("jdoe"):] {
			t.Error("another person has her id")
		}
		// Renamed once more, and onto John's name: disabled she stays, and his sessions are over.
		back := jane()
		h.people = map[string]Person{"jdoe": back}
		if _, err := b.come(h.directory(), "jdoe", "right", "10.0.0.1"); !errors.Is(err, ErrBarred) {
			t.Errorf("a disabled person under a new name: %v", err)
		}
		if _, _, err := b.session(john); !errors.Is(err, ErrDenied) {
			t.Errorf("the session of who had the name: %v", err)
		}
		b.view(func(tx *store.Tx) error {
			list, err := Users(tx)
			if len(list) != 1 {
				t.Errorf("%d accounts, want 1", len(list))
			}
			return err
		})
	})
}

// TestRecheck: other groups hold at once; who is barred, without a role or gone is logged out everywhere, on record.
func TestRecheck(t *testing.T) {
	inBubble(t, func(b *box) {
		h := newHospital()
		come := func() []string {
			var tokens []string
			for range 2 {
				token, err := b.come(h.directory(), "jdoe", "right", "10.0.0.1")
				if err != nil {
					t.Fatal(err)
				}
				tokens = append(tokens, token)
			}
			return tokens
		}
		recheck := func(p Person, found bool) {
			t.Helper()
			b.do(func(tx *store.Tx) error { return Recheck(tx, rules, jane().ID, p, found) })
		}
		tokens := come()
		n := len(b.entries(ActionUserChange))
		recheck(jane(), true)
		if len(b.entries(ActionUserChange)) != n {
			t.Error("no change is an entry")
		}
		other := jane()
		other.Groups = []string{"cn=admins"}
		recheck(other, true)
		if p, _, err := b.session(tokens[0]); err != nil || !p.Has(Admin) || p.Has(Nurse) {
			t.Errorf("in another group: %+v, %v", p.Roles, err)
		}
		barred, without := jane(), jane()
		barred.Barred, without.Groups = "the account is disabled", nil
		for what, c := range map[string]struct {
			p     Person
			found bool
		}{"barred": {barred, true}, "without a role": {without, true}, "gone": {Person{}, false}} {
			tokens := append(come(), tokens...)
			ended := len(b.entries(ActionLogout))
			recheck(c.p, c.found)
			for _, token := range tokens {
				if _, _, err := b.session(token); !errors.Is(err, ErrDenied) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if out := b.entries(ActionLogout); len(out) < ended+2 || attr(out[len(out)-1], "cause") == "" || attr(out[len(out)-1], "by") != "directory" {
				t.Errorf("%s: %d logouts on record, last %+v", what, len(out)-ended, out[len(out)-1])
			}
			if e := b.last().Entry; e.Action != ActionUserChange || attr(e, "gone") == "" {
				t.Errorf("%s: entry %+v", what, e)
			}
			b.view(func(tx *store.Tx) error {
				if list, err := SessionsOfDirectory(tx); err != nil || len(list) != 0 {
					t.Errorf("%s: %d are logged in, %v", what, len(list), err)
				}
				return nil
			})
		}
		recheck(Person{}, false) // of nobody who is logged in
		b.do(func(tx *store.Tx) error { return Recheck(tx, rules, "ff", Person{}, false) })
		come()
		b.view(func(tx *store.Tx) error {
			list, err := SessionsOfDirectory(tx)
			if err != nil || len(list) != 1 || list[0].Gone != "" {
				t.Errorf("back again: %v, %v", list, err)
			}
			return nil
		})
		time.Sleep(SessionIdle)
		b.view(func(tx *store.Tx) error {
			if list, err := SessionsOfDirectory(tx); err != nil || len(list) != 0 {
				t.Errorf("sessions that are over are rechecked: %v, %v", list, err)
			}
			return nil
		})
	})
}

// TestWhatTheDirectoryHolds: roles and password of its people are not changed here, but they can be kept out; and an admin of
// the directory does not count as the last one, because it may be down.
func TestWhatTheDirectoryHolds(t *testing.T) {
	inBubble(t, func(b *box) {
		b.user("ann", Admin)
		h := newHospital()
		boss := jane()
		boss.Groups = []string{"cn=admins"}
		h.people["jdoe"] = boss
		token, err := b.come(h.directory(), "jdoe", "right", "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct {
			fn   func(tx *store.Tx) error
			want error
		}{
			"roles":          {func(tx *store.Tx) error { return SetUser(tx, User{Name: "jdoe", Roles: []Role{Auditor}}) }, ErrOfDirectory},
			"password":       {func(tx *store.Tx) error { return SetPassword(tx, "jdoe", quick) }, ErrOfDirectory},
			"the last local": {func(tx *store.Tx) error { return SetUser(tx, User{Name: "ann", Roles: []Role{Admin}, Disabled: true}) }, ErrLastAdmin},
		} {
			if err := b.store.Update(t.Context(), operator, c.fn); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", what, err)
			}
		}
		b.do(func(tx *store.Tx) error {
			return SetUser(tx, User{Name: "jdoe", FullName: "Jane Doe", Roles: []Role{Admin}, Disabled: true})
		})
		if _, _, err := b.session(token); !errors.Is(err, ErrDenied) {
			t.Errorf("a session of who was disabled: %v", err)
		}
		if _, err := b.come(h.directory(), "jdoe", "right", "10.0.0.1"); !errors.Is(err, ErrBarred) {
			t.Errorf("who was disabled here: %v", err)
		}
		b.do(func(tx *store.Tx) error {
			if u, err := FindUser(tx, "jdoe"); err != nil || !u.OfDirectory() {
				t.Errorf("disabling made her %+v, %v", u, err)
			}
			_, err := Review(tx)
			return err
		})
		if e := b.last().Entry; attr(e, "of_directory") != "1" || attr(e, "users") != "2" {
			t.Errorf("review %+v", e)
		}
		// Without a directory her name is nobody's.
		if _, err := b.come(nil, "jdoe", "right", "10.0.0.1"); !errors.Is(err, ErrDenied) {
			t.Errorf("after the directory was taken away: %v", err)
		}
	})
}

func TestGroupRules(t *testing.T) {
	for what, c := range map[string]struct {
		rules GroupRules
		ok    bool
	}{
		"two": {rules, true}, "none": {nil, false}, "no group": {GroupRules{Nurse: nil}, false}, "empty group": {GroupRules{Nurse: {""}}, false},
		"a machine's": {GroupRules{Portal: {"cn=x"}}, false}, "unknown": {GroupRules{"king": {"cn=x"}}, false},
	} {
		if err := c.rules.Check(); (err == nil) != c.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
	both := GroupRules{Nurse: {"cn=a", "cn=b"}, Admin: {"cn=b"}}
	if got := both.Roles([]string{"cn=b"}); !slices.Equal(got, []Role{Nurse, Admin}) {
		t.Errorf("roles %v", got)
	}
	if got := both.Groups(); !slices.Equal(got, []string{"cn=a", "cn=b"}) {
		t.Errorf("groups %v", got)
	}
}

// TestFaultsOfLoginAndRecheck: each write of a login and of a recheck, once failed and not done, once done and reported as
// failed. Repeated, it comes to the same.
func TestFaultsOfLoginAndRecheck(t *testing.T) {
	broken := errors.New("broken")
	inBubble(t, func(b *box) {
		h := newHospital()
		d := h.directory()
		// write runs fn as a door does; a fault that was not done rolls it back, one that was done only says so.
		write := func(done bool, fn func(*store.Tx) error) {
			t.Helper()
			err := b.store.Update(t.Context(), operator, func(tx *store.Tx) error {
				if err := fn(tx); err != nil || done {
					return err
				}
				return broken
			})
			if done != (err == nil) {
				t.Fatal(err)
			}
		}
		state := func() (people, sessionsOpen int, left int) {
			b.view(func(tx *store.Tx) error {
				list, err := Users(tx)
				n, err2 := sessions.Len(tx)
				l, _, err3 := limit.Peek(tx, d.tries(), "jdoe")
				people, sessionsOpen, left = len(list), n, l
				return errors.Join(err, err2, err3)
			})
			return people, sessionsOpen, left
		}
		for _, done := range []bool{false, true} {
			var a Attempt
			b.do(func(tx *store.Tx) error { return limit.Forget(tx, d.tries(), "jdoe") })
			write(done, func(tx *store.Tx) (err error) { a, err = BeginLogin(tx, d, "jdoe", "10.0.0.1"); return err })
			if _, _, left := state(); (left == 3) != done {
				t.Errorf("begun, done %t: %d tries left", done, left)
			}
			b.do(func(tx *store.Tx) error { return limit.Forget(tx, d.tries(), "jdoe") })
			b.do(func(tx *store.Tx) (err error) { a, err = BeginLogin(tx, d, "jdoe", "10.0.0.1"); return err })
			p, err := a.Prove(t.Context(), nil, "right")
			if err != nil {
				t.Fatal(err)
			}
			write(done, func(tx *store.Tx) error { _, _, err := EndLogin(tx, a, p); return err })
			want := [3]int{0, 0, 3}
			if done {
				want = [3]int{1, 1, 4}
			}
			if people, open, left := state(); [3]int{people, open, left} != want {
				t.Errorf("ended, done %t: %d people, %d sessions, %d tries left", done, people, open, left)
			}
		}
		// She tries again, because she was told of a failure.
		if _, err := b.come(d, "jdoe", "right", "10.0.0.1"); err != nil {
			t.Fatal(err)
		}
		if people, open, left := state(); people != 1 || open != 2 || left != 4 {
			t.Errorf("again: %d people, %d sessions, %d tries left", people, open, left)
		}
		out := func(tx *store.Tx) error { return Recheck(tx, rules, jane().ID, Person{}, false) }
		write(false, out)
		if _, open, _ := state(); open != 2 {
			t.Errorf("a recheck that failed leaves %d sessions", open)
		}
		write(true, out)
		ended := len(b.entries(ActionLogout))
		if _, open, _ := state(); open != 0 || ended != 2 {
			t.Errorf("a recheck leaves %d sessions, %d ends on record", open, ended)
		}
		err := b.store.Update(t.Context(), operator, out) // once more
		if err != nil || len(b.entries(ActionLogout)) != ended {
			t.Errorf("a second recheck: %v, %d ends on record", err, len(b.entries(ActionLogout)))
		}
	})
}
