package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/limit"
	"pinward/store"
	"pinward/store/storetest"
)

var operator = store.Actor{Kind: "user", ID: "root-operator"}

type box struct {
	t     testing.TB
	store *store.Store
	dir   string
}

func newBox(t testing.TB) *box {
	t.Helper()
	b := &box{t: t, dir: t.TempDir()}
	s, err := store.Open(context.Background(), b.dir, store.Options{
		Origin: "pinward/test", Keys: storetest.NewKeys(t), Log: slog.New(slog.DiscardHandler), HeadEvery: 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.store = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func inBubble(t *testing.T, fn func(b *box)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(newBox(t)) })
}

func (b *box) do(fn func(*store.Tx) error) {
	b.t.Helper()
	if err := b.store.Update(context.Background(), operator, fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) view(fn func(*store.Tx) error) {
	b.t.Helper()
	if err := b.store.View(context.Background(), fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) client(scopes ...Role) (c Client, secret string) {
	b.t.Helper()
	b.do(func(tx *store.Tx) (err error) {
		c, secret, err = CreateClient(tx, "portal", scopes)
		return err
	})
	return c, secret
}

func (b *box) authenticate(sid, secret string) (p Principal, err error) {
	b.view(func(tx *store.Tx) error {
		p, err = AuthenticateClient(tx, sid, secret)
		return nil
	})
	return p, err
}

// quick is a hash that costs nothing, for tests of what stands around it.
var quick = PasswordHash{Iterations: 1, Salt: []byte("salt"), Hash: make([]byte, 32)}

func (b *box) user(name string, roles ...Role) {
	b.t.Helper()
	b.do(func(tx *store.Tx) error {
		_, err := CreateUser(tx, name, quick, roles)
		return err
	})
}

func (b *box) login(name, address string, verified bool) (token string, err error) {
	b.t.Helper()
	b.do(func(tx *store.Tx) error {
		_, token, err = Login(tx, name, address, verified)
		if Refusal(err) {
			return nil
		}
		return err
	})
	return token, err
}

func (b *box) session(token string) (p Principal, stale bool, err error) {
	b.view(func(tx *store.Tx) error {
		_, p, stale, err = FindSession(tx, token)
		return nil
	})
	return p, stale, err
}

func (b *box) last() (last store.Record) {
	b.view(func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error { last = r; return nil })
	})
	return last
}

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

func TestLoginGivesASessionThatEndsByIdlenessAndAge(t *testing.T) {
	inBubble(t, func(b *box) {
		b.user("Mary", Nurse)
		token, err := b.login("mary ", "10.0.0.1", true)
		if err != nil {
			t.Fatal(err)
		}
		p, _, err := b.session(token)
		if err != nil || p.Actor.ID != "mary" || !p.Staff || !p.Can(Verify) || p.Can(AccountsWrite) {
			t.Fatalf("principal %+v, %v", p.Roles, err)
		}
		if _, _, err := b.session(token + "x"); !errors.Is(err, ErrDenied) {
			t.Errorf("another token: %v", err)
		}
		for at := time.Duration(0); at < SessionMax-time.Minute; at += 10 * time.Minute {
			time.Sleep(10 * time.Minute)
			_, stale, err := b.session(token)
			if at < SessionMax-10*time.Minute && (err != nil || !stale) {
				t.Fatalf("after %v of use: stale %t, %v", at, stale, err)
			}
			if err == nil {
				b.do(func(tx *store.Tx) error { return Touch(tx, token) })
			}
		}
		if _, _, err := b.session(token); !errors.Is(err, ErrDenied) {
			t.Errorf("after twelve hours of use: %v", err)
		}
		token, _ = b.login("mary", "10.0.0.1", true)
		time.Sleep(SessionIdle)
		if _, _, err := b.session(token); !errors.Is(err, ErrDenied) {
			t.Errorf("after fifteen idle minutes: %v", err)
		}
		b.do(Sweep)
		b.view(func(tx *store.Tx) error {
			if n, err := sessions.Len(tx); err != nil || n != 0 {
				t.Errorf("%d sessions are left, %v", n, err)
			}
			return nil
		})
	})
}

func TestLogoutDisablingAndNewPasswordEndSessions(t *testing.T) {
	inBubble(t, func(b *box) {
		b.user("mary", Nurse)
		for name, end := range map[string]func(tx *store.Tx, token string) error{
			"logout":   EndSession,
			"password": func(tx *store.Tx, _ string) error { return SetPassword(tx, "mary", quick) },
			"disabled": func(tx *store.Tx, _ string) error {
				return SetUser(tx, User{Name: "mary", Roles: []Role{Nurse}, Disabled: true})
			},
		} {
			b.do(func(tx *store.Tx) error { return SetUser(tx, User{Name: "mary", Roles: []Role{Nurse}}) })
			token, err := b.login("mary", "10.0.0.1", true)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			b.do(func(tx *store.Tx) error { return end(tx, token) })
			if _, _, err := b.session(token); !errors.Is(err, ErrDenied) {
				t.Errorf("session after %s: %v", name, err)
			}
		}
	})
}

func TestWrongPasswordsAreCountedRecordedAndHeldBack(t *testing.T) {
	inBubble(t, func(b *box) {
		b.user("mary", Nurse)
		for range loginsOfName.Max {
			if _, err := b.login("mary", "10.0.0.1", false); !errors.Is(err, ErrDenied) {
				t.Fatal(err)
			}
		}
		if r := b.last(); r.Entry.Action != ActionLogin || r.Entry.Outcome != store.Refused || r.Entry.Object != "mary" {
			t.Errorf("entry of a wrong password is %v", r.Entry)
		}
		ask := func(name, address string) (err error) {
			b.view(func(tx *store.Tx) error { _, err = HashOf(tx, name, address); return nil })
			return err
		}
		if e, ok := errors.AsType[*limit.Exceeded](ask("MARY", "10.0.0.2")); !ok || e.RetryAfter <= 0 {
			t.Error("the name is not held back")
		}
		if err := ask("john", "10.0.0.2"); err != nil {
			t.Errorf("another name from another address: %v", err)
		}
		for i := range 10 {
			b.login(fmt.Sprintf("guess%d", i), "10.0.0.1", false)
		}
		if _, ok := errors.AsType[*limit.Exceeded](ask("john", "10.0.0.1")); !ok {
			t.Error("the address is not held back")
		}
		if r := b.last(); r.Entry.Object != "" {
			t.Error("what was typed as an unknown name is in the log: it may be a password")
		}
		time.Sleep(15 * time.Minute)
		if err := ask("mary", "10.0.0.1"); err != nil {
			t.Errorf("fifteen minutes later: %v", err)
		}
	})
}

func TestAFloodOfWrongKeysDoesNotFillTheLog(t *testing.T) {
	b := newBox(t)
	n := 0
	for range 200 {
		b.do(func(tx *store.Tx) error {
			err := Refuse(tx, "AC00000000000000000000000000000000", "10.0.0.9")
			if _, ok := errors.AsType[*limit.Exceeded](err); ok {
				return nil
			}
			n++
			return err
		})
	}
	if n != keysOfAddress.Max {
		t.Errorf("%d of 200 wrong keys are recorded", n)
	}
	b.do(func(tx *store.Tx) error { return Refuse(tx, "my-secret-in-the-wrong-field", "10.0.0.10") })
	if r := b.last(); r.Entry.Object != "" {
		t.Error("what is no SID is in the log")
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
			{"MARY", []Role{Nurse}, ErrUserExists}, {"", []Role{Nurse}, ErrInvalid}, {"a b", []Role{Nurse}, ErrInvalid},
			{"john", nil, ErrInvalid}, {"john", []Role{"king"}, ErrInvalid}, {"jo\nhn", []Role{Nurse}, ErrInvalid},
		} {
			if _, err := CreateUser(tx, try.name, quick, try.roles); !errors.Is(err, try.want) {
				t.Errorf("user %q as %v: %v", try.name, try.roles, err)
			}
		}
		if _, _, err := CreateClient(tx, "portal", []Role{"king"}); !errors.Is(err, ErrInvalid) {
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

// BenchmarkPassword is the work of one login.
func BenchmarkPassword(b *testing.B) {
	p := NewPasswords(0)
	for b.Loop() {
		if _, err := p.Verify(context.Background(), PasswordHash{}, "correct horse battery"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAuthenticate is one API request's proof.
func BenchmarkAuthenticate(b *testing.B) {
	box := newBox(b)
	c, secret := box.client(Portal)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := box.authenticate(c.SID, secret); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
