package console

import (
	"slices"
	"strings"
	"testing"

	"pinward/daemon/access"
	"pinward/store"
)

// maySee is the policy of this door, page by page: N nurse, P portal, E engine, O operator, U auditor,
// A admin.
var maySee = map[string]string{
	"GET /{$}":                        "NPEOUA",
	"POST /{$}":                       "NPE",
	"POST /verifications":             "NPE",
	"GET /verifications/{id}":         "NPEOU",
	"GET /verifications/{id}/status":  "NPEOU",
	"POST /verifications/{id}/check":  "NPE",
	"POST /verifications/{id}/next":   "NPE",
	"POST /verifications/{id}/call":   "NPE",
	"POST /verifications/{id}/resend": "NPE",
	"POST /verifications/{id}/cancel": "NPE",
	"GET /messages":                   "NPEOU",
	"GET /contacts":                   "NEU",
	"POST /contacts":                  "NEU",
	"POST /contacts/language":         "NE",
	"GET /numbers":                    "NEU",
	"POST /numbers":                   "NEU",
	"POST /numbers/save":              "NE",
	"GET /items":                      "NO",
	"POST /items/{id}/close":          "NO",
	"GET /services":                   "NOUA",
	"GET /audit":                      "U",
	"POST /audit":                     "U",
	"GET /reports":                    "U",
	"POST /reports":                   "U",
	"POST /reports/csv":               "U",
	"GET /health":                     "NOUA",
	"GET /alarms":                     "OA",
	"POST /alarms/{id}/acknowledge":   "OA",
}

var letters = map[access.Role]string{
	access.Nurse: "N", access.Portal: "P", access.Engine: "E", access.Operator: "O", access.Auditor: "U", access.Admin: "A",
}

// TestRoles asks every page as every role; the navigation offers what may be seen and nothing else.
func TestRoles(t *testing.T) {
	b := newBox(t)
	for role, letter := range letters {
		p := b.login(role)
		refused := 0
		for pattern := range pages {
			may, known := maySee[pattern]
			if !known {
				t.Errorf("%s: who may see it?", pattern)
			}
			method, path, _ := strings.Cut(pattern, " ")
			path = strings.ReplaceAll(strings.ReplaceAll(path, "{id}", "nothing"), "{$}", "")
			a := b.ask(p.request(method, path))
			if allowed := strings.Contains(may, letter); allowed == (a.Code == 403) || a.Code == 500 {
				t.Errorf("%s as %s: status %d", pattern, role, a.Code)
			}
			if a.Code == 403 {
				a.says("Your roles do not include this page.")
				refused++
			}
		}
		if n := len(b.Entries(access.ActionForbidden)); n != refused {
			t.Errorf("%d refusals of %s on record, want %d", n, role, refused)
		}
		b = newBox(t)
	}
}

// TestHome: everybody's first page is one that they may see.
func TestHome(t *testing.T) {
	b := newBox(t)
	for role, want := range map[access.Role]string{
		access.Nurse: "", access.Portal: "", access.Engine: "", access.Auditor: "/audit", access.Operator: "/health", access.Admin: "/health",
	} {
		p := b.login(role)
		a := p.get("/")
		if want != "" {
			if to := a.leads(); to != want {
				t.Errorf("home of %s is %s, want %s", role, to, want)
			}
			a = p.get(want)
		}
		a.want(200)
		// Each link of the navigation leads to a page that opens.
		var links []string
		for _, l := range navigation {
			if strings.Contains(a.Body.String(), `<a href="`+l.Path+`"`) {
				links = append(links, l.Path)
				if got := p.get(l.Path); got.Code != 200 {
					t.Errorf("%s: the link to %s is %d", role, l.Path, got.Code)
				}
			} else if strings.Contains(maySee["GET "+l.Path], letters[role]) {
				t.Errorf("%s is not offered %s", role, l.Path)
			}
		}
		if len(links) == 0 || (want != "" && !slices.Contains(links, want)) {
			t.Errorf("%s is offered %v", role, links)
		}
	}
}

// TestReaderSeesNoForms: who may look and not act gets no buttons.
func TestReaderSeesNoForms(t *testing.T) {
	b := newBox(t)
	id := b.login(access.Nurse).post("/verifications", "number", patientNumber, "service", "patient-signup").leads()
	b.login(access.Nurse).get(id).want(200).says("/check", "Send it again")
	b.login(access.Auditor).get(id).want(200).says("(617) 555-1234").hides("/check", "Send it again", "Cancel")
	b.patient()
	b.login(access.Auditor).post("/contacts", "mrn", patient.MRN).want(200).hides("Send a code to this patient")
}

// TestDisabledUser: a person who was let go is out at once.
func TestDisabledUser(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Nurse)
	p.get("/").want(200)
	b.Do(func(tx *store.Tx) error {
		u, err := access.FindUser(tx, "nurse")
		if err != nil {
			return err
		}
		u.Disabled = true
		return access.SetUser(tx, u)
	})
	if to := p.get("/").leads(); to != "/login?over=1" {
		t.Errorf("a disabled person is led to %s", to)
	}
}
