package record

import (
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// proving are the actions that, done well, show that whoever holds a number is the patient.
var proving = []store.Action{"verification.check", "verification.approve"}

// wronglySent finds what was to go to a number before an instant and after the number was last proven,
// newest first.
func wronglySent(tx *store.Tx, phone contact.Phone, before time.Time) (sent []store.Record, err error) {
	q := Query{Phone: phone, To: before.Add(time.Nanosecond), Limit: maxPage}
	for {
		page, err := Search(tx, q)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Records {
			if r.Entry.Outcome != store.OK {
				continue
			}
			if slices.Contains(proving, r.Entry.Action) {
				return sent, nil
			}
			if slices.Contains(disclosing, r.Entry.Action) {
				sent = append(sent, r)
			}
		}
		if q.Before = page.Next; q.Before == 0 {
			return sent, nil
		}
	}
}

// wrongRecipients are the sequence numbers of what went to numbers that a reply has said to be another's,
// among what was found.
func wrongRecipients(tx *store.Tx, found []store.Record) (map[uint64]bool, error) {
	wrong, seen := map[uint64]bool{}, map[string]bool{}
	for _, r := range found {
		number := Attr(r.Entry, "phone")
		if number == "" || seen[number] {
			continue
		}
		seen[number] = true
		var phone contact.Phone
		if err := phone.UnmarshalText([]byte(number)); err != nil {
			continue // written by something that is no number: nothing can be said of it
		}
		q := Query{Phone: phone, Action: string(actionWrongNumber), Limit: maxPage}
		for {
			page, err := Search(tx, q)
			if err != nil {
				return nil, err
			}
			for _, reply := range page.Records {
				sent, err := wronglySent(tx, phone, reply.Time)
				if err != nil {
					return nil, err
				}
				for _, s := range sent {
					wrong[s.Seq] = true
				}
			}
			if q.Before = page.Next; q.Before == 0 {
				break
			}
		}
	}
	return wrong, nil
}

// subjectOf reads the patient of an entry back; ok is false where it names none.
func subjectOf(e store.Entry) (id contact.SubjectID, ok bool) {
	id.Authority, id.MRN, ok = strings.Cut(e.Subject, "|")
	return id, ok
}
