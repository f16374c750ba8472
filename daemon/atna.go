package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/api"
	"pinward/daemon/health"
	"pinward/daemon/record"
	"pinward/store"
)

// ATNATarget is [atna]: the hospital's own audit repository (IHE ITI-20), which gets every event of the
// audit with the medical record number of the patient that it is about, numbers masked, never a code or a
// text. An attacker who controls it learns who was texted and when; TLS is not optional.
type ATNATarget struct {
	// Relay is the repository by its name on the relay's list.
	Relay string `toml:"relay"`
	// Format is dicom (RFC 5424 with DICOM audit XML) or json (a JSON object a line); empty means dicom.
	Format string `toml:"format"`
	// Schema is that of the audit XML: dicom (DICOM PS3.15, csd-code and originalText) or rfc3881 (code and displayName, for a repository
	// from before 2017); empty means dicom.
	Schema string `toml:"schema"`
	// TLS is the repository's name in its certificate. CA is the PEM file of who signed it; empty means the
	// system's.
	TLS string `toml:"tls"`
	CA  string `toml:"ca"`
	// Certificate and Key are this box's own, as PEM files, where the repository asks for one (ITI-19 does).
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	// Site is AuditEnterpriseSiteID, the hospital's name for itself; it may be empty.
	Site string `toml:"site"`
}

func (a *ATNATarget) check() error {
	switch {
	case a.Relay == "":
		return errors.New("relay must be set: the repository's name on the relay's list")
	case a.Format != "" && a.Format != record.FormatDICOM && a.Format != record.FormatJSON:
		return fmt.Errorf("format: %q is none of dicom, json", a.Format)
	case a.Schema != "" && a.Schema != record.SchemaDICOM && a.Schema != record.SchemaRFC3881:
		return fmt.Errorf("schema: %q is none of dicom, rfc3881", a.Schema)
	case a.Schema != "" && a.Format == record.FormatJSON:
		return errors.New("schema is of the audit XML: a JSON line has none")
	case a.TLS == "":
		return errors.New("tls must be set, the repository's name in its certificate: events name patients")
	case a.CA != "" && !filepath.IsAbs(a.CA):
		return errors.New("ca must be an absolute path")
	case (a.Certificate == "") != (a.Key == ""):
		return errors.New("certificate and key go together")
	case a.Certificate != "" && (!filepath.IsAbs(a.Certificate) || !filepath.IsAbs(a.Key)):
		return errors.New("certificate and key must be absolute paths")
	}
	return nil
}

// repository is the follower that feeds it.
func (a *ATNATarget) repository(box string, out Dial) *record.Repository {
	host, _ := os.Hostname()
	return &record.Repository{
		Box: box, Site: a.Site, Host: host, Format: cmp.Or(a.Format, record.FormatDICOM), Schema: cmp.Or(a.Schema, record.SchemaDICOM), About: api.AboutOf,
		Dial: dialTLS(out, a.Relay, peerTLS{Name: a.TLS, CA: a.CA, Certificate: a.Certificate, Key: a.Key}),
	}
}

// feedRepository starts the loop that sends events, where there is a repository.
func (h *house) feedRepository(ctx context.Context, c Config, out Dial) {
	if c.ATNA == nil {
		return
	}
	h.repository, h.atna = c.ATNA.repository(c.Box.ID, out), *c.ATNA
	h.rest.Go(func() { h.repository.Run(ctx, h.store, self, h.log) })
}

// The backlog of the repository that health warns of: events that are older, or more of them.
const (
	repositoryLate = 15 * time.Minute
	repositoryMany = 10_000
)

// repositoryStatus is how far the repository is, nil where there is none.
func (h *house) repositoryStatus(tx *store.Tx) (*admin.Repository, error) {
	if h.repository == nil {
		return nil, nil
	}
	st, err := record.StatusOf(tx, record.RepositoryCursor)
	return &admin.Repository{Relay: h.atna.Relay, Format: h.repository.Format, FollowerStatus: st}, err
}

// checkRepository warns when events wait for the repository for long, or too many.
func (h *house) checkRepository() health.Check {
	return health.Check{Name: "audit repository", Ask: func() (health.State, string) {
		var st *admin.Repository
		err := h.store.View(context.Background(), func(tx *store.Tx) (err error) {
			st, err = h.repositoryStatus(tx)
			return err
		})
		if err != nil {
			return health.Unknown, "its cursor cannot be read"
		}
		return judgeRepository(st, time.Now())
	}}
}

func judgeRepository(st *admin.Repository, now time.Time) (health.State, string) {
	if st == nil || st.Backlog == 0 || st.Backlog < repositoryMany && now.Sub(st.Oldest) < repositoryLate {
		return health.OK, ""
	}
	cause := fmt.Sprintf("%d entries wait for it, the first since %s", st.Backlog, st.Oldest.UTC().Format(time.RFC3339))
	if st.Trouble != "" {
		cause += ": " + st.Trouble
	}
	return health.Warn, cause
}

// repositoryRoutes are the operator's verbs for the repository.
func (b *box) repositoryRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "GET /audit/repository", May: access.AuditRead, Do: b.showRepository},
		{Pattern: "POST /audit/repository", May: access.SiteWrite, Do: b.repeatRepository},
	}
}

func (b *box) showRepository(r *http.Request, s *store.Store, _ store.Actor) (any, error) {
	h := b.house.Load()
	if h == nil {
		return nil, errNotOpen
	}
	if h.repository == nil {
		return nil, fmt.Errorf("%w: there is no [atna] in pinward.toml", admin.ErrState)
	}
	var st *admin.Repository
	err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		st, err = h.repositoryStatus(tx)
		return err
	})
	return st, err
}

// repeatRepository has events sent again from an entry on.
func (b *box) repeatRepository(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	var req struct {
		From uint64 `json:"from"`
	}
	if err := ask(r, &req); err != nil {
		return nil, err
	}
	if _, err := b.showRepository(r, s, by); err != nil {
		return nil, err
	}
	if err := s.Update(r.Context(), by, func(tx *store.Tx) error { return record.Again(tx, record.RepositoryCursor, req.From) }); err != nil {
		return nil, err
	}
	return b.showRepository(r, s, by)
}
