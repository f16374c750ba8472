package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/daemon/limit"
	"pinward/store"
)

// User is a person with an account.
type User struct {
	Name     string       `json:"name"` // lower case; the actor's id
	FullName string       `json:"full_name,omitempty"`
	Roles    []Role       `json:"roles"`
	Password PasswordHash `json:"password"`
	Disabled bool         `json:"disabled,omitempty"`
	Created  time.Time    `json:"created"`
	Changed  time.Time    `json:"changed"` // of the password; older sessions are over
	// Directory is the id of a person of the hospital's directory, "" for a local account. Such a person has no password
	// here; their roles follow their groups.
	Directory string `json:"directory,omitempty"`
	// Gone is why the directory lets them in no more, as it said when it was last asked; a login clears it.
	Gone string `json:"gone,omitempty"`
}

// OfDirectory tells whether a person is known by the hospital's directory, and not by a local account.
func (u User) OfDirectory() bool { return u.Directory != "" }

// ActorID is how entries name the person. A local name is never given to another; a name of the directory may be.
func (u User) ActorID() string {
	if u.OfDirectory() {
		return actorOf(u.Name, u.Directory)
	}
	return u.Name
}

// Errors about users.
var (
	// ErrNoUser: no user has this name.
	ErrNoUser = errors.New("no such user")
	// ErrUserExists: the name is taken.
	ErrUserExists = errors.New("user exists")
	// ErrLastAdmin: nobody would be left who may let people in while the directory does not answer.
	ErrLastAdmin = errors.New("the last local admin has to stay one")
)

// Actions of the entries about users.
const (
	ActionUserCreate store.Action = "user.create"
	ActionUserChange store.Action = "user.change"
	ActionPassword   store.Action = "user.password"
	ActionReview     store.Action = "user.review" // a person looked through who may do what
	ActionLogin      store.Action = "user.login"
	ActionLogout     store.Action = "user.logout"
	ActionRefused    store.Action = "client.refused"
)

// Budgets of wrong proofs. They are counted by account and by address, so that
// a stranger who tries a nurse's name all night holds up his own address
// sooner than her account.
var (
	loginsOfName    = limit.Budget{Name: "login.name", Max: 10, Window: 15 * time.Minute}
	loginsOfAddress = limit.Budget{Name: "login.address", Max: 20, Window: 15 * time.Minute}
	keysOfAddress   = limit.Budget{Name: "key.address", Max: 60, Window: time.Minute}
)

var users = store.NewTable[User]("access.users", store.Blinded(0)) // key: blinded name

func userKey(tx *store.Tx, name string) []byte { return tx.Blind("access.user", fold(name)) }

func fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// CreateUser makes a user; the hash comes from Passwords.Hash, before the
// transaction.
func CreateUser(tx *store.Tx, name string, password PasswordHash, roles []Role) (User, error) {
	name = fold(name)
	switch {
	case !validName(name) || strings.ContainsAny(name, " ~"):
		return User{}, errUserName
	case !validRoles(roles):
		return User{}, errRoles
	case len(password.Hash) == 0:
		return User{}, ErrInvalid
	}
	if _, ok, err := users.Get(tx, userKey(tx, name)); err != nil {
		return User{}, fmt.Errorf("create user: %w", err)
	} else if ok {
		return User{}, ErrUserExists
	}
	u := User{Name: name, Roles: roles, Password: password, Created: tx.Now(), Changed: tx.Now()}
	if err := users.Put(tx, userKey(tx, name), u); err != nil {
		return User{}, fmt.Errorf("create user: %w", err)
	}
	return u, tx.Record(store.Entry{Action: ActionUserCreate, Outcome: store.OK, Object: name,
		Attrs: []store.Attr{{Key: "roles", Value: joinRoles(roles)}}})
}

// FindUser returns a user by name. For a login use BeginLogin.
func FindUser(tx *store.Tx, name string) (User, error) {
	u, ok, err := users.Get(tx, userKey(tx, name))
	if err != nil {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	if !ok {
		return User{}, ErrNoUser
	}
	return u, nil
}

// Users lists the users, in no order that tells anything.
func Users(tx *store.Tx) ([]User, error) {
	var out []User
	err := users.Each(tx, store.Range{}, func(_ []byte, u User) error {
		out = append(out, u)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return out, nil
}

// SetUser changes full name, roles and disabled of a user. Sessions that are
// open follow at once.
func SetUser(tx *store.Tx, u User) error {
	old, err := FindUser(tx, u.Name)
	if err != nil {
		return err
	}
	if !validRoles(u.Roles) {
		return errRoles
	}
	if old.OfDirectory() && !slices.Equal(old.Roles, u.Roles) {
		return ErrOfDirectory
	}
	u.Directory = old.Directory
	if old.admin() && !u.admin() {
		if others, err := admins(tx); err != nil {
			return err
		} else if others < 2 {
			return ErrLastAdmin
		}
	}
	old.FullName, old.Roles, old.Disabled = u.FullName, u.Roles, u.Disabled
	if err := users.Put(tx, userKey(tx, u.Name), old); err != nil {
		return fmt.Errorf("change user: %w", err)
	}
	return tx.Record(store.Entry{Action: ActionUserChange, Outcome: store.OK, Object: old.ActorID(), Attrs: []store.Attr{
		{Key: "roles", Value: joinRoles(old.Roles)}, {Key: "disabled", Value: fmt.Sprint(old.Disabled)},
	}})
}

// admin tells whether the user may let people in at any time: one of the directory cannot while it is down.
func (u User) admin() bool { return !u.Disabled && !u.OfDirectory() && slices.Contains(u.Roles, Admin) }

// admins is how many may let people in.
func admins(tx *store.Tx) (n int, err error) {
	list, err := Users(tx)
	for _, u := range list {
		if u.admin() {
			n++
		}
	}
	return n, err
}

// Review records that the actor looked through the accounts and found them right (45 CFR 164.308(a)(4)(ii)(C)), and returns what
// there was to look at: the entry holds how many of each role there were.
func Review(tx *store.Tx) ([]User, error) {
	list, err := Users(tx)
	if err != nil {
		return nil, err
	}
	attrs := []store.Attr{{Key: "users", Value: fmt.Sprint(len(list))}}
	ofDirectory := 0
	for _, u := range list {
		if u.OfDirectory() {
			ofDirectory++
		}
	}
	if ofDirectory > 0 {
		attrs = append(attrs, store.Attr{Key: "of_directory", Value: fmt.Sprint(ofDirectory)})
	}
	for _, role := range Roles() {
		n := 0
		for _, u := range list {
			if !u.Disabled && slices.Contains(u.Roles, role) {
				n++
			}
		}
		attrs = append(attrs, store.Attr{Key: string(role), Value: fmt.Sprint(n)})
	}
	return list, tx.Record(store.Entry{Action: ActionReview, Outcome: store.OK, Attrs: attrs})
}

// SetPassword changes a user's password and ends the sessions begun with the
// old one.
func SetPassword(tx *store.Tx, name string, password PasswordHash) error {
	u, err := FindUser(tx, name)
	if err != nil {
		return err
	}
	if u.OfDirectory() {
		return ErrOfDirectory
	}
	if len(password.Hash) == 0 {
		return ErrInvalid
	}
	u.Password, u.Changed = password, tx.Now()
	if err := users.Put(tx, userKey(tx, name), u); err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	return tx.Record(store.Entry{Action: ActionPassword, Outcome: store.OK, Object: u.Name})
}

// hashOf begins a login of a local account: it returns the hash to verify outside the
// transaction, the zero hash for who does not exist, and *limit.Exceeded while
// the name or the address had too many wrong passwords. It reads only.
func hashOf(tx *store.Tx, name, address string) (PasswordHash, error) {
	for _, b := range []limit.Charge{{Budget: loginsOfName, Key: fold(name)}, {Budget: loginsOfAddress, Key: address}} {
		left, wait, err := limit.Peek(tx, b.Budget, b.Key)
		if err != nil {
			return PasswordHash{}, err
		}
		if left == 0 {
			return PasswordHash{}, &limit.Exceeded{Budget: b.Budget.Name, RetryAfter: wait}
		}
	}
	u, err := FindUser(tx, name)
	if errors.Is(err, ErrNoUser) {
		return PasswordHash{}, nil
	}
	return u.Password, err
}

// Login ends a login of a local account with the verdict on the password: a session, or ErrDenied
// with the try counted. Either way tx must commit, so ErrDenied is a refusal
// in the sense of Refusal.
func Login(tx *store.Tx, name, address string, verified bool) (Session, string, error) {
	u, err := FindUser(tx, name)
	if err != nil && !errors.Is(err, ErrNoUser) {
		return Session{}, "", err
	}
	if err == nil && verified && !u.Disabled && !u.OfDirectory() {
		return newSession(tx, u)
	}
	for _, c := range []limit.Charge{{Budget: loginsOfName, Key: fold(name)}, {Budget: loginsOfAddress, Key: address}} {
		if err := limit.Take(tx, c.Budget, c.Key); err != nil && !Refusal(err) {
			return Session{}, "", err
		}
	}
	cause := "wrong password"
	switch {
	case err != nil:
		cause = "no such user"
	case verified:
		cause = "disabled"
	}
	object := u.ActorID() // what was typed as an unknown name may be a password
	e := tx.Record(store.Entry{Action: ActionLogin, Outcome: store.Refused, Object: object, Attrs: []store.Attr{
		{Key: "cause", Value: cause}, {Key: "address", Value: clip(address)},
	}})
	if e != nil {
		return Session{}, "", e
	}
	return Session{}, "", ErrDenied
}

// Refuse counts and records a request whose key or token was wrong. It returns
// *limit.Exceeded when the address tries too often; then nothing is recorded
// any more, so that a flood does not fill the log.
func Refuse(tx *store.Tx, sid, address string) error {
	if err := limit.Take(tx, keysOfAddress, address); err != nil {
		return err
	}
	if len(sid) != 34 {
		sid = "" // not of the form of a SID: it may be a secret in the wrong field
	}
	return tx.Record(store.Entry{Action: ActionRefused, Outcome: store.Refused, Object: sid,
		Attrs: []store.Attr{{Key: "address", Value: clip(address)}}})
}

// Refusal reports whether err is a decision that is recorded in its
// transaction, which the door must commit.
func Refusal(err error) bool {
	_, exceeded := errors.AsType[*limit.Exceeded](err)
	return exceeded || slices.ContainsFunc([]error{ErrDenied, ErrTooMany, ErrDirectory, ErrPasswordDue, ErrBarred, ErrNoRole}, func(e error) bool { return errors.Is(err, e) })
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}
