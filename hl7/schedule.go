package hl7

// startPlaces are where an appointment's start is sent, best first: TQ1 since
// v2.5, SCH-11 before, and the resources' own start where a sender fills only those.
var startPlaces = [...]Path{
	MustPath("TQ1-7"), MustPath("SCH-11.4"), MustPath("AIS-4"),
	MustPath("AIL-6"), MustPath("AIG-8"), MustPath("AIP-6"),
}

// ScheduledStart gives the start of the appointment in an SIU message, and the
// place where it stood: the first of TQ1-7, SCH-11.4, AIS-4, AIL-6, AIG-8 and AIP-6
// that has a value, in the first segment of that name. The null `""` is no value.
func (m *Message) ScheduledStart() (TS, Path) {
	for _, p := range startPlaces {
		v := p.Value(m)
		if !v.Valued() {
			continue
		}
		ts := (Field{v}).TS()
		if p.comp != 0 {
			ts = (Component{v}).TS()
		}
		if !ts.IsZero() {
			return ts, p
		}
	}
	return TS{}, Path{}
}
