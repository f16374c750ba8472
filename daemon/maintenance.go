package daemon

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/daemon/outbox"
	"pinward/store"
)

// maintenance is a planned time in which the box takes nothing new: portals and desks are told when to come
// back, engines keep their messages, and nobody is woken. What was accepted before goes on, codes first, and
// what patients answer is read. It ends by itself.
type maintenance struct {
	From, Until time.Time
	By          string
	Reason      string
}

// Actions of maintenance. Attributes until, reason; of the end, how.
const (
	actMaintenance    store.Action = "maintenance.on"
	actMaintenanceEnd store.Action = "maintenance.off"
)

// longestMaintenance bounds one that is forgotten.
const longestMaintenance = 72 * time.Hour

// maintained holds one record at the most, so that a restart in the middle goes on with it.
var maintained = store.NewTable[maintenance]("daemon.maintenance")

var maintainedKey = []byte("maintenance")

// inMaintenance is the maintenance that is on now, nil if none is. It asks no store: every request does.
func (h *house) inMaintenance() *maintenance {
	if m := h.planned.Load(); m != nil && time.Now().Before(m.Until) {
		return m
	}
	return nil
}

// plannedUntil is until when maintenance is on and by whom, for the pages; false if none is.
func (h *house) plannedUntil() (until time.Time, by string, on bool) {
	if m := h.inMaintenance(); m != nil {
		return m.Until, m.By, true
	}
	return until, by, false
}

// resumeMaintenance takes up one that a restart interrupted.
func (h *house) resumeMaintenance(tx *store.Tx) error {
	m, ok, err := maintained.Get(tx, maintainedKey)
	if err != nil {
		return fmt.Errorf("read maintenance: %w", err)
	}
	if ok {
		h.planned.Store(&m)
	}
	return nil
}

// beginMaintenance begins one, or changes the end of the one that is on.
func (h *house) beginMaintenance(tx *store.Tx, until time.Time, reason string) error {
	left := until.Sub(tx.Now())
	if left <= 0 || left > longestMaintenance || len(reason) > 200 {
		return fmt.Errorf("%w: maintenance ends within 72 hours from now, and its reason has at most 200 bytes", admin.ErrState)
	}
	m := maintenance{From: tx.Now(), Until: until.UTC(), By: tx.Actor().ID, Reason: reason}
	switch had, ok, err := maintained.Get(tx, maintainedKey); {
	case err != nil:
		return fmt.Errorf("read maintenance: %w", err)
	case ok && tx.Now().Before(had.Until):
		m.From = had.From
	case ok: // over, and not written down yet
		if err := endMaintenance(tx, "time"); err != nil {
			return err
		}
	}
	if err := maintained.Put(tx, maintainedKey, m); err != nil {
		return fmt.Errorf("keep maintenance: %w", err)
	}
	return tx.Record(store.Entry{Action: actMaintenance, Outcome: store.OK, Attrs: []store.Attr{
		{Key: "until", Value: m.Until.Format(time.RFC3339)}, {Key: "reason", Value: reason},
	}})
}

// endMaintenance ends it; how is "time" or "operator".
func endMaintenance(tx *store.Tx, how string) error {
	if _, ok, err := maintained.Get(tx, maintainedKey); err != nil || !ok {
		return err
	}
	if err := maintained.Delete(tx, maintainedKey); err != nil {
		return fmt.Errorf("end maintenance: %w", err)
	}
	return tx.Record(store.Entry{Action: actMaintenanceEnd, Outcome: store.OK, Attrs: []store.Attr{{Key: "by", Value: how}}})
}

// sweepMaintenance writes down that it is over. The doors open at the hour itself; if we crash here, the next
// start reads a record whose time has come, which keeps nothing closed.
func (h *house) sweepMaintenance(ctx context.Context) {
	m := h.planned.Load()
	if m == nil || time.Now().Before(m.Until) {
		return
	}
	if err := h.store.Update(ctx, self, func(tx *store.Tx) error { return endMaintenance(tx, "time") }); err != nil {
		if ctx.Err() == nil {
			h.log.Error("end maintenance", "error", err)
		}
		return
	}
	h.planned.CompareAndSwap(m, nil)
	h.log.Info("maintenance is over")
}

// checkMaintenance shows it in health; no alarm comes of it.
func (h *house) checkMaintenance() health.Check {
	return health.Check{Name: maintenanceNode, Ask: func() (health.State, string) {
		m := h.inMaintenance()
		if m == nil {
			return health.OK, ""
		}
		return health.Warn, "nothing new is taken until " + m.Until.Format("2006-01-02 15:04 UTC") + ", by " + m.By
	}}
}

// maintenanceRoutes are the operator's verbs for it.
func (b *box) maintenanceRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "GET /maintenance", May: access.StatusRead, Do: func(r *http.Request, s *store.Store, _ store.Actor) (any, error) {
			return b.maintenanceNow(r, s)
		}},
		{Pattern: "PUT /maintenance", May: access.Operate, Do: b.setMaintenance},
		{Pattern: "DELETE /maintenance", May: access.Operate, Do: b.liftMaintenance},
	}
}

func (b *box) setMaintenance(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	var req struct {
		Until  time.Time `json:"until"`
		Reason string    `json:"reason"`
	}
	if err := ask(r, &req); err != nil {
		return nil, err
	}
	h := b.house.Load()
	if h == nil {
		return nil, errNotOpen
	}
	err := s.Update(r.Context(), by, func(tx *store.Tx) error { return h.beginMaintenance(tx, req.Until, strings.TrimSpace(req.Reason)) })
	if err == nil {
		err = s.View(r.Context(), h.resumeMaintenance)
	}
	if err != nil {
		return nil, err
	}
	h.log.Info("maintenance begins", "until", req.Until.UTC())
	return b.maintenanceNow(r, s)
}

func (b *box) liftMaintenance(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	h := b.house.Load()
	if h == nil {
		return nil, errNotOpen
	}
	if h.inMaintenance() == nil {
		return nil, fmt.Errorf("%w: no maintenance is on", admin.ErrState)
	}
	if err := s.Update(r.Context(), by, func(tx *store.Tx) error { return endMaintenance(tx, "operator") }); err != nil {
		return nil, err
	}
	h.planned.Store(nil)
	return b.maintenanceNow(r, s)
}

// maintenanceNow is how it stands, with what is still under way.
func (b *box) maintenanceNow(r *http.Request, s *store.Store) (any, error) {
	h := b.house.Load()
	if h == nil {
		return nil, errNotOpen
	}
	out := admin.Maintenance{}
	err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		out, err = h.describeMaintenance(tx)
		return err
	})
	return out, err
}

func (h *house) describeMaintenance(tx *store.Tx) (out admin.Maintenance, err error) {
	if m := h.inMaintenance(); m != nil {
		out = admin.Maintenance{On: true, From: m.From, Until: m.Until, By: m.By, Reason: m.Reason}
	}
	lanes, err := outbox.Depth(tx)
	for _, l := range lanes {
		out.Waiting += l.Due
		out.OnAir += l.OnAir
	}
	return out, err
}

// errMaintenance closes an HL7 connection: the engine keeps the message and sends it again.
var errMaintenance = errors.New("the box is in maintenance")

// retryMost bounds Retry-After: an operator may end it sooner.
const retryMost = 5 * time.Minute

func (m *maintenance) retryAfter() string {
	left := min(time.Until(m.Until), retryMost)
	return strconv.Itoa(int(math.Ceil(max(left, time.Second).Seconds())))
}

// refusesNew tells whether a page begins something new: all else at the desk goes on, such as the check of a
// code that is out.
func refusesNew(r *http.Request) bool {
	return r.Method == http.MethodPost && (r.URL.Path == "/verifications" || strings.HasPrefix(r.URL.Path, "/verifications/") &&
		(strings.HasSuffix(r.URL.Path, "/resend") || strings.HasSuffix(r.URL.Path, "/next")))
}

// watches tells whether a path is for monitors, which are answered at all times.
func watches(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }

// maintain answers in place of the API, or of a form of the desk; false where nothing is to be refused.
func (b *box) maintain(h *house, w http.ResponseWriter, r *http.Request) bool {
	m := h.inMaintenance()
	if m == nil {
		return false
	}
	switch {
	case r.URL.Path == "/readyz":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Retry-After", m.retryAfter())
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not ready: maintenance until "+m.Until.Format(time.RFC3339))
	case watches(r.URL.Path):
		return false
	case forMachines(r.URL.Path):
		w.Header().Set("Retry-After", m.retryAfter())
		unavailable(w, r, "the box is in maintenance")
	case refusesNew(r):
		w.Header().Set("Retry-After", m.retryAfter())
		var site contact.Site
		if err := h.store.View(r.Context(), func(tx *store.Tx) (err error) {
			site, err = contact.SiteOf(tx)
			return err
		}); err != nil {
			b.log.Error("read site", "error", err)
		}
		b.show(w, http.StatusServiceUnavailable, "maintenance", m.Until.In(site.Location()).Format("Monday 15:04 MST"))
	default:
		return false
	}
	return true
}
