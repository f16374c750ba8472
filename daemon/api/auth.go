package api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"pinward/daemon/access"
	"pinward/store"
)

var (
	errUnauthorized = errors.New("authentication required")
	errForbidden    = errors.New("not allowed for this caller")
)

// admit finds who asks and whether they may. What is refused is an entry, and a flood of it a few.
func (a *api) admit(r *http.Request, may access.Permission) (access.Principal, error) {
	p, err := a.principal(r)
	if err != nil || p.Can(may) {
		return p, err
	}
	if tries, write := a.refused.again(string(p.Actor.Kind) + ":" + p.Actor.ID); write {
		a.note(r, p.Actor, func(tx *store.Tx) error {
			if tries > refusalsKept {
				return tx.Record(manyRefused(access.ActionForbidden, "", tries))
			}
			return access.Forbid(tx, r.Pattern)
		})
	}
	return p, errForbidden
}

// principal is who asks: the person whom the control socket has recognised, or the client whose key
// or token the request bears.
func (a *api) principal(r *http.Request) (p access.Principal, err error) {
	if p, ok := access.FromContext(r.Context()); ok {
		return p, nil
	}
	sid, secret, basic := r.BasicAuth()
	token, bearer := bearerToken(r)
	if !basic && !bearer {
		return p, errUnauthorized
	}
	err = a.Store.View(r.Context(), func(tx *store.Tx) (err error) {
		if bearer {
			p, err = access.AuthenticateToken(tx, token)
		} else {
			p, err = access.AuthenticateClient(tx, sid, secret)
		}
		return err
	})
	if errors.Is(err, access.ErrDenied) {
		a.denied(r, sid)
		err = errUnauthorized
	}
	return p, err
}

// bearerToken reads "Authorization: Bearer TOKEN" (RFC 6750); the scheme is case-insensitive.
func bearerToken(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// nobody is the actor of a request whose sender could not be recognised.
var nobody = store.Actor{Kind: "client", ID: "unknown"}

// denied records a wrong key, unless its source tries too often.
func (a *api) denied(r *http.Request, sid string) {
	source := sourceOf(r)
	tries, write := a.refused.again(source)
	if !write {
		return
	}
	a.note(r, nobody, func(tx *store.Tx) error {
		if tries > refusalsKept {
			return tx.Record(manyRefused(access.ActionRefused, source, tries))
		}
		if err := access.Refuse(tx, sid, source); !access.Refusal(err) {
			return err
		}
		return nil
	})
}

// manyRefused sums a flood up: so many within a minute.
func manyRefused(action store.Action, source string, tries int) store.Entry {
	e := store.Entry{Action: action, Outcome: store.Refused, Attrs: []store.Attr{{Key: "tries", Value: strconv.Itoa(tries)}}}
	if source != "" {
		e.Attrs = append(e.Attrs, store.Attr{Key: "address", Value: source})
	}
	return e
}

// note writes an entry about a request that is refused whatever becomes of the entry.
func (a *api) note(r *http.Request, by store.Actor, fn func(*store.Tx) error) {
	if err := a.Store.Update(r.Context(), by, fn); err != nil && r.Context().Err() == nil {
		a.Log.Error("record refused request", "error", err)
	}
}
