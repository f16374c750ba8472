package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/directory"
	"pinward/daemon/directory/directorytest"
	"pinward/daemon/health"
	"pinward/store"
	"pinward/store/storetest"
)

// ward is a box's doors and its watch, over a real store and a real directory.
type ward struct {
	*box
	t      *testing.T
	s      *store.Store
	server *directorytest.Server
	target DirectoryTarget
}

func newWard(t *testing.T) *ward {
	t.Helper()
	server, err := directorytest.Start(t.TempDir(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	creds := t.TempDir()
	if err := os.WriteFile(filepath.Join(creds, "directory"), []byte(directorytest.UserPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", creds)
	w := &ward{t: t, server: server, s: storetest.Open(t), target: directoryTarget(server)}
	w.box = &box{log: slog.New(slog.DiscardHandler), passwords: access.NewPasswords(4)}
	w.connect(w.target)
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func directoryTarget(s *directorytest.Server) DirectoryTarget {
	return DirectoryTarget{
		Servers: []DirectoryServer{{Relay: "ldap", TLS: directorytest.ServerName}}, CA: s.CA, Kind: "ldap", Base: directorytest.Base,
		User: directorytest.User, Password: "directory", Timeout: 10,
		Roles: DirectoryRoles{Nurse: []string{directorytest.Nurses}, Operator: []string{directorytest.Operators}, Admin: []string{directorytest.Admins}},
	}
}

// connect puts a target in force, with a way out that is no relay.
func (w *ward) connect(target DirectoryTarget) *hospitalDirectory {
	w.t.Helper()
	if err := target.check(); err != nil {
		w.t.Fatal(err)
	}
	d := newHospitalDirectory(target, func(ctx context.Context, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", w.server.TLS)
	})
	w.directory.Store(d)
	return d
}

func (w *ward) login(name, password string) (token string, err error) {
	w.t.Helper()
	var a access.Attempt
	if err := w.s.Update(w.t.Context(), self, func(tx *store.Tx) (err error) {
		a, err = access.BeginLogin(tx, w.directoryNow(), name, "10.0.0.1")
		return err
	}); err != nil {
		return "", err
	}
	p, err := a.Prove(w.t.Context(), w.passwords, password)
	if err != nil {
		return "", err
	}
	var verdict error
	storetest.Update(w.t, w.s, func(tx *store.Tx) error {
		if _, token, verdict = access.EndLogin(tx, a, p); access.Refusal(verdict) {
			return nil
		}
		return verdict
	})
	return token, verdict
}

func (w *ward) who(token string) (p access.Principal, err error) {
	storetest.View(w.t, w.s, func(tx *store.Tx) error {
		_, p, _, err = access.FindSession(tx, token)
		return nil
	})
	return p, err
}

// TestLoginByDirectory: what a person types is proved by a real directory, and their groups are their roles.
func TestLoginByDirectory(t *testing.T) {
	w := newWard(t)
	for _, c := range []struct {
		name, password string
		want           error
		roles          []access.Role
	}{
		{"jdoe", directorytest.Password, nil, []access.Role{access.Nurse}},
		{"omar", directorytest.Password, nil, []access.Role{access.Nurse, access.Operator}},
		{"ann", directorytest.Password, nil, []access.Role{access.Admin}},
		{"mallory", directorytest.Password, access.ErrNoRole, nil},
		{"jdoe", "wrong", access.ErrDenied, nil},
		{"jdoe", "", access.ErrDenied, nil},
		{"nobody", directorytest.Password, access.ErrDenied, nil},
		{"same", directorytest.Password, access.ErrDenied, nil},
		{"*", directorytest.Password, access.ErrDenied, nil},
	} {
		token, err := w.login(c.name, c.password)
		if c.want != nil {
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			continue
		}
		if p, err2 := w.who(token); err != nil || err2 != nil || !slices.Equal(p.Roles, c.roles) {
			t.Errorf("%s: %v %v, roles %v", c.name, err, err2, p.Roles)
		}
	}
	// Without the directory: a clear word, and the same one at once for the next.
	if err := w.server.Stop(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := w.login("jdoe", directorytest.Password); !errors.Is(err, access.ErrDirectory) {
			t.Errorf("without the directory: %v", err)
		}
	}
}

// TestTheDirectoryIsAskedAgain: a new group and a lost one hold within the round whose time has come, who is locked there is
// logged out here, and a directory that is down logs nobody out.
func TestTheDirectoryIsAskedAgain(t *testing.T) {
	w := newWard(t)
	d := w.directory.Load()
	jane, err := w.login("jdoe", directorytest.Password)
	if err != nil {
		t.Fatal(err)
	}
	omar, err := w.login("omar", directorytest.Password)
	if err != nil {
		t.Fatal(err)
	}
	watch := directoryWatch{store: w.s, log: w.log, checked: map[string]time.Time{}}
	round := func() {
		t.Helper()
		for id := range watch.checked {
			watch.checked[id] = time.Now().Add(-d.target.recheck())
		}
		if err := watch.round(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	modify := func(ldif string) {
		t.Helper()
		if err := w.server.Modify(ldif); err != nil {
			t.Fatal(err)
		}
	}
	round()
	if len(watch.checked) != 2 {
		t.Errorf("%d were asked for, want 2", len(watch.checked))
	}
	modify("dn: " + directorytest.Admins + "\nchangetype: modify\nadd: uniqueMember\nuniqueMember: uid=omar,ou=people," + directorytest.Base + "\n")
	if err := watch.round(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if p, _ := w.who(omar); p.Has(access.Admin) {
		t.Error("he was asked for before his time")
	}
	round()
	if p, err := w.who(omar); err != nil || !p.Has(access.Admin) {
		t.Errorf("a new group: %v, %v", p.Roles, err)
	}
	modify("dn: uid=omar,ou=people," + directorytest.Base + "\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n")
	round()
	if _, err := w.who(omar); !errors.Is(err, access.ErrDenied) {
		t.Errorf("locked in the directory: %v", err)
	}
	if _, err := w.who(jane); err != nil {
		t.Errorf("her session: %v", err)
	}
	// A wrong setting, such as another id, must not log people out.
	wrong := w.target
	wrong.Filter = "(objectClass=person)"
	wrong.Attribute = "telephoneNumber"
	was := d
	d = w.connect(wrong)
	round()
	if _, err := w.who(jane); err != nil {
		t.Errorf("after a wrong setting: %v", err)
	}
	d = was
	w.directory.Store(d)
	if err := w.server.Stop(); err != nil {
		t.Fatal(err)
	}
	round()
	if _, err := w.who(jane); err != nil {
		t.Errorf("while the directory is down: %v", err)
	}
	if _, why := d.client.Status(); why == nil {
		t.Error("nobody noticed that it is down")
	}
	if err := w.server.Run(); err != nil {
		t.Fatal(err)
	}
	d = w.connect(w.target)
	modify("dn: cn=nurses,ou=groups," + directorytest.Base + "\nchangetype: delete\n")
	round()
	if _, err := w.who(jane); !errors.Is(err, access.ErrDenied) {
		t.Errorf("without a group: %v", err)
	}
	if len(watch.checked) > 1 {
		t.Errorf("%d are remembered, and nobody is logged in", len(watch.checked))
	}
}

// TestDirectoryHealth: silent for a moment is nothing; for a minute, a warning. A refused account is one at once.
func TestDirectoryHealth(t *testing.T) {
	w := newWard(t)
	ask := func() (health.State, string) { return w.checkDirectory().Ask() }
	w.directory.Store(nil)
	if st, _ := ask(); st != health.OK || w.directoryNow() != nil || w.directoryTarget() != nil {
		t.Errorf("without a directory: %v", st)
	}
	d := w.connect(w.target)
	if err := d.client.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st, why := ask(); st != health.OK {
		t.Errorf("%v: %s", st, why)
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), "directory"), []byte("of last year"), 0o600); err != nil {
		t.Fatal(err)
	}
	d = w.connect(w.target)
	if err := d.client.Probe(t.Context()); !errors.Is(err, directory.ErrRefused) {
		t.Fatal(err)
	}
	if st, why := ask(); st != health.Warn || !strings.Contains(why, "only local accounts") || !strings.Contains(why, "refused") {
		t.Errorf("%v: %s", st, why)
	}
	// Refused once, a reload tries again; else it keeps what it knows.
	w.connectDirectory(&w.target)
	again := w.directory.Load()
	if again == d {
		t.Error("a reload keeps a client that was refused")
	}
	w.connectDirectory(&w.target)
	if w.directory.Load() != again {
		t.Error("a reload drops a client that is well")
	}
	w.connectDirectory(nil)
	if w.directory.Load() != nil {
		t.Error("a directory that was taken out is asked")
	}
}

// TestDirectoryTestTellsRoleAndReason is `pinward directory test` behind its door.
func TestDirectoryTestTellsRoleAndReason(t *testing.T) {
	w := newWard(t)
	storetest.Update(t, w.s, func(tx *store.Tx) error {
		_, err := access.CreateUser(tx, "ann", access.PasswordHash{Iterations: 1, Salt: []byte("salt"), Hash: []byte("hash")}, []access.Role{access.Admin})
		return err
	})
	test := func(body string) (directoryTest, error) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/directory/test", strings.NewReader(body))
		v, err := w.testDirectory(r, w.s, store.Actor{Kind: "user", ID: "admin"})
		if err != nil {
			return directoryTest{}, err
		}
		return v.(directoryTest), nil
	}
	got, err := test(`{"name":"omar"}`)
	if err != nil || !got.Found || fmt.Sprint(got.Roles) != "[nurse operator]" || !slices.Equal(got.Groups, []string{directorytest.Nurses, directorytest.Operators}) || got.Password != "" || got.DN == "" {
		t.Errorf("%+v, %v", got, err)
	}
	for password, want := range map[string]string{directorytest.Password: "right", "guess": "wrong password", "": "wrong password"} {
		if got, err := test(fmt.Sprintf(`{"name":"omar","password":%q}`, password)); err != nil || got.Password != want {
			t.Errorf("password of %d letters: %+v, %v", len(password), got, err)
		}
	}
	if got, err = test(`{"name":"ann","password":"x"}`); err != nil || !got.Local || got.Password != "" {
		t.Errorf("a local name: %+v, %v", got, err)
	}
	if got, err = test(`{"name":"same"}`); err != nil || got.Found || !strings.Contains(got.Why, "several") {
		t.Errorf("two of one name: %+v, %v", got, err)
	}
	// It is no way round the count: four wrong ones, and the login page is closed for that name as well.
	for i := range 6 {
		_, err := test(`{"name":"jdoe","password":"guess"}`)
		if (err != nil) != (i >= 4) || err != nil && !errors.Is(err, admin.ErrState) {
			t.Errorf("guess %d: %v", i, err)
		}
	}
	if _, err := w.login("jdoe", directorytest.Password); err == nil {
		t.Error("she can log in: the guesses were not counted")
	}
	n := 0
	storetest.View(t, w.s, func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error {
			if r.Entry.Action == access.ActionDirectoryTest {
				n++
				if strings.Contains(fmt.Sprint(r.Entry), "dc=hospital") || r.Entry.Object == "omar" {
					t.Errorf("entry %+v", r.Entry)
				}
			}
			return nil
		})
	})
	if n < 9 {
		t.Errorf("%d looks on record", n)
	}
	if _, err := test(`{"nome":"omar"}`); !errors.Is(err, admin.ErrState) {
		t.Errorf("a misspelt field: %v", err)
	}
	w.directory.Store(nil)
	if _, err := test(`{"name":"omar"}`); !errors.Is(err, admin.ErrState) {
		t.Errorf("without a directory: %v", err)
	}
}
