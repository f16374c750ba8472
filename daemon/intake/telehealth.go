package intake

import (
	"slices"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/text"
	"pinward/hl7"
)

// A visit by video has no event of its own. Its patient gets the link a quarter of an hour before the start,
// and again when the clinic begins it (SCH-25 = Started). The texts are of no use ten minutes after that.
const (
	joinText = "telehealth.link"
	joinLead = 15 * time.Minute
	joinTill = 10 * time.Minute
)

// isVideo tells whether the appointment is one of the site's video visits: by its type (SCH-8), its service
// (AIS-3) or its place (AIL-3).
func (rd *reading) isVideo() bool {
	listed := func(f hl7.Field) bool { return slices.Contains(rd.policy.Video, f.Comp(1).Sub(1).String()) }
	if len(rd.policy.Video) == 0 {
		return false
	}
	if listed(rd.m.Segment("SCH", 1).Field(8)) {
		return true
	}
	for _, name := range []string{"AIS", "AIL"} {
		for s := range rd.m.All(name) {
			if listed(s.Field(3)) {
				return true
			}
		}
	}
	return false
}

// joinLink queues the link to a video visit, for its time or for now as it has begun. It is urgent: it goes
// in quiet hours too.
func (w *work) joinLink(a contact.Appointment, started bool) error {
	now := w.tx.Now()
	at, till, key := a.Start.Add(-joinLead), a.Start.Add(joinTill), "join@"+stamp(a.Start)
	if started {
		at, till, key = now, now.Add(joinTill), "started@"+stamp(a.Start)
	}
	switch {
	case !a.Video || a.Subject.IsZero() || !till.After(now) || !started && w.dayOnly(a):
		return nil
	case started && w.tooOld():
		w.because("%s: the event is older than %s", joinText, w.rule.maxAge())
		return nil
	case at.Sub(now) > notBefore:
		return nil // the reminders say why
	}
	quiet, err := w.suppressed(a.Subject)
	if err != nil || quiet {
		return err
	}
	slots := text.Values{}
	slots.SetInstant("start", a.Start)
	if err := slots.SetLink(w.policy.join(w.site), w.site.LinkHosts); err != nil {
		w.because("%s: no page to join visits at is set: %s", joinText, err.Error())
		return nil
	}
	got, err := w.text(notice.Request{
		Template: joinText, Subject: a.Subject, Slots: slots, At: at, Expires: till, Urgent: true,
		Group: a.Key, Key: key, Mode: w.mode, Order: w.order(appointmentPlacer(a), a.Subject),
	}, a)
	if got == taken {
		w.did("%s queued", joinText)
	}
	return w.refused(joinText, err)
}

// join is where patients join video visits.
func (p Policy) join(site contact.Site) string {
	if p.Join == "" {
		return p.portal(site)
	}
	return p.Join
}
