package record

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// ActionDisclosures is the entry of a report that was made.
const ActionDisclosures store.Action = "report.disclosures"

// disclosing are the actions by which something about a patient was to leave
// the box.
var disclosing = []store.Action{"verification.start", "verification.resend", "notice.send", "notice.move", "notice.hold"}

// Disclosures writes, as CSV, what left the box about a patient between two
// instants (45 CFR 164.528; zero = no bound): when, to which number, of which
// kind, who asked, and what the network did with it. A patient whose records
// were merged has several ids. It returns the number of lines.
//
// The report itself is an entry of the transaction, so it needs an Update.
func Disclosures(tx *store.Tx, w io.Writer, from, to time.Time, ids ...contact.SubjectID) (int, error) {
	out := csv.NewWriter(w)
	header := []string{"time", "action", "outcome", "phone", "template", "service", "actor_kind", "actor", "on_behalf_of", "object", "message", "cause"}
	if err := out.Write(header); err != nil {
		return 0, fmt.Errorf("write disclosures: %w", err)
	}
	keys := make([]string, 0, len(ids))
	for _, id := range ids {
		keys = append(keys, id.Key())
	}
	start := uint64(0)
	if !from.IsZero() {
		end, err := size(tx)
		if err != nil {
			return 0, err
		}
		if start, err = firstAt(tx, end, from); err != nil {
			return 0, err
		}
	}
	lines := 0
	about := map[string]bool{} // verifications and notices of the patient
	err := tx.Entries(start, func(r store.Record) error {
		if !to.IsZero() && !r.Time.Before(to) {
			return store.Stop
		}
		e := r.Entry
		switch {
		case slices.Contains(disclosing, e.Action) && slices.Contains(keys, e.Subject) && e.Subject != "":
			if e.Object != "" {
				about[e.Object] = true
			}
		case strings.HasPrefix(string(e.Action), "message.") && about[Attr(e, "ref")]:
		default:
			return nil
		}
		lines++
		return out.Write(disclosure(r))
	})
	if err != nil {
		return lines, fmt.Errorf("write disclosures: %w", err)
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return lines, fmt.Errorf("write disclosures: %w", err)
	}
	subject := ""
	if len(keys) > 0 {
		subject = keys[0]
	}
	return lines, tx.Record(store.Entry{Action: ActionDisclosures, Outcome: store.OK, Subject: subject, Attrs: []store.Attr{
		{Key: "lines", Value: fmt.Sprint(lines)}, {Key: "from", Value: stamp(from)}, {Key: "to", Value: stamp(to)},
	}})
}

func disclosure(r store.Record) []string {
	e := r.Entry
	phone := Attr(e, "phone")
	if phone != "" {
		phone = "tel:" + phone // a bare "+1..." is a sum to a spreadsheet
	}
	message := Attr(e, "message")
	if strings.HasPrefix(string(e.Action), "message.") {
		message = e.Object
	}
	line := []string{
		r.Time.UTC().Format(time.RFC3339Nano), string(e.Action), e.Outcome.String(), phone, Attr(e, "template"),
		Attr(e, "service"), string(r.Actor.Kind), r.Actor.ID, cmp.Or(Attr(e, "on_behalf_of"), r.Actor.OnBehalfOf),
		e.Object, message, Attr(e, "cause"),
	}
	for i, v := range line {
		line[i] = inert(v)
	}
	return line
}

// inert keeps a value that a client chose from being a formula in a
// spreadsheet.
func inert(v string) string {
	if v != "" && strings.ContainsRune("=+-@\t\r", rune(v[0])) {
		return "'" + v
	}
	return v
}
