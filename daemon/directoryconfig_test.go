package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/directory"
	"pinward/daemon/directory/directorytest"
	"pinward/daemon/health"
)

// TestDirectoryExamined is what the doctor says, with a next step for each.
func TestDirectoryExamined(t *testing.T) {
	w := newWard(t)
	look := func(change func(*DirectoryTarget)) string {
		t.Helper()
		target := w.target
		change(&target)
		w.connect(target)
		var b strings.Builder
		for _, f := range w.examineDirectory(t.Context()) {
			fmt.Fprintln(&b, f.Name, f.State, f.What, f.Next)
			if f.State != health.OK && f.Next == "" {
				t.Errorf("%s: %s: no next step", f.Name, f.What)
			}
		}
		return b.String()
	}
	for what, c := range map[string]struct {
		change func(*DirectoryTarget)
		want   []string
	}{
		"well":  {func(*DirectoryTarget) {}, []string{"ldap ok answers over TLS", "people ok"}},
		"name":  {func(d *DirectoryTarget) { d.Servers = []DirectoryServer{{"ldap", "other.example"}} }, []string{"ldap warn", "certificate", "login fail"}},
		"base":  {func(d *DirectoryTarget) { d.Base = "dc=clinic,dc=example" }, []string{"base fail there is no dc=clinic,dc=example"}},
		"id":    {func(d *DirectoryTarget) { d.ID = "objectGUID" }, []string{"people fail"}},
		"group": {func(d *DirectoryTarget) { d.Roles.Auditor = []string{"cn=gone," + directorytest.Base} }, []string{"group warn there is no cn=gone"}},
		"user":  {func(d *DirectoryTarget) { d.User = "cn=other," + directorytest.Base }, []string{"login fail", "refused", "systemctl restart"}},
	} {
		got := look(c.change)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is not in\n%s", what, want, got)
			}
		}
	}
	w.directory.Store(nil)
	if got := w.examineDirectory(t.Context()); got != nil {
		t.Errorf("without a directory: %v", got)
	}
}

// TestDirectoryAnswersInWords: what the directory's own words become.
func TestDirectoryAnswersInWords(t *testing.T) {
	for _, c := range []struct {
		err   error
		shown bool
		tell  error
	}{
		{directory.ErrPassword, true, nil}, {directory.ErrNoPerson, false, nil}, {directory.ErrUnusable, false, nil},
		{directory.ErrBusy, false, access.ErrTooMany}, {directory.ErrUnavailable, false, access.ErrDirectory}, {directory.ErrUndecided, true, access.ErrDirectory},
		{&directory.Refusal{Cause: "x", Right: true}, true, access.ErrBarred}, {&directory.Refusal{Cause: "x", Right: true, Due: true}, true, access.ErrPasswordDue},
		{&directory.Refusal{Cause: "locked"}, true, nil},
	} {
		a := answerOf(directory.Person{}, fmt.Errorf("dc1: %w", c.err))
		if a.OK || a.Shown != c.shown || !errors.Is(a.Tell, c.tell) || a.Cause == "" {
			t.Errorf("%v: %+v", c.err, a)
		}
	}
	if a := answerOf(directory.Person{ID: "01", Name: "x"}, nil); !a.OK || a.Person.Name != "x" {
		t.Errorf("right: %+v", a)
	}
}

func TestDirectoryConfig(t *testing.T) {
	head, err := os.ReadFile("../packaging/pinward.toml")
	if err != nil {
		t.Fatal(err)
	}
	const good = `
[directory]
kind = "ad"
base = "DC=hospital,DC=example"
user = "pinward@hospital.example"
password = "directory"
ca = "/etc/pinward/ca.pem"
[[directory.server]]
relay = "dc1"
tls = "dc1.hospital.example"
[directory.roles]
nurse = ["CN=Nurses,DC=hospital,DC=example"]
`
	load := func(text string) error {
		path := filepath.Join(t.TempDir(), "pinward.toml")
		if err := os.WriteFile(path, append(slices.Clone(head), text...), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := LoadConfig(path)
		if err == nil && (c.dialled()["dc1"] == "" || c.Directory.timeout() != 5*time.Second || c.Directory.recheck() != 15*time.Minute || c.Directory.tries() != 4) {
			t.Errorf("read as %+v, dialled are %v", c.Directory, c.dialled())
		}
		return err
	}
	if err := load(good); err != nil {
		t.Fatal(err)
	}
	for old, c := range map[string][2]string{
		`kind = "ad"`:                       {`kind = "novell"`, "none of ad, ldap"},
		`base = "DC=hospital`:               {`base = "hospital`, "no DN"},
		`user = "pinward@hospital.example"`: {`user = ""`, "user must be set"},
		`password = "directory"`:            {`password = "/etc/secret"`, "name of a credential"},
		`ca = "/etc/pinward/ca.pem"`:        {`ca = "ca.pem"`, "absolute path"},
		`tls = "dc1.hospital.example"`:      {``, "server[0]: relay and tls"},
		`nurse = ["CN=Nurses`:               {`nurse = ["Nurses`, "no DN"},
		`nurse = [`:                         {"portal = [", "unknown key"},
		`[directory.roles]`:                 {"[directory.rules]", "line "},
		"[[directory.server]]\n":            {"filter = \"objectClass=user\"\n[[directory.server]]\n", "filter"},
		"[[directory.server]]":              {"name = \"uid)(x\"\n[[directory.server]]", "no name of an attribute"},
		"base =":                            {"tries = 99\nbase =", "tries"},
		"user =":                            {"timeout = 60\nuser =", "timeout"},
		"password =":                        {"recheck = -1\npassword =", "recheck"},
		"nurse = [\"CN=Nurses,DC=hospital,DC=example\"]": {"", "no group has a role"},
	} {
		if err := load(strings.Replace(good, old, c[0], 1)); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v, want %q", c[0], err, c[1])
		}
	}
}
