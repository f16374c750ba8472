package directory

import (
	"context"
	"errors"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Examination is what a look at a directory found, for `pinward doctor`.
type Examination struct {
	Servers []Examined // each that is configured
	// Err is why no question could be asked; then the rest is empty.
	Err error
	// Base says that the base exists, Person that somebody below it fulfils the filter and has a name and an id.
	Base, Person bool
	// Missing are the groups that do not exist, or cannot be seen.
	Missing []string
}

// Examined is one server: whether TLS and the login of the account that looks people up work.
type Examined struct {
	Name string
	Took time.Duration
	Err  error
}

// Examine looks at each server and at what the configuration names. Its questions wait in the same line as everybody's, and
// it asks nobody while the account that looks people up was just refused.
func (c *Client) Examine(ctx context.Context) (x Examination) {
	if x.Err = c.held(); x.Err != nil {
		return x
	}
	for _, srv := range c.opts.Servers {
		began := time.Now()
		err := c.only(srv).Probe(ctx)
		x.Servers = append(x.Servers, Examined{Name: srv.Name, Err: err, Took: time.Since(began)})
		if errors.Is(err, ErrRefused) {
			c.trouble(err)
			x.Err = err
			return x
		}
	}
	x.Err = c.exchange(ctx, func(s *session) error {
		o := c.opts
		found, err := s.search(o.Base, ldap.ScopeBaseObject, 1, "(objectClass=*)", []string{"1.1"})
		if x.Base = len(found) > 0; err != nil || !x.Base {
			return err
		}
		found, err = s.search(o.Base, ldap.ScopeWholeSubtree, 1, "(&"+o.Filter+"("+o.Name+"=*))", []string{o.Name, o.ID})
		if err != nil {
			return err
		}
		x.Person = len(found) > 0 && found[0].GetEqualFoldAttributeValue(o.Name) != "" && len(found[0].GetEqualFoldRawAttributeValue(o.ID)) > 0
		for _, group := range o.Groups {
			found, err := s.search(group, ldap.ScopeBaseObject, 1, "(objectClass=*)", []string{"1.1"})
			if err != nil {
				return err
			}
			if len(found) == 0 {
				x.Missing = append(x.Missing, group)
			}
		}
		return nil
	})
	return x
}

// only is a client for one of the servers, in the same line as c.
func (c *Client) only(srv Server) *Client {
	o := c.opts
	o.Servers = []Server{srv}
	return &Client{opts: o, slots: c.slots, line: c.line}
}
