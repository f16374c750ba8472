package console

import (
	"bytes"
	"context"
	"errors"
	"io"
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

// box is the door over a real store: a live site, one modem, and a person of each role.
type box struct {
	t       testing.TB
	store   *store.Store
	handler http.Handler
	log     *lines
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

// roomy is a disk with room.
func roomy(string) (free, total uint64, err error) { return 1 << 40, 1 << 41, nil }

func newBox(t testing.TB) *box {
	t.Helper()
	return newBoxOn(t, roomy)
}

// newBoxOn is newBox on a disk of which free tells how full it is.
func newBoxOn(t testing.TB, free func(string) (uint64, uint64, error)) *box {
	t.Helper()
	b := &box{t: t, log: &lines{}}
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
			Name: "Riverside Hospital", Brand: "Riverside", Zone: "America/New_York", Area: "617", Region: "US", HelpPhone: "617-555-1000",
			Authority: "RVR", Mode: contact.Live, Languages: []string{"en", "es"},
		}); err != nil {
			return err
		}
		for _, role := range access.Roles() {
			if _, err := access.CreateUser(tx, string(role), access.PasswordHash{Iterations: 1, Salt: []byte("s"), Hash: []byte("h")}, []access.Role{role}); err != nil {
				return err
			}
		}
		return b.ready(tx, true)
	})
	b.handler = New(Options{Store: s, Health: tree, Passwords: access.NewPasswords(4), Log: slog.New(slog.NewTextHandler(b.log, nil))})
	return b
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

// patient puts the patient on record.
func (b *box) patient() {
	b.t.Helper()
	b.do(func(tx *store.Tx) error {
		if _, err := contact.Upsert(tx, contact.SubjectUpdate{ID: patient, Source: "test", Language: new("es"),
			Phones: &[]contact.Number{{Phone: phone(b.t, patientNumber), Use: "PRN", Equipment: "CP", Type: contact.LineMobile}}}); err != nil {
			return err
		}
		_, _, err := contact.Book(tx, contact.Appointment{ID: contact.AppointmentID{Authority: "S", Number: "A1"}, Subject: patient,
			Start: time.Date(2099, 3, 4, 15, 30, 0, 0, time.UTC), Minutes: 20, SiteName: "Main Street", Status: contact.Booked, AsOf: tx.Now()})
		return err
	})
}

func phone(t testing.TB, e164 string) (p contact.Phone) {
	t.Helper()
	if err := p.UnmarshalText([]byte(e164)); err != nil {
		t.Fatal(err)
	}
	return p
}

// code reads the code off the text that goes out next.
func (b *box) code() string {
	b.t.Helper()
	var job outbox.Job
	b.do(func(tx *store.Tx) (err error) {
		var ok bool
		if job, ok, err = outbox.Next(tx, "m1", sources); err != nil || !ok {
			return errors.Join(err, errors.New("no text goes out"))
		}
		return outbox.Settle(tx, job.Message.ID, job.Attempt, outbox.Result{Outcome: outbox.Sent, Parts: []outbox.Part{{Ref: 1, State: outbox.Sent}}})
	})
	return regexp.MustCompile(`\b[0-9]{6}\b`).FindString(job.Rendered.Text)
}

// wrong is a code of six digits that is not this one.
func wrong(code string) string {
	last := code[len(code)-1]
	return code[:len(code)-1] + string('0'+(last-'0'+1)%10)
}

// entries lists the log's entries of an action.
func (b *box) entries(action store.Action) (out []store.Record) {
	b.t.Helper()
	if err := b.store.View(context.Background(), func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error {
			if r.Entry.Action == action {
				out = append(out, r)
			}
			return nil
		})
	}); err != nil {
		b.t.Fatal(err)
	}
	return out
}

// person is a browser with a session.
type person struct {
	*box
	token, csrf string
}

// login begins a session of a role's person, without the password that another test is about.
func (b *box) login(role access.Role) *person {
	b.t.Helper()
	p := &person{box: b}
	b.do(func(tx *store.Tx) error {
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
	b.t.Helper()
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	a := answer{w, b.t}
	if w.Code/100 != 3 && strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		wellFormed(b.t, r.Method+" "+r.URL.Path, w.Body.String())
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

func (p *person) get(path string) answer { p.t.Helper(); return p.ask(p.request("GET", path)) }

func (p *person) post(path string, fields ...string) answer {
	p.t.Helper()
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
