package access

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"pinward/store"
)

// Client is a machine that calls the API: a portal, a nurses' station, an
// interface engine.
type Client struct {
	SID      string    `json:"sid"` // "AC" and 32 hex digits; the account of the Verify shape
	Name     string    `json:"name"`
	Scopes   []Role    `json:"scopes"`
	Mode     string    `json:"mode"`  // contact.Mode as text; "" = shadow, as new ones are
	Staff    bool      `json:"staff"` // it stands on a ward, and its users are staff
	Disabled bool      `json:"disabled,omitempty"`
	Created  time.Time `json:"created"`
}

// Key is one way for a client to prove who it is.
type Key struct {
	SID     string    `json:"sid"`    // "SK" and 32 hex digits
	Client  string    `json:"client"` // SID of the account
	Name    string    `json:"name,omitempty"`
	MAC     []byte    `json:"mac"` // of the secret
	Token   bool      `json:"token,omitempty"`
	Revoked bool      `json:"revoked,omitempty"`
	Created time.Time `json:"created"`
}

// String tells the key without its MAC.
func (k Key) String() string { return "key " + k.SID }

// GoString is String.
func (k Key) GoString() string { return k.String() }

// LogValue is String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Errors a door branches on.
var (
	// ErrDenied: whoever it is, the proof is wrong. It never says which half.
	ErrDenied = errors.New("access denied")
	// ErrNoClient: no client has this SID.
	ErrNoClient = errors.New("no such client")
	// ErrNoKey: no key of this client has this SID.
	ErrNoKey = errors.New("no such key")
	// ErrInvalid: a name, role or mode that cannot be.
	ErrInvalid = errors.New("invalid account")
)

// Actions of the entries about clients.
const (
	ActionClientCreate store.Action = "client.create"
	ActionClientChange store.Action = "client.change"
	ActionKeyCreate    store.Action = "client.key.create"
	ActionKeyRevoke    store.Action = "client.key.revoke"
)

var (
	clients = store.NewTable[Client]("access.clients") // key: SID
	keys    = store.NewTable[Key]("access.keys")       // key: SID; an account's own secret under "AC..." too
	// tokens finds a bearer token's key by the token's MAC.
	tokens = store.NewTable[string]("access.tokens", store.Blinded(0))
)

// secretMAC is what is kept of a secret.
func secretMAC(tx *store.Tx, secret string) []byte { return tx.Blind("access.secret", secret) }

// CreateClient makes a client and its secret, which is shown this once. New
// clients are in shadow until SetClient says otherwise.
func CreateClient(tx *store.Tx, name string, scopes []Role) (Client, string, error) {
	if !validName(name) {
		return Client{}, "", errName
	}
	if !validRoles(scopes) {
		return Client{}, "", errRoles
	}
	c := Client{SID: newID("AC"), Name: name, Scopes: scopes, Created: tx.Now()}
	if err := clients.Put(tx, []byte(c.SID), c); err != nil {
		return Client{}, "", fmt.Errorf("create client: %w", err)
	}
	secret := newSecret()
	if err := keys.Put(tx, []byte(c.SID), Key{SID: c.SID, Client: c.SID, MAC: secretMAC(tx, secret), Created: tx.Now()}); err != nil {
		return Client{}, "", fmt.Errorf("create client: %w", err)
	}
	return c, secret, tx.Record(store.Entry{Action: ActionClientCreate, Outcome: store.OK, Object: c.SID, Attrs: []store.Attr{
		{Key: "name", Value: name}, {Key: "scopes", Value: joinRoles(scopes)},
	}})
}

// SetClient changes name, scopes, mode, staff and disabled of a client.
func SetClient(tx *store.Tx, c Client) error {
	old, err := FindClient(tx, c.SID)
	if err != nil {
		return err
	}
	if !validName(c.Name) || !validRoles(c.Scopes) || !validMode(c.Mode) {
		return ErrInvalid
	}
	c.Created = old.Created
	if err := clients.Put(tx, []byte(c.SID), c); err != nil {
		return fmt.Errorf("change client: %w", err)
	}
	return tx.Record(store.Entry{Action: ActionClientChange, Outcome: store.OK, Object: c.SID, Attrs: []store.Attr{
		{Key: "name", Value: c.Name}, {Key: "scopes", Value: joinRoles(c.Scopes)}, {Key: "mode", Value: c.Mode},
		{Key: "staff", Value: fmt.Sprint(c.Staff)}, {Key: "disabled", Value: fmt.Sprint(c.Disabled)},
	}})
}

// FindClient returns a client by its SID.
func FindClient(tx *store.Tx, sid string) (Client, error) {
	if sid == "" {
		return Client{}, ErrNoClient
	}
	c, ok, err := clients.Get(tx, []byte(sid))
	if err != nil {
		return Client{}, fmt.Errorf("find client: %w", err)
	}
	if !ok {
		return Client{}, ErrNoClient
	}
	return c, nil
}

// Clients lists the clients by SID.
func Clients(tx *store.Tx) ([]Client, error) {
	var out []Client
	err := clients.Each(tx, store.Range{}, func(_ []byte, c Client) error {
		out = append(out, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}
	return out, nil
}

// CreateKey makes a further key of a client: a pair of SK and secret, or, with
// token, a bearer token that stands alone. The secret is shown this once.
func CreateKey(tx *store.Tx, client, name string, token bool) (Key, string, error) {
	c, err := FindClient(tx, client)
	if err != nil {
		return Key{}, "", err
	}
	secret := newSecret()
	k := Key{SID: newID("SK"), Client: c.SID, Name: name, MAC: secretMAC(tx, secret), Token: token, Created: tx.Now()}
	if err := keys.Put(tx, []byte(k.SID), k); err != nil {
		return Key{}, "", fmt.Errorf("create key: %w", err)
	}
	if token {
		if err := tokens.Put(tx, k.MAC, k.SID); err != nil {
			return Key{}, "", fmt.Errorf("create key: %w", err)
		}
	}
	return k, secret, tx.Record(store.Entry{Action: ActionKeyCreate, Outcome: store.OK, Object: k.SID, Attrs: []store.Attr{
		{Key: "client", Value: c.SID}, {Key: "name", Value: name}, {Key: "token", Value: fmt.Sprint(token)},
	}})
}

// RevokeKey ends a key for good. With the account's own SID it ends the
// account's first secret, not the account.
func RevokeKey(tx *store.Tx, sid string) error {
	if sid == "" {
		return ErrNoKey
	}
	k, ok, err := keys.Get(tx, []byte(sid))
	if err != nil {
		return fmt.Errorf("revoke key: %w", err)
	}
	if !ok {
		return ErrNoKey
	}
	k.Revoked = true
	if err := keys.Put(tx, []byte(sid), k); err != nil {
		return fmt.Errorf("revoke key: %w", err)
	}
	if k.Token {
		if err := tokens.Delete(tx, k.MAC); err != nil {
			return fmt.Errorf("revoke key: %w", err)
		}
	}
	return tx.Record(store.Entry{Action: ActionKeyRevoke, Outcome: store.OK, Object: sid,
		Attrs: []store.Attr{{Key: "client", Value: k.Client}}})
}

// AuthenticateClient takes the pair of HTTP Basic: an account's SID or a key's
// SID, and its secret. It reads only, so a View will do; who counts failures,
// calls Refuse.
func AuthenticateClient(tx *store.Tx, sid, secret string) (Principal, error) {
	var k Key
	if sid != "" && len(sid) <= 64 {
		var err error
		if k, _, err = keys.Get(tx, []byte(sid)); err != nil {
			return Principal{}, fmt.Errorf("authenticate client: %w", err)
		}
	}
	// An unknown SID costs the same comparison as a wrong secret.
	if !hmac.Equal(k.MAC, secretMAC(tx, secret)) || k.Revoked || k.Token {
		return Principal{}, ErrDenied
	}
	return principalOf(tx, k)
}

// AuthenticateToken takes a bearer token. It reads only.
func AuthenticateToken(tx *store.Tx, bearer string) (Principal, error) {
	// Found by its MAC: whoever could find a token that way by trying knows the
	// index key.
	sid, ok, err := tokens.Get(tx, secretMAC(tx, bearer))
	if err != nil {
		return Principal{}, fmt.Errorf("authenticate token: %w", err)
	}
	if !ok {
		return Principal{}, ErrDenied
	}
	k, ok, err := keys.Get(tx, []byte(sid))
	if err != nil {
		return Principal{}, fmt.Errorf("authenticate token: %w", err)
	}
	if !ok || k.Revoked || !hmac.Equal(k.MAC, secretMAC(tx, bearer)) {
		return Principal{}, ErrDenied
	}
	return principalOf(tx, k)
}

func principalOf(tx *store.Tx, k Key) (Principal, error) {
	c, err := FindClient(tx, k.Client)
	if errors.Is(err, ErrNoClient) || (err == nil && c.Disabled) {
		return Principal{}, ErrDenied
	}
	if err != nil {
		return Principal{}, err
	}
	return Principal{
		Actor: store.Actor{Kind: "client", ID: c.SID}, Kind: KindClient, Name: c.Name,
		Roles: c.Scopes, Mode: c.Mode, Staff: c.Staff,
	}, nil
}

func joinRoles(roles []Role) string {
	parts := make([]string, len(roles))
	for i, r := range roles {
		parts[i] = string(r)
	}
	return strings.Join(parts, " ")
}

func validMode(m string) bool { return m == "" || m == "shadow" || m == "pilot" || m == "live" }

// validName holds names to what a page and an entry can carry.
func validName(s string) bool {
	return s != "" && len(s) <= 64 && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
