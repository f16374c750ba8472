package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	wardNurses = "CN=Ward Nurses (4*),OU=Groups,DC=hospital,DC=example"
	everybody  = "cn=domain users, cn=Users, dc=HOSPITAL, dc=example" // as a person types it
	viaPrimary = "CN=All Staff,OU=Groups,DC=hospital,DC=example"
	nobodyIn   = "CN=Pharmacy,OU=Groups,DC=hospital,DC=example"
)

// TestNestedAndPrimaryGroups: a group in a group counts, the primary group does though memberOf does not name it, and so does
// a group that the primary group is in.
func TestNestedAndPrimaryGroups(t *testing.T) {
	f := newFake(t)
	who := jane(nil)
	f.search = domain(who, map[string][]string{who.dn: {wardNurses}, "CN=Domain Users,CN=Users,DC=hospital,DC=example": {viaPrimary}})
	f.opts.Groups = []string{nobodyIn, wardNurses, everybody, viaPrimary}
	c := New(f.opts)
	p, err := c.Login(t.Context(), "jdoe", "right")
	if err != nil || !slices.Equal(p.Groups, f.opts.Groups[1:]) || p.Name != "jdoe" || p.FullName != "Jane Doe" || p.Barred != "" {
		t.Fatalf("%q in %q, %v", p.Name, p.Groups, err)
	}
	again, err := c.FindID(t.Context(), p.ID)
	if err != nil || again.Name != "jdoe" {
		t.Errorf("by id: %q, %v", again.Name, err)
	}
	if got := f.loggedIn(); len(got) != 3 || got[0] != "pinward@hospital.example" || got[1] != who.dn {
		t.Errorf("logged in are %q", got)
	}
	who.attributes["primaryGroupID"] = "" // it cannot be read
	if p, err = c.Find(t.Context(), "jdoe"); err != nil || !slices.Equal(p.Groups, f.opts.Groups[1:2]) {
		t.Errorf("without primary group: %q, %v", p.Groups, err)
	}
}

// TestReferencesAreNeverFollowed: a domain controller adds them to each answer at the root of the domain; and a wrong base
// gives nothing else.
func TestReferencesAreNeverFollowed(t *testing.T) {
	f := newFake(t)
	f.search = domain(jane(nil), nil)
	if _, err := New(f.opts).Find(t.Context(), "nobody"); !errors.Is(err, ErrNoPerson) {
		t.Errorf("a reference alone: %v", err)
	}
	f.search = func(string, string) ([]entry, int64) { return nil, int64(ldap.LDAPResultReferral) }
	_, err := New(f.opts).Find(t.Context(), "jdoe")
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "never followed") {
		t.Errorf("a referral: %v", err)
	}
}

// TestOneWayToTypeAName: what Active Directory finds by a looser comparison is not who was typed. Else an account would have
// as many counts of wrong passwords as there are ways to spell its name.
func TestOneWayToTypeAName(t *testing.T) {
	f := newFake(t)
	f.search = func(string, string) ([]entry, int64) { return []entry{jane(nil)}, 0 }
	c := New(f.opts)
	for _, typed := range []string{"jdöe", "j doe", "jdoe@hospital.example", `hospital\jdoe`, "jdoe\u200b"} {
		if _, err := c.Login(t.Context(), typed, "right"); !errors.Is(err, ErrNoPerson) {
			t.Errorf("%q: %v", typed, err)
		}
	}
	if strings.Contains(strings.Join(f.loggedIn(), "\n"), "Jane") {
		t.Error("a password was tried on Jane's account")
	}
	if _, err := c.Login(t.Context(), " JDOE ", "right"); err != nil {
		t.Errorf("in capitals: %v", err)
	}
}

// TestWhatResult49Means: the words of [MS-ERREF] behind it. Only what is said of a right password is told to the person.
func TestWhatResult49Means(t *testing.T) {
	for data, want := range map[string]struct {
		err        error
		right, due bool
		cause      string
	}{
		"525": {err: ErrPassword}, "52e": {err: ErrPassword},
		"530": {right: true, cause: "time"}, "531": {right: true, cause: "workstations"},
		"532": {right: true, due: true, cause: "expired"}, "533": {right: true, cause: "disabled"},
		"701": {right: true, cause: "expired"}, "773": {right: true, due: true, cause: "changed"},
		"775": {cause: "locked"}, "56": {cause: "56"}, "": {err: ErrPassword},
	} {
		f := newFake(t)
		f.search = domain(jane(nil), nil)
		f.bind = func(dn, _ string) (int64, string) {
			switch {
			case !strings.HasPrefix(dn, "CN=Doe"):
				return 0, ""
			case data == "":
				return int64(ldap.LDAPResultInvalidCredentials), "jdoe is not who she says"
			}
			return int64(ldap.LDAPResultInvalidCredentials), "80090308: LdapErr: DSID-0C090400, comment: AcceptSecurityContext error, data " + data + ", v1db1\x00"
		}
		_, err := New(f.opts).Login(t.Context(), "jdoe", "typed")
		r, refused := errors.AsType[*Refusal](err)
		switch {
		case want.err != nil && !errors.Is(err, want.err):
			t.Errorf("%q: %v", data, err)
		case want.err == nil && (!refused || r.Right != want.right || r.Due != want.due || !strings.Contains(r.Cause, want.cause)):
			t.Errorf("%q: %+v, %v", data, r, err)
		}
		if strings.Contains(err.Error(), "jdoe") {
			t.Errorf("the error holds the server's words: %v", err)
		}
	}
}

// TestShutAccounts: disabled, expired; and who is locked for a while by wrong passwords stays where they are.
func TestShutAccounts(t *testing.T) {
	fileTimeOf := func(at time.Time) string { return fmt.Sprint((at.Unix() + 11644473600) * 1e7) }
	for what, c := range map[string]struct {
		change map[string]string
		want   string
	}{
		"well":        {nil, ""},
		"disabled":    {map[string]string{"userAccountControl": "514"}, "disabled"},
		"expired":     {map[string]string{"accountExpires": fileTimeOf(time.Now().Add(-time.Hour))}, "expired"},
		"not yet":     {map[string]string{"accountExpires": fileTimeOf(time.Now().Add(time.Hour))}, ""},
		"never":       {map[string]string{"accountExpires": "0"}, ""},
		"locked":      {map[string]string{"userAccountControl": "528", "lockoutTime": fileTimeOf(time.Now())}, ""},
		"nonsense":    {map[string]string{"userAccountControl": "x", "accountExpires": "y", "primaryGroupID": "-1", "objectSid": "short"}, ""},
		"no controls": {map[string]string{"userAccountControl": "", "accountExpires": ""}, ""},
	} {
		f := newFake(t)
		f.search = domain(jane(c.change), nil)
		p, err := New(f.opts).Find(t.Context(), "jdoe")
		if err != nil || (p.Barred == "") != (c.want == "") || !strings.Contains(p.Barred, c.want) {
			t.Errorf("%s: %q, %v", what, p.Barred, err)
		}
		_, err = New(f.opts).Login(t.Context(), "jdoe", "right") // a server that lets her in all the same
		if r, ok := errors.AsType[*Refusal](err); ok != (c.want != "") || ok && !r.Right {
			t.Errorf("%s, login: %v", what, err)
		}
	}
}
