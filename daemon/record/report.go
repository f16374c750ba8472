package record

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// Report is a table for an auditor, as a file or as a page.
type Report struct {
	Kind     string     `json:"kind"`
	Title    string     `json:"title"`
	Why      string     `json:"why"` // the rule that asks for it
	From     time.Time  `json:"from,omitzero"`
	To       time.Time  `json:"to,omitzero"`
	Columns  []string   `json:"columns"`
	Rows     [][]string `json:"rows"`
	Complete bool       `json:"complete"` // false: it was cut at maxRows
}

// The kinds of reports.
const (
	KindDisclosures = "disclosures"
	KindActivity    = "activity"
	KindIncidents   = "incidents"
	KindEvidence    = "ocr" // for an audit by the Office for Civil Rights
)

// Kinds lists the kinds of reports.
func Kinds() []string { return []string{KindDisclosures, KindActivity, KindIncidents, KindEvidence} }

// maxRows bounds a report: one that is longer says so, and a shorter time is asked for.
const maxRows = 100_000

// Ask is what a report is asked for.
type Ask struct {
	Kind     string
	From, To time.Time // inclusive and exclusive; zero is no bound
	// Subjects is the patient of an accounting of disclosures: several ids if records were merged.
	Subjects []contact.SubjectID
}

// Check says what is wrong with what was asked for, "" if nothing is.
func (a Ask) Check() string {
	switch {
	case !slices.Contains(Kinds(), a.Kind):
		return "a report is one of " + strings.Join(Kinds(), ", ")
	case a.Kind == KindDisclosures && len(a.Subjects) == 0:
		return "an accounting of disclosures needs the patient"
	case !a.From.IsZero() && !a.To.IsZero() && !a.From.Before(a.To):
		return "the time begins after it ends"
	}
	return ""
}

// NoteReport records that somebody asked for a report, and about whom. A door commits it before the
// report is made, so that nobody sees what is not on record.
func NoteReport(tx *store.Tx, a Ask) error {
	subject := ""
	if len(a.Subjects) > 0 {
		subject = a.Subjects[0].Key()
	}
	return tx.Record(store.Entry{Action: store.Action("report." + a.Kind), Outcome: store.OK, Subject: clip(subject), Attrs: []store.Attr{
		{Key: "from", Value: stamp(a.From)}, {Key: "to", Value: stamp(a.To)},
	}})
}

// Make makes a report. It reads only.
func Make(tx *store.Tx, a Ask) (Report, error) {
	r := Report{Kind: a.Kind, From: a.From, To: a.To, Rows: [][]string{}, Complete: true}
	var err error
	switch a.Kind {
	case KindDisclosures:
		err = r.disclosures(tx, a)
	case KindActivity:
		err = r.activity(tx, a)
	case KindIncidents:
		err = r.incidents(tx, a)
	case KindEvidence:
		err = r.evidence(tx, a)
	default:
		err = fmt.Errorf("make report: no kind %q", a.Kind)
	}
	if err != nil {
		return Report{}, fmt.Errorf("make report: %w", err)
	}
	return r, nil
}

// add adds a row; it returns Stop when the report is full.
func (r *Report) add(row ...string) error {
	if len(r.Rows) == maxRows {
		r.Complete = false
		return store.Stop
	}
	r.Rows = append(r.Rows, row)
	return nil
}

// entries calls fn for the entries of a time.
func entries(tx *store.Tx, from, to time.Time, fn func(store.Record) error) error {
	start := uint64(0)
	if !from.IsZero() {
		end, err := tx.Size()
		if err != nil {
			return err
		}
		if start, err = firstAt(tx, end, from); err != nil {
			return err
		}
	}
	return tx.Entries(start, func(r store.Record) error {
		if !to.IsZero() && !r.Time.Before(to) {
			return store.Stop
		}
		return fn(r)
	})
}

// WriteCSV writes the report as a file for a spreadsheet, in which nothing that a client chose becomes
// a formula.
func (r Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(r.Columns); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	for _, row := range r.Rows {
		safe := slices.Clone(row)
		for i, v := range safe {
			safe[i] = inert(v)
		}
		if err := out.Write(safe); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	if out.Flush(); out.Error() != nil {
		return fmt.Errorf("write report: %w", out.Error())
	}
	return nil
}

// inert keeps a value that a client chose from being a formula in a spreadsheet.
func inert(v string) string {
	if v != "" && strings.ContainsRune("=+-@\t\r", rune(v[0])) {
		return "'" + v
	}
	return v
}

// noTime is no bound of a time.
var noTime time.Time

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func who(r store.Record) string { return string(r.Actor.Kind) + ":" + r.Actor.ID }
