package daemon

import (
	"fmt"
	"strconv"
	"time"

	"pinward/daemon/outbox"
	"pinward/store"
)

// actRetention is recorded when the hospital says anew how long records are kept.
const actRetention store.Action = "retention.change"

// retention is for how many days records are kept after they are over. What they did stays in the audit.
type retention struct {
	MessagesDays     int `json:"messages_days"`     // outgoing messages: number, template or service, attempts
	AppointmentsDays int `json:"appointments_days"` // after their start, and the last word of them
	WorkItemsDays    int `json:"work_items_days"`   // after they were closed
}

func shippedRetention() retention {
	return retention{MessagesDays: 30, AppointmentsDays: 90, WorkItemsDays: 90}
}

const (
	day         = 24 * time.Hour
	longestKept = 3660 // days; an audit key lives for six years
)

// leastAppointments is how many days an appointment is kept at least: an engine that was down sends what it had queued.
const leastAppointments = 14

var retentions = store.NewTable[retention]("retention.policy", store.Policy())

var retentionKey = []byte("retention")

func retentionOf(tx *store.Tx) (retention, error) {
	r, ok, err := retentions.Get(tx, retentionKey)
	if err != nil {
		return r, fmt.Errorf("read retention: %w", err)
	}
	if !ok {
		r = shippedRetention()
	}
	return r, nil
}

func (r retention) check() error {
	for _, v := range []struct {
		name      string
		days, min int
	}{
		{"messages_days", r.MessagesDays, int(outbox.LeastAge / day)},
		{"appointments_days", r.AppointmentsDays, leastAppointments},
		{"work_items_days", r.WorkItemsDays, 1},
	} {
		if v.days < v.min || v.days > longestKept {
			return fmt.Errorf("%s: must be %d to %d", v.name, v.min, longestKept)
		}
	}
	return nil
}

func setRetention(tx *store.Tx, r retention) error {
	if err := r.check(); err != nil {
		return err
	}
	if err := retentions.Put(tx, retentionKey, r); err != nil {
		return fmt.Errorf("keep retention: %w", err)
	}
	return tx.Record(store.Entry{Action: actRetention, Outcome: store.OK, Attrs: []store.Attr{
		{Key: "messages_days", Value: strconv.Itoa(r.MessagesDays)}, {Key: "appointments_days", Value: strconv.Itoa(r.AppointmentsDays)},
		{Key: "work_items_days", Value: strconv.Itoa(r.WorkItemsDays)},
	}})
}

// readRetention: what is not named is as shipped.
func readRetention(p *piece, _ *box) (func(*store.Tx) error, error) {
	want := shippedRetention()
	if err := p.decode(&want); err != nil {
		return nil, err
	}
	return func(tx *store.Tx) error {
		had, err := retentionOf(tx)
		if err != nil || same(had, want) {
			return err
		}
		if err := setRetention(tx, want); err != nil {
			return p.refused(err)
		}
		return nil
	}, nil
}
