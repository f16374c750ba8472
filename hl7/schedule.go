package hl7

import (
	"strconv"
	"strings"
	"time"
)

// startPlaces are where an appointment's start is sent, best first: TQ1 since
// v2.5, SCH-11 before, and the resources' own start where a sender fills only those.
var startPlaces = [...]Path{
	MustPath("TQ1-7"), MustPath("SCH-11.4"), MustPath("AIS-4"),
	MustPath("AIL-6"), MustPath("AIG-8"), MustPath("AIP-6"),
}

// lengthPlaces are where its length is sent, each a number and its unit: the
// appointment's own (SCH-9 and 10), that of TQ1, and those of the resources.
var lengthPlaces = [...][2]Path{
	{MustPath("SCH-9"), MustPath("SCH-10.1")}, {MustPath("TQ1-6.1"), MustPath("TQ1-6.2.1")},
	{MustPath("AIS-7"), MustPath("AIS-8.1")}, {MustPath("AIL-9"), MustPath("AIL-10.1")},
	{MustPath("AIG-11"), MustPath("AIG-12.1")}, {MustPath("AIP-9"), MustPath("AIP-10.1")},
}

// tqLength is the length in a TQ, such as M30 (v2.5.1 section 2.A.81).
var tqLength = MustPath("SCH-11.3")

// endPlaces are where an appointment's end is sent, for senders that give no length.
var endPlaces = [...]Path{MustPath("TQ1-8"), MustPath("SCH-11.5")}

// ScheduledStart gives the start of the appointment in an SIU message, and the
// place where it stood: the first of TQ1-7, SCH-11.4, AIS-4, AIL-6, AIG-8 and AIP-6
// that has a value, in the first segment of that name. The null `""` is no value.
func (m *Message) ScheduledStart() (TS, Path) { return m.firstTime(startPlaces[:]) }

func (m *Message) firstTime(places []Path) (TS, Path) {
	for _, p := range places {
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

// maxLength keeps a unit that is not what it says, such as days for minutes, from
// making an appointment that never ends.
const maxLength = 366 * 24 * time.Hour

// ScheduledLength gives the length of the appointment in an SIU message, 0 where it
// is not told: SCH-9 in the unit of SCH-10, else TQ1-6, SCH-11.3, the lengths of AIS,
// AIL, AIG and AIP, else from start to end (TQ1-8, SCH-11.5). Whatever is not a
// length is passed over.
func (m *Message) ScheduledLength() time.Duration {
	for i, p := range lengthPlaces {
		if d := length(p[0].Value(m).String(), p[1].Value(m).String()); d > 0 {
			return d
		}
		if i > 0 {
			continue
		}
		if v := tqLength.Value(m).String(); v != "" {
			unit := strings.TrimRight(v, "0123456789")
			if d := length(v[len(unit):], unit); d > 0 {
				return d
			}
		}
	}
	from, _ := m.ScheduledStart()
	to, _ := m.firstTime(endPlaces[:])
	begin, _, err1 := from.Time(nil)
	end, _, err2 := to.Time(nil)
	if d := end.Sub(begin); err1 == nil && err2 == nil && from.HasZone() == to.HasZone() && d > 0 && d <= maxLength {
		return d
	}
	return 0
}

// length reads a number in a unit as feeds write it: "s", "M", "Min", "HR" (ISO 2955 and what is
// made of it). Without a unit, or with one that we do not know, it counts minutes.
func length(number, unit string) time.Duration {
	number, _, _ = strings.Cut(strings.TrimSpace(number), ".")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0
	}
	d := time.Minute
	switch unit = strings.ToUpper(strings.TrimSpace(unit)); {
	case strings.HasPrefix(unit, "S"):
		d = time.Second
	case strings.HasPrefix(unit, "H"):
		d = time.Hour
	case strings.HasPrefix(unit, "D"):
		d = 24 * time.Hour
	}
	if d *= time.Duration(n); d > maxLength {
		return 0
	}
	return d
}
