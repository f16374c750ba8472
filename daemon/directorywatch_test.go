package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/directory"
	"pinward/store"
	"pinward/store/storetest"
)

// TestTheDirectoryIsAskedAtIntervals: everybody who is logged in, within a minute of their login and then each 15 minutes; once
// it says no the session is over, and a directory that was taken away ends them all.
func TestTheDirectoryIsAskedAtIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.Open(t)
		person := access.Person{ID: "01", Name: "jdoe", Groups: []string{"cn=nurses"}}
		var mu sync.Mutex // guards what the loop asks with
		var times []time.Time
		var answer error
		asked := func() []time.Time { mu.Lock(); defer mu.Unlock(); return slices.Clone(times) }
		say := func(err error) { mu.Lock(); defer mu.Unlock(); answer = err }
		target := DirectoryTarget{Servers: []DirectoryServer{{"ldap", "ldap.example"}}, Kind: "ldap", Password: "none", Roles: DirectoryRoles{Nurse: []string{"cn=nurses"}}}
		d := newHospitalDirectory(target, func(context.Context, string) (net.Conn, error) { return nil, errors.New("unplugged") })
		d.findID = func(context.Context, string) (directory.Person, error) {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
			return directory.Person{ID: person.ID, Name: person.Name, Groups: person.Groups}, answer
		}
		d.access.Login = func(context.Context, string, string) (access.Answer, error) {
			return access.Answer{OK: true, Shown: true, Person: person}, nil
		}
		b := &box{log: slog.New(slog.DiscardHandler)}
		b.directory.Store(d)
		login := func() (token string) {
			t.Helper()
			storetest.Update(t, s, func(tx *store.Tx) error {
				a, err := access.BeginLogin(tx, &d.access, "jdoe", "10.0.0.1")
				if err != nil {
					return err
				}
				p, err := a.Prove(t.Context(), nil, "right")
				if err != nil {
					return err
				}
				_, token, err = access.EndLogin(tx, a, p)
				return err
			})
			return token
		}
		in := func(token string) (err error) {
			storetest.View(t, s, func(tx *store.Tx) error { _, _, _, err = access.FindSession(tx, token); return nil })
			return err
		}
		// stay lets time go by while she works.
		stay := func(token string, d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Minute) {
				storetest.Update(t, s, func(tx *store.Tx) error {
					if err := access.Touch(tx, token); !errors.Is(err, access.ErrDenied) {
						return err
					}
					return nil
				})
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); (&house{store: s}).watchDirectory(ctx, b) }()
		token := login()
		began := time.Now()
		stay(token, time.Hour)
		at := asked()
		if len(at) != 4 && len(at) != 5 || at[0].Sub(began) > 61*time.Second {
			t.Fatalf("asked %d times in an hour: %v after %v", len(at), at, began)
		}
		for i := 1; i < len(at); i++ {
			if gap := at[i].Sub(at[i-1]); gap < 15*time.Minute || gap > 16*time.Minute {
				t.Errorf("asked after %s", gap)
			}
		}
		// It does not answer, or a setting is wrong: she stays, and is asked for each minute until it does.
		for _, err := range []error{directory.ErrUnavailable, directory.ErrBusy, directory.ErrUnusable} {
			say(err)
			n := len(asked())
			stay(token, 30*time.Minute)
			if still := in(token); still != nil || len(asked()) < n+14 {
				t.Errorf("%v: %v, asked %d times", err, still, len(asked())-n)
			}
		}
		say(directory.ErrNoPerson)
		stay(token, 2*time.Minute)
		if err := in(token); !errors.Is(err, access.ErrDenied) {
			t.Errorf("gone from the directory: %v", err)
		}
		say(nil)
		token = login()
		n := len(asked())
		stay(token, 3*time.Minute)
		if err := in(token); err != nil || len(asked()) != n+1 {
			t.Errorf("back again: %v, asked %d times", err, len(asked())-n)
		}
		b.directory.Store(nil)
		stay(token, 2*time.Minute)
		if err := in(token); !errors.Is(err, access.ErrDenied) {
			t.Errorf("without a directory: %v", err)
		}
		stop()
		<-done
	})
}
