package intake

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/text"
	"pinward/store"
)

// sendNotice sends the text of the message's rule: a result, a prescription.
func (w *work) sendNotice() error {
	id, n := w.person.id, w.rule.Notice
	if w.tooOld() {
		w.because("%s: the event is older than %s", n.Template, w.rule.maxAge())
		return nil
	}
	quiet, err := w.suppressed(id)
	if err != nil || quiet {
		return err
	}
	if minor, err := w.minor(id); err != nil || minor {
		return err
	}
	slots, ok, err := w.noticeSlots(n.Template, "")
	if err != nil || !ok {
		return err
	}
	req := notice.Request{Template: n.Template, Subject: id, Slots: slots, Mode: w.mode, Order: w.order(w.placer(), id)}
	if len(n.Key) > 0 {
		var parts []string
		for _, p := range n.Key {
			parts = append(parts, p.Value(w.m).String())
		}
		req.Group, req.Key = w.group(n.Template, id.Key()), w.group("of", strings.Join(parts, "|"))
	} else {
		req.Group = w.group(n.Template, id.Key())
		var told bool
		if req.Key, told, err = once(w.tx, req.Group, time.Duration(n.Once)); err != nil {
			return err
		}
		if told {
			w.because("%s: the patient was told already", n.Template)
			return nil
		}
	}
	got, err := w.text(req, contact.Appointment{})
	switch got {
	case already:
		w.because("%s: the patient was told already", n.Template)
	case taken:
		w.did("%s queued", n.Template)
	}
	return w.refused(n.Template, err)
}

// once gives the key of a text that goes at most once in a span: the days that a span touches are
// looked at, so that one at night and one in the morning are one. A day has a key for each text of it, in turn.
func once(tx *store.Tx, group string, span time.Duration) (key string, told bool, err error) {
	const day = 24 * time.Hour
	now := tx.Now()
	for at := now; at.After(now.Add(-span - day)); at = at.Add(-day) {
		this := at.Format(time.DateOnly)
		for turn := 2; ; turn++ {
			n, err := notice.FindKey(tx, group, this)
			if errors.Is(err, notice.ErrNotFound) {
				break
			}
			if err != nil {
				return "", false, err
			}
			if now.Sub(n.Created) < span || at.Equal(now) && turn > maxTurns {
				return "", true, nil
			}
			this = fmt.Sprintf("%s/%d", at.Format(time.DateOnly), turn)
		}
		if at.Equal(now) {
			key = this
		}
	}
	return key, false, nil
}

// maxTurns is how many texts of one rule one person gets in a day, however short its span.
const maxTurns = 24

// minor tells, and explains, that the patient may be under age and nobody stands for them: who reads a text
// about their results is for the site to say. The year alone is known, so the eighteenth counts as a whole.
func (w *work) minor(id contact.SubjectID) (bool, error) {
	s, _, err := contact.Find(w.tx, id)
	if err != nil {
		return false, err
	}
	born := s.BornYear
	if w.person.update.BornYear != nil {
		born = *w.person.update.BornYear
	}
	if !young(born, w.tx.Now()) {
		return false, nil
	}
	to, ok, err := contact.Textable(w.tx, id)
	if err != nil {
		return false, err
	}
	if ok && slices.ContainsFunc(s.Phones, func(n contact.Number) bool { return n.Phone == to && n.Proxy != "" }) {
		return false, nil
	}
	w.because("the patient may be a minor")
	return true, nil
}

// young tells whether somebody born in a year may be a minor; 0 is not known.
func young(born int, now time.Time) bool { return born != 0 && now.Year()-born <= 18 }

// noticeSlots fills the slots of a template, and no others: no more is kept of a message than is
// printed. It is false, and explained, where the site's own settings do not allow it.
func (w *work) noticeSlots(template, lang string) (_ text.Values, ok bool, err error) {
	t, err := text.Find(w.tx, template, lang)
	if errors.Is(err, text.ErrNoTemplate) {
		return text.Values{}, true, nil // Send refuses and records it
	}
	if err != nil {
		return nil, false, err
	}
	slots, err := t.Slots()
	if err != nil {
		return nil, false, err
	}
	v := text.Values{}
	for _, s := range slots {
		switch s.Type {
		case text.Site:
			name := w.place()
			if name == "" || text.Guard(text.Values{s.Name: name}, w.words()) != nil {
				name = w.site.Brand
			}
			v[s.Name] = name
		case text.Link:
			if err := v.SetLink(w.policy.portal(w.site), w.site.LinkHosts); err != nil {
				w.because("%s: no portal to link to is set: %s", safe(template), err.Error())
				return nil, false, nil
			}
		case text.Date, text.Time:
			if isOrder(w.m) {
				continue // TQ1-7 of an order is when its text is to go: Send refuses, and names the slot
			}
			if start, _ := w.m.ScheduledStart(); !start.IsZero() {
				if at, _, err := start.Time(w.zone); err == nil {
					v.SetInstant(s.Name, at)
				}
			}
		}
	}
	return v, true, nil
}
