package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/health"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// box is the door over a real store: a live site, one modem that reported itself ready, and a client
// of each role.
type box struct {
	*outboxtest.Box
	handler http.Handler
	log     *lines
	clients map[access.Role]client
}

// client is how a machine proves who it is.
type client struct{ sid, secret, token string }

func (c client) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.sid+":"+c.secret))
}

// lines is the log in memory.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var (
	daemon  = store.Actor{Kind: "daemon", ID: "test"}
	sources = outbox.Sources{otp.Kind: otp.Render, notice.Kind: notice.Render, consent.Kind: consent.Render}
)

const (
	patientNumber = "+16175551234"
	otherNumber   = "+16175559876"
)

func tree() health.Node {
	return health.Node{Name: "pinward", Since: time.Now(), Children: []health.Node{
		{Name: "store", Since: time.Now()}, {Name: "modems", State: health.Warn, Cause: "one is away", Since: time.Now()},
	}}
}

func newBox(t testing.TB) *box {
	t.Helper()
	return newBoxOn(t, nil)
}

// newBoxOn is newBox on a disk of which free tells how full it is.
func newBoxOn(t testing.TB, free func(string) (uint64, uint64, error)) *box {
	t.Helper()
	b := &box{log: &lines{}, clients: map[access.Role]client{}}
	site := outboxtest.Riverside()
	site.Area, site.Authority, site.LinkHosts = "617", "RVR", []string{"portal.example.org"}
	b.Box = outboxtest.New(t, outboxtest.Setup{Actor: daemon, Sources: sources, Site: site, PartTime: time.Millisecond, Free: free})
	b.Do(func(tx *store.Tx) error {
		if err := otp.Install(tx); err != nil {
			return err
		}
		for _, role := range access.Roles() {
			if err := b.client(tx, role); err != nil {
				return err
			}
		}
		return nil
	})
	b.handler = New(Options{Store: b.Store, Health: tree, Log: slog.New(slog.NewTextHandler(b.log, nil)), Version: "test"})
	return b
}

func (b *box) client(tx *store.Tx, role access.Role) error {
	c, secret, err := access.CreateClient(tx, "a "+string(role), []access.Role{role})
	if err != nil {
		return err
	}
	c.Mode, c.Staff = "live", role == access.Nurse
	if err := access.SetClient(tx, c); err != nil {
		return err
	}
	_, token, err := access.CreateKey(tx, c.SID, "token", true)
	b.clients[role] = client{c.SID, secret, token}
	return err
}

// answer is what came back.
type answer struct {
	*httptest.ResponseRecorder
	t testing.TB
}

// json decodes the body into a map.
func (a answer) json() map[string]any {
	a.t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.Body.Bytes(), &m); err != nil {
		a.t.Fatalf("answer %d is no JSON object: %v", a.Code, err)
	}
	return m
}

func (a answer) str(key string) string {
	a.t.Helper()
	s, ok := a.json()[key].(string)
	if !ok {
		a.t.Fatalf("answer %d has no string %q", a.Code, key)
	}
	return s
}

// want holds the answer to a status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.Code != status {
		a.t.Fatalf("status %d, want %d: %s", a.Code, status, a.Body)
	}
	return a
}

// problem holds the answer to a status and a kind of problem.
func (a answer) problem(status int, kind string) answer {
	a.t.Helper()
	a.want(status)
	if ct := a.Header().Get("Content-Type"); ct != "application/problem+json" {
		a.t.Errorf("content type %q of a problem", ct)
	}
	m := a.json()
	if m["type"] != problemPath+kind || m["status"] != float64(status) || m["title"] == "" {
		a.t.Errorf("problem is %v, want kind %s and status %d", m, kind, status)
	}
	return a
}

// verifyError holds the answer to an error of the Verify shape.
func (a answer) verifyError(status, code int) answer {
	a.t.Helper()
	a.want(status)
	m := a.json()
	if m["status"] != float64(status) || m["code"] != float64(code) || m["message"] == "" {
		a.t.Errorf("error is %v, want code %d and status %d", m, code, status)
	}
	if more, _ := m["more_info"].(string); !strings.HasPrefix(more, "https://") {
		a.t.Errorf("more_info is %q", more)
	}
	if len(m) != 4 {
		a.t.Errorf("error has members %v", m)
	}
	return a
}

// ask sends a request as it is.
func (b *box) ask(r *http.Request) answer {
	b.T.Helper()
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return answer{w, b.T}
}

// request makes a request of a role's client with its bearer token.
func (b *box) request(role access.Role, method, path string, body any) *http.Request {
	b.T.Helper()
	var raw []byte
	switch body := body.(type) {
	case nil:
	case string:
		raw = []byte(body)
	default:
		var err error
		if raw, err = json.Marshal(body); err != nil {
			b.T.Fatal(err)
		}
	}
	r := httptest.NewRequest(method, "https://pinward.test"+path, bytes.NewReader(raw))
	r.Header.Set("Authorization", "Bearer "+b.clients[role].token)
	r.Header.Set("Content-Type", "application/json")
	return r
}

// call sends a request of the native shape.
func (b *box) call(role access.Role, method, path string, body any) answer {
	b.T.Helper()
	return b.ask(b.request(role, method, path, body))
}

// form sends a request of the Verify shape, as the portal.
func (b *box) form(method, path string, fields ...string) answer {
	b.T.Helper()
	return b.ask(b.formRequest(method, path, fields...))
}

func (b *box) formRequest(method, path string, fields ...string) *http.Request {
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	r := httptest.NewRequest(method, "https://pinward.test"+path, strings.NewReader(v.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Authorization", b.clients[access.Portal].basic())
	return r
}

type fields = map[string]any

// started starts a verification to a number and returns its id.
func (b *box) started(to string) string {
	b.T.Helper()
	return b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": to}).want(201).str("id")
}

// next has the next message sent; ok is false if there is none.
func (b *box) next() (job outbox.Job, ok bool) { b.T.Helper(); return b.Send(outbox.Sent) }

// serviceOf finds a shipped service.
func serviceOf(t testing.TB, name string) otp.Service {
	t.Helper()
	for _, s := range otp.Shipped() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no service %s", name)
	return otp.Service{}
}

// path164 is a path below a service of the Verify shape.
func (b *box) path(service, rest string) string {
	return fmt.Sprintf("/v2/Services/%s%s", serviceOf(b.T, service).SID, rest)
}

// contextOf makes a context of a request that can be given up.
func contextOf(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithCancel(r.Context())
}
