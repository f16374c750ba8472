package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Kind is what sort of directory it is: which attributes hold what, and how groups are asked.
type Kind string

// The kinds of directories.
const (
	AD   Kind = "ad"   // Microsoft Active Directory
	LDAP Kind = "ldap" // OpenLDAP, 389 Directory Server and others with groupOfNames or posixGroup
)

// Server is one server of the directory; all of them hold the same people.
type Server struct {
	// Name is what the server is called in errors.
	Name string
	// Dial opens a plain TCP connection.
	Dial func(context.Context) (net.Conn, error)
	// TLS is read at each connection. It names the server and who signed its certificate.
	TLS func() (*tls.Config, error)
}

// Options is how a directory is reached and read. What has no default must be set.
type Options struct {
	Servers  []Server // asked in this order, beginning with the one that answered last
	StartTLS bool     // by RFC 4511 section 4.14 on the plain port, instead of TLS from the first byte
	Kind     Kind
	Base     string                 // DN below which people are
	User     string                 // who looks people up: a DN, or a userPrincipalName
	Password func() (string, error) // of User; read at each connection
	Name     string                 // attribute with the name that people type; "" is sAMAccountName or uid
	ID       string                 // attribute that never changes; "" is objectGUID or entryUUID
	Filter   string                 // what an entry has to fulfil to be a person; "" is one for the kind
	Groups   []string               // DNs of the groups that matter
	Timeout  time.Duration          // of one exchange with one server, from dialling to its last word
}

// Check tells what is well formed and still cannot work.
func (o Options) Check() error {
	if o.Kind != AD && o.Kind != LDAP {
		return fmt.Errorf("kind: %q is none of ad, ldap", o.Kind)
	}
	for _, dn := range append([]string{o.Base}, o.Groups...) {
		if parsed, err := ldap.ParseDN(dn); err != nil || len(parsed.RDNs) == 0 {
			return fmt.Errorf("%q is no DN", dn)
		}
	}
	if o.Filter != "" {
		if _, err := ldap.CompileFilter(o.Filter); err != nil || o.Filter[0] != '(' {
			return fmt.Errorf("filter: %q is none: it looks like (objectClass=person)", o.Filter)
		}
	}
	// What stands in a filter as the name of an attribute (RFC 4512 section 1.4).
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
	for _, a := range []string{o.Name, o.ID} {
		if strings.Trim(a, letters) != "" {
			return fmt.Errorf("name, id: %q is no name of an attribute", a)
		}
	}
	return nil
}

const (
	// atOnce is how many exchanges run at the same time, and waiting how many wait for one of them to end.
	atOnce  = 4
	waiting = 16
	// maxBytes is what a server may send in one exchange. What we ask for is a few KB; decoded, a byte of a hostile
	// answer can take a hundred times its room.
	maxBytes = 256 << 10
	// After no server could be reached, nobody waits for one during downFor. After the account that looks people up was
	// refused, it is not tried again during refusedFor: each wrong password counts towards locking that account.
	downFor    = 10 * time.Second
	refusedFor = 30 * time.Minute
)

var (
	// ErrUnavailable: no server gave an answer. Nothing is known about the person, and their password was shown to nobody.
	ErrUnavailable = errors.New("the directory does not answer")
	// ErrUndecided is ErrUnavailable after the password had left: the directory may have counted it as a wrong one.
	ErrUndecided = fmt.Errorf("%w about the password", ErrUnavailable)
	// ErrBusy: too many people wait for the directory; try again in a moment.
	ErrBusy = errors.New("too many wait for the directory")
	// ErrNoPerson: nobody has this name, or this id.
	ErrNoPerson = errors.New("nobody of this name in the directory")
	// ErrUnusable: there is an entry of this name or id, and it is not enough to go by. Some setting is wrong.
	ErrUnusable = errors.New("an entry that cannot be used")
	// ErrPassword: the password is another one.
	ErrPassword = errors.New("wrong password")
)

// Client asks one directory. It is safe for several goroutines.
type Client struct {
	opts  Options
	slots chan struct{} // one for each exchange under way
	line  chan struct{} // one for each exchange under way or waiting

	mu     sync.Mutex
	first  int       // the server that is asked first
	until  time.Time // nobody is asked before
	why    error     // what went wrong last; nil while all is well
	since  time.Time // when that began
	probed time.Time // as Probed tells
}

// New makes a client; nothing is dialled before it is asked.
func New(o Options) *Client {
	defaults := map[Kind][3]string{
		AD: {"sAMAccountName", "objectGUID", "(&(objectCategory=person)(objectClass=user))"},
		// A contact or a group can have a uid as well; a person has a password of their own.
		LDAP: {"uid", "entryUUID", "(|(objectClass=person)(objectClass=account)(objectClass=posixAccount))"},
	}[o.Kind]
	for i, field := range []*string{&o.Name, &o.ID, &o.Filter} {
		if *field == "" {
			*field = defaults[i]
		}
	}
	return &Client{opts: o, slots: make(chan struct{}, atOnce), line: make(chan struct{}, atOnce+waiting)}
}

// Status is why the directory cannot be asked and since when; nil while it can, or while nobody has asked.
func (c *Client) Status() (since time.Time, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since, c.why
}

// Probe logs the account that looks people up in, so that a directory that is gone is noticed before somebody needs it.
func (c *Client) Probe(ctx context.Context) error {
	return c.exchange(ctx, func(*session) error { return nil })
}

// exchange runs one conversation on a connection of its own, on which User is logged in.
func (c *Client) exchange(ctx context.Context, talk func(*session) error) error {
	select {
	case c.line <- struct{}{}:
		defer func() { <-c.line }()
	default:
		return ErrBusy
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := c.held(); err != nil {
		return err
	}
	first := c.start()
	var lost []error
	for i := range c.opts.Servers {
		at := (first + i) % len(c.opts.Servers)
		err := c.ask(ctx, c.opts.Servers[at], talk)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx) // who asked is gone: that says nothing about the server
		case errors.Is(err, ErrRefused), errors.Is(err, ErrUndecided):
			c.trouble(err)
			return err
		case errors.Is(err, ErrUnavailable):
			lost = append(lost, err)
			continue
		}
		c.well(at)
		return err
	}
	err := errors.Join(lost...)
	c.trouble(err)
	return err
}

func (c *Client) ask(ctx context.Context, srv Server, talk func(*session) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	s, err := c.connect(ctx, srv)
	if err == nil {
		defer s.close()
		err = talk(s)
	}
	switch {
	case errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrUndecided) && ctx.Err() != nil:
		return fmt.Errorf("%s: %w: nothing whole within %s", srv.Name, ErrUnavailable, c.opts.Timeout)
	case errors.Is(err, ErrUnavailable):
		return fmt.Errorf("%s: %w", srv.Name, err)
	}
	return err
}

// held is why nobody is asked for now.
func (c *Client) held() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.until) {
		return c.why
	}
	return nil
}

func (c *Client) start() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first
}

func (c *Client) well(at int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first, c.until, c.why, c.probed = at, time.Time{}, nil, time.Now()
}

func (c *Client) trouble(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.why == nil {
		c.since = now
	}
	hold := downFor
	if errors.Is(err, ErrRefused) {
		hold = refusedFor
	}
	c.why, c.until, c.probed = err, now.Add(hold), now
}

// Probed is when a server last answered, or should have.
func (c *Client) Probed() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.probed
}
