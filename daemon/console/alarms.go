package console

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"pinward/daemon/alarm"
	"pinward/store"
)

// alarmsView are what is wrong with the box and waits for somebody, and what was lately.
type alarmsView struct {
	Open, Past []alarm.Alarm
	Silences   []alarm.Silence
	Tells      bool // somebody is told
	Zone       *time.Location
}

// pastAlarms is how many that are over the page shows.
const pastAlarms = 20

func (c *console) alarms(w http.ResponseWriter, v *visit) error {
	var body alarmsView
	site, err := c.site(v)
	if err != nil {
		return err
	}
	body.Zone = site.Location()
	err = c.Store.View(v.Context(), func(tx *store.Tx) error {
		var err1, err2, err3 error
		body.Open, err1 = alarm.Open(tx)
		body.Past, err2 = alarm.Past(tx, pastAlarms)
		body.Silences, err3 = alarm.Silences(tx)
		p, err4 := alarm.PolicyOf(tx)
		body.Tells = len(p.Steps) > 0
		return errors.Join(err1, err2, err3, err4)
	})
	if err != nil {
		return err
	}
	return c.ok(w, v, "alarms", view{Title: "Alarms", Refresh: "15;url=/alarms?auto=1", Body: body})
}

func (c *console) acknowledge(w http.ResponseWriter, v *visit) error {
	id, err := strconv.ParseUint(v.PathValue("id"), 10, 64)
	if err != nil {
		return alarm.ErrNotFound
	}
	if err := c.goOn(v, func(tx *store.Tx) error {
		_, err := alarm.Acknowledge(tx, id, string(v.who.Actor.Kind), v.who.Name)
		return err
	}); err != nil {
		return err
	}
	http.Redirect(w, v.Request, "/alarms", http.StatusSeeOther)
	return nil
}
