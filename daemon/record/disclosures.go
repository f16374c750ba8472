package record

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"pinward/store"
)

// disclosing are the actions by which something about a patient was to leave the box.
var disclosing = []store.Action{"verification.start", "verification.resend", "notice.send", "notice.move", "notice.hold"}

// afterwards is how long after a message was made the network may still say something of it: a receipt
// comes a day late at most.
const afterwards = 26 * time.Hour

// disclosures lists what left the box about a patient (45 CFR 164.528): when, to which number, of which
// kind, who asked, and what the network did with it.
func (r *Report) disclosures(tx *store.Tx, a Ask) error {
	r.Title, r.Why = "Accounting of disclosures", "45 CFR 164.528"
	r.Columns = []string{"time", "action", "outcome", "phone", "template", "service", "actor_kind", "actor", "on_behalf_of", "object", "message", "cause"}
	found, err := disclosed(tx, a)
	if err != nil {
		return err
	}
	about := map[string]bool{} // verifications and notices of the patient
	for _, d := range found {
		if d.Entry.Object != "" {
			about[d.Entry.Object] = true
		}
	}
	// What became of them stands beside them without a patient's name: read on from each, and no
	// stretch twice.
	var next uint64
	for _, d := range found {
		if d.Seq < next {
			continue
		}
		until := d.Time.Add(afterwards)
		full := false
		err := tx.Entries(d.Seq, func(e store.Record) error {
			next = e.Seq + 1
			i, hit := slices.BinarySearchFunc(found, e.Seq, func(f store.Record, seq uint64) int { return cmp.Compare(f.Seq, seq) })
			switch {
			case hit:
				until = found[i].Time.Add(afterwards)
			case e.Time.After(until), !a.To.IsZero() && !e.Time.Before(a.To):
				return store.Stop
			case !strings.HasPrefix(string(e.Entry.Action), "message.") || !about[Attr(e.Entry, "ref")]:
				return nil
			}
			err := r.add(disclosure(e)...)
			full = err != nil
			return err
		})
		if err != nil || full {
			return err
		}
	}
	return nil
}

// disclosed finds the entries of the patient that were to send something, oldest first.
func disclosed(tx *store.Tx, a Ask) (found []store.Record, err error) {
	for _, id := range a.Subjects {
		q := Query{Subject: id, From: a.From, To: a.To, Limit: maxPage}
		for {
			page, err := Search(tx, q)
			if err != nil {
				return nil, err
			}
			for _, e := range page.Records {
				if slices.Contains(disclosing, e.Entry.Action) {
					found = append(found, e)
				}
			}
			if q.Before = page.Next; q.Before == 0 {
				break
			}
		}
	}
	slices.SortFunc(found, func(a, b store.Record) int { return cmp.Compare(a.Seq, b.Seq) })
	return slices.CompactFunc(found, func(a, b store.Record) bool { return a.Seq == b.Seq }), nil
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
	return []string{
		r.Time.UTC().Format(time.RFC3339Nano), string(e.Action), e.Outcome.String(), phone, Attr(e, "template"),
		Attr(e, "service"), string(r.Actor.Kind), r.Actor.ID, cmp.Or(Attr(e, "on_behalf_of"), r.Actor.OnBehalfOf),
		e.Object, message, Attr(e, "cause"),
	}
}
