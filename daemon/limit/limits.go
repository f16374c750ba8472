package limit

import (
	"errors"
	"fmt"
	"time"

	"pinward/store"
)

// Limits are the numbers that verifications are held to. They are policy: Of and Set keep them in
// the store, Default are those shipped.
type Limits struct {
	Sends  int `json:"sends"`  // per verification, resends and calls included
	Checks int `json:"checks"` // per verification

	NumberHour Budget `json:"number_hour"` // starts per phone number
	NumberDay  Budget `json:"number_day"`
	EndUser    Budget `json:"end_user"` // starts per end-user address, only where the caller gives one
	Client     Budget `json:"client"`   // starts per API client; a portal stands for all its patients
	Actor      Budget `json:"actor"`    // starts per person who asks
	Prefix     Budget `json:"prefix"`   // starts per country, area and exchange: the brake on traffic pumping
}

// Default returns the numbers as shipped: anybody's five starts an hour and ten a day for a number,
// and besides them a few that only staff may make, so that a stranger who uses a number's budget up
// keeps no nurse from it. An end-user address may be a whole waiting room's, so its budget is well
// above one person's.
func Default() Limits {
	return Limits{
		Sends:      5,
		Checks:     5,
		NumberHour: Budget{Name: "number.hour", Max: 6, Window: time.Hour, Reserve: 1},
		NumberDay:  Budget{Name: "number.day", Max: 12, Window: 24 * time.Hour, Reserve: 2},
		EndUser:    Budget{Name: "end_user.hour", Max: 30, Window: time.Hour, Reserve: 6},
		Client:     Budget{Name: "client.minute", Max: 120, Window: time.Minute, Reserve: 24},
		Actor:      Budget{Name: "actor.hour", Max: 60, Window: time.Hour},
		Prefix:     Budget{Name: "prefix.hour", Max: 300, Window: time.Hour, Reserve: 60},
	}
}

// ActionLimits is recorded when the numbers change.
const ActionLimits store.Action = "limits.change"

var limits = store.NewTable[Limits]("limit.limits", store.Policy(), store.Cached())

var limitsKey = []byte("limits")

// Of returns the limits in force: what was set, else Default.
func Of(tx *store.Tx) (Limits, error) {
	l, ok, err := limits.Get(tx, limitsKey)
	if err != nil {
		return Limits{}, fmt.Errorf("read limits: %w", err)
	}
	if !ok {
		return Default(), nil
	}
	return l, nil
}

// Set checks and keeps other limits, with an entry that names the numbers. Budgets keep their shipped
// names, so what is counted already stays counted; a Max of 0 lifts that limit.
func Set(tx *store.Tx, l Limits) error {
	d := Default()
	if l.Sends < 1 || l.Sends > d.Sends || l.Checks < 1 || l.Checks > d.Checks {
		return errors.New("limits: sends and checks per verification are 1 to 5")
	}
	e := store.Entry{Action: ActionLimits, Outcome: store.OK, Object: "limits", Attrs: []store.Attr{
		{Key: "sends", Value: fmt.Sprint(l.Sends)}, {Key: "checks", Value: fmt.Sprint(l.Checks)},
	}}
	for _, b := range []struct{ to, shipped *Budget }{
		{&l.NumberHour, &d.NumberHour}, {&l.NumberDay, &d.NumberDay}, {&l.EndUser, &d.EndUser},
		{&l.Client, &d.Client}, {&l.Actor, &d.Actor}, {&l.Prefix, &d.Prefix},
	} {
		b.to.Name = b.shipped.Name
		if b.to.Max < 0 || b.to.Reserve < 0 || b.to.Reserve > b.to.Max || b.to.Max > 0 && b.to.Window < time.Second {
			return fmt.Errorf("limits: budget %s needs a window of at least a second and a reserve within its size", b.to.Name)
		}
		e.Attrs = append(e.Attrs, store.Attr{Key: b.to.Name,
			Value: fmt.Sprintf("%d per %s, %d for staff", b.to.Max, b.to.Window, b.to.Reserve)})
	}
	if err := limits.Put(tx, limitsKey, l); err != nil {
		return fmt.Errorf("keep limits: %w", err)
	}
	if err := tx.Record(e); err != nil {
		return fmt.Errorf("record %s: %w", e.Action, err)
	}
	return nil
}
