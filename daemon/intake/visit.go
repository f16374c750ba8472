package intake

import (
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/text"
	"pinward/hl7"
)

// visit is an appointment as SCH and the resources' segments tell it.
type visit struct {
	appointment contact.Appointment
	status      string // SCH-25, table 0278, upper case
	// placer and filler are SCH-1 and SCH-2, zero where it has none: the appointment may be known by another of them.
	placer, filler contact.AppointmentID
}

// readVisit reads the appointment of an SIU message. Reason and type (SCH-6, 7, 8) are read only to
// keep their words out of a text.
func (rd *reading) readVisit() error {
	sch := rd.m.Segment("SCH", 1)
	placer, filler := rd.appointmentID(sch.Field(1)), rd.appointmentID(sch.Field(2))
	id := filler
	if id.IsZero() {
		id = placer
	}
	if id.IsZero() {
		return missing("SCH", 2, "neither filler nor placer gave the appointment an id")
	}
	for _, half := range []string{id.Number, id.Authority} {
		if err := checkLength(half, "SCH", 2); err != nil {
			return err
		}
	}
	if max(len(placer.Number), len(placer.Authority)) > maxID {
		placer = contact.AppointmentID{} // the filler's is enough
	}
	rd.visit.placer, rd.visit.filler = placer, filler
	rd.visit.status = strings.ToUpper(sch.Field(25).Comp(1).String())
	a := contact.Appointment{ID: id, Subject: rd.person.id, AsOf: rd.at, Minutes: int(rd.m.ScheduledLength() / time.Minute), SiteName: rd.place(), Video: rd.isVideo()}
	// A place that shares a word with the patient's name or reason is not printed; the brand is.
	if a.SiteName != "" && text.Guard(text.Values{string(text.Site): a.SiteName}, rd.words()) != nil {
		a.SiteName = ""
		rd.why = append(rd.why, "the name of the place has a word of the message in it, and is left out")
	}
	if rd.ends() == "" && !rd.visit.timeless() {
		start, path := rd.m.ScheduledStart()
		at, precision, err := start.Time(rd.zone)
		if err == nil && precision < hl7.PrecisionHour {
			at, _, err = start.Time(rd.site.Location()) // a day is ours, whatever clock the sender goes by
		}
		if start.IsZero() {
			return missing("SCH", 11, "no start in TQ1-7, SCH-11.4, AIS-4, AIL-6, AIG-8 or AIP-6")
		}
		if err != nil || !plausible(at) {
			return &hl7.Error{Code: hl7.CodeDataType, Segment: path.String()[:3], Seq: 1, Reason: "start is not a time"}
		}
		a.Start = at
	}
	rd.visit.appointment = a
	return nil
}

// timeless tells whether the appointment is none yet, or none any more: its time does not hold, and need not be there.
func (v visit) timeless() bool { return v.status == "WAITLIST" || v.status == "BLOCKED" }

// appointmentID reads SCH-1 or SCH-2, zero where it holds no id.
func (rd *reading) appointmentID(f hl7.Field) contact.AppointmentID {
	id := contact.AppointmentID{Number: f.Comp(1).String(), Authority: f.Comp(2).String()}
	if id.Number == "" {
		return contact.AppointmentID{}
	}
	if id.Authority == "" {
		id.Authority = f.Comp(3).String()
	}
	if id.Authority == "" {
		id.Authority = rd.m.SendingApp().Name() // ids are unique within whoever gives them
	}
	id.Authority += rd.apart
	return id
}

// nameVisit finds the appointment that is known already by the other of its ids. What has no time yet, and
// is not booked, is not remembered.
func (w *work) nameVisit() (err error) {
	if !w.rule.does(BookVisit) && !w.rule.does(EndVisit) {
		return nil
	}
	learn := !w.visit.timeless() || w.ends() != ""
	w.visit.appointment.ID, err = contact.NameAppointment(w.tx, w.visit.placer, w.visit.filler, learn)
	return err
}

// ends is what SCH-25 says that the appointment has become, "" while it stands. It counts in any SIU:
// some systems send every change as S14.
func (rd *reading) ends() contact.AppointmentStatus {
	if rd.rule.does(EndVisit) {
		return rd.rule.Ends
	}
	switch rd.visit.status {
	case "CANCELLED", "CANCELED", "DC":
		return contact.Cancelled
	case "DELETED":
		return contact.Deleted
	case "NOSHOW":
		return contact.NoShow
	case "COMPLETE", "COMPLETED":
		return contact.Completed
	}
	return ""
}

// place is the name that the site gave to the location of the appointment, "" if none.
func (rd *reading) place() string {
	if len(rd.policy.Places) == 0 {
		return ""
	}
	fields := []hl7.Field{rd.m.Segment("AIL", 1).Field(3), rd.m.Segment("PV1", 1).Field(3)}
	if rxd := rd.m.Segment("RXD", 1); rxd.Exists() {
		fields = []hl7.Field{rxd.Field(13), rxd.Field(30)} // where it lies ready, and not where the patient was seen
	}
	for _, f := range fields {
		if name := rd.placeOf(f); name != "" {
			return name
		}
	}
	return ""
}

// placeOf looks a PL up in the site's map: PL.1 is the point of care, PL.4 the facility.
func (rd *reading) placeOf(f hl7.Field) string {
	poc, facility := f.Comp(1).Sub(1).String(), f.Comp(4).HD().Name()
	for _, key := range []string{facility + "/" + poc, poc, facility} {
		if name := rd.policy.Places[key]; name != "" && key != "" {
			return name
		}
	}
	return ""
}

// secrets are the fields that tell who somebody is or why they come (HL7 v2.5.1 chapters 3, 4, 7, 10).
var secrets = map[string][]int{
	"PID": {2, 3, 4, 5, 6, 9, 13, 14, 18, 19, 40}, "NK1": {2}, "DG1": {3, 4}, "OBX": {3, 5}, "OBR": {4},
	"RXE": {2}, "RXD": {2}, "RXO": {1}, "AL1": {3}, "SCH": {6, 7, 8}, "AIS": {3}, "PV1": {10}, "PV2": {3},
}

// maxWords bounds what a report with a book in it costs.
const maxWords = 2000

// words lists what may not stand in a text that this message sets off. The street of PID-11 is left
// out with the city: the site's own places bear the names of the town.
func (rd *reading) words() []string {
	var list []string
	for s := range rd.m.Segments() {
		for _, n := range secrets[s.Name()] {
			for rep := range s.Field(n).Reps() {
				for c := 1; c <= 12 && len(list) < maxWords; c++ {
					if v := rep.Comp(c); v.Valued() {
						list = append(list, v.String())
					}
				}
			}
		}
	}
	return list
}

// soonest is how far ahead an appointment must be for a text about it; notBefore how far at most
// (notice's bound).
const (
	soonest   = 5 * time.Minute
	notBefore = 400 * 24 * time.Hour
)
