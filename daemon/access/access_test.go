package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinward/store"
)

func TestClientComesInWithItsSecretOnly(t *testing.T) {
	b := newBox(t)
	c, secret := b.client(Portal)
	if len(c.SID) != 34 || c.SID[:2] != "AC" || len(secret) != secretLength {
		t.Fatalf("sid has %d characters, secret %d", len(c.SID), len(secret))
	}
	p, err := b.authenticate(c.SID, secret)
	if err != nil || p.Actor.ID != c.SID || p.Actor.Kind != "client" || p.Mode != "" || p.Staff {
		t.Fatalf("principal %+v, %v", p.Actor, err)
	}
	other, _ := b.client(Portal)
	for _, try := range [][2]string{
		{c.SID, secret[1:]}, {c.SID, ""}, {"", secret}, {"", ""}, {other.SID, secret}, {strings.ToUpper(c.SID), secret},
		{"AC00000000000000000000000000000000", secret}, {strings.Repeat("A", 1<<16), secret},
	} {
		if _, err := b.authenticate(try[0], try[1]); !errors.Is(err, ErrDenied) {
			t.Errorf("sid of %d and secret of %d characters: %v", len(try[0]), len(try[1]), err)
		}
	}
}

func TestKeysAndTokensUntilRevoked(t *testing.T) {
	b := newBox(t)
	c, _ := b.client(Portal)
	var key, token Key
	var secret, bearer string
	b.do(func(tx *store.Tx) (err error) {
		if key, secret, err = CreateKey(tx, c.SID, "second", false); err != nil {
			return err
		}
		token, bearer, err = CreateKey(tx, c.SID, "native", true)
		return err
	})
	byToken := func(bearer string) (p Principal, err error) {
		b.view(func(tx *store.Tx) error { p, err = AuthenticateToken(tx, bearer); return nil })
		return p, err
	}
	if p, err := b.authenticate(key.SID, secret); err != nil || p.Actor.ID != c.SID {
		t.Errorf("key: %v", err)
	}
	if p, err := byToken(bearer); err != nil || p.Actor.ID != c.SID {
		t.Errorf("token: %v", err)
	}
	if _, err := byToken(secret); !errors.Is(err, ErrDenied) {
		t.Errorf("a key's secret as token: %v", err)
	}
	if _, err := b.authenticate(token.SID, bearer); !errors.Is(err, ErrDenied) {
		t.Errorf("a token as key: %v", err)
	}
	b.do(func(tx *store.Tx) error { return errors.Join(RevokeKey(tx, key.SID), RevokeKey(tx, token.SID)) })
	if _, err := b.authenticate(key.SID, secret); !errors.Is(err, ErrDenied) {
		t.Errorf("revoked key: %v", err)
	}
	if _, err := byToken(bearer); !errors.Is(err, ErrDenied) {
		t.Errorf("revoked token: %v", err)
	}
}

func TestDisabledClientIsOutAtOnce(t *testing.T) {
	b := newBox(t)
	c, secret := b.client(Portal)
	c.Disabled = true
	b.do(func(tx *store.Tx) error { return SetClient(tx, c) })
	if _, err := b.authenticate(c.SID, secret); !errors.Is(err, ErrDenied) {
		t.Errorf("disabled client: %v", err)
	}
}

// twilio-go refuses any character but letters and digits before it sends.
func TestSecretsAreLettersAndDigitsAndUniform(t *testing.T) {
	counts := map[byte]float64{}
	const n = 3000
	seen := map[string]bool{}
	for range n {
		s := newSecret()
		if len(s) != secretLength || seen[s] {
			t.Fatalf("a secret of %d characters, seen before %t", len(s), seen[s])
		}
		seen[s] = true
		for i := range len(s) {
			if !strings.ContainsRune(alphabet, rune(s[i])) {
				t.Fatalf("a secret holds %q", s[i])
			}
			counts[s[i]]++
		}
	}
	chi, want := 0.0, float64(n*secretLength)/float64(len(alphabet))
	for i := range len(alphabet) {
		d := counts[alphabet[i]] - want
		chi += d * d / want
	}
	if chi > 150 { // 61 degrees of freedom: p < 10^-8
		t.Errorf("chi squared %.0f", chi)
	}
}

func TestPasswordsAreHashedOneAtATimeAndTheQueueIsShort(t *testing.T) {
	p := NewPasswords(1)
	if p.iterations < 600_000 {
		t.Fatalf("%d iterations", p.iterations)
	}
	p.iterations = 1000 // what follows is about all but the work
	ctx := context.Background()
	h, err := p.Hash(ctx, "correct horse battery")
	if err != nil || h.Iterations != p.iterations || len(h.Salt) != saltLength {
		t.Fatalf("%d iterations, %v", h.Iterations, err)
	}
	for password, want := range map[string]bool{"correct horse battery": true, "correct horse batterx": false, "": false} {
		if ok, err := p.Verify(ctx, h, password); err != nil || ok != want {
			t.Errorf("verify: %t, %v", ok, err)
		}
	}
	if ok, err := p.Verify(ctx, PasswordHash{}, "correct horse battery"); ok || err != nil {
		t.Errorf("a user who does not exist: %t, %v", ok, err)
	}
	if _, err := p.Hash(ctx, "too short"); !errors.Is(err, ErrPasswordLength) {
		t.Errorf("a short password: %v", err)
	}
	if _, err := p.Hash(ctx, strings.Repeat("a", 300)); !errors.Is(err, ErrPasswordLength) {
		t.Errorf("a long password: %v", err)
	}
	<-p.turn // somebody is being hashed
	done := make(chan error, 1)
	waits, cancel := context.WithCancel(ctx)
	go func() {
		_, err := p.Verify(waits, quick, "x")
		done <- err
	}()
	for len(p.queue) < 1 {
		time.Sleep(time.Millisecond)
	}
	p.queue <- struct{}{} // and the one who is hashed holds a place
	if _, err := p.Verify(ctx, quick, "x"); !errors.Is(err, ErrTooMany) {
		t.Errorf("a third login: %v", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("who waits and goes: %v", err)
	}
}

func TestRolesGrantWhatTheyShould(t *testing.T) {
	for _, c := range []struct {
		role Role
		may  []Permission
		not  []Permission
	}{
		{Nurse, []Permission{Verify, Notify, WorkItems}, []Permission{AuditRead, AccountsWrite, SiteWrite, Operate}},
		{Portal, []Permission{Verify, Notify}, []Permission{ContactRead, AuditRead, Operate}},
		{Engine, []Permission{Notify, ContactWrite}, []Permission{AuditRead, AccountsWrite}},
		{Operator, []Permission{Operate}, []Permission{Verify, AccountsWrite, ContactRead}},
		{Auditor, []Permission{AuditRead}, []Permission{Verify, Notify, Operate, AccountsWrite, ConsentWrite, ContactWrite}},
		{Admin, []Permission{AccountsWrite, SiteWrite}, []Permission{Verify, AuditRead}},
	} {
		p := Principal{Roles: []Role{c.role}}
		for _, need := range c.may {
			if !p.Can(need) {
				t.Errorf("%s may not %s", c.role, need)
			}
		}
		for _, need := range c.not {
			if p.Can(need) {
				t.Errorf("%s may %s", c.role, need)
			}
		}
	}
	if (Principal{}).Can(StatusRead) {
		t.Error("nobody may read the status")
	}
	if len(Roles()) != len(grants) {
		t.Error("a role without grants, or grants without a role")
	}
}

func TestBadAccountsAreRefused(t *testing.T) {
	b := newBox(t)
	b.user("mary", Nurse)
	err := b.store.Update(context.Background(), operator, func(tx *store.Tx) error {
		for _, try := range []struct {
			name  string
			roles []Role
			want  error
		}{
			{"MARY", []Role{Nurse}, ErrUserExists}, {"", []Role{Nurse}, errUserName}, {"a b", []Role{Nurse}, errUserName},
			{"john", nil, errRoles}, {"john", []Role{"king"}, errRoles}, {"jo\nhn", []Role{Nurse}, errUserName},
		} {
			if _, err := CreateUser(tx, try.name, quick, try.roles); !errors.Is(err, try.want) {
				t.Errorf("user %q as %v: %v", try.name, try.roles, err)
			}
		}
		if _, _, err := CreateClient(tx, "portal", []Role{"king"}); !errors.Is(err, ErrInvalid) ||
			err.Error() != "invalid account: it needs at least one of the roles admin auditor engine nurse operator portal witness" {
			t.Errorf("client with an unknown role: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestContextCarriesThePrincipal(t *testing.T) {
	if _, ok := FromContext(context.Background()); ok {
		t.Error("a caller in a context that has none")
	}
	p, ok := FromContext(NewContext(context.Background(), Principal{Name: "x", Kind: KindUser}))
	if !ok || p.Name != "x" || p.Kind != KindUser {
		t.Error("the caller is lost")
	}
}

func TestSecretsAndHashesAreNotInTheFilesNorPrinted(t *testing.T) {
	b := newBox(t)
	c, secret := b.client(Portal)
	b.user("mary.planted", Nurse)
	token, err := b.login("mary.planted", "10.0.0.1", true)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, planted := range []string{secret, token, "mary.planted"} {
			if bytes.Contains(raw, []byte(planted)) {
				t.Errorf("a planted value is readable in %s", filepath.Base(path))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.view(func(tx *store.Tx) error {
		k, _, err := keys.Get(tx, []byte(c.SID))
		if strings.Contains(fmt.Sprintf("%v %+v %#v", k, k, k), fmt.Sprint(k.MAC)) {
			t.Error("a key prints its MAC")
		}
		return err
	})
	if s := fmt.Sprintf("%v %+v %#v", quick, User{Password: quick}, quick); strings.Contains(s, "salt") {
		t.Error("a hash prints its salt")
	}
}
