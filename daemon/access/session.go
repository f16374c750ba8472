package access

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"pinward/store"
)

const (
	// SessionIdle ends a session that nobody used (45 CFR 164.312(a)(2)(iii)).
	SessionIdle = 15 * time.Minute
	// SessionMax ends every session.
	SessionMax = 12 * time.Hour
	// touchEvery is how often the use of a session is written down.
	touchEvery = time.Minute
)

// Session is a person's stay after a login.
type Session struct {
	User    string    `json:"user"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"` // to about touchEvery
	CSRF    string    `json:"csrf"` // what the session's forms must carry
}

// String tells the session without its CSRF secret.
func (s Session) String() string { return "session of " + s.User }

// GoString is String.
func (s Session) GoString() string { return s.String() }

// LogValue is String.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// sessions are keyed by the MAC of their token. Their begin and end are
// entries; only that they are in use is not.
var sessions = store.NewTable[Session]("access.sessions", store.Blinded(0),
	store.Bookkeeping("session touches; login and logout are entries"))

func sessionKey(tx *store.Tx, token string) []byte { return tx.Blind("access.session", token) }

func newSession(tx *store.Tx, u User) (Session, string, error) {
	token := newSecret()
	s := Session{User: u.Name, Created: tx.Now(), Seen: tx.Now(), CSRF: newSecret()}
	if err := sessions.Put(tx, sessionKey(tx, token), s); err != nil {
		return Session{}, "", fmt.Errorf("begin session: %w", err)
	}
	return s, token, tx.Record(store.Entry{Action: ActionLogin, Outcome: store.OK, Object: u.ActorID(), Attrs: how(u)})
}

// how tells by whom somebody was let in, where that was not this box.
func how(u User) []store.Attr {
	if u.OfDirectory() {
		return []store.Attr{byDirectory}
	}
	return nil
}

// FindSession returns the session of a token and its user as a Principal, or
// ErrDenied when it is over. It reads only; a door that got stale = true calls
// Touch in an Update.
func FindSession(tx *store.Tx, token string) (s Session, p Principal, stale bool, err error) {
	s, ok, err := sessions.Get(tx, sessionKey(tx, token))
	if err != nil {
		return Session{}, Principal{}, false, fmt.Errorf("find session: %w", err)
	}
	now := tx.Now()
	if !ok || now.Sub(s.Seen) >= SessionIdle || now.Sub(s.Created) >= SessionMax {
		return Session{}, Principal{}, false, ErrDenied
	}
	u, err := FindUser(tx, s.User)
	if errors.Is(err, ErrNoUser) || (err == nil && (u.Disabled || u.Gone != "" || s.Created.Before(u.Changed))) {
		return Session{}, Principal{}, false, ErrDenied
	}
	if err != nil {
		return Session{}, Principal{}, false, err
	}
	return s, PrincipalOfUser(u), now.Sub(s.Seen) >= touchEvery, nil
}

// PrincipalOfUser is the caller that a user is. People's requests go as far as
// the site does.
func PrincipalOfUser(u User) Principal {
	return Principal{
		Actor: store.Actor{Kind: "user", ID: u.ActorID()}, Kind: KindUser, Name: u.Name,
		Roles: u.Roles, Mode: "live", Staff: staffRoles(u.Roles),
	}
}

// Touch notes that a session is in use.
func Touch(tx *store.Tx, token string) error {
	key := sessionKey(tx, token)
	s, ok, err := sessions.Get(tx, key)
	if err != nil {
		return fmt.Errorf("touch session: %w", err)
	}
	if !ok {
		return ErrDenied
	}
	s.Seen = tx.Now()
	if err := sessions.Put(tx, key, s); err != nil {
		return fmt.Errorf("touch session: %w", err)
	}
	return nil
}

// EndSession is a logout; that of a session which is over already is no error.
func EndSession(tx *store.Tx, token string) error {
	key := sessionKey(tx, token)
	s, ok, err := sessions.Get(tx, key)
	if err != nil || !ok {
		return err
	}
	if err := sessions.Delete(tx, key); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	object := s.User
	if u, err := FindUser(tx, s.User); err == nil {
		object = u.ActorID()
	}
	return tx.Record(store.Entry{Action: ActionLogout, Outcome: store.OK, Object: object})
}

// Sweep deletes sessions that are over.
func Sweep(tx *store.Tx) error {
	now := tx.Now()
	err := sessions.Each(tx, store.Range{}, func(key []byte, s Session) error {
		if now.Sub(s.Seen) < SessionIdle && now.Sub(s.Created) < SessionMax {
			return nil
		}
		return sessions.Delete(tx, key)
	})
	if err != nil {
		return fmt.Errorf("sweep sessions: %w", err)
	}
	return nil
}
