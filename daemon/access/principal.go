package access

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"pinward/store"
)

// Kind says what sort of caller a Principal is.
type Kind string

// The kinds of callers.
const (
	KindClient Kind = "client" // an API client, by key or mutual TLS
	KindUser   Kind = "user"   // a person with an account
	KindSocket Kind = "socket" // whoever may open the control socket, before a login
)

// Role is what a person or client may do.
type Role string

// The roles. A client has them as its scopes.
const (
	Nurse    Role = "nurse"    // verifications and notices at a desk
	Portal   Role = "portal"   // verifications and notices for patients who are not present
	Engine   Role = "engine"   // notices, contacts and consent from a feed
	Operator Role = "operator" // modems, outbox, services, templates
	Auditor  Role = "auditor"  // reads the audit, and what it is about; changes nothing
	Admin    Role = "admin"    // users, clients, site, keys
	Witness  Role = "witness"  // another box that keeps the heads of the audit; sees no entry
)

// Roles lists the roles.
func Roles() []Role { return []Role{Nurse, Portal, Engine, Operator, Auditor, Admin, Witness} }

// Permission is one thing that a role allows.
type Permission string

// The permissions that doors ask for.
const (
	Verify        Permission = "verify"         // start, check, resend, cancel
	VerifyRead    Permission = "verify.read"    // look a verification up
	Notify        Permission = "notify"         // send and cancel notices
	NotifyRead    Permission = "notify.read"    // look notices and messages up
	ContactRead   Permission = "contact.read"   // subjects, numbers, appointments
	ContactWrite  Permission = "contact.write"  // numbers and subjects
	ConsentWrite  Permission = "consent.write"  // record a choice
	WorkItems     Permission = "work"           // settle what the daemon leaves to people
	Operate       Permission = "operate"        // modems, outbox, templates, services
	StatusRead    Permission = "status.read"    // health and figures
	AuditRead     Permission = "audit.read"     // search and export
	AuditHead     Permission = "audit.head"     // the signed heads and that they are one history
	AccountsWrite Permission = "accounts.write" // users, clients, roles
	SiteWrite     Permission = "site.write"     // site, mode, keys
)

// grants is the whole policy of roles.
var grants = map[Role][]Permission{
	Nurse:    {Verify, VerifyRead, Notify, NotifyRead, ContactRead, ContactWrite, ConsentWrite, WorkItems, StatusRead},
	Portal:   {Verify, VerifyRead, Notify, NotifyRead, ConsentWrite},
	Engine:   {Notify, NotifyRead, Verify, VerifyRead, ContactRead, ContactWrite, ConsentWrite},
	Operator: {Operate, StatusRead, NotifyRead, VerifyRead, WorkItems},
	Auditor:  {AuditRead, AuditHead, StatusRead, NotifyRead, VerifyRead, ContactRead},
	Admin:    {AccountsWrite, SiteWrite, Operate, StatusRead},
	Witness:  {AuditHead},
}

// Principal is a caller whom a door has recognised.
type Principal struct {
	Actor store.Actor // for store.Update; OnBehalfOf is the door's to fill in
	Kind  Kind
	Name  string // of the client or user, for pages; no patient's
	Roles []Role
	Mode  string // contact.Mode as text: how far this caller's requests go
	Staff bool   // authenticated staff: the reserve of each budget and the front of the lane
}

// Can reports whether one of the roles grants p.
func (p Principal) Can(need Permission) bool {
	for _, r := range p.Roles {
		if slices.Contains(grants[r], need) {
			return true
		}
	}
	return false
}

// Has reports whether the caller has a role.
func (p Principal) Has(r Role) bool { return slices.Contains(p.Roles, r) }

type contextKey struct{}

// NewContext returns a context that carries the caller.
func NewContext(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// FromContext returns the caller; ok is false in a request that nobody
// authenticated.
func FromContext(ctx context.Context) (p Principal, ok bool) {
	p, ok = ctx.Value(contextKey{}).(Principal)
	return p, ok
}

// staffRoles are those whose bearers stand in front of the patient or answer
// for the box.
func staffRoles(roles []Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return r == Nurse || r == Operator || r == Admin })
}

// What is wrong with an account, for who makes one.
var (
	errRoles    = fmt.Errorf("%w: it needs at least one of the roles %s", ErrInvalid, joinRoles(slices.Sorted(maps.Keys(grants))))
	errName     = fmt.Errorf("%w: its name has 1 to 64 bytes, and no space at its ends", ErrInvalid)
	errUserName = fmt.Errorf("%w: its name has 1 to 64 bytes, without spaces and ~", ErrInvalid)
)

func validRoles(roles []Role) bool {
	for _, r := range roles {
		if _, ok := grants[r]; !ok {
			return false
		}
	}
	return len(roles) > 0
}
