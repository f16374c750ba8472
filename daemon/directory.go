package daemon

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"reflect"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/directory"
)

// DirectoryTarget is [directory]: the hospital's LDAP directory, by which people log in who have no account of the box's own. An
// attacker who controls it, or the groups that it names, logs in as whom they like with the roles that the rules give; local
// accounts are out of its reach. One who controls Base, Filter or Roles decides who is somebody.
type DirectoryTarget struct {
	// Servers hold the same people, and are asked in this order.
	Servers []DirectoryServer `toml:"server"`
	// CA is the PEM file of who signed their certificates; empty means the system's.
	CA string `toml:"ca"`
	// StartTLS begins TLS on the plain port (389) instead of speaking it from the first byte (636). Without TLS nothing is
	// said.
	StartTLS bool `toml:"start_tls"`
	// Kind is ad (Microsoft Active Directory) or ldap (OpenLDAP and others).
	Kind string `toml:"kind"`
	// Base is the DN below which people are.
	Base string `toml:"base"`
	// User looks people up, and may read and change nothing else; Password names the systemd credential.
	User     string `toml:"user"`
	Password string `toml:"password"`
	// Attribute holds the name that people type; empty means sAMAccountName or uid. ID never changes; empty means objectGUID
	// or entryUUID. Filter is what an entry fulfils to be a person's.
	Attribute string `toml:"name"`
	ID        string `toml:"id"`
	Filter    string `toml:"filter"`
	// Roles are the groups, by DN, that give a role.
	Roles DirectoryRoles `toml:"roles"`
	// Timeout is how many seconds one server may take; 0 means 5.
	Timeout int `toml:"timeout"`
	// Recheck is after how many minutes it is asked again for who is logged in; 0 means 15.
	Recheck int `toml:"recheck"`
	// Tries is how many wrong passwords of one name it is shown within half an hour; 0 means 4. It has to be less than the
	// number at which it locks an account, or a stranger at the login page locks people out of the whole hospital.
	Tries int `toml:"tries"`
}

// DirectoryServer is one server of the directory.
type DirectoryServer struct {
	// Relay is the server by its name on the relay's list.
	Relay string `toml:"relay"`
	// TLS is its name in its certificate.
	TLS string `toml:"tls"`
}

// DirectoryRoles are the groups that give each role; who is in several has all of theirs.
type DirectoryRoles struct {
	Nurse    []string `toml:"nurse"`
	Operator []string `toml:"operator"`
	Auditor  []string `toml:"auditor"`
	Admin    []string `toml:"admin"`
}

func (r DirectoryRoles) rules() access.GroupRules {
	rules := access.GroupRules{}
	for role, groups := range map[access.Role][]string{access.Nurse: r.Nurse, access.Operator: r.Operator, access.Auditor: r.Auditor, access.Admin: r.Admin} {
		if groups != nil {
			rules[role] = groups
		}
	}
	return rules
}

func (d *DirectoryTarget) timeout() time.Duration {
	return time.Duration(cmp.Or(d.Timeout, 5)) * time.Second
}
func (d *DirectoryTarget) recheck() time.Duration {
	return time.Duration(cmp.Or(d.Recheck, 15)) * time.Minute
}
func (d *DirectoryTarget) tries() int { return cmp.Or(d.Tries, 4) }

func (d *DirectoryTarget) check() error {
	rules := d.Roles.rules()
	switch err := rules.Check(); {
	case len(d.Servers) == 0 || len(d.Servers) > 8:
		return errors.New("server: one to eight must be set")
	case d.Base == "" || d.User == "":
		return errors.New("base and user must be set: where people are, and who looks them up")
	case d.Password == "" || d.Password != filepath.Base(d.Password):
		return errors.New("password must be set: the name of a credential, not a path and not the password")
	case d.CA != "" && !filepath.IsAbs(d.CA):
		return errors.New("ca must be an absolute path")
	case err != nil:
		return fmt.Errorf("roles: %w", err)
	case d.Timeout < 0 || d.Timeout > 15:
		return errors.New("timeout: must be 1 to 15 seconds")
	case d.Recheck < 0 || d.Recheck > 24*60:
		return errors.New("recheck: must be 1 to 1440 minutes")
	case d.Tries < 0 || d.Tries > 20:
		return errors.New("tries: must be 1 to 20")
	}
	for i, s := range d.Servers {
		if s.Relay == "" || s.TLS == "" {
			return fmt.Errorf("server[%d]: relay and tls must be set, its name on the relay's list and in its certificate", i)
		}
	}
	return d.options().Check()
}

// options are those of the client, but for its servers.
func (d *DirectoryTarget) options() directory.Options {
	return directory.Options{
		StartTLS: d.StartTLS, Kind: directory.Kind(d.Kind), Base: d.Base, User: d.User, Name: d.Attribute, ID: d.ID, Filter: d.Filter,
		Groups: d.Roles.rules().Groups(), Timeout: d.timeout(),
		Password: func() (string, error) { return credential(d.Password)(context.Background()) },
	}
}

// hospitalDirectory is the hospital's directory as it is connected.
type hospitalDirectory struct {
	target DirectoryTarget
	rules  access.GroupRules
	client *directory.Client
	access access.Directory
	// findID is the client's; a test brings one in process.
	findID func(context.Context, string) (directory.Person, error)
}

// connectDirectory puts a directory in force, or none. One that has not changed keeps its client, and what that knows of
// servers that do not answer, unless the account that looks people up was refused: its password may be another one now.
func (b *box) connectDirectory(t *DirectoryTarget) {
	was := b.directory.Load()
	switch {
	case t == nil:
		b.directory.Store(nil)
		return
	case was != nil && reflect.DeepEqual(was.target, *t):
		if _, why := was.client.Status(); why == nil {
			return
		}
	}
	b.directory.Store(newHospitalDirectory(*t, RelayDial(b.cfg.Relay.Socket)))
}

func newHospitalDirectory(t DirectoryTarget, out Dial) *hospitalDirectory {
	d := &hospitalDirectory{target: t, rules: t.Roles.rules()}
	o := t.options()
	for _, s := range t.Servers {
		o.Servers = append(o.Servers, directory.Server{
			Name: s.Relay,
			Dial: func(ctx context.Context) (net.Conn, error) { return out(ctx, s.Relay) },
			TLS:  func() (*tls.Config, error) { return peerTLS{Name: s.TLS, CA: t.CA}.config() },
		})
	}
	d.client = directory.New(o)
	d.findID = d.client.FindID
	d.access = access.Directory{Tries: t.tries(), Rules: d.rules, Login: d.login}
	return d
}

// directoryNow is the directory as a login sees it; nil where there is none.
func (b *box) directoryNow() *access.Directory {
	if d := b.directory.Load(); d != nil {
		return &d.access
	}
	return nil
}

func (b *box) directoryTarget() *DirectoryTarget {
	if d := b.directory.Load(); d != nil {
		return &d.target
	}
	return nil
}

// login asks the directory, and puts what it says into access's words.
func (d *hospitalDirectory) login(ctx context.Context, name, password string) (access.Answer, error) {
	p, err := d.client.Login(ctx, name, password)
	if ctx.Err() != nil {
		return access.Answer{}, context.Cause(ctx)
	}
	return answerOf(p, err), nil
}

func answerOf(p directory.Person, err error) access.Answer {
	refusal, refused := errors.AsType[*directory.Refusal](err)
	switch {
	case err == nil:
		return access.Answer{OK: true, Shown: true, Person: personOf(p)}
	case errors.Is(err, directory.ErrPassword):
		return access.Answer{Shown: true, Cause: "wrong password"}
	case refused && refusal.Due:
		return access.Answer{Shown: true, Cause: refusal.Cause, Tell: access.ErrPasswordDue}
	case refused && refusal.Right:
		return access.Answer{Shown: true, Cause: refusal.Cause, Tell: access.ErrBarred}
	case refused:
		return access.Answer{Shown: true, Cause: refusal.Cause}
	case errors.Is(err, directory.ErrBusy):
		return access.Answer{Cause: directory.ErrBusy.Error(), Tell: access.ErrTooMany}
	case errors.Is(err, directory.ErrUnavailable):
		return access.Answer{Shown: errors.Is(err, directory.ErrUndecided), Cause: directory.ErrUnavailable.Error(), Tell: access.ErrDirectory}
	}
	return access.Answer{Cause: err.Error()} // nobody of this name, or an entry that cannot be used
}

func personOf(p directory.Person) access.Person {
	return access.Person{ID: p.ID, Name: p.Name, FullName: p.FullName, Barred: p.Barred, Groups: p.Groups}
}
