package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/record"
	"pinward/store"
)

// reportForm is what a report is asked for with, and the report once it is made.
type reportForm struct {
	Kind, MRN, From, To string

	Kinds []reportKind
	Made  *reportPage // nil until somebody asked
}

// reportKind is a kind of report, in the words of those who ask for it.
type reportKind struct{ Kind, Words string }

var reportKinds = []reportKind{
	{record.KindDisclosures, "Accounting of disclosures to a patient (45 CFR 164.528)"},
	{record.KindActivity, "Activity review: who did what (45 CFR 164.308(a)(1))"},
	{record.KindIncidents, "Incidents and possible breaches (45 CFR 164.308(a)(6))"},
	{record.KindEvidence, "Evidence for an audit: users, reviews, failed logins, settings, drills (45 CFR 164.316)"},
}

// reportPage is a report as a page to print: the same rows as in the file, with times of the site.
type reportPage struct {
	Title, Why string
	At         time.Time
	Zone       *time.Location
	Columns    []string
	Rows       [][]reportCell
	All        int  // rows of the report, of which a page shows maxShown
	Complete   bool // false: the report was cut
}

// reportCell is a value, and the class of how it is set.
type reportCell struct{ Value, Class string }

// maxShown bounds the rows of a page: a browser that lays out more of them stands still. The file has all.
const maxShown = 2000

// reportDays is the time that the form offers at first.
const reportDays = 30

// reports shows the form.
func (c *console) reports(w http.ResponseWriter, v *visit) error {
	site, err := c.site(v)
	if err != nil {
		return err
	}
	today := time.Now().In(site.Location())
	return c.ok(w, v, "reports", view{Title: "Reports", Body: reportForm{
		Kinds: reportKinds, From: today.AddDate(0, 0, -reportDays).Format(time.DateOnly), To: today.Format(time.DateOnly),
	}})
}

// showReport makes a report as a page.
func (c *console) showReport(w http.ResponseWriter, v *visit) error {
	form := reportFormOf(v)
	out := view{Title: "Reports", Path: "/reports", Body: form}
	made, site, err := c.makeReport(v, form)
	if err != nil {
		c.fail(w, v, err, "reports", out)
		return nil
	}
	page := reportPage{
		Title: made.Title, Why: made.Why, At: time.Now(), Zone: site.Location(), All: len(made.Rows), Complete: made.Complete,
	}
	for _, name := range made.Columns {
		page.Columns = append(page.Columns, title(strings.ReplaceAll(name, "_", " ")))
	}
	for _, row := range made.Rows[:min(len(made.Rows), maxShown)] {
		shown := make([]reportCell, len(row))
		for i, name := range made.Columns {
			shown[i] = readable(name, row[i], page.Zone)
		}
		page.Rows = append(page.Rows, shown)
	}
	form.Made = &page
	out.Title, out.Body = made.Title, form
	return c.ok(w, v, "reports", out)
}

// saveReport makes a report as a file for a spreadsheet. Its name tells nothing of a patient.
func (c *console) saveReport(w http.ResponseWriter, v *visit) error {
	form := reportFormOf(v)
	made, _, err := c.makeReport(v, form)
	if err != nil {
		c.fail(w, v, err, "reports", view{Title: "Reports", Path: "/reports", Body: form})
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	h.Set("Content-Disposition", `attachment; filename="pinward-`+made.Kind+`-`+time.Now().UTC().Format(time.DateOnly)+`.csv"`)
	if !made.Complete {
		h.Set("Pinward-Complete", "no")
	}
	return made.WriteCSV(w)
}

func reportFormOf(v *visit) reportForm {
	field := func(name string) string { return strings.TrimSpace(v.PostFormValue(name)) }
	return reportForm{Kind: field("kind"), MRN: field("mrn"), From: field("from"), To: field("to"), Kinds: reportKinds}
}

// makeReport writes down who asks for what about whom, and then makes the report.
func (c *console) makeReport(v *visit, f reportForm) (made record.Report, site contact.Site, err error) {
	if site, err = c.site(v); err != nil {
		return made, site, err
	}
	a := record.Ask{Kind: f.Kind}
	if a.From, err = dayOf(f.From, site.Location(), 0); err != nil {
		return made, site, err
	}
	if a.To, err = dayOf(f.To, site.Location(), 1); err != nil { // the whole of that day
		return made, site, err
	}
	if len(f.MRN) > maxSearched {
		return made, site, &refusal{"This is no record number."}
	}
	if f.MRN != "" && f.Kind == record.KindDisclosures {
		a.Subjects = []contact.SubjectID{{Authority: site.Authority, MRN: f.MRN}}
	}
	if what := a.Check(); what != "" {
		return made, site, &refusal{strings.ToUpper(what[:1]) + what[1:] + "."}
	}
	if err := c.Store.Update(v.Context(), v.who.Actor, func(tx *store.Tx) error { return record.NoteReport(tx, a) }); err != nil {
		return made, site, err
	}
	err = c.Store.View(v.Context(), func(tx *store.Tx) error {
		made, err = record.Make(tx, a)
		return err
	})
	return made, site, err
}

// readable is a value of a report as people here write it: times of the site, numbers without the mark
// that keeps a spreadsheet from adding them up.
func readable(column, value string, zone *time.Location) reportCell {
	switch column {
	case "time", "first", "last":
		if t, err := time.Parse(time.RFC3339Nano, value); err == nil {
			return reportCell{t.In(zone).Format("2006-01-02 15:04:05"), "when"}
		}
	case "phone":
		var p contact.Phone
		if p.UnmarshalText([]byte(strings.TrimPrefix(value, "tel:"))) == nil {
			return reportCell{national(p), "when"}
		}
	case "object", "message", "record":
		return reportCell{value, "id"}
	}
	return reportCell{Value: value}
}

// Count says how many rows there are.
func (p reportPage) Count() string {
	n := strconv.Itoa(p.All) + " rows"
	if p.All == 1 {
		n = "1 row"
	}
	return n
}

// Shown is how many rows the page holds.
func (p reportPage) Shown() int { return len(p.Rows) }
