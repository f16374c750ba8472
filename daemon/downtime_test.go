package daemon

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"pinward/daemon/alarm"
	"pinward/daemon/contact"
	"pinward/store"
	"pinward/store/storetest"
)

// downtimeFile is the page in the package: go test ./daemon -run Packaged -downtime writes it anew.
const downtimeFile = "../packaging/doc/downtime.html"

var writeDowntime = flag.Bool("downtime", false, "write packaging/doc/downtime.html anew")

// The page that the package ships for the intranet is the one that the daemon makes, of no site.
func TestDowntimePagePackaged(t *testing.T) {
	page, err := downtimePage(siteNote{})
	if err != nil {
		t.Fatal(err)
	}
	if *writeDowntime {
		if err := os.WriteFile(downtimeFile, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	packaged, err := os.ReadFile(downtimeFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(packaged) != page {
		t.Error("packaging/doc/downtime.html is another page: go test ./daemon -run Packaged -downtime writes it anew")
	}
	for _, outside := range []string{"<script", "http://", "https://", "src=", "url("} {
		if strings.Contains(page, outside) {
			t.Errorf("the page loads something: %s", outside)
		}
	}
}

// closedBox is one with a state and nothing behind it.
func closedBox(t *testing.T, st State) *box {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	b := &box{cfg: Defaults(), log: log, decided: make(chan struct{})}
	close(b.decided)
	b.cfg.Box.State = t.TempDir()
	b.sealed = newSealedLog(b.cfg.Box.State, log)
	b.state.Store(&st)
	return b
}

func (b *box) asked(path string) *http.Response {
	w := httptest.NewRecorder()
	b.serveHTTPS(w, httptest.NewRequest(http.MethodGet, "https://pinward.test"+path, nil))
	return w.Result()
}

// A sealed box says what does not work, since when, whom to call and what to do, with the form; an empty
// one says what makes it work. What a machine asks gets 503 with Retry-After and a problem document.
func TestClosedBoxServesThePage(t *testing.T) {
	s := storetest.Open(t)
	since := time.Date(2026, 3, 2, 7, 5, 0, 0, time.UTC)
	for state, want := range map[string]string{Sealed: "pinward key unseal", Empty: "pinward setup"} {
		b := closedBox(t, State{Name: state, Cause: "the TPM said <no>", Since: since})
		storetest.Update(t, s, func(tx *store.Tx) error {
			p := alarm.Default()
			p.Help = "IT <desk>, extension 4357"
			return alarm.SetPolicy(tx, p)
		})
		storetest.Update(t, s, func(tx *store.Tx) error {
			return contact.SetSite(tx, contact.Site{Name: "Riverside General", Zone: "America/New_York"})
		})
		if err := b.keepNote(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		resp := b.asked("/verifications/VE1")
		page, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "30" {
			t.Errorf("%s: %d, Retry-After %q", state, resp.StatusCode, resp.Header.Get("Retry-After"))
		}
		for _, part := range []string{want, "Riverside General", state, "Monday 2 March 2026, 02:05 EST", "IT &lt;desk&gt;, extension 4357", "Downtime form", "cannot be checked"} {
			if !strings.Contains(string(page), part) {
				t.Errorf("%s: the page has no %q", state, part)
			}
		}
		if strings.Contains(string(page), "the TPM said") {
			t.Errorf("%s: desks read the cause", state)
		}
		resp = b.asked("/v1/verifications")
		problem, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "30" || resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(problem), state) {
			t.Errorf("%s: a machine gets %d %q", state, resp.StatusCode, problem)
		}
	}
}

// Without a note, or with a broken one, the page says less and is there.
func TestClosedBoxWithoutANote(t *testing.T) {
	b := closedBox(t, State{Name: Sealed, Since: time.Now()})
	for _, text := range []string{"", "{", `{"zone":"Nowhere/Land"}`} {
		if text != "" {
			if err := os.WriteFile(b.notePath(), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		page, err := io.ReadAll(b.asked("/").Body)
		if err != nil || !strings.Contains(string(page), "Call the IT desk") || !strings.Contains(string(page), "UTC") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A note that cannot be written is an error, and the old one stays whole; each change is written once.
func TestNoteOfTheSite(t *testing.T) {
	s := storetest.Open(t)
	b := closedBox(t, State{Name: Open})
	keep := func() error { return b.keepNote(context.Background(), s) }
	if err := keep(); err != nil {
		t.Fatal(err)
	}
	first, err := os.Stat(b.notePath())
	if err != nil {
		t.Fatal(err)
	}
	if err := keep(); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(b.notePath()); err != nil || !os.SameFile(first, again) {
		t.Errorf("it is written again though nothing changed: %v", err)
	}
	if err := os.Mkdir(b.notePath()+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	storetest.Update(t, s, func(tx *store.Tx) error {
		return contact.SetSite(tx, contact.Site{Name: "Other", Zone: "UTC"})
	})
	if err := keep(); err == nil || b.readNote().Name == "Other" {
		t.Errorf("%v: the note says %+v", err, b.readNote())
	}
	if err := os.Remove(b.notePath() + ".new"); err != nil {
		t.Fatal(err)
	}
	if err := keep(); err != nil || b.readNote().Name != "Other" {
		t.Errorf("%v: the note says %+v", err, b.readNote())
	}
}
