package daemon

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/alarm"
	"pinward/store"
)

// alarmRoutes are the operator's verbs for alarms.
func (b *box) alarmRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "GET /alarms", May: access.StatusRead, Do: listAlarms},
		{Pattern: "POST /alarms/{id}/acknowledge", May: access.Operate, Do: acknowledgeAlarm},
		{Pattern: "GET /alarms/{id}", May: access.StatusRead, Do: showAlarm},
		{Pattern: "POST /alarms/test", May: access.Operate, Do: testAlarms},
		{Pattern: "POST /alarms/silence", May: access.Operate, Do: silenceAlarms},
	}
}

// alarmList is what `pinward alarm list` shows.
type alarmList struct {
	Open     []alarm.Alarm   `json:"open"`
	Past     []alarm.Alarm   `json:"past"` // the last ones
	Silences []alarm.Silence `json:"silences"`
	// Tells is false where the policy has no step: alarms are shown here and nobody is told.
	Tells           bool      `json:"tells"`
	TestPassed      time.Time `json:"test_passed,omitzero"`
	HeartbeatPassed time.Time `json:"heartbeat_passed,omitzero"`
}

func listAlarms(r *http.Request, s *store.Store, _ store.Actor) (any, error) {
	var out alarmList
	err := s.View(r.Context(), func(tx *store.Tx) error {
		open, err1 := alarm.Open(tx)
		past, err2 := alarm.Past(tx, 20)
		silences, err3 := alarm.Silences(tx)
		p, err4 := alarm.PolicyOf(tx)
		f, err5 := alarm.FiguresOf(tx)
		out = alarmList{
			Open: unaddressed(open), Past: unaddressed(past), Silences: silences, Tells: len(p.Steps) > 0,
			TestPassed: f.TestPassed, HeartbeatPassed: f.HeartbeatPassed,
		}
		return errors.Join(err1, err2, err3, err4, err5)
	})
	return out, err
}

// unaddressed leaves out numbers and addresses: whose they are, the policy says.
func unaddressed(list []alarm.Alarm) []alarm.Alarm {
	out := make([]alarm.Alarm, len(list))
	for i, a := range list {
		told := make([]alarm.Told, len(a.Told))
		for j, t := range a.Told {
			t.Address = ""
			told[j] = t
		}
		a.Told, out[i] = told, a
	}
	return out
}

func alarmID(r *http.Request) (uint64, error) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: an alarm is named by its number", admin.ErrState)
	}
	return id, nil
}

func showAlarm(r *http.Request, s *store.Store, _ store.Actor) (any, error) {
	id, err := alarmID(r)
	if err != nil {
		return nil, err
	}
	var a alarm.Alarm
	err = s.View(r.Context(), func(tx *store.Tx) (err error) {
		a, err = alarm.Get(tx, id)
		return err
	})
	if err != nil {
		return nil, alarmWords(err)
	}
	return unaddressed([]alarm.Alarm{a})[0], nil
}

func acknowledgeAlarm(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	id, err := alarmID(r)
	if err != nil {
		return nil, err
	}
	var a alarm.Alarm
	err = s.Update(r.Context(), by, func(tx *store.Tx) (err error) {
		a, err = alarm.Acknowledge(tx, id, string(by.Kind), by.ID)
		return err
	})
	if err != nil {
		return nil, alarmWords(err)
	}
	return unaddressed([]alarm.Alarm{a})[0], nil
}

// testAlarms begins a test through every outlet; its answer names it for showAlarm.
func testAlarms(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	var a alarm.Alarm
	err := s.Update(r.Context(), by, func(tx *store.Tx) (err error) {
		a, err = alarm.BeginTest(tx)
		return err
	})
	if err != nil {
		return nil, alarmWords(err)
	}
	return unaddressed([]alarm.Alarm{a})[0], nil
}

func silenceAlarms(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	var req struct {
		Path   string    `json:"path"`
		Until  time.Time `json:"until"` // one that has come lifts it
		Reason string    `json:"reason"`
	}
	if err := ask(r, &req); err != nil {
		return nil, err
	}
	err := s.Update(r.Context(), by, func(tx *store.Tx) error {
		return alarm.SetSilence(tx, alarm.Silence{Path: req.Path, Until: req.Until, Reason: req.Reason})
	})
	if err != nil {
		return nil, alarmWords(err)
	}
	return listAlarms(r, s, by)
}

// alarmWords makes what the room refuses words for the operator.
func alarmWords(err error) error {
	for _, known := range []error{alarm.ErrNotFound, alarm.ErrOver, alarm.ErrNobody, alarm.ErrSilence} {
		if errors.Is(err, known) {
			return fmt.Errorf("%w: %w", admin.ErrState, err)
		}
	}
	return err
}
