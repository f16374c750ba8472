package directory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"pinward/daemon/directory/directorytest"
)

// slapd is a real server until the test ends.
func slapd(t *testing.T) *directorytest.Server {
	t.Helper()
	s, err := directorytest.Start(t.TempDir(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func at(addr string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}
}

func trust(t *testing.T, ca, name string) func() (*tls.Config, error) {
	t.Helper()
	text, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatal("no certificate")
	}
	return func() (*tls.Config, error) { return &tls.Config{RootCAs: pool, ServerName: name}, nil }
}

func password(s string) func() (string, error) { return func() (string, error) { return s, nil } }

func options(t *testing.T, s *directorytest.Server) Options {
	t.Helper()
	return Options{
		Servers: []Server{{Name: "ldap", Dial: at(s.TLS), TLS: trust(t, s.CA, directorytest.ServerName)}},
		Kind:    LDAP, Base: directorytest.Base, User: directorytest.User, Password: password(directorytest.UserPassword),
		Groups:  []string{directorytest.Nurses, directorytest.Admins, directorytest.Operators, "cn=none,ou=groups,dc=hospital,dc=example"},
		Timeout: 10 * time.Second,
	}
}

// TestPeopleOfOpenLDAP: who they are and in which groups, over LDAPS and over StartTLS.
func TestPeopleOfOpenLDAP(t *testing.T) {
	s := slapd(t)
	for name, o := range map[string]Options{"ldaps": options(t, s), "starttls": options(t, s)} {
		t.Run(name, func(t *testing.T) {
			if name == "starttls" {
				o.StartTLS, o.Servers[0].Dial = true, at(s.Plain)
			}
			c := New(o)
			ids := map[string]bool{}
			for who, groups := range map[string][]string{
				"jdoe": {directorytest.Nurses}, " JDoe ": {directorytest.Nurses}, "omar": {directorytest.Nurses, directorytest.Operators},
				"ann": {directorytest.Admins}, "mallory": nil,
			} {
				p, err := c.Login(t.Context(), who, directorytest.Password)
				if err != nil || !slices.Equal(p.Groups, groups) || p.Name != strings.ToLower(strings.TrimSpace(who)) || p.ID == "" || p.Barred != "" {
					t.Errorf("%s: %v, in %v, named %q, %v", who, p, p.Groups, p.Name, err)
				}
				ids[p.ID] = true
				again, err := c.FindID(t.Context(), p.ID)
				if err != nil || again.Name != p.Name || !slices.Equal(again.Groups, groups) {
					t.Errorf("%s by id: %q in %v, %v", who, again.Name, again.Groups, err)
				}
			}
			if len(ids) != 4 {
				t.Errorf("%d ids of 4 people", len(ids))
			}
			p, err := c.Find(t.Context(), "jdoe")
			if err != nil || p.FullName != "Jane Doe" {
				t.Errorf("found %q, %v", p.FullName, err)
			}
			if s := fmt.Sprintf("%v %+v %#v %s", p, p, p, p); strings.Contains(s, "Doe") || strings.Contains(s, "jdoe") {
				t.Errorf("a person prints as %s", s)
			}
		})
	}
}

// TestWhoIsRefused: nobody comes in by a wrong name or a wrong password, nor by what a directory would take for one.
func TestWhoIsRefused(t *testing.T) {
	s := slapd(t)
	c := New(options(t, s))
	for _, try := range []struct {
		what, name, password string
		want                 error
	}{
		{"a wrong password", "jdoe", "another password", ErrPassword},
		{"nobody", "nobody", directorytest.Password, ErrNoPerson},
		{"a star", "*", directorytest.Password, ErrNoPerson},
		{"half a name", "jd*", directorytest.Password, ErrNoPerson},
		{"a filter", "x)(uid=jdoe", directorytest.Password, ErrNoPerson},
		{"a closed filter", "jdoe)(|(uid=*", directorytest.Password, ErrNoPerson},
		{"a zero byte", "jdoe\x00", directorytest.Password, ErrNoPerson},
		{"two of one name", "same", directorytest.Password, ErrUnusable},
		{"one of two names", "twin", directorytest.Password, ErrUnusable},
		{"no name", "", directorytest.Password, ErrNoPerson},
		{"a long name", strings.Repeat("x", 300), directorytest.Password, ErrNoPerson},
		{"no password", "jdoe", "", ErrPassword},
		{"a password that is empty in C", "jdoe", "\x00anything", ErrPassword},
		{"who looks people up", "pinward", directorytest.UserPassword, ErrNoPerson},
	} {
		if p, err := c.Login(t.Context(), try.name, try.password); !errors.Is(err, try.want) {
			t.Errorf("%s: %v, %v", try.what, p, err)
		}
	}
	if _, why := c.Status(); why != nil {
		t.Errorf("refusals count as trouble: %v", why)
	}
}

// TestEmptyPasswordIsNobody is the trap itself: the bare library, told to, logs Jane in without her password, because slapd
// takes a name without a password for nobody, and says yes.
func TestEmptyPasswordIsNobody(t *testing.T) {
	s := slapd(t)
	o := options(t, s)
	conf, _ := o.Servers[0].TLS()
	conn, err := tls.Dial("tcp", s.TLS, conf)
	if err != nil {
		t.Fatal(err)
	}
	bare := ldap.NewConn(conn, true)
	bare.Start()
	defer bare.Close()
	if err := bare.UnauthenticatedBind("uid=omar,ou=people," + directorytest.Base); err != nil {
		t.Fatalf("slapd refuses a name without a password: the trap is not set: %v", err)
	}
	if _, err := New(o).Login(t.Context(), "omar", ""); !errors.Is(err, ErrPassword) {
		t.Errorf("ours: %v", err)
	}
	o.Password = password("")
	if err := New(o).Probe(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("an account without password looks people up: %v", err)
	}
}

// TestPlainIsNeverSpoken: slapd itself refuses a password in clear, and without StartTLS ours never sends one.
func TestPlainIsNeverSpoken(t *testing.T) {
	s := slapd(t)
	o := options(t, s)
	o.Servers[0].Dial = at(s.Plain) // TLS on the plain port: slapd does not understand, and nothing was said in clear
	o.Timeout = 2 * time.Second
	if err := New(o).Probe(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("plain port: %v", err)
	}
}

// TestCertificates: another name, another authority, no name at all.
func TestCertificates(t *testing.T) {
	s := slapd(t)
	other := filepath.Join(t.TempDir(), "other.pem")
	if err := directorytest.Certificate(other, other+".key", directorytest.ServerName); err != nil {
		t.Fatal(err)
	}
	for what, conf := range map[string]func() (*tls.Config, error){
		"another name":      trust(t, s.CA, "dc1.hospital.example"),
		"another authority": trust(t, other, directorytest.ServerName),
		"no name":           trust(t, s.CA, ""),
		"no check": func() (*tls.Config, error) {
			return &tls.Config{ServerName: directorytest.ServerName, InsecureSkipVerify: true}, nil
		},
	} {
		for _, start := range []bool{false, true} {
			o := options(t, s)
			o.Servers[0].TLS, o.StartTLS = conf, start
			if start {
				o.Servers[0].Dial = at(s.Plain)
			}
			c := New(o)
			if _, err := c.Login(t.Context(), "jdoe", directorytest.Password); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s, StartTLS %t: %v", what, start, err)
			}
			if _, why := c.Status(); why == nil || !strings.Contains(why.Error(), "TLS") {
				t.Errorf("%s: status is %v", what, why)
			}
		}
	}
}

// TestTheAccountThatLooksPeopleUpIsNotLocked: once refused it is not tried again, whoever asks.
func TestTheAccountThatLooksPeopleUpIsNotLocked(t *testing.T) {
	s := slapd(t)
	o := options(t, s)
	tries := 0
	o.Password = func() (string, error) { tries++; return "wrong", nil }
	o.Servers = append(o.Servers, o.Servers[0])
	c := New(o)
	for range 5 {
		if _, err := c.Login(t.Context(), "jdoe", directorytest.Password); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("login: %v", err)
		}
		if x := c.Examine(t.Context()); !errors.Is(x.Err, ErrUnavailable) {
			t.Fatalf("examination: %v", x.Err)
		}
	}
	if tries != 1 {
		t.Errorf("the wrong password was shown %d times", tries)
	}
}

// TestNextServer: the second one is asked when the first is gone, and then first.
func TestNextServer(t *testing.T) {
	s := slapd(t)
	o := options(t, s)
	dialled := 0
	gone := Server{Name: "gone", TLS: o.Servers[0].TLS, Dial: func(context.Context) (net.Conn, error) {
		dialled++
		return nil, errors.New("unreachable")
	}}
	o.Servers = []Server{gone, o.Servers[0]}
	c := New(o)
	for range 3 {
		if _, err := c.Login(t.Context(), "jdoe", directorytest.Password); err != nil {
			t.Fatal(err)
		}
	}
	if dialled != 1 {
		t.Errorf("the lost server was dialled %d times", dialled)
	}
	o.Servers = []Server{gone}
	c = New(o)
	for range 5 {
		if _, err := c.Login(t.Context(), "jdoe", directorytest.Password); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUndecided) {
			t.Fatalf("without a server: %v", err)
		}
	}
	if dialled != 2 {
		t.Errorf("the lost server was dialled %d times: each login would wait for it", dialled)
	}
}

// TestChangesInOpenLDAP: a new group counts at once, a locked account is told, a deleted one is gone.
func TestChangesInOpenLDAP(t *testing.T) {
	s := slapd(t)
	c := New(options(t, s))
	p, err := c.Find(t.Context(), "mallory")
	if err != nil || p.Groups != nil {
		t.Fatalf("%v, %v", p.Groups, err)
	}
	must := func(ldif string) {
		t.Helper()
		if err := s.Modify(ldif); err != nil {
			t.Fatal(err)
		}
	}
	must("dn: " + directorytest.Nurses + "\nchangetype: modify\nadd: member\nmember: " + p.DN + "\n")
	if p, err = c.FindID(t.Context(), p.ID); err != nil || !slices.Equal(p.Groups, []string{directorytest.Nurses}) {
		t.Errorf("%v, %v", p.Groups, err)
	}
	must("dn: " + p.DN + "\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n")
	if p, err = c.FindID(t.Context(), p.ID); err != nil || p.Barred == "" {
		t.Errorf("locked: %q, %v", p.Barred, err)
	}
	must("dn: " + p.DN + "\nchangetype: modrdn\nnewrdn: uid=mallory2\ndeleteoldrdn: 1\n")
	if p, err = c.FindID(t.Context(), p.ID); err != nil || p.Name != "mallory2" {
		t.Errorf("renamed: %q, %v", p.Name, err)
	}
	must("dn: " + p.DN + "\nchangetype: delete\n")
	if _, err = c.FindID(t.Context(), p.ID); !errors.Is(err, ErrNoPerson) {
		t.Errorf("deleted: %v", err)
	}
}

// TestExamine: what the doctor asks.
func TestExamine(t *testing.T) {
	s := slapd(t)
	o := options(t, s)
	x := New(o).Examine(t.Context())
	if x.Err != nil || !x.Base || !x.Person || !slices.Equal(x.Missing, o.Groups[3:]) || len(x.Servers) != 1 || x.Servers[0].Err != nil {
		t.Errorf("%+v", x)
	}
	o.Base = "dc=clinic,dc=example"
	if x = New(o).Examine(t.Context()); x.Err != nil || x.Base {
		t.Errorf("another base: %+v", x)
	}
	o.Base, o.ID = directorytest.Base, "objectGUID"
	if x = New(o).Examine(t.Context()); x.Err != nil || !x.Base || x.Person {
		t.Errorf("no such id: %+v", x)
	}
	if _, err := New(o).Login(t.Context(), "jdoe", directorytest.Password); !errors.Is(err, ErrUnusable) {
		t.Errorf("without an id: %v", err)
	}
}
