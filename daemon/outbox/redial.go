package outbox

import "pinward/store"

// Unheard counts the calls of a message that nobody took. Those that were made by a message before it are not among them.
func (m Message) Unheard() (n int) {
	for _, a := range m.Attempts {
		if m.Route[a.Step].Channel == Call && a.Outcome == Undelivered {
			n++
		}
	}
	return n
}

// redial has the same call made once more after its pause. Its Source is asked again then, and may put it off or let go of it. If we crash
// before that, the timer that save sets is there at the next start.
func (y *yard) redial(r *record, cause string) error {
	r.State, r.Due, r.Forced, r.Cause = Queued, y.now.Add(r.RedialAfter), false, cause
	if err := save(y.tx, r); err != nil {
		return err
	}
	return note(y.tx, r, ActionStep, store.OK, attr("step", r.Step+1), attr("channel", Call), attr("redial", r.Unheard()), attr("cause", cause))
}
