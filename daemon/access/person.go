package access

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"pinward/store"
)

var byDirectory = store.Attr{Key: "by", Value: "directory"}

// actorOf is how entries name somebody of the directory: a name can be given to another person later, an id cannot.
func actorOf(name, id string) string {
	sum := sha256.Sum256([]byte(id))
	return name + "~" + hex.EncodeToString(sum[:8])
}

// persons finds the name under which somebody of the directory was here last, by id.
var persons = store.NewTable[string]("access.persons", store.Blinded(0))

func personKey(tx *store.Tx, id string) []byte { return tx.Blind("access.person", id) }

// admit makes or changes the account of somebody whose password was right. A person who was renamed in the directory keeps
// their account; one who got a name that was another's gets an account of their own, and the other's sessions are over. An
// account that was disabled here stays so under its new name, and for whoever has its old one.
func admit(tx *store.Tx, p Person, roles []Role) (User, error) {
	u := User{Name: p.Name, FullName: p.FullName, Roles: roles, Directory: p.ID, Created: tx.Now(), Changed: tx.Now()}
	renamed, replaced := "", ""
	was, known, err := persons.Get(tx, personKey(tx, p.ID))
	if err != nil {
		return u, fmt.Errorf("find person: %w", err)
	}
	holder, err := FindUser(tx, p.Name)
	if err != nil && !errors.Is(err, ErrNoUser) {
		return u, err
	}
	if err == nil && holder.Directory != p.ID {
		replaced, u.Disabled = holder.ActorID(), holder.Disabled
		if err := endSessions(tx, holder, "the name is another person's now"); err != nil {
			return u, err
		}
		if err := persons.Delete(tx, personKey(tx, holder.Directory)); err != nil {
			return u, fmt.Errorf("replace person: %w", err)
		}
	}
	old := holder
	if known && was != p.Name {
		if old, err = FindUser(tx, was); err != nil {
			return u, err
		}
		renamed = old.ActorID()
		if err := endSessions(tx, old, "the person has another name now"); err != nil {
			return u, err
		}
		if err := users.Delete(tx, userKey(tx, was)); err != nil {
			return u, fmt.Errorf("rename person: %w", err)
		}
	}
	action := ActionUserCreate
	if known {
		action = ActionUserChange
		u.Created, u.Changed, u.Disabled = old.Created, old.Changed, u.Disabled || old.Disabled
		if renamed == "" && slices.Equal(old.Roles, u.Roles) && old.FullName == u.FullName && old.Gone == "" {
			return old, nil
		}
	}
	if err := users.Put(tx, userKey(tx, p.Name), u); err != nil {
		return u, fmt.Errorf("keep person: %w", err)
	}
	if err := persons.Put(tx, personKey(tx, p.ID), p.Name); err != nil {
		return u, fmt.Errorf("keep person: %w", err)
	}
	attrs := []store.Attr{{Key: "roles", Value: joinRoles(roles)}, byDirectory}
	for _, more := range []store.Attr{{Key: "renamed", Value: renamed}, {Key: "instead_of", Value: replaced}} {
		if more.Value != "" {
			attrs = append(attrs, more)
		}
	}
	return u, tx.Record(store.Entry{Action: action, Outcome: store.OK, Object: u.ActorID(), Attrs: attrs})
}

// SessionsOfDirectory lists who of the directory is logged in, each once.
func SessionsOfDirectory(tx *store.Tx) (out []User, err error) {
	seen := map[string]bool{}
	now := tx.Now()
	err = sessions.Each(tx, store.Range{}, func(_ []byte, s Session) error {
		if seen[s.User] || now.Sub(s.Seen) >= SessionIdle || now.Sub(s.Created) >= SessionMax {
			return nil
		}
		seen[s.User] = true
		u, err := FindUser(tx, s.User)
		if errors.Is(err, ErrNoUser) {
			return nil
		}
		if err == nil && u.OfDirectory() && u.Gone == "" {
			out = append(out, u)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return out, nil
}

// Recheck applies what the directory says now of somebody who is logged in: other roles hold at once, and who is barred
// there, or in no group with a role any more, is logged out. found is false for who is not in it any more.
func Recheck(tx *store.Tx, rules GroupRules, id string, p Person, found bool) error {
	name, known, err := persons.Get(tx, personKey(tx, id))
	if err != nil {
		return fmt.Errorf("find person: %w", err)
	}
	if !known {
		return nil
	}
	u, err := FindUser(tx, name)
	if err != nil {
		return err
	}
	if u.Gone != "" {
		return nil // by a round before this one
	}
	roles := rules.Roles(p.Groups)
	gone := p.Barred
	switch {
	case !found:
		gone = "no longer in the directory"
	case gone == "" && len(roles) == 0:
		gone = "in no group with a role"
	}
	if gone == "" {
		if slices.Equal(roles, u.Roles) {
			return nil
		}
		u.Roles = roles
	}
	u.Gone = gone
	if err := users.Put(tx, userKey(tx, name), u); err != nil {
		return fmt.Errorf("change person: %w", err)
	}
	attrs := []store.Attr{{Key: "roles", Value: joinRoles(u.Roles)}, byDirectory}
	if gone != "" {
		attrs = append(attrs, store.Attr{Key: "gone", Value: gone})
		if err := endSessions(tx, u, gone); err != nil {
			return err
		}
	}
	return tx.Record(store.Entry{Action: ActionUserChange, Outcome: store.OK, Object: u.ActorID(), Attrs: attrs})
}

// endSessions logs a person out everywhere.
func endSessions(tx *store.Tx, u User, cause string) error {
	var keys [][]byte
	err := sessions.Each(tx, store.Range{}, func(key []byte, s Session) error {
		if s.User == u.Name {
			keys = append(keys, slices.Clone(key))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("find sessions: %w", err)
	}
	for _, key := range keys {
		if err := sessions.Delete(tx, key); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
		if err := tx.Record(store.Entry{Action: ActionLogout, Outcome: store.OK, Object: u.ActorID(), Attrs: []store.Attr{
			{Key: "cause", Value: cause}, byDirectory,
		}}); err != nil {
			return err
		}
	}
	return nil
}
