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

// The parts of an accounting of disclosures.
const (
	partPatient    = "to the patient"                   // 45 CFR 164.528(a)(1)(ii): need not be accounted for
	partOperations = "treatment, payment or operations" // 164.528(a)(1)(i): nor need these
	partWrong      = "to a wrong recipient"             // this must be
)

// within are the actions by which somebody of the hospital looked at what is kept of a patient.
var within = []store.Action{ActionView, ActionSearch}

// disclosures lists what left the box about a patient (45 CFR 164.528): when, to which number, of which
// kind, who asked, and what the network did with it. It has three parts: what went to the patient, what
// the hospital's own people looked at, and what reached somebody else. Only the last has to be accounted
// for; whoever asks gets all three.
func (r *Report) disclosures(tx *store.Tx, a Ask) error {
	r.Title, r.Why = "Accounting of disclosures", "45 CFR 164.528"
	r.Columns = []string{"part", "time", "action", "outcome", "phone", "template", "service", "actor_kind", "actor", "on_behalf_of", "object", "message", "cause"}
	found, err := ofPatient(tx, a, disclosing)
	if err != nil {
		return err
	}
	wrong, err := wrongRecipients(tx, found)
	if err != nil {
		return err
	}
	parts := map[string][][]string{}
	put := func(part string, e store.Record) error {
		parts[part] = append(parts[part], append([]string{part}, disclosure(e)...))
		if len(parts[part]) > maxRows {
			return store.Stop
		}
		return nil
	}
	about := map[string]string{} // verifications and notices of the patient, and to whom they went
	for _, d := range found {
		if d.Entry.Object != "" && about[d.Entry.Object] != partWrong {
			about[d.Entry.Object] = partOf(wrong[d.Seq])
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
			case !strings.HasPrefix(string(e.Entry.Action), "message.") || about[Attr(e.Entry, "ref")] == "":
				return nil
			}
			part := about[Attr(e.Entry, "ref")]
			if hit {
				part = partOf(wrong[e.Seq])
			}
			err := put(part, e)
			full = err != nil
			return err
		})
		if err != nil {
			return err
		}
		if full {
			break
		}
	}
	looked, err := ofPatient(tx, a, within)
	if err != nil {
		return err
	}
	for _, e := range looked {
		if put(partOperations, e) != nil {
			break
		}
	}
	for _, part := range []string{partPatient, partOperations, partWrong} {
		for _, row := range parts[part] {
			if r.add(row...) != nil {
				return nil // full
			}
		}
	}
	return nil
}

func partOf(wrong bool) string {
	if wrong {
		return partWrong
	}
	return partPatient
}

// ofPatient finds the patient's entries of some actions, oldest first.
func ofPatient(tx *store.Tx, a Ask, actions []store.Action) (found []store.Record, err error) {
	for _, id := range a.Subjects {
		q := Query{Subject: id, From: a.From, To: a.To, Limit: maxPage}
		for {
			page, err := Search(tx, q)
			if err != nil {
				return nil, err
			}
			for _, e := range page.Records {
				if slices.Contains(actions, e.Entry.Action) {
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
