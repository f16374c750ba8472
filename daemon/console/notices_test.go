package console

import (
	"strings"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/alarm"
	"pinward/store"
	"pinward/store/storetest"
)

// TestNotices: maintenance and open alarms stand on every page of everybody who has logged in, and nothing of what they are about;
// somebody who has not, and a frame within a page, see nothing.
func TestNotices(t *testing.T) {
	b := newBox(t)
	const label = `aria-label="State of this box"`
	everywhere := func(check func(page string, a answer, operates bool)) {
		t.Helper()
		for _, role := range access.Roles() {
			p := b.login(role)
			for pattern, page := range pages {
				method, path, _ := strings.Cut(pattern, " ")
				path = strings.TrimSuffix(path, "{$}")
				if method != "GET" || strings.Contains(path, "{") || page.quiet {
					continue
				}
				a := b.ask(p.request("GET", path))
				if a.Code/100 == 3 {
					continue // home of a role without a desk
				}
				check(string(role)+" "+path, a, access.Principal{Roles: []access.Role{role}}.Can(access.Operate))
			}
		}
	}
	everywhere(func(page string, a answer, _ bool) {
		if strings.Contains(a.Body.String(), label) {
			t.Errorf("%s: notices of nothing", page)
		}
	})
	b.planned = time.Date(2099, 3, 2, 15, 4, 0, 0, time.UTC)
	storetest.Update(t, b.Store, func(tx *store.Tx) error {
		return alarm.Judge(tx, []alarm.Finding{
			{Path: "modems/m1", Severity: alarm.Critical, Cause: "it is unplugged", Since: tx.Now().Add(-time.Hour)},
			{Path: "clock", Severity: alarm.Warning, Cause: "it stands still", Since: tx.Now().Add(-time.Hour)},
		})
	})
	storetest.Update(t, b.Store, func(tx *store.Tx) error { _, err := alarm.Acknowledge(tx, 1, "user", "it"); return err })
	seen := 0
	everywhere(func(page string, a answer, operates bool) {
		seen++
		a.says(label, "Maintenance until Monday 2 March 10:04 EST", "by it", "2 alarms are open, at least one of them critical", "nobody has acknowledged 1 of them")
		if _, path, _ := strings.Cut(page, " "); path != "/alarms" && path != "/health" && path != "/audit" { // these are about it
			a.hides("unplugged", "stands still", "modems/m1")
		}
		if got := strings.Contains(a.Body.String(), ">See the alarms</a>"); got != operates {
			t.Errorf("%s: a way to the alarms: %t, want %t", page, got, operates)
		}
	})
	if seen < 20 {
		t.Errorf("only %d pages were seen", seen)
	}
	login := new(person)
	login.box = b
	b.ask(login.request("GET", "/login")).hides(label, "open")
	storetest.Update(t, b.Store, func(tx *store.Tx) error { _, err := alarm.Acknowledge(tx, 2, "user", "it"); return err })
	b.ask(b.login(access.Nurse).request("GET", "/")).says("somebody sees to it", "tell the IT desk")
}
