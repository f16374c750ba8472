package directory

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Person is what the directory says of somebody. It redacts itself.
type Person struct {
	// ID is the value of the attribute that never changes, in hexadecimal digits.
	ID string
	// Name is what they type, in lower case.
	Name     string
	FullName string
	DN       string
	// Barred says why the directory lets them in no more; "" if it does.
	Barred string
	// Groups are those of Options.Groups that they are in, spelt as there.
	Groups []string
}

// String tells nothing of whom it is.
func (Person) String() string { return "a person of the directory" }

// GoString is String.
func (p Person) GoString() string { return p.String() }

// LogValue is String.
func (p Person) LogValue() slog.Value { return slog.StringValue(p.String()) }

// Find looks somebody up by the name that they type, without their password.
func (c *Client) Find(ctx context.Context, name string) (p Person, err error) {
	err = c.exchange(ctx, func(s *session) error {
		p, err = s.find(name)
		return err
	})
	return p, err
}

// FindID looks somebody up by Person.ID.
func (c *Client) FindID(ctx context.Context, id string) (p Person, err error) {
	err = c.exchange(ctx, func(s *session) error {
		raw, err := hex.DecodeString(id)
		if err != nil || len(raw) == 0 {
			return ErrNoPerson
		}
		p, err = s.person("(" + c.opts.ID + "=" + escapeBytes(raw) + ")")
		return err
	})
	return p, err
}

// maxName is more characters than any name has that people type.
const maxName = 256

// find looks a name up. The directory's own comparison is looser than ours: Active Directory takes e for é, and others take
// two spaces for one. Only who is spelt as typed, but for case, is found, so that there is one way to type each name, and
// one count of wrong passwords for each account.
func (s *session) find(name string) (Person, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" || len(name) > maxName || strings.ContainsRune(name, 0) {
		return Person{}, ErrNoPerson
	}
	p, err := s.person("(" + s.c.opts.Name + "=" + ldap.EscapeFilter(name) + ")")
	if err == nil && p.Name != name {
		return Person{}, ErrNoPerson
	}
	return p, err
}

// Why an entry cannot be used, though it is there.
var (
	errSeveral  = fmt.Errorf("%w: several have this name: narrow base or filter", ErrUnusable)
	errNoName   = fmt.Errorf("%w: it has no login name, or several: choose another attribute for name", ErrUnusable)
	errNoID     = fmt.Errorf("%w: its unchanging id cannot be read: let the account that looks people up read it", ErrUnusable)
	errReferred = fmt.Errorf("%w: it refers to another server, which is never followed: base belongs to another domain", ErrUnavailable)
)

// What tells that an account is shut, by the directories that have such an attribute.
var shutAttributes = map[Kind][]string{
	AD:   {"userAccountControl", "accountExpires", "primaryGroupID", "objectSid"},
	LDAP: {"pwdAccountLockedTime", "nsAccountLock", "loginDisabled"},
}

// person is the one entry that fulfils filter, with its groups.
func (s *session) person(filter string) (Person, error) {
	o := s.c.opts
	entries, err := s.search(o.Base, ldap.ScopeWholeSubtree, 2, "(&"+o.Filter+filter+")", append([]string{o.Name, o.ID, "displayName", "cn"}, shutAttributes[o.Kind]...))
	switch {
	case err != nil:
		return Person{}, err
	case len(entries) == 0:
		return Person{}, ErrNoPerson
	case len(entries) > 1:
		return Person{}, errSeveral
	}
	e := entries[0]
	names, id := e.GetEqualFoldAttributeValues(o.Name), e.GetEqualFoldRawAttributeValue(o.ID)
	switch {
	case len(names) != 1 || names[0] == "" || e.DN == "": // a bind with an empty DN is nobody's, and succeeds
		return Person{}, errNoName
	case len(id) == 0:
		return Person{}, errNoID
	}
	p := Person{ID: hex.EncodeToString(id), Name: strings.ToLower(names[0]), DN: e.DN, FullName: e.GetEqualFoldAttributeValue("displayName"), Barred: barred(o.Kind, e, time.Now())}
	if p.FullName == "" {
		p.FullName = e.GetEqualFoldAttributeValue("cn")
	}
	if p.Groups, err = s.groups(p, e); err != nil {
		return Person{}, err
	}
	return p, nil
}

// groups tells which of the groups that matter somebody is in. Each group is asked for by itself: a list of all groups of a
// person is cut off where it is long, lacks the primary group, and does not exist in plain OpenLDAP (memberOf).
func (s *session) groups(p Person, e *ldap.Entry) (in []string, err error) {
	starts := []string{p.DN}
	if s.c.opts.Kind == AD {
		primary, err := s.primaryGroup(e)
		if err != nil {
			return nil, err
		}
		if primary != "" {
			starts = append(starts, primary)
		}
	}
	for _, group := range s.c.opts.Groups {
		member := false
		for i, start := range starts {
			if i > 0 && sameDN(start, group) {
				member = true
			}
			if member {
				break
			}
			base, filter := group, memberFilter(start, p.Name)
			if s.c.opts.Kind == AD {
				base, filter = start, chainFilter(group)
			}
			found, err := s.search(base, ldap.ScopeBaseObject, 1, filter, []string{"1.1"})
			if err != nil {
				return nil, err
			}
			member = len(found) > 0
		}
		if member {
			in = append(in, group)
		}
	}
	return in, nil
}

// chainFilter is fulfilled by who is in a group or in a group of the group, however deep: LDAP_MATCHING_RULE_IN_CHAIN
// ([MS-ADTS] section 3.1.1.3.4.4.3).
func chainFilter(group string) string {
	return "(memberOf:1.2.840.113556.1.4.1941:=" + ldap.EscapeFilter(group) + ")"
}

// memberFilter is fulfilled by a group that has somebody as member: groupOfNames, groupOfUniqueNames (RFC 4519), posixGroup
// (RFC 2307).
func memberFilter(dn, name string) string {
	dn = ldap.EscapeFilter(dn)
	return "(|(member=" + dn + ")(uniqueMember=" + dn + ")(memberUid=" + ldap.EscapeFilter(name) + "))"
}

// primaryGroup is the DN of a person's primary group, which neither memberOf nor member tells: the SID of the person with
// primaryGroupID as its last part ([MS-ADTS] section 3.1.1.4.5.11). A SID is a base of its own (section 3.1.1.3.1.2.4).
func (s *session) primaryGroup(e *ldap.Entry) (string, error) {
	sid := e.GetEqualFoldRawAttributeValue("objectSid")
	rid, err := strconv.ParseUint(e.GetEqualFoldAttributeValue("primaryGroupID"), 10, 32)
	if err != nil || len(sid) < 12 || len(sid)%4 != 0 {
		return "", nil // it cannot be read: the group counts as one that they are not in
	}
	group := append(append([]byte(nil), sid[:len(sid)-4]...), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(group[len(group)-4:], uint32(rid))
	found, err := s.search("<SID="+hex.EncodeToString(group)+">", ldap.ScopeBaseObject, 1, "(objectClass=*)", []string{"1.1"})
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0].DN, nil
}

// search asks for at most limit entries, or one more. What is not there is no error, and a reference to another server is
// no entry: it is never followed.
func (s *session) search(base string, scope, limit int, filter string, attributes []string) ([]*ldap.Entry, error) {
	request := ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, limit, max(1, int(s.c.opts.Timeout.Seconds())), false, filter, attributes, nil)
	request.EnforceSizeLimit = true
	result, err := s.Search(request)
	switch {
	case err == nil, errors.Is(err, ldap.ErrSizeLimitExceeded), ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return result.Entries, nil
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject), ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidDNSyntax):
		return nil, nil
	case ldap.IsErrorWithCode(err, ldap.LDAPResultReferral):
		return nil, errReferred
	}
	return nil, failed("search", err)
}

// barred is why an entry's account is shut, as far as its attributes tell. That it is locked after wrong passwords for a
// while is not among them: who sits at work is not thrown out because a stranger guesses.
func barred(kind Kind, e *ldap.Entry, now time.Time) string {
	value := e.GetEqualFoldAttributeValue
	if kind == AD {
		const disabled = 2 // ADS_UF_ACCOUNTDISABLE, [MS-ADTS] section 2.2.16
		if flags, err := strconv.ParseInt(value("userAccountControl"), 10, 64); err == nil && flags&disabled != 0 {
			return "the account is disabled"
		}
		if at := fileTime(value("accountExpires")); !at.IsZero() && !now.Before(at) {
			return "the account has expired"
		}
		return ""
	}
	switch {
	case value("pwdAccountLockedTime") == "000001010000Z": // by an administrator, not by wrong passwords
		return "the account is locked for good"
	case strings.EqualFold(value("nsAccountLock"), "true"), strings.EqualFold(value("loginDisabled"), "true"):
		return "the account is disabled"
	}
	return ""
}

// fileTime reads hundreds of nanoseconds since 1601; 0 and the largest number are never: zero.
func fileTime(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n == 1<<63-1 {
		return time.Time{}
	}
	const epoch = 11644473600 // seconds from 1601 to 1970
	return time.Unix(n/1e7-epoch, n%1e7*100)
}

// escapeBytes is a value of a filter in which every byte is escaped (RFC 4515 section 3).
func escapeBytes(raw []byte) string {
	var b strings.Builder
	for _, c := range raw {
		fmt.Fprintf(&b, `\%02x`, c)
	}
	return b.String()
}

// sameDN compares as a directory does: without regard to case and to spaces around separators.
func sameDN(a, b string) bool {
	x, errX := ldap.ParseDN(a)
	y, errY := ldap.ParseDN(b)
	return errX == nil && errY == nil && x.EqualFold(y)
}
