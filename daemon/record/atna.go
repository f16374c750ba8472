package record

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"pinward/store"
)

// eventOf is how an entry is told to a repository.
func eventOf(e store.Entry) auditEvent {
	ev, ok := auditEvents[e.Action]
	if !ok {
		return auditEvent{ID: applicationActivity, Do: "E"}
	}
	// A feed of patients (ITI-8) is audited as their record, IHE ITI TF-2 3.8.5.1.
	if trigger, adt := strings.CutPrefix(Attr(e, "type"), "ADT^"); adt && e.Action == "hl7.message" {
		ev = auditEvent{ID: patientRecord, Type: patientFeed, Do: "U"}
		if slices.Contains([]string{"A01", "A04", "A05"}, trigger) {
			ev.Do = "C"
		}
	}
	return ev
}

// told are the attributes of an entry that leave the box: words of ours, ids of ours, and counts. What is
// not here stays: what somebody typed, slots, amounts, references, numbers of SIMs and devices.
var told = []string{"service", "state", "cause", "template", "lang", "version", "message", "ref", "kind", "lane", "channel", "mode", "mode_before",
	"roles", "scopes", "disabled", "client", "asked_by", "first", "listener", "address", "certificate", "rule", "rules", "did", "type", "ack", "status",
	"class", "step", "sender", "carrier", "part", "parts", "attempt", "attempts", "times", "tries", "count", "send", "sends", "check", "checks",
	"choice", "changed", "asserted", "purpose", "epoch", "counter", "entries", "head", "fingerprint", "signer", "sha256", "loaded", "wrong", "messages",
	"sent", "dropped", "texts", "usual", "peers", "places", "box", "origin", "unseal", "answer", "final", "forced", "late", "before", "segments", "appointment", "since", "until"}

// e164 is a phone number wherever it stands.
var e164 = regexp.MustCompile(`\+[0-9]{7,15}`)

// outward is a string as it may leave: bounded, valid, and no number in full.
func outward(s string) string {
	return e164.ReplaceAllStringFunc(strings.ToValidUTF8(clip(s), ""), masked)
}

// masked is a number of which country, area and the last two digits are left: +1617*****34.
func masked(number string) string {
	if len(number) < 9 {
		return strings.Repeat("*", len(number))
	}
	return number[:5] + strings.Repeat("*", len(number)-7) + number[len(number)-2:]
}

// attrs are those of an entry that leave, in its order.
func outwardAttrs(e store.Entry) []store.Attr {
	var list []store.Attr
	for _, a := range e.Attrs {
		if a.Value != "" && (slices.Contains(told, a.Key) || a.Key == "phone" || a.Key == "why" && strings.HasPrefix(string(e.Action), "hl7.")) {
			list = append(list, store.Attr{Key: a.Key, Value: outward(a.Value)})
		}
	}
	return list
}

// outwardObject is what the entry is about: the ICCID of a SIM by its last digits.
func outwardObject(e store.Entry) string {
	if strings.HasPrefix(string(e.Action), "sim.") && len(e.Object) > 4 {
		return strings.Repeat("*", len(e.Object)-4) + e.Object[len(e.Object)-4:]
	}
	return outward(e.Object)
}

// outcomes as EventOutcomeIndicator.
var outcomes = map[store.Outcome]int{store.OK: 0, store.Refused: 4, store.Failed: 8}

// messages makes the audit messages of one entry: none where it is no event, two where an id was merged
// into another.
func (r *Repository) messages(rec store.Record, about About) []*auditMessage {
	e, ev := rec.Entry, eventOf(rec.Entry)
	if ev.Skip != "" {
		return nil
	}
	m := &auditMessage{
		Event: eventIdentification{
			Action: ev.Do, At: rec.Time.UTC().Format("2006-01-02T15:04:05.000Z"), Outcome: outcomes[e.Outcome], ID: ev.ID.coded(),
		},
		Source: auditSource{Site: r.Site, ID: r.Box, Type: dcm("4", "Application Server Process").coded()},
	}
	if ev.Type != noType {
		m.Event.Types = append(m.Event.Types, ev.Type.coded())
	}
	m.Event.Types = append(m.Event.Types, codedValue{Code: string(e.Action), System: "pinward", Text: string(e.Action)})
	if e.Outcome != store.OK {
		for _, a := range outwardAttrs(e) {
			if a.Key == "cause" || a.Key == "why" {
				m.Event.Why = a.Value
			}
		}
	}
	m.Participants = r.participants(rec, ev, about)
	subject := e.Subject
	if subject == "" {
		subject = about.Subject.Key()
	}
	thing := r.object(rec, ev)
	if subject == "" {
		m.Objects = []participantObject{thing}
		return []*auditMessage{m}
	}
	patient := patientObject(subject)
	if e.Action == "hl7.message" && e.Object != "" {
		patient.Details = append(patient.Details, detail("MSH-10", outwardObject(e)))
	}
	m.Objects = []participantObject{patient, thing}
	if loser := Attr(e, "loser"); e.Action == "subject.merge" && loser != "" {
		gone := *m
		gone.Event.Action = "D"
		gone.Objects = []participantObject{patientObject(loser), thing}
		return []*auditMessage{&gone, m}
	}
	return []*auditMessage{m}
}

// patientObject names a patient as CX: "MRN^^^AUTHORITY^MR".
func patientObject(subject string) participantObject {
	authority, mrn, ok := strings.Cut(subject, "|")
	id := mrn + "^^^" + authority + "^MR"
	if !ok {
		id = subject
	}
	id = strings.ToValidUTF8(id, "")
	return participantObject{ID: id, TypeCode: 1, Role: 1, IDType: codedValue{Code: "2", System: rfc3881, Text: "Patient Number"}, Name: id}
}

// object is what the entry is about besides a patient, with the details.
func (r *Repository) object(rec store.Record, ev auditEvent) participantObject {
	e := rec.Entry
	at := "urn:pinward:" + url.PathEscape(r.Box) + ":"
	name := outwardObject(e)
	if name == "" {
		name = string(e.Action)
	}
	o := participantObject{ID: at + url.PathEscape(name), TypeCode: 2, Role: 20, IDType: idURI, Name: name}
	switch {
	case ev.Type == nodeAuth && Attr(e, "address") != "":
		o.ID, o.Role, o.IDType = outward(Attr(e, "address")), 13, dcm("110182", "Node ID").coded()
		why := outward(Attr(e, "why"))
		if why == "" {
			why = "the sender is on no list"
		}
		o.Details = append(o.Details, detail("Alert Description", why))
	case ev.ID == auditLogUsed:
		o.ID, o.Role, o.Name = at+"audit", 13, "Security Audit Log"
	case ev.ID == securityAlert:
		o.Role = 13
	}
	o.Details = append(o.Details, detail("audit-entry", strconv.FormatUint(rec.Seq, 10)))
	for _, a := range outwardAttrs(e) {
		value := a.Value
		if a.Key == "phone" {
			value = maskedList(value)
		}
		o.Details = append(o.Details, detail(a.Key, value))
	}
	return o
}

// maskedList is a list of numbers, of which none is in full whatever its form.
func maskedList(s string) string {
	list := strings.Split(s, ",")
	for i, n := range list {
		if !strings.Contains(n, "*") {
			list[i] = masked(n)
		}
	}
	return strings.Join(list, ",")
}

// participants are who asked, we, and of what left the box where it went.
func (r *Repository) participants(rec store.Record, ev auditEvent, about About) []activeParticipant {
	e, a := rec.Entry, rec.Actor
	us := activeParticipant{UserID: "pinward", Alternative: string(a.Kind) + "/" + outward(a.ID), Point: r.Box, PointType: 1}
	switch ev.ID {
	case applicationActivity:
		us.Roles = []codedValue{dcm("110150", "Application").coded()}
	case dataExport:
		us.Roles = []codedValue{dcm("110153", "Source Role ID").coded()}
	case dataImport:
		us.Roles = []codedValue{dcm("110152", "Destination Role ID").coded()}
	}
	var list []activeParticipant
	person := a.OnBehalfOf
	for _, other := range []string{Attr(e, "on_behalf_of"), about.OnBehalfOf} {
		if person == "" {
			person = other
		}
	}
	if person != "" {
		list = append(list, activeParticipant{UserID: outward(person), Requestor: true})
	}
	switch {
	case rec.Shredded:
		list = append(list, activeParticipant{UserID: fmt.Sprintf("%x", rec.Header.Actor[:]), Requestor: len(list) == 0})
		us.Alternative = ""
	case a.Kind == store.KindDaemon && e.Action != "user.login":
	default:
		asked := activeParticipant{UserID: outward(a.ID), Alternative: string(a.Kind), Requestor: len(list) == 0}
		if e.Action == "user.login" && e.Object != "" {
			asked.UserID = outwardObject(e)
		}
		if address := Attr(e, "address"); address != "" {
			asked.Point, asked.PointType = outward(address), 2
		}
		if ev.ID == dataImport {
			asked.Roles = []codedValue{dcm("110153", "Source Role ID").coded()}
		}
		list = append(list, asked)
		us.Alternative = ""
	}
	us.Requestor = len(list) == 0
	list = append(list, us)
	if ev.ID == dataExport && strings.HasPrefix(string(e.Action), "message.") {
		to := activeParticipant{UserID: outward(Attr(e, "sender")), Roles: []codedValue{dcm("110152", "Destination Role ID").coded()}}
		if to.UserID == "" {
			to.UserID = "network"
		}
		if n := about.Phone.E164(); n != "" {
			to.Point, to.PointType = masked(n), 3
		}
		list = append(list, to)
	}
	return list
}

// frame is one audit message as RFC 5424 writes it. Its header has the event's time and no process id:
// an entry that is sent twice is the same byte for byte, and a repository can tell.
func (r *Repository) frame(at time.Time, m *auditMessage) (string, error) {
	if r.Schema == SchemaRFC3881 {
		m = m.older()
	}
	text, err := m.text()
	if err != nil {
		return "", err
	}
	return syslogHeader(priorityEvent, at, r.Host, "", atnaMessageID) + text, nil
}
