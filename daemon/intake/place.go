package intake

import (
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/hl7"
)

// readPlace reads ward and class of a PV1, nil what it does not say. Who was discharged is on no ward.
func readPlace(pv1 hl7.Segment, kind string) (ward, class *string) {
	if !pv1.Exists() {
		return nil, nil
	}
	if v := pv1.Field(3).Comp(1); v.Valued() || v.Presence() == hl7.Null {
		name := clip(v.Sub(1).String())
		ward = &name
	}
	if kind == "ADT^A03" {
		ward = new(string)
	}
	if v := pv1.Field(2); v.Valued() {
		name := clip(v.Comp(1).String())
		class = &name
	}
	return ward, class
}

// maxPlaces bounds what one message writes; A17 names two patients.
const maxPlaces = 8

// keepPlaces keeps ward and class of each patient of the message, and nothing else: whoever moves beds is no
// master of numbers.
func (w *work) keepPlaces() error {
	var id contact.SubjectID
	for s := range w.m.Segments() {
		switch s.Name() {
		case "PID":
			id, _, _ = w.identify(s.Field(3))
			if checkLength(id.MRN, "PID", 3) != nil || checkLength(id.Authority, "PID", 3) != nil || id.MRN == "" {
				id = contact.SubjectID{}
			}
		case "PV1":
			if id.IsZero() {
				continue
			}
			u := contact.SubjectUpdate{ID: id, At: w.at, Source: w.source}
			u.Ward, u.Class = readPlace(s, w.kind)
			id = contact.SubjectID{}
			if w.places++; w.places > maxPlaces {
				w.because("more patients than one message may move")
				return nil
			}
			if err := w.keepPlace(u); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *work) keepPlace(u contact.SubjectUpdate) error {
	c, err := contact.Upsert(w.tx, u)
	switch {
	case err != nil:
		return err
	case c.Stale:
		w.because("ward and class: the event is older than what is known, or its id was merged away")
	case len(c.Fields) > 0:
		w.did("%s kept", strings.Join(c.Fields, " and "))
	}
	return nil
}

// readProxies reads the numbers of the next of kin whom the site lets stand for a patient (NK1-5, and NK1-40
// since v2.7); nil where the message has no NK1. They come before the patient's own where that is a minor.
func (rd *reading) readProxies(born *int) *[]contact.Number {
	if !rd.m.Segment("NK1", 1).Exists() {
		return nil
	}
	list := []contact.Number{}
	for s := range rd.m.All("NK1") {
		what := rd.standsFor(s)
		if what == "" || len(list) >= maxNumbers/2 {
			continue
		}
		for _, n := range []int{5, 40} {
			for rep := range s.Field(n).Reps() {
				x := rep.XTN()
				if x.Class() == hl7.PhoneUnusable {
					continue
				}
				number, err := rd.number(x, false)
				if err != nil || number.Extension != "" || len(list) >= maxNumbers/2 {
					continue
				}
				if number.Proxy = what; born != nil && young(*born, time.Now()) {
					number.Rank = len(list) + 1
				}
				list = append(list, number)
			}
		}
	}
	return &list
}

// standsFor is by what a next of kin may be told in the patient's place, "" if they may not. One whose time
// has ended (NK1-9) may not.
func (rd *reading) standsFor(nk1 hl7.Segment) string {
	if end, _, err := nk1.Field(9).TS().Time(rd.zone); err == nil && end.Before(time.Now()) {
		return ""
	}
	for _, n := range []int{3, 7} {
		if code := nk1.Field(n).Comp(1).String(); slices.Contains(rd.policy.Proxies, code) {
			return code
		}
	}
	return ""
}
