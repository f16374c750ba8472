package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pinward/daemon/alarm"
	"pinward/daemon/contact"
	"pinward/store"
)

// siteNote is what a closed box still knows of its site: it cannot read the store then. It is kept in
// clear beside the store and holds nothing of a patient. Who can write there can change what the page of a
// closed box says, and nothing else.
type siteNote struct {
	Name string `json:"name"` // of the site
	Help string `json:"help"` // whom staff call: the policy's alarms.help
	Zone string `json:"zone"`
}

func (b *box) notePath() string { return filepath.Join(b.cfg.Box.State, "site.json") }

// readNote is the last note, an empty one where there is none or it cannot be read: the page says less then.
func (b *box) readNote() (n siteNote) {
	text, err := readUpTo(b.notePath(), 1<<16)
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			b.log.Warn("read note of the site", "error", err)
		}
		return siteNote{}
	}
	return n
}

// keepNote writes the note anew where site or policy changed. If we crash before the rename the old one stays.
func (b *box) keepNote(ctx context.Context, s *store.Store) error {
	var now siteNote
	if err := s.View(ctx, func(tx *store.Tx) error {
		site, err1 := contact.SiteOf(tx)
		p, err2 := alarm.PolicyOf(tx)
		now = siteNote{Name: site.Name, Help: p.Help, Zone: site.Zone}
		return errors.Join(err1, err2)
	}); err != nil {
		return err
	}
	if last := b.noted.Load(); last != nil && *last == now {
		return nil
	}
	text, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("encode note of the site: %w", err)
	}
	temporary := b.notePath() + ".new"
	if err := errors.Join(os.WriteFile(temporary, append(text, '\n'), 0o600), os.Rename(temporary, b.notePath())); err != nil {
		return fmt.Errorf("keep note of the site: %w", err)
	}
	b.noted.Store(&now)
	return nil
}

// downtimePath is where the form is on an open box, for whoever wants to print some; on a closed one every
// page has it.
const downtimePath = "/downtime"

// downtimeView is what the downtime page is made of.
type downtimeView struct {
	siteNote
	Closed bool   // it tells that the box is closed; else it is the form to keep at hand
	State  string // empty, sealed
	Since  string
	Rows   []int // of the form, numbered
}

// formRows are how many patients one sheet is for.
const formRows = 8

func downtimeOf(n siteNote) downtimeView {
	v := downtimeView{siteNote: n}
	for i := range formRows {
		v.Rows = append(v.Rows, i+1)
	}
	return v
}

// downtime is the page now: with what does not work while the box is closed.
func (b *box) downtime() downtimeView {
	v := downtimeOf(b.readNote())
	if st := b.state.Load(); st.Name != Open {
		zone, err := time.LoadLocation(cmp.Or(v.Zone, "UTC"))
		if err != nil {
			zone = time.UTC
		}
		v.Closed, v.State, v.Since = true, st.Name, st.Since.In(zone).Format("Monday 2 January 2006, 15:04 MST")
	}
	return v
}

// downtimePage is the page as a file for the intranet: of a site, or of none in the package.
func downtimePage(n siteNote) (string, error) {
	var page strings.Builder
	if err := pages.ExecuteTemplate(&page, "downtime", downtimeOf(n)); err != nil {
		return "", fmt.Errorf("make downtime page: %w", err)
	}
	return page.String(), nil
}

// serveDowntime gives the page to whoever asks at the control socket, in every state of the box: there is
// nothing in it that needs a login.
func (b *box) serveDowntime(w http.ResponseWriter, _ *http.Request) {
	page, err := downtimePage(b.readNote())
	if err != nil {
		b.log.Error("serve downtime page", "error", err)
		http.Error(w, `{"error":"the page cannot be made; the daemon's log says why"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, page)
}
