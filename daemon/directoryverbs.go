package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/directory"
	"pinward/daemon/health"
	"pinward/daemon/limit"
	"pinward/store"
)

// directoryRoutes are the admin's verbs for the directory.
func (b *box) directoryRoutes() []admin.Route {
	return []admin.Route{{Pattern: "POST /directory/test", May: access.AccountsWrite, Do: b.testDirectory}}
}

// directoryTest is what the directory says of a name, for `pinward directory test`.
type directoryTest struct {
	Name string `json:"name"`
	// Local says that the name is a local account's: the directory is never asked for it at a login.
	Local    bool   `json:"local"`
	Found    bool   `json:"found"`
	Why      string `json:"why,omitempty"` // nobody was found
	DN       string `json:"dn,omitempty"`
	FullName string `json:"full_name,omitempty"`
	Barred   string `json:"barred,omitempty"` // why the directory lets them in no more
	// Groups are those of [directory.roles] that they are in, and Roles what these give.
	Groups []string      `json:"groups"`
	Roles  []access.Role `json:"roles"`
	// Password is right, or says why not; "" if none was given.
	Password string `json:"password,omitempty"`
}

// testDirectory tells what role somebody would get and why, without a login. A password that comes along is tried, and counted
// as one at the login page.
func (b *box) testDirectory(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	var req struct {
		Name     string  `json:"name"`
		Password *string `json:"password"`
	}
	if err := ask(r, &req); err != nil {
		return nil, err
	}
	d := b.directory.Load()
	if d == nil {
		return nil, fmt.Errorf("%w: there is no [directory] in pinward.toml", admin.ErrState)
	}
	out := directoryTest{Name: req.Name, Groups: []string{}, Roles: []access.Role{}}
	p, err := d.client.Find(r.Context(), req.Name)
	switch {
	case err == nil:
		out.Found, out.DN, out.FullName, out.Barred = true, p.DN, p.FullName, p.Barred
		out.Groups = append(out.Groups, p.Groups...)
		out.Roles = append(out.Roles, d.rules.Roles(p.Groups)...)
	case errors.Is(err, directory.ErrNoPerson), errors.Is(err, directory.ErrUnusable):
		out.Why = err.Error()
	default:
		return nil, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	var attempt access.Attempt
	err = s.Update(r.Context(), by, func(tx *store.Tx) (err error) {
		u, err := access.FindUser(tx, req.Name)
		if out.Local = err == nil && !u.OfDirectory(); out.Local || req.Password == nil {
			return access.RecordTest(tx, personOf(p), "looked up")
		}
		if attempt, err = access.BeginLogin(tx, &d.access, req.Name, "control socket"); err != nil {
			return err
		}
		return access.RecordTest(tx, personOf(p), "with a password")
	})
	if e, ok := errors.AsType[*limit.Exceeded](err); ok {
		return nil, fmt.Errorf("%w: as many passwords as the directory may be shown of this name were tried: again in %s", admin.ErrState, e.RetryAfter.Round(time.Second))
	}
	if err != nil || out.Local || req.Password == nil {
		return out, err
	}
	proof, err := attempt.Prove(r.Context(), b.passwords, *req.Password)
	if err != nil {
		return nil, err
	}
	err = s.Update(r.Context(), by, func(tx *store.Tx) error {
		out.Password, err = access.EndTest(tx, attempt, proof)
		return err
	})
	return out, err
}

// examineDirectory looks at the directory for the doctor: reach, TLS, the account that looks people up, base, people, groups.
func (b *box) examineDirectory(ctx context.Context) []admin.Finding {
	d := b.directory.Load()
	if d == nil {
		return nil
	}
	return judgeDirectory(d.target, d.client.Examine(ctx))
}

func judgeDirectory(t DirectoryTarget, x directory.Examination) (list []admin.Finding) {
	add := func(name string, state health.State, what, next string) {
		list = append(list, admin.Finding{Area: "directory", Name: name, State: state, What: what, Next: next})
	}
	for _, s := range x.Servers {
		if s.Err != nil {
			add(s.Name, health.Warn, s.Err.Error(), nextForServer(s.Err))
		} else {
			add(s.Name, health.OK, fmt.Sprintf("answers over TLS in %s, and lets the account in that looks people up", s.Took.Round(time.Millisecond)), "")
		}
	}
	switch {
	case x.Err != nil:
		add("login", health.Fail, "only local accounts can log in: "+x.Err.Error(), nextForServer(x.Err))
		return list
	case !x.Base:
		add("base", health.Fail, "there is no "+t.Base+", or the account that looks people up may not see it", "look at base in [directory], then: systemctl reload pinward")
		return list
	case !x.Person:
		add("people", health.Fail, "nobody below base fulfils the filter and has a name and an id", "look at filter, name and id in [directory], and let "+t.User+" read them")
	default:
		add("people", health.OK, "people are found below base, with a name and an id", "")
	}
	for _, group := range x.Missing {
		add("group", health.Warn, "there is no "+group+", or it may not be seen: it gives nobody a role", "look at [directory.roles], then: pinward directory test NAME")
	}
	return list
}

// nextForServer is what to do about a server that could not be asked.
func nextForServer(err error) string {
	if errors.Is(err, directory.ErrRefused) {
		return "put the right password into the credential, then: systemctl restart pinward; it is not tried again by itself for half an hour, so that the account is not locked"
	}
	return "look at the line of the relay for it; at tls, ca and start_tls in [directory]; and whether the server speaks TLS"
}
