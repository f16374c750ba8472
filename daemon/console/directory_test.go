package console

import (
	"context"
	"testing"

	"pinward/daemon/access"
)

// TestLoginByDirectory: the page lets people of the hospital's directory in, and tells each who is not why, as far as that
// gives nothing away.
func TestLoginByDirectory(t *testing.T) {
	b := newBox(t)
	var answer access.Answer
	var asked []string
	b.hospital = &access.Directory{Tries: 4, Rules: access.GroupRules{access.Nurse: {"cn=nurses"}}, Login: func(_ context.Context, name, _ string) (access.Answer, error) {
		asked = append(asked, name)
		return answer, nil
	}}
	p := &person{box: b}
	for _, c := range []struct {
		answer access.Answer
		status int
		words  string
	}{
		{access.Answer{Shown: true, Cause: "wrong password"}, 401, "User or password is wrong."},
		{access.Answer{Shown: true, Cause: "the account is locked after wrong passwords"}, 401, "User or password is wrong."},
		{access.Answer{Shown: true, Cause: "x", Tell: access.ErrPasswordDue}, 401, "Change it at your own workstation"},
		{access.Answer{Shown: true, Cause: "x", Tell: access.ErrBarred}, 401, "does not let you log in"},
		{access.Answer{Cause: "x", Tell: access.ErrDirectory}, 503, "directory does not answer. Use a local account"},
		{access.Answer{Cause: "x", Tell: access.ErrTooMany}, 503, "Many people are logging in."},
		{access.Answer{Shown: true, OK: true, Person: access.Person{ID: "02", Name: "cook"}}, 403, "in no group that may use Pinward"},
	} {
		answer = c.answer
		p.post("/login", "user", "cook"+c.words[:3]+c.words[len(c.words)-3:], "password", password).want(c.status).says(c.words).hides(password)
	}
	answer = access.Answer{Shown: true, OK: true, Person: access.Person{ID: "01", Name: "jdoe", Groups: []string{"cn=nurses"}}}
	in := p.post("/login", "user", " JDoe", "password", password)
	if to := in.leads(); to != "/" {
		t.Fatalf("a login leads to %s", to)
	}
	p.token = in.Result().Cookies()[0].Value
	p.get("/").want(200).says("<span>jdoe</span>", "Send a code")
	p.get("/audit").want(403)

	// A local name is not looked up.
	before := len(asked)
	(&person{box: b}).post("/login", "user", "nurse", "password", password).want(401)
	if len(asked) != before {
		t.Errorf("the directory was asked for %s", asked[before:])
	}
	// Guesses end before the directory would lock the account.
	answer = access.Answer{Shown: true, Cause: "wrong password"}
	for range 4 {
		(&person{box: b}).post("/login", "user", "ann", "password", "guess").want(401)
	}
	(&person{box: b}).post("/login", "user", "ann", "password", "guess").want(429).says("Too many tries for now.")
	if s := b.log.String(); s != "" {
		t.Errorf("log: %s", s)
	}
}
