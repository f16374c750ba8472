package console

import (
	"bytes"
	"io"
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
	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// box is the door over a real store: a live site, one modem, and a person of each role.
type box struct {
	*outboxtest.Box
	handler http.Handler
	log     *lines
	planned time.Time // until when maintenance is on
	// hospital is the hospital's directory, nil where there is none.
	hospital *access.Directory
}

func (b *box) plan() (until time.Time, by string, on bool) {
	return b.planned, "it", !b.planned.IsZero()
}

func (b *box) directory() *access.Directory { return b.hospital }

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
	patient = contact.SubjectID{Authority: "RVR", MRN: "MR-4711"}
)

const (
	patientNumber = "+16175551234"
	password      = "correct horse battery"
)

func tree() health.Node {
	return health.Node{Name: "pinward", Since: time.Now(), Children: []health.Node{
		{Name: "store", Since: time.Now(), Children: []health.Node{
			{Name: "modems", State: health.Fail, Cause: "no modem can send", Since: time.Now().Add(-time.Hour), Children: []health.Node{
				{Name: "m1", State: health.Unknown, Cause: "depends on modems", Since: time.Now()},
			}},
		}},
	}}
}

func newBox(t testing.TB) *box {
	t.Helper()
	return newBoxOn(t, nil)
}

// newBoxOn is newBox on a disk of which free tells how full it is.
func newBoxOn(t testing.TB, free func(string) (uint64, uint64, error)) *box {
	t.Helper()
	b := &box{log: &lines{}}
	site := outboxtest.Riverside()
	site.Name, site.Area, site.Authority = "Riverside Hospital", "617", "RVR"
	b.Box = outboxtest.New(t, outboxtest.Setup{Actor: daemon, Sources: sources, Site: site, PartTime: time.Millisecond, Free: free})
	b.Do(func(tx *store.Tx) error {
		if err := otp.Install(tx); err != nil {
			return err
		}
		for _, role := range access.Roles() {
			if _, err := access.CreateUser(tx, string(role), access.PasswordHash{Iterations: 1, Salt: []byte("s"), Hash: []byte("h")}, []access.Role{role}); err != nil {
				return err
			}
		}
		return nil
	})
	b.handler = New(Options{Store: b.Store, Health: tree, Planned: b.plan, Passwords: access.NewPasswords(4), Directory: b.directory, Log: slog.New(slog.NewTextHandler(b.log, nil))})
	return b
}

// patient puts the patient on record.
func (b *box) patient() {
	b.T.Helper()
	b.Do(func(tx *store.Tx) error {
		if _, err := contact.Upsert(tx, contact.SubjectUpdate{ID: patient, Source: "test", Language: new("es"),
			Phones: &[]contact.Number{{Phone: outboxtest.Phone(patientNumber), Use: "PRN", Equipment: "CP", Type: contact.LineMobile}}}); err != nil {
			return err
		}
		_, _, err := contact.Book(tx, contact.Appointment{ID: contact.AppointmentID{Authority: "S", Number: "A1"}, Subject: patient,
			Start: time.Date(2099, 3, 4, 15, 30, 0, 0, time.UTC), Minutes: 20, SiteName: "Main Street", Status: contact.Booked, AsOf: tx.Now()})
		return err
	})
}

// person is a browser with a session.
type person struct {
	*box
	token, csrf string
}

// login begins a session of a role's person, without the password that another test is about.
func (b *box) login(role access.Role) *person {
	b.T.Helper()
	p := &person{box: b}
	b.Do(func(tx *store.Tx) error {
		s, token, err := access.Login(tx, string(role), "10.0.0.1", true)
		p.token, p.csrf = token, s.CSRF
		return err
	})
	return p
}

// answer is what came back.
type answer struct {
	*httptest.ResponseRecorder
	t testing.TB
}

func (b *box) ask(r *http.Request) answer {
	b.T.Helper()
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	a := answer{w, b.T}
	if w.Code/100 != 3 && strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		wellFormed(b.T, r.Method+" "+r.URL.Path, w.Body.String())
	}
	return a
}

func (p *person) request(method, path string, fields ...string) *http.Request {
	v := url.Values{"csrf": {p.csrf}}
	for i := 0; i < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(v.Encode())
	}
	r := httptest.NewRequest(method, "https://pinward.test"+path, body)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if p.token != "" {
		r.AddCookie(&http.Cookie{Name: cookie, Value: p.token})
	}
	return r
}

func (p *person) get(path string) answer { p.T.Helper(); return p.ask(p.request("GET", path)) }

func (p *person) post(path string, fields ...string) answer {
	p.T.Helper()
	return p.ask(p.request("POST", path, fields...))
}

// want holds the answer to a status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.Code != status {
		a.t.Fatalf("status %d, want %d: %s", a.Code, status, a.Body)
	}
	return a
}

// says holds the page to some words.
func (a answer) says(words ...string) answer {
	a.t.Helper()
	for _, w := range words {
		if !strings.Contains(a.Body.String(), w) {
			a.t.Errorf("the page does not say %q: %s", w, a.Body)
		}
	}
	return a
}

// hides holds the page to be without some words.
func (a answer) hides(words ...string) answer {
	a.t.Helper()
	for _, w := range words {
		if strings.Contains(a.Body.String(), w) {
			a.t.Errorf("the page says %q", w)
		}
	}
	return a
}

// leads holds the answer to be a redirect, and returns where to.
func (a answer) leads() string {
	a.t.Helper()
	return a.want(http.StatusSeeOther).Header().Get("Location")
}
