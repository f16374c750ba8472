package console

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/access"
	"pinward/store"
)

// TestLogin: password, cookie, first page, logout.
func TestLogin(t *testing.T) {
	b := newBox(t)
	// Of few iterations, so that the test is quick: how a password is hashed is access's business.
	hash := access.PasswordHash{Iterations: 1000, Salt: []byte("salt of the test")}
	var err error
	if hash.Hash, err = pbkdf2.Key(sha256.New, password, hash.Salt, hash.Iterations, sha256.Size); err != nil {
		t.Fatal(err)
	}
	b.Do(func(tx *store.Tx) error { return access.SetPassword(tx, "nurse", hash) })
	p := &person{box: b}
	p.get("/login").want(200).says(`name="user"`, `type="password"`, "Riverside Hospital").hides("<nav")
	if to := p.get("/").leads(); to != "/login" {
		t.Errorf("without a session the first page leads to %s", to)
	}
	p.post("/login", "user", "nurse", "password", "wrong horse").want(401).says("User or password is wrong.").hides("wrong horse")
	p.post("/login", "user", "nobody", "password", password).want(401).says("User or password is wrong.")
	p.post("/login", "user", "nurse", "password", strings.Repeat("x", 5000)).want(401)

	a := p.post("/login", "user", " Nurse ", "password", password)
	if to := a.leads(); to != "/" {
		t.Errorf("a login leads to %s", to)
	}
	set := a.Result().Cookies()
	if len(set) != 1 {
		t.Fatalf("cookies are %v", set)
	}
	c := set[0]
	if c.Name != "__Host-pinward" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || len(c.Value) < 43 {
		t.Errorf("cookie is %v", c)
	}
	p.token = c.Value
	p.get("/").want(200).says("Send a code", "Log out", "<span>nurse</span>")

	out := p.post("/logout")
	if to := out.leads(); to != "/login" || out.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("a logout leads to %s with %v", to, out.Result().Cookies())
	}
	if to := p.get("/").leads(); to != "/login?over=1" {
		t.Errorf("after the logout the old token leads to %s", to)
	}
	p.get("/login?over=1").want(200).says("Your session has ended.")
	if n := len(b.Entries(access.ActionLogin)); n != 4 {
		t.Errorf("%d logins on record, want 4", n)
	}
	if s := b.log.String(); s != "" {
		t.Errorf("log: %s", s)
	}
}

// TestTooManyLogins: guesses are held back, in words that say for how long.
func TestTooManyLogins(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error {
		for range 10 {
			if _, _, err := access.Login(tx, "nurse", "10.0.0.9", false); !access.Refusal(err) {
				return err
			}
		}
		return nil
	})
	p := &person{box: b}
	p.post("/login", "user", "nurse", "password", password).want(429).says("Too many tries for now. Try again in 1") // 14 or 15 minutes, by where the clock stands in its bucket

	// A flood waits in a short line, and the rest is sent away.
	full := access.NewPasswords(0)
	h := New(Options{Store: b.Store, Planned: b.plan, Health: tree, Passwords: full, Directory: b.directory})
	busy, stop := context.WithCancel(t.Context())
	defer stop()
	holding := make(chan struct{})
	go func() {
		close(holding)
		for busy.Err() == nil {
			_, _ = full.Hash(busy, password)
		}
	}()
	<-holding
	for range 50 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, p.request("POST", "/login", "user", "someone", "password", password))
		if w.Code == http.StatusServiceUnavailable {
			answer{w, t}.says("Many people are logging in.")
			return
		}
	}
	t.Error("a login went through while another one hashed")
}

// TestSessionIdle: what a person does keeps their session; a page that loads itself does not.
func TestSessionIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		p := b.login(access.Nurse)
		id := strings.TrimPrefix(p.post("/verifications", "number", patientNumber, "service", "patient-signup").leads(), "/verifications/")
		for range 4 {
			time.Sleep(10 * time.Minute)
			p.get("/messages").want(200)
		}
		time.Sleep(8 * time.Minute)
		p.get("/health?auto=1").want(200)
		p.get("/verifications/" + id + "/status").want(200)
		time.Sleep(8 * time.Minute) // 16 since somebody was there
		if to := p.get("/").leads(); to != "/login?over=1" {
			t.Errorf("an idle session leads to %s", to)
		}
		p.get("/verifications/"+id+"/status").want(401).says("Your session has ended.", `target="_top"`)
		if to := p.post("/verifications", "number", patientNumber).leads(); to != "/login?over=1" {
			t.Errorf("a form of an idle session leads to %s", to)
		}
	})
}

// TestForeignForms: a form of another site, or of another session, does nothing.
func TestForeignForms(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Nurse)
	forms := []string{"/login", "/logout", "/", "/verifications", "/verifications/VE0/check", "/verifications/VE0/next",
		"/verifications/VE0/resend", "/verifications/VE0/cancel", "/items/WI0/close", "/contacts"}
	for _, path := range forms {
		for name, change := range map[string]func(*http.Request){
			"cross-site":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"same-site":    func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
			"other origin": func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
		} {
			r := p.request("POST", path, "number", patientNumber)
			change(r)
			if a := b.ask(r); a.Code != http.StatusForbidden {
				t.Errorf("%s from %s: %d", path, name, a.Code)
			}
		}
		if path == "/login" || path == "/logout" {
			continue
		}
		for _, token := range []string{"", "x", b.login(access.Nurse).csrf} {
			if a := p.post(path, "csrf", token, "number", patientNumber); a.Code != http.StatusForbidden {
				t.Errorf("%s with another token: %d", path, a.Code)
			}
		}
	}
	p.get("/").want(200) // nobody was logged out
	if n := len(b.Entries("verification.start")); n != 0 {
		t.Errorf("%d starts by foreign forms", n)
	}
	if a := p.post("/verifications", "number", strings.Repeat("6", maxForm+1)); a.Code != http.StatusForbidden {
		t.Errorf("a huge form is %d", a.Code)
	}
}

// TestHeaders: nothing is cached, framed by others or loaded from elsewhere.
func TestHeaders(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Nurse)
	id := p.post("/verifications", "number", patientNumber, "service", "patient-signup").leads()
	for path, frame := range map[string]string{
		"/login": "'none'", "/": "'none'", id: "'none'", id + "/status": "'self'", "/nothing": "'none'", "/health": "'none'", "/audit": "'none'",
	} {
		h := p.get(path).Header()
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cross-Origin-Opener-Policy") != "same-origin" {
			t.Errorf("%s: headers %v", path, h)
		}
		csp := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; style-src 'self';") || !strings.HasSuffix(csp, "frame-ancestors "+frame) || strings.Contains(csp, "unsafe") || strings.Contains(csp, "script") {
			t.Errorf("%s: policy %s", path, csp)
		}
	}
	page := p.get("/").Body.String()
	for _, name := range []string{"style.css", "icon.svg"} {
		address := "/" + name + "?v=" + hashOf(name)
		if !strings.Contains(page, address) {
			t.Errorf("the page does not ask for %s", address)
		}
		if a := p.get(address).want(200); a.Header().Get("Cache-Control") != "max-age=31536000, immutable" || a.Body.Len() == 0 {
			t.Errorf("%s: %v", name, a.Header())
		}
	}
}
