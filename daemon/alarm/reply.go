package alarm

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/store"
)

// acknowledgement is how a person on call answers: "ACK 12", "ack12", or "ACK" where there is but one.
var acknowledgement = regexp.MustCompile(`(?i)^\W*ack(?:nowledged?)?\W*(\d{1,9})?\W*$`)

// Reply takes in a text that acknowledges an alarm. It is one only from a number on call, at whatever hour:
// anybody else's is left to others. Each is answered, so that who mistypes a number at night knows.
func Reply(tx *store.Tx, from contact.Phone, body string) (handled bool, err error) {
	m := acknowledgement.FindStringSubmatch(body)
	if m == nil {
		return false, nil
	}
	p, err := PolicyOf(tx)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(p.OnCall, func(d Duty) bool { return !d.Phone.IsZero() && d.Phone == from })
	if i < 0 {
		return false, nil
	}
	id, err := meant(tx, m[1])
	if err != nil {
		return true, err
	}
	before := tx.Recorded()
	a, err := Acknowledge(tx, id, "sms", p.OnCall[i].Name)
	event := Acknowledged
	switch {
	case errors.Is(err, ErrOver) && a.Kind == Real:
		event = Cleared
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrOver):
		id = 0
	case err != nil:
		return true, err
	}
	if tx.Recorded() == before { // nothing to acknowledge: the answer is all that comes of it
		err := tx.Record(store.Entry{Action: ActionSeen, Outcome: store.Refused, Object: fmt.Sprintf("alarm:%d", id), Attrs: []store.Attr{{Key: "by", Value: "sms " + p.OnCall[i].Name}}})
		if err != nil {
			return true, err
		}
	}
	if _, err := outbox.Put(tx, message(from, fmt.Sprintf("%d/%s", id, event), tx.Now())); err != nil {
		return true, fmt.Errorf("answer acknowledgement: %w", err)
	}
	return true, nil
}

// meant is the alarm that a person names, or the only one that waits; 0 is none.
func meant(tx *store.Tx, number string) (uint64, error) {
	if number != "" {
		return strconv.ParseUint(number, 10, 64)
	}
	all, err := Open(tx)
	all = slices.DeleteFunc(all, func(a Alarm) bool { return !a.Seen.IsZero() })
	if err != nil || len(all) != 1 {
		return 0, err
	}
	return all[0].ID, nil
}
