package console

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/record"
	"pinward/store"
)

// TestReports: the auditor gets each report as a page and as a file with the same rows; each is an entry
// first, with the patient it is about.
func TestReports(t *testing.T) {
	b := newBox(t)
	b.patient()
	b.login(access.Nurse).post("/verifications", "mrn", patient.MRN, "service", "patient-signup").leads()
	b.Code()
	p := b.login(access.Auditor)
	p.get("/reports").want(200).says("Accounting of disclosures", "Activity review", "Incidents", `type="date" value="`+time.Now().In(newYork(t)).Format(time.DateOnly)).hides("<table")
	for kind, want := range map[string][]string{
		record.KindDisclosures: {"45 CFR 164.528", "Patient MR-4711.", "(617) 555-1234", "verification.start", "On behalf of"},
		record.KindActivity:    {"45 CFR 164.308(a)(1)(ii)(D)", "user:nurse", "verification.start", "Refused"},
		record.KindIncidents:   {"45 CFR 164.308(a)(6)", "Tell patients by"},
	} {
		mrn := ""
		if kind == record.KindDisclosures {
			mrn = patient.MRN
		}
		page := p.post("/reports", "kind", kind, "mrn", mrn).want(200).says(append(want, "Made ", "by auditor", "America/New_York", `scope="col"`)...)
		file := p.post("/reports/csv", "kind", kind, "mrn", mrn).want(200)
		if got := file.Header().Get("Content-Disposition"); !strings.HasPrefix(got, `attachment; filename="pinward-`+kind+"-") || strings.Contains(got, patient.MRN) {
			t.Errorf("%s: the file is %q", kind, got)
		}
		rows, err := csv.NewReader(file.Body).ReadAll()
		if err != nil || !strings.HasPrefix(file.Header().Get("Content-Type"), "text/csv") {
			t.Fatalf("%s: %v", kind, err)
		}
		// The file was made a moment later: the first look is an entry, which the review counts.
		if n := strings.Count(page.Body.String(), "<tr><td"); n-strings.Count(page.Body.String(), "<tr><td colspan") != len(rows)-1 {
			t.Errorf("%s: %d rows on the page, %d in the file", kind, n, len(rows)-1)
		}
		noted := b.Entries(store.Action("report." + kind))
		if len(noted) != 2 || noted[0].Actor.ID != "auditor" || noted[0].Entry.Subject != map[bool]string{true: patient.Key()}[mrn != ""] {
			t.Errorf("%s on record: %v", kind, noted)
		}
	}
	p.get("/reports?mrn=" + patient.MRN).want(200).hides(`value="` + patient.MRN + `"`)
}

// TestReportRefused: what cannot be asked for is said in the form, leaves no entry and makes no file.
func TestReportRefused(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Auditor)
	for name, fields := range map[string][]string{
		"no patient": {"kind", record.KindDisclosures}, "no kind": {"kind", "everything"}, "no day": {"kind", record.KindActivity, "from", "today"},
		"back to front": {"kind", record.KindActivity, "from", "2026-02-01", "to", "2026-01-01"}, "a long number": {"kind", record.KindDisclosures, "mrn", strings.Repeat("1", 300)},
	} {
		for _, path := range []string{"/reports", "/reports/csv"} {
			a := p.post(path, fields...).want(422).says(`role="alert"`, "Show")
			if a.Header().Get("Content-Disposition") != "" {
				t.Errorf("%s: %s makes a file", name, path)
			}
		}
	}
	for _, kind := range record.Kinds() {
		if n := b.Entries(store.Action("report." + kind)); len(n) != 0 {
			t.Errorf("%s on record: %v", kind, n)
		}
	}
}

// TestReportTakesNobodysMarkup: what a client chose is text on the page and no formula in the file.
func TestReportTakesNobodysMarkup(t *testing.T) {
	b := newBox(t)
	const evil = `=HYPERLINK("http://x")<script>`
	b.Do(func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: "client.refused", Outcome: store.Refused, Object: evil})
	})
	p := b.login(access.Auditor)
	p.post("/reports", "kind", record.KindIncidents).want(200).says("=HYPERLINK(&#34;http://x&#34;)&lt;script&gt;")
	rows, err := csv.NewReader(p.post("/reports/csv", "kind", record.KindIncidents).want(200).Body).ReadAll()
	if err != nil || !strings.Contains(fmt.Sprint(rows), "'"+evil) {
		t.Errorf("the file holds %q; %v", rows, err)
	}
}

// TestLongReport: a page shows the first rows and says so; the file has all.
func TestLongReport(t *testing.T) {
	b := newBox(t)
	for range 5 {
		b.Do(func(tx *store.Tx) error {
			var errs []error
			for i := range maxShown / 4 {
				errs = append(errs, tx.Record(store.Entry{Action: "client.refused", Outcome: store.Refused, Object: fmt.Sprint(i)}))
			}
			return errors.Join(errs...)
		})
	}
	p := b.login(access.Auditor)
	page := p.post("/reports", "kind", record.KindIncidents).want(200).says("2500 rows", "The page shows the first 2000 rows")
	if n := strings.Count(page.Body.String(), "<tr><td"); n != maxShown {
		t.Errorf("%d rows", n)
	}
	rows, err := csv.NewReader(p.post("/reports/csv", "kind", record.KindIncidents).want(200).Body).ReadAll()
	if err != nil || len(rows) != 2501 {
		t.Errorf("%d lines in the file; %v", len(rows), err)
	}
}
