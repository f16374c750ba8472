package access

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"unicode/utf8"
)

const (
	// iterations of PBKDF2-HMAC-SHA-256 for new passwords.
	iterations = 600_000
	// MinPassword and MaxPassword bound a password, in characters and bytes (NIST SP
	// 800-63B 3.1.1.2: at least 15 where it stands alone, no rules of composition).
	MinPassword = 15
	MaxPassword = 256
	saltLength  = 16
)

// PasswordHash is what is kept of a password.
type PasswordHash struct {
	Iterations int    `json:"iterations"`
	Salt       []byte `json:"salt"`
	Hash       []byte `json:"hash"`
}

// String redacts.
func (PasswordHash) String() string { return "password hash" }

// GoString redacts for %#v.
func (PasswordHash) GoString() string { return "password hash" }

// LogValue redacts for log/slog.
func (PasswordHash) LogValue() slog.Value { return slog.StringValue("password hash") }

var (
	// ErrPasswordLength: shorter than MinPassword characters or longer than
	// MaxPassword bytes.
	ErrPasswordLength = fmt.Errorf("password must have at least %d characters and at most %d bytes", MinPassword, MaxPassword)
	// ErrTooMany: too many people wait for their password to be checked; try
	// again in a moment.
	ErrTooMany = errors.New("too many logins at once")
)

// Passwords hashes passwords, one at a time: a flood of logins must take one
// core at most, and none from the codes. The zero value is not usable.
type Passwords struct {
	turn       chan struct{} // holds the one turn while nobody hashes
	queue      chan struct{} // places of who hashes and who waits
	iterations int           // of new hashes
}

// NewPasswords returns a Passwords with so many places to wait.
func NewPasswords(waiting int) *Passwords { return NewQuickPasswords(waiting, iterations) }

// NewQuickPasswords is for tests of whole programs, in which hundreds log in: its hashes take so many iterations.
func NewQuickPasswords(waiting, iterations int) *Passwords {
	p := &Passwords{turn: make(chan struct{}, 1), queue: make(chan struct{}, waiting+1), iterations: iterations}
	p.turn <- struct{}{}
	return p
}

// Hash makes the hash of a new password.
func (p *Passwords) Hash(ctx context.Context, password string) (PasswordHash, error) {
	if utf8.RuneCountInString(password) < MinPassword || len(password) > MaxPassword {
		return PasswordHash{}, ErrPasswordLength
	}
	h := PasswordHash{Iterations: p.iterations, Salt: make([]byte, saltLength)}
	rand.Read(h.Salt)
	var err error
	h.Hash, err = p.derive(ctx, password, h)
	return h, err
}

// Verify compares a password with a hash. A user who does not exist has the
// zero hash, which takes as long and never matches.
func (p *Passwords) Verify(ctx context.Context, h PasswordHash, password string) (bool, error) {
	if len(password) > MaxPassword {
		return false, nil
	}
	known := len(h.Hash) == sha256.Size
	if !known {
		h = PasswordHash{Iterations: p.iterations, Salt: make([]byte, saltLength)}
	}
	got, err := p.derive(ctx, password, h)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, h.Hash) == 1 && known, nil
}

func (p *Passwords) derive(ctx context.Context, password string, h PasswordHash) ([]byte, error) {
	select {
	case p.queue <- struct{}{}:
		defer func() { <-p.queue }()
	default:
		return nil, ErrTooMany
	}
	select {
	case <-p.turn:
		defer func() { p.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	key, err := pbkdf2.Key(sha256.New, password, h.Salt, h.Iterations, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	return key, nil
}
