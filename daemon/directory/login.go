package directory

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Refusal is a login that the directory refuses for another reason than a wrong password.
type Refusal struct {
	// Cause is told to the administrator and recorded.
	Cause string
	// Right says that the directory knew the password to be right: it tells the person why they are refused. Else nobody is
	// told more than of a wrong password.
	Right bool
	// Due says that a new password is wanted.
	Due bool
}

// Error implements error.
func (r *Refusal) Error() string { return r.Cause }

// presentable tells whether a password may be shown to a directory. An empty one is no proof: a simple bind with a name and
// no password succeeds as nobody (RFC 4513 section 5.1.2). One with a zero byte is empty for a server that is written in C.
func presentable(password string) bool { return password != "" && !strings.ContainsRune(password, 0) }

// Login looks somebody up by name and has the directory check the password. The errors are ErrNoPerson, ErrUnusable,
// ErrPassword, *Refusal, ErrBusy, ErrUnavailable and ErrUndecided.
func (c *Client) Login(ctx context.Context, name, password string) (p Person, err error) {
	if !presentable(password) {
		return Person{}, ErrPassword
	}
	err = c.exchange(ctx, func(s *session) error {
		if p, err = s.find(name); err != nil {
			return err
		}
		if err := s.prove(p.DN, password); err != nil {
			return err
		}
		if p.Barred != "" { // not every server refuses the password of an account that is shut
			return &Refusal{Cause: p.Barred, Right: true}
		}
		return nil
	})
	return p, err
}

// prove logs the person in on the connection, which is theirs then: nothing else is asked on it.
func (s *session) prove(dn, password string) error {
	err := s.Bind(dn, password)
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*ldap.Error](err)
	if !ok || e.ResultCode >= ldap.ErrorNetwork {
		return ErrUndecided
	}
	switch e.ResultCode {
	case ldap.LDAPResultBusy, ldap.LDAPResultUnavailable, ldap.LDAPResultOther, ldap.LDAPResultOperationsError, ldap.LDAPResultProtocolError, ldap.LDAPResultReferral:
		return ErrUndecided
	case ldap.LDAPResultInvalidCredentials:
		c := causeOf(err)
		if c.wrong {
			return ErrPassword
		}
		return &Refusal{Cause: c.words, Right: c.right, Due: c.due}
	}
	return &Refusal{Cause: reason(err)}
}

// cause is what Active Directory means by a refused login.
type cause struct {
	words string
	wrong bool // name or password
	right bool // it says so of nobody whose password is wrong
	due   bool // a new password is wanted
}

// causes are the Windows errors behind result 49, in hexadecimal digits ([MS-ERREF] section 2.2).
var causes = map[string]cause{
	"525": {words: "no such user", wrong: true},
	"52e": {words: "wrong password", wrong: true},
	"530": {words: "not at this time of the day", right: true},
	"531": {words: "only from certain workstations, and this box is none of them", right: true},
	"532": {words: "the password has expired", right: true, due: true},
	"533": {words: "the account is disabled", right: true},
	"701": {words: "the account has expired", right: true},
	"773": {words: "the password has to be changed first", right: true, due: true},
	"775": {words: "the account is locked after wrong passwords"}, // said whatever the password was
}

// windowsError finds the number in what Active Directory adds to result 49.
var windowsError = regexp.MustCompile(`AcceptSecurityContext error, data ([0-9a-f]+)\b`)

// causeOf reads result 49; what is no word of Active Directory's is a wrong password.
func causeOf(err error) cause {
	if e, ok := errors.AsType[*ldap.Error](err); ok && e.Err != nil {
		if m := windowsError.FindStringSubmatch(e.Err.Error()); m != nil {
			if c, ok := causes[m[1]]; ok {
				return c
			}
			return cause{words: "refused with Windows error " + m[1]}
		}
	}
	return causes["52e"]
}
