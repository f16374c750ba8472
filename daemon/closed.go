package daemon

import (
	"fmt"
	"net/http"
	"strings"
)

// serveClosed answers while there is no house: health to monitors, a plain page to people, a clear
// 503 to machines, and to the operator who has a ticket the pages of set-up and unsealing.
func (b *box) serveClosed(w http.ResponseWriter, r *http.Request) {
	st := b.state.Load()
	switch {
	case r.URL.Path == "/healthz":
		fmt.Fprintln(w, "ok")
		return
	case r.URL.Path == "/readyz":
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "keys: "+st.Name)
		return
	case r.URL.Path == "/metrics":
		closedFigures(w, st.Name, b.opts.Version)
		return
	case forSetup(r.URL.Path):
		b.serveSetup(w, r)
		return
	}
	if st.Name == Decommissioned {
		if forMachines(r.URL.Path) {
			http.Error(w, "this box was taken out of service", http.StatusGone)
			return
		}
		b.show(w, http.StatusGone, "ended", st)
		return
	}
	b.sealed.https.Add(1)
	w.Header().Set("Retry-After", "30")
	if forMachines(r.URL.Path) {
		unavailable(w, r, "the box is "+st.Name)
		return
	}
	// What a nurse sees names no cause: that is for the operator.
	b.show(w, http.StatusServiceUnavailable, "downtime", b.downtime())
}

// unavailable is 503 for a machine: a problem document (RFC 9457), or what FHIR has for it. The caller sets
// Retry-After.
func unavailable(w http.ResponseWriter, r *http.Request, why string) {
	kind, form := "application/problem+json", `{"type":"about:blank","title":%q,"status":503}`
	if strings.HasPrefix(r.URL.Path, "/fhir/") {
		kind, form = "application/fhir+json; charset=utf-8", `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"transient","diagnostics":%q}]}`
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprintf(w, form+"\n", why)
}

// closedFigures is what a monitor gets of a box that is not open: that it runs, and how it stands. With
// nothing it would look like a box that is gone.
func closedFigures(w http.ResponseWriter, state, version string) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprintf(w, "# HELP pinward_state Always 1; the label is empty, sealed or open.\n# TYPE pinward_state gauge\npinward_state{state=%q} 1\n"+
		"# HELP pinward_accepting 1 if a verification would be accepted now.\n# TYPE pinward_accepting gauge\npinward_accepting 0\n"+
		"# HELP pinward_build_info Always 1.\n# TYPE pinward_build_info gauge\npinward_build_info{version=%q} 1\n", state, version)
}

func forSetup(path string) bool { return path == "/setup" || strings.HasPrefix(path, "/setup/") }

// show renders one of the box's own pages. They hold no scripts and are kept by no cache: one of them
// shows the recovery kit.
func (b *box) show(w http.ResponseWriter, status int, name string, data any) {
	var page strings.Builder
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		b.log.Error("show page", "page", name, "error", err)
		http.Error(w, "the page cannot be shown; the daemon's log says why", http.StatusInternalServerError)
		return
	}
	b.write(w, status, page.String())
}

func (b *box) write(w http.ResponseWriter, status int, page string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	fmt.Fprint(w, page)
}
