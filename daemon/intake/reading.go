package intake

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/hl7"
)

// reading is what a message says, taken out of it before the transaction begins. It holds PHI and
// does not outlive Handle.
type reading struct {
	*ground
	sender      *sender
	zone        *time.Location // of times without one, and of the answer
	m           *hl7.Message
	source      string // of contact data: "hl7:" and the peer
	peer        string // peer and sender, under which requests have their ids
	mode        contact.Mode
	from        string // whose mode holds when a text goes; "" where the message says its own
	apart       string // of a message that is not for production
	control     string
	kind        string // "ADT^A04"
	fingerprint [32]byte
	key         []byte // of seen; lookUp owns it
	at          time.Time

	rule  *Rule
	why   []string   // why not more is done
	wrong *hl7.Error // AE or AR; nothing is done then

	person   person
	visit    visit
	merges   []merge
	requests []request
}

// read finds the rule of a message and takes out what its effects need. wrong is what hl7.Parse said.
func (in *Intake) read(g *ground, who *sender, m *hl7.Message, frame []byte, wrong error) *reading {
	rd := &reading{
		ground: g, sender: who, zone: who.zone, m: m, source: contact.FeedSource(who.Name), mode: g.mode, from: g.from, control: m.ControlID(),
		peer: who.Name + "|" + m.SendingApp().Name() + "|" + m.SendingFacility().Name(),
	}
	if rd.zone == nil {
		rd.zone = g.zone
	}
	code, event, _ := m.Type()
	rd.kind = clip(safe(code) + "^" + safe(event))
	if wrong != nil {
		// What is not a message has no segments to compare; its bytes are what was seen.
		rd.fingerprint = sha256.Sum256(frame)
		rd.refuse(wrong)
		return rd
	}
	rd.fingerprint = m.Fingerprint()
	for _, step := range []func() error{m.CheckHeader, rd.readType, rd.readMode, rd.readAll} {
		if err := step(); err != nil {
			rd.refuse(err)
			break
		}
	}
	return rd
}

func (rd *reading) refuse(err error) {
	if !errors.As(err, &rd.wrong) {
		rd.wrong = &hl7.Error{Code: hl7.CodeInternal, Reason: "not readable"}
	}
}

// readType holds a message off that the peer is not to send.
func (rd *reading) readType() error {
	if code, event, _ := rd.m.Type(); !rd.sender.takes(code, event) {
		return &hl7.Error{Code: hl7.CodeMessageType, Segment: "MSH", Seq: 1, Field: 9, Reason: "this sender's messages of this type are not taken"}
	}
	return nil
}

// readMode holds a message that is not for production off a live listener (table 0103), unless the
// peer's policy takes it. It makes the mode the strictest: what is for training reaches no one.
func (rd *reading) readMode() error {
	id, list := rd.m.ProcessingID(), rd.sender.Processing
	if id == "" {
		id = "P"
	}
	if len(list) > 0 && !slices.Contains(list, id) {
		return &hl7.Error{Code: hl7.CodeProcessingID, Segment: "MSH", Seq: 1, Field: 11, Reason: "this sender's messages of this kind are not taken"}
	}
	if id == "P" {
		return nil
	}
	if rd.mode == contact.Live && len(list) == 0 {
		return &hl7.Error{Code: hl7.CodeProcessingID, Segment: "MSH", Seq: 1, Field: 11, Reason: "this listener takes production messages only"}
	}
	rd.mode, rd.from, rd.apart = contact.Shadow, "", apart
	rd.peer += apart
	return nil
}

// apart marks the authority of persons and appointments that messages speak of which are not for production: a test
// system is often a copy, with the ids of real patients, and what it says of them is not so.
const apart = "/training"

func (rd *reading) readAll() error {
	m := rd.m
	rd.at = rd.eventTime()
	var why string
	rd.rule, why = rd.rules.match(m, rd.policy)
	requested := m.Segment(rd.policy.zSegment(), 1).Exists() || isOrder(m)
	if rd.rule != nil {
		for _, name := range rd.rule.Need {
			if !m.Segment(name, 1).Exists() {
				return &hl7.Error{Code: hl7.CodeSegmentSequence, Segment: name, Seq: 1, Reason: "segment is missing"}
			}
		}
	} else if !requested {
		rd.why = append(rd.why, why)
		if why == noRule && rd.sender.Unknown == "AR" {
			return &hl7.Error{Code: hl7.CodeMessageType, Segment: "MSH", Seq: 1, Field: 9, Reason: noRule}
		}
		return nil
	}
	if why != "" && rd.rule != nil {
		rd.why = append(rd.why, why)
	}
	if m.Segment("PID", 1).Exists() {
		err := rd.readPerson(requested || rd.rule.does(UpdateContact) || rd.rule.does(KnowContact) || rd.rule.does(StartVerify))
		if err != nil && rd.rule != nil && rd.rule.Type == Any {
			rd.rule, rd.why = nil, append(rd.why, noRule) // it is not the message that is wrong
			return nil
		}
		if err != nil {
			return err
		}
		if !rd.rule.does(MergeContact) && !rd.rule.does(KeepPlace) && rd.namesOthers() {
			rd.why = append(rd.why, firstAlone)
		}
	}
	if rd.rule.does(BookVisit) || rd.rule.does(EndVisit) {
		if err := rd.readVisit(); err != nil {
			return err
		}
	}
	if rd.rule.does(MergeContact) {
		if err := rd.readMerges(); err != nil {
			return err
		}
	}
	if requested {
		return rd.readRequests()
	}
	return nil
}

// eventTime is when the event was recorded: EVN-2, else MSH-7, in which order the rooms below decide
// what is newer. A time without hour and minute says nothing of order: midnight would make what was
// sent today older than what came this morning. The zero time counts as now.
func (rd *reading) eventTime() time.Time {
	sent, precise, err := rd.m.MSH(7).TS().Time(rd.zone)
	isSent := err == nil && precise >= hl7.PrecisionMinute && plausible(sent)
	at, precision, err := rd.m.Segment("EVN", 1).Field(2).TS().Time(rd.zone)
	switch {
	case err != nil || precision < hl7.PrecisionMinute || !plausible(at):
		at = time.Time{}
		if isSent {
			at = sent
		}
	case precision == hl7.PrecisionMinute && isSent && precise > precision && sent.Sub(at) >= 0 && sent.Sub(at) < time.Minute:
		// Many a sender writes EVN-2 to the minute: its beginning would be older than what came in that minute.
		at = sent
	}
	return at
}

// plausible keeps out years that no calendar of ours holds: a record with one could not be written,
// and the engine would bring its message for ever.
func plausible(at time.Time) bool { return at.Year() >= 1900 && at.Year() < 3000 }

// missing is AE 101 for a field.
func missing(segment string, field int, reason string) error {
	return &hl7.Error{Code: hl7.CodeRequiredFieldMissing, Segment: segment, Seq: 1, Field: field, Reason: reason}
}

// maxID is how long half of an identifier may be (contact's bound).
const maxID = 256

func checkLength(s, segment string, field int) error {
	if len(s) > maxID {
		return &hl7.Error{Code: hl7.CodeDataType, Segment: segment, Seq: 1, Field: field, Reason: "identifier is too long"}
	}
	return nil
}

// clip keeps what a sender chose within an entry's bounds.
func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxID)], "")
}
