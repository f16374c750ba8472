package api

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"pinward/daemon/access"
	"pinward/store"
)

var (
	errUnauthorized = errors.New("authentication required")
	errForbidden    = errors.New("not allowed for this caller")
)

// principal is who asks: the person whom the control socket has recognised, or the client whose key
// or token the request bears. A wrong key is an entry, a flood of wrong keys is a few.
func (a *api) principal(r *http.Request) (access.Principal, error) {
	if p, ok := access.FromContext(r.Context()); ok {
		return p, nil
	}
	var p access.Principal
	sid, secret, basic := r.BasicAuth()
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !basic && !bearer {
		return p, errUnauthorized
	}
	err := a.Store.View(r.Context(), func(tx *store.Tx) (err error) {
		if bearer {
			p, err = access.AuthenticateToken(tx, token)
		} else {
			p, err = access.AuthenticateClient(tx, sid, secret)
		}
		return err
	})
	if errors.Is(err, access.ErrDenied) {
		return p, a.denied(r, sid)
	}
	return p, err
}

// nobody is the actor of a request whose sender could not be recognised.
var nobody = store.Actor{Kind: "client", ID: "unknown"}

// denied records a wrong key, unless its address tries too often.
func (a *api) denied(r *http.Request, sid string) error {
	address := addressOf(r)
	if !a.refused.again(address) {
		return errUnauthorized
	}
	err := a.Store.Update(r.Context(), nobody, func(tx *store.Tx) error {
		if err := access.Refuse(tx, sid, address); !access.Refusal(err) {
			return err
		}
		return nil
	})
	if err != nil {
		a.Log.Error("record refused key", "error", err)
	}
	return errUnauthorized
}

func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	return host
}

// refusals keeps a flood of wrong keys off the disk before a transaction is opened: after a few in a
// minute from one address no more are written, the room counts the rest.
type refusals struct {
	mu    sync.Mutex
	since time.Time
	count map[string]int // guarded by mu; since since
}

const (
	refusalsKept  = 10
	refusalsFrom  = 1024 // addresses a minute; beyond them none is told from another
	refusalWindow = time.Minute
)

// again reports whether one more refusal of this address is to be written.
func (f *refusals) again(address string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); f.count == nil || now.Sub(f.since) > refusalWindow {
		f.since, f.count = now, map[string]int{}
	}
	if _, known := f.count[address]; !known && len(f.count) >= refusalsFrom {
		address = ""
	}
	f.count[address]++
	return f.count[address] <= refusalsKept
}
