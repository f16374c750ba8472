package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pinward/daemon/limit"
)

// Person is what the hospital's directory says of somebody. The directory is the authority over who they are; which of its
// groups may do what is ours, in GroupRules.
type Person struct {
	ID       string // never changes and is never given to another (objectGUID, entryUUID)
	Name     string // that they type, in lower case
	FullName string
	Barred   string   // why the directory lets them in no more; "" if it does
	Groups   []string // those of the rules that they are in
}

// GroupRules say which groups of the directory, by DN, give which role.
type GroupRules map[Role][]string

// Roles are what somebody in these groups may do.
func (g GroupRules) Roles(groups []string) (out []Role) {
	for _, role := range Roles() {
		if slices.ContainsFunc(g[role], func(dn string) bool { return slices.Contains(groups, dn) }) {
			out = append(out, role)
		}
	}
	return out
}

// Groups are all that the rules name, each once.
func (g GroupRules) Groups() (out []string) {
	for _, role := range Roles() {
		for _, dn := range g[role] {
			if !slices.Contains(out, dn) {
				out = append(out, dn)
			}
		}
	}
	return out
}

// Check tells what is wrong with the rules. Portals, engines and witnesses are machines: no person is one.
func (g GroupRules) Check() error {
	for role, groups := range g {
		if !slices.Contains([]Role{Nurse, Operator, Auditor, Admin}, role) {
			return fmt.Errorf("%q is no role of people: nurse, operator, auditor or admin", role)
		}
		if len(groups) == 0 || slices.Contains(groups, "") {
			return fmt.Errorf("%s: a role needs a group", role)
		}
	}
	if len(g) == 0 {
		return errors.New("no group has a role: nobody of the directory could log in")
	}
	return nil
}

// Answer is what came of asking the directory for somebody with their password.
type Answer struct {
	OK     bool // the password is theirs; Person is filled in
	Person Person
	// Shown says that the directory saw the password, and may have counted it as a wrong one.
	Shown bool
	// Cause is why not, for the entry: no name, no word of a directory's own.
	Cause string
	// Tell is what the person is told, nil for no more than ErrDenied.
	Tell error
}

// What somebody of the directory is told, where it gives nothing away: their password was right, or nobody's was looked at.
var (
	// ErrDirectory: it does not answer, so only local accounts can log in.
	ErrDirectory = errors.New("the hospital's directory does not answer: use a local account, or try again in a minute")
	// ErrPasswordDue: the directory wants a new password first.
	ErrPasswordDue = errors.New("your password has to be changed first, at your own workstation")
	// ErrBarred: the directory lets them in no more, or not now.
	ErrBarred = errors.New("the hospital's directory does not let you log in: ask the service desk")
	// ErrNoRole: they are in none of the groups that may do anything here.
	ErrNoRole = errors.New("you are in no group that may use this: ask the service desk")
	// ErrOfDirectory: roles and password of this person are the directory's to change.
	ErrOfDirectory = errors.New("this person is of the hospital's directory, which holds their password and their groups")
)

// Directory is the hospital's directory as a login sees it.
type Directory struct {
	// Tries is how many wrong passwords of one name are shown to the directory in directoryWindow: fewer than it takes to
	// lock the account there.
	Tries int
	Rules GroupRules
	// Login asks it. The only error is that of ctx; all else is an Answer. A try whose ctx ended stays counted: nobody knows
	// whether the directory saw it.
	Login func(ctx context.Context, name, password string) (Answer, error)
}

// directoryWindow is as long as directories usually count wrong passwords.
const directoryWindow = 30 * time.Minute

func (d *Directory) tries() limit.Budget {
	return limit.Budget{Name: "login.directory", Max: d.Tries, Window: directoryWindow}
}

// unanswered bounds the entries about a directory that does not answer: one a login, but no flood of them.
var unanswered = limit.Budget{Name: "login.unanswered", Max: 20, Window: 15 * time.Minute}
