package api

import (
	"net/http/httptest"
	"strings"
	"testing"

	"pinward/daemon/access"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// mayAsk is the policy of this door, route by route: N nurse, P portal, E engine, O operator, U
// auditor, A admin, W witness.
var mayAsk = map[string]string{
	"POST /v1/verifications":             "NPE",
	"GET /v1/verifications":              "NPEOU",
	"GET /v1/verifications/{id}":         "NPEOU",
	"POST /v1/verifications/{id}/check":  "NPE",
	"POST /v1/verifications/{id}/cancel": "NPE",
	"POST /v1/verifications/{id}/next":   "NPE",
	"POST /v1/notices":                   "NPE",
	"GET /v1/notices/{id}":               "NPEOU",
	"DELETE /v1/notices/{id}":            "NPE",
	"GET /v1/messages":                   "NPEOU",
	"GET /v1/messages/{id}":              "NPEOU",
	"GET /v1/contacts":                   "NEU",
	"POST /v1/numbers":                   "NE",
	"GET /v1/appointments":               "NEU",
	"GET /v1/services":                   "NPEOU",
	"GET /v1/templates":                  "NPEOU",
	"GET /v1/audit":                      "U",
	"GET /v1/audit/head":                 "UW",
	"GET /v1/health":                     "NOUA",
}

var letters = map[access.Role]string{
	access.Nurse: "N", access.Portal: "P", access.Engine: "E", access.Operator: "O", access.Auditor: "U", access.Admin: "A", access.Witness: "W",
}

// TestRoles asks every route as every role, and as nobody.
func TestRoles(t *testing.T) {
	b := newBox(t)
	for _, rt := range routes() {
		may, known := mayAsk[rt.pattern]
		if !known {
			t.Errorf("%s: who may ask it?", rt.pattern)
		}
		method, path, _ := strings.Cut(rt.pattern, " ")
		path = strings.Replace(path, "{id}", "nothing", 1)
		for role, letter := range letters {
			a := b.call(role, method, path, nil)
			if allowed := strings.Contains(may, letter); allowed == (a.Code == 403) {
				t.Errorf("%s as %s: status %d", rt.pattern, role, a.Code)
			}
		}
		r := b.request(access.Nurse, method, path, nil)
		r.Header.Del("Authorization")
		b.ask(r).problem(401, "unauthorized")
	}
	for path, may := range map[string]string{
		"GET /v2/Services": "NPEOU", "GET /v2/Attempts": "NPEOU", "GET /v2/Attempts/Summary": "NPEOU",
		"POST /v2/Services/VA1/Verifications": "NPE", "POST /v2/Services/VA1/VerificationCheck": "NPE",
		"GET /v2/Services/VA1/Verifications/VE1": "NPEOU", "POST /v2/Services/VA1/Verifications/VE1": "NPE", "GET /v2/Services/VA1": "NPEOU",
	} {
		method, p, _ := strings.Cut(path, " ")
		for role, letter := range letters {
			r := b.formRequest(method, p)
			r.Header.Set("Authorization", b.clients[role].basic())
			a := b.ask(r)
			if allowed := strings.Contains(may, letter); allowed == (a.Code == 403) {
				t.Errorf("%s as %s: status %d", path, role, a.Code)
			}
			if a.Code == 403 {
				a.verifyError(403, 20003)
			}
		}
		r := b.formRequest(method, p)
		r.Header.Del("Authorization")
		b.ask(r).verifyError(401, 20003)
	}
}

// TestForbiddenIsRecorded: asking beyond one's role is an entry, and a flood of it a few.
func TestForbiddenIsRecorded(t *testing.T) {
	b := newBox(t)
	for range 120 {
		b.call(access.Portal, "GET", "/v1/audit", nil).problem(403, "forbidden")
	}
	got := b.Entries(access.ActionForbidden)
	if len(got) != refusalsKept+1 {
		t.Fatalf("%d entries, want %d", len(got), refusalsKept+1)
	}
	if e := got[0]; e.Actor.ID != b.clients[access.Portal].sid || outboxtest.Attr(e.Entry, "what") != "GET /v1/audit" || e.Entry.Outcome != store.Refused {
		t.Errorf("entry is %v", e)
	}
	if e := got[refusalsKept].Entry; outboxtest.Attr(e, "tries") != "100" {
		t.Errorf("the flood reads %v", e)
	}
}

// TestSocketPrincipal: whoever the control socket has recognised needs no key, and has their roles.
func TestSocketPrincipal(t *testing.T) {
	b := newBox(t)
	jane := access.Principal{Actor: store.Actor{Kind: "user", ID: "jane"}, Kind: access.KindUser, Name: "jane", Roles: []access.Role{access.Nurse}, Mode: "live", Staff: true}
	ask := func(method, path string, body any) answer {
		r := b.request(access.Portal, method, path, body)
		r.Header.Del("Authorization")
		return b.ask(r.WithContext(access.NewContext(r.Context(), jane)))
	}
	// A person speaks for themselves: whom they name instead is not believed.
	m := ask("POST", "/v1/verifications", fields{"service": "staff-login", "to": patientNumber, "on_behalf_of": "mary"}).want(201).json()
	if m["on_behalf_of"] != "" {
		t.Errorf("a person spoke on behalf of %v", m["on_behalf_of"])
	}
	ask("GET", "/v1/audit", nil).problem(403, "forbidden")
	for _, r := range b.Entries("verification.start") {
		if r.Actor.ID != "jane" || r.Actor.OnBehalfOf != "" {
			t.Errorf("actor is %v", r.Actor)
		}
	}
}

// TestShadowClient: what a new client starts goes nowhere until it is made live.
func TestShadowClient(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error {
		c, err := access.FindClient(tx, b.clients[access.Portal].sid)
		c.Mode = ""
		if err != nil {
			return err
		}
		return access.SetClient(tx, c)
	})
	b.started(patientNumber)
	if _, ok := b.next(); ok {
		t.Error("a text of a client in shadow went out")
	}
	if modeOf(access.Principal{Mode: "nonsense"}) != 0 {
		t.Error("a mode that nobody knows is not shadow")
	}
}

// TestOpenPaths: what monitors and tools read without a key, and nothing else.
func TestOpenPaths(t *testing.T) {
	b := newBox(t)
	for path, status := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/metrics": 200, "/v1/openapi.json": 200, "/v1/problems/limit": 200,
		"/v1/health": 401, "/v1/messages": 401, "/v2/Services": 401,
	} {
		if a := b.ask(httptest.NewRequest("GET", path, nil)); a.Code != status {
			t.Errorf("%s: %d, want %d", path, a.Code, status)
		}
	}
}

// TestSource: end-user addresses are brought into the one form that their budget counts by.
func TestSource(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "10.1.2.3": "10.1.2.3", "10.1.2.3:5060": "10.1.2.3", "::ffff:10.1.2.3": "10.1.2.3",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "[2001:db8:1:2::9]:443": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got, err := source("a", in); err != nil || got != want {
			t.Errorf("source(%q) = %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"x", "10.1.2", "10.1.2.3, 10.9.9.9", "host:80"} {
		if got, err := source("a", in); err == nil {
			t.Errorf("source(%q) = %q", in, got)
		}
	}
	for remote, want := range map[string]string{"10.0.0.1:99": "10.0.0.1", "@": "unknown", "[::1]:5": "::/64"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		if got := sourceOf(r); got != want {
			t.Errorf("source of %s is %s, want %s", remote, got, want)
		}
	}
	for n, want := range map[int]bool{1: true, 10: true, 100: true, 1000: true, 0: false, 11: false, 20: false, 110: false} {
		if isPowerOfTen(n) != want {
			t.Errorf("isPowerOfTen(%d) is %v", n, !want)
		}
	}
}
