package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/store"
	"pinward/store/storetest"
)

// box is the door over a real store: a live site, one modem that reported itself ready, and a client
// of each role.
type box struct {
	t       testing.TB
	store   *store.Store
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

// roomy is a disk with room.
func roomy(string) (free, total uint64, err error) { return 1 << 40, 1 << 41, nil }

func newBox(t testing.TB) *box {
	t.Helper()
	return newBoxOn(t, roomy)
}

// newBoxOn is newBox on a disk of which free tells how full it is.
func newBoxOn(t testing.TB, free func(string) (uint64, uint64, error)) *box {
	t.Helper()
	b := &box{t: t, log: &lines{}, clients: map[access.Role]client{}}
	log := slog.New(slog.NewTextHandler(b.log, nil))
	s, err := store.Open(context.Background(), filepath.Join(t.TempDir(), "store"), store.Options{
		Origin: "pinward/test", Keys: storetest.NewKeys(t), Log: slog.New(slog.DiscardHandler), HeadEvery: 24 * time.Hour, Strict: storetest.Strict(t), Free: free,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.store = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	b.do(func(tx *store.Tx) error {
		if err := otp.Install(tx); err != nil {
			return err
		}
		if err := contact.SetSite(tx, contact.Site{
			Name: "Riverside", Brand: "Riverside", Zone: "America/New_York", Area: "617", Region: "US", HelpPhone: "617-555-1000",
			Authority: "RVR", Mode: contact.Live, Languages: []string{"en", "es"}, LinkHosts: []string{"portal.example.org"},
		}); err != nil {
			return err
		}
		for _, role := range access.Roles() {
			if err := b.client(tx, role); err != nil {
				return err
			}
		}
		return b.ready(tx, true)
	})
	b.handler = New(Options{Store: s, Health: tree, Log: log, Version: "test"})
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

// ready has the one modem report itself.
func (b *box) ready(tx *store.Tx, on bool) error {
	sim := outbox.SIM{ICCID: "8901", Permission: outbox.Permission{Reference: "test"}, PerMinute: -1, PerDay: -1}
	if err := outbox.SetSIM(tx, sim); err != nil {
		return err
	}
	return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "north", Ready: on, PartTime: time.Millisecond})
}

// do runs a transaction of the daemon that must succeed.
func (b *box) do(fn func(*store.Tx) error) {
	b.t.Helper()
	if err := b.store.Update(context.Background(), daemon, fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) view(fn func(*store.Tx) error) {
	b.t.Helper()
	if err := b.store.View(context.Background(), fn); err != nil {
		b.t.Fatal(err)
	}
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
	b.t.Helper()
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return answer{w, b.t}
}

// request makes a request of a role's client with its bearer token.
func (b *box) request(role access.Role, method, path string, body any) *http.Request {
	b.t.Helper()
	var raw []byte
	switch body := body.(type) {
	case nil:
	case string:
		raw = []byte(body)
	default:
		var err error
		if raw, err = json.Marshal(body); err != nil {
			b.t.Fatal(err)
		}
	}
	r := httptest.NewRequest(method, "https://pinward.test"+path, bytes.NewReader(raw))
	r.Header.Set("Authorization", "Bearer "+b.clients[role].token)
	r.Header.Set("Content-Type", "application/json")
	return r
}

// call sends a request of the native shape.
func (b *box) call(role access.Role, method, path string, body any) answer {
	b.t.Helper()
	return b.ask(b.request(role, method, path, body))
}

// form sends a request of the Verify shape, as the portal.
func (b *box) form(method, path string, fields ...string) answer {
	b.t.Helper()
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
	b.t.Helper()
	return b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": to}).want(201).str("id")
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// next hands the next message over; ok is false if there is none.
func (b *box) next() (job outbox.Job, ok bool) {
	b.t.Helper()
	b.do(func(tx *store.Tx) (err error) {
		if job, ok, err = outbox.Next(tx, "m1", sources); err != nil || !ok {
			return err
		}
		return outbox.Settle(tx, job.Message.ID, job.Attempt, outbox.Result{Outcome: outbox.Sent, Parts: []outbox.Part{{Ref: 1, State: outbox.Sent}}})
	})
	return job, ok
}

// code reads the code off the text that goes out next.
func (b *box) code() string {
	b.t.Helper()
	job, ok := b.next()
	if !ok {
		b.t.Fatal("no text goes out")
	}
	codes := sixDigits.FindAllString(job.Rendered.Text, -1)
	if len(codes) != 1 {
		b.t.Fatalf("text has %d groups of six digits, not one", len(codes))
	}
	return codes[0]
}

// wrong is a code of six digits that is not this one.
func wrong(code string) string {
	last := code[len(code)-1]
	return code[:len(code)-1] + string('0'+(last-'0'+1)%10)
}

// entries lists the log's entries of an action.
func (b *box) entries(action store.Action) (out []store.Record) {
	b.t.Helper()
	b.view(func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error {
			if r.Entry.Action == action {
				out = append(out, r)
			}
			return nil
		})
	})
	return out
}

func attrOf(e store.Entry, key string) string {
	for _, a := range e.Attrs {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

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
	return fmt.Sprintf("/v2/Services/%s%s", serviceOf(b.t, service).SID, rest)
}

// contextOf makes a context of a request that can be given up.
func contextOf(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithCancel(r.Context())
}
