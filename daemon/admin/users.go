package admin

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"pinward/daemon/access"
	"pinward/store"
)

// User is an account as an admin sees it: nothing of the password.
type User struct {
	Name     string        `json:"name"`
	FullName string        `json:"full_name,omitempty"`
	Roles    []access.Role `json:"roles"`
	Disabled bool          `json:"disabled"`
	Created  time.Time     `json:"created"`
	Changed  time.Time     `json:"changed"` // when the password was set
	// Directory says that the person is of the hospital's directory, and was here; Gone, why it lets them in no more.
	Directory bool   `json:"directory,omitempty"`
	Gone      string `json:"gone,omitempty"`
}

// UserChange is what changes of an account; what is nil stays.
type UserChange struct {
	Roles    []access.Role `json:"roles,omitempty"`
	Disabled *bool         `json:"disabled,omitempty"`
}

func shown(list []access.User) []User {
	out := make([]User, 0, len(list))
	for _, u := range list {
		out = append(out, User{u.Name, u.FullName, u.Roles, u.Disabled, u.Created, u.Changed, u.OfDirectory(), u.Gone})
	}
	slices.SortFunc(out, func(a, b User) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (d *door) users(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var list []access.User
	err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		list, err = access.Users(tx)
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, shown(list))
	}
	return err
}

// changeUser takes a person's roles or lets nobody in by the account any more: open sessions end at once.
func (d *door) changeUser(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var req UserChange
	if err := decode(w, r, &req); err != nil {
		return err
	}
	var now access.User
	err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error {
		u, err := access.FindUser(tx, r.PathValue("name"))
		if err != nil {
			return err
		}
		if req.Roles != nil {
			u.Roles = req.Roles
		}
		if req.Disabled != nil {
			u.Disabled = *req.Disabled
		}
		now = u
		return access.SetUser(tx, u)
	})
	if err != nil {
		return account(err)
	}
	answer(w, http.StatusOK, shown([]access.User{now})[0])
	return nil
}

func (d *door) setPassword(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var req struct {
		Password string `json:"password"`
	}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	hash, err := d.Passwords.Hash(r.Context(), req.Password)
	if err != nil {
		return account(err)
	}
	err = s.Update(r.Context(), actor(r), func(tx *store.Tx) error { return access.SetPassword(tx, r.PathValue("name"), hash) })
	if err != nil {
		return account(err)
	}
	answer(w, http.StatusOK, map[string]string{"name": r.PathValue("name")})
	return nil
}

// reviewUsers records that the actor looked through the accounts. The request says what was looked at: what somebody changed
// meanwhile was reviewed by nobody.
func (d *door) reviewUsers(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var seen []User
	if err := decode(w, r, &seen); err != nil {
		return err
	}
	err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error {
		list, err := access.Review(tx)
		if err != nil {
			return err
		}
		if !slices.EqualFunc(shown(list), seen, func(a, b User) bool {
			return a.Name == b.Name && a.Disabled == b.Disabled && a.Gone == b.Gone && slices.Equal(a.Roles, b.Roles)
		}) {
			return refuse(http.StatusConflict, "the accounts have changed since they were shown: look again")
		}
		return nil
	})
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, seen)
	return nil
}
