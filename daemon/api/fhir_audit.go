package api

import (
	"cmp"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/record"
	"pinward/store"
)

// auditEvent is one entry of the audit (R4 auditevent.html), coded with the words of DICOM PS3.15 as the
// records are that go to an audit repository. Numbers are masked as they are there.
type auditEvent struct {
	ResourceType string        `json:"resourceType"`
	ID           fhirID        `json:"id"` // the sequence number
	Meta         fhirMeta      `json:"meta"`
	Type         fhirCoding    `json:"type"`
	Subtype      []fhirCoding  `json:"subtype"`
	Action       fhirCode      `json:"action"`
	Recorded     fhirInstant   `json:"recorded"`
	Outcome      fhirCode      `json:"outcome"`
	OutcomeDesc  string        `json:"outcomeDesc,omitempty"`
	Agent        []auditAgent  `json:"agent"`
	Source       auditSource   `json:"source"`
	Entity       []auditEntity `json:"entity,omitempty"`
}

type auditAgent struct {
	Type      *fhirConcept   `json:"type,omitempty"`
	Who       *fhirReference `json:"who,omitempty"`
	AltID     string         `json:"altId,omitempty"`
	Requestor bool           `json:"requestor"`
	Network   *auditNetwork  `json:"network,omitempty"`
}

type auditNetwork struct {
	Address string   `json:"address"`
	Type    fhirCode `json:"type"` // network-type: 1 name, 2 address, 3 telephone number
}

type auditSource struct {
	Site     string       `json:"site,omitempty"`
	Observer fhirShown    `json:"observer"`
	Type     []fhirCoding `json:"type"`
}

// fhirShown is a reference to what is no resource here.
type fhirShown struct {
	Type    fhirURI `json:"type"`
	Display string  `json:"display"`
}

type auditEntity struct {
	What   *fhirReference `json:"what,omitempty"`
	Type   fhirCoding     `json:"type"`
	Role   fhirCoding     `json:"role"`
	Name   string         `json:"name,omitempty"`
	Detail []auditDetail  `json:"detail,omitempty"`
}

type auditDetail struct {
	Type  string `json:"type"`
	Value string `json:"valueString"`
}

const (
	systemDCM        = "http://dicom.nema.org/resources/ontology/DCM"
	systemAction     = "urn:pinward:action"
	systemActor      = "urn:pinward:" // and the kind of actor
	systemObject     = "urn:pinward:object"
	systemLifecycle  = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
	systemEntityType = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	systemObjectRole = "http://terminology.hl7.org/CodeSystem/object-role"
	systemSourceType = "http://terminology.hl7.org/CodeSystem/security-source-type"

	dcmExport      = "110106"
	dcmDestination = "110152"
	dcmSource      = "110153"
)

var auditOutcomes = map[store.Outcome]fhirCode{store.OK: "0", store.Refused: "4", store.Failed: "8"}

func showAuditEvent(r store.Record, site contact.Site, about record.About) auditEvent {
	e := r.Entry
	c := record.Coded(e)
	at := fhirInstant(stampOf(r.Time))
	out := auditEvent{
		ResourceType: "AuditEvent", ID: fhirID(strconv.FormatUint(r.Seq, 10)), Meta: fhirMeta{VersionID: "1", LastUpdated: at}, Recorded: at,
		Type: dcmCoding(c.ID), Action: fhirCode(c.Action), Outcome: auditOutcomes[e.Outcome],
		Source: auditSource{Site: site.Name, Observer: fhirShown{"Device", "Pinward"}, Type: []fhirCoding{{System: systemSourceType, Code: "4"}}},
	}
	if c.Type.Value != "" {
		out.Subtype = append(out.Subtype, dcmCoding(c.Type))
	}
	if c.ID.Value == dcmExport {
		out.Subtype = append(out.Subtype, fhirCoding{System: systemLifecycle, Code: "disclose"})
	}
	out.Subtype = append(out.Subtype, fhirCoding{System: systemAction, Code: fhirCode(e.Action)})
	if e.Outcome != store.OK {
		out.OutcomeDesc = record.Masked(cmp.Or(record.Attr(e, "cause"), record.Attr(e, "why")))
	}
	out.Agent = agentsOf(r, c.ID.Value == dcmExport, about)
	out.Entity = entitiesOf(e, c, about)
	return out
}

// AboutOf finds whom a text was for, a [record.Finder]: an entry of the outbox names only what the text was made for, a verification or a
// notice, or nothing of a patient.
func AboutOf(tx *store.Tx, ref string) (record.About, error) {
	v, err := otp.Get(tx, ref)
	if err == nil {
		return record.About{Subject: v.Subject, Phone: v.To, OnBehalfOf: v.OnBehalfOf}, nil
	}
	if !errors.Is(err, otp.ErrNotFound) {
		return record.About{}, err
	}
	n, _, err := notice.Get(tx, ref)
	if errors.Is(err, notice.ErrNotFound) {
		return record.About{}, nil
	}
	return record.About{Subject: n.Subject, Phone: n.To, OnBehalfOf: n.OnBehalfOf}, err
}

func dcmCoding(c record.Code) fhirCoding {
	if c.System != "DCM" {
		return fhirCoding{System: "urn:ihe:event-type-code", Code: fhirCode(c.Value), Display: c.Text}
	}
	return fhirCoding{System: systemDCM, Code: fhirCode(c.Value), Display: c.Text}
}

// agentsOf are the actor, who asked for it; the person for whom a machine spoke; and of what left the box,
// the number that it went to.
func agentsOf(r store.Record, export bool, about record.About) []auditAgent {
	kind := string(r.Actor.Kind)
	actor := auditAgent{
		Who:   &fhirReference{Identifier: &fhirIdentifier{System: fhirURI(systemActor + kind), Value: r.Actor.ID}},
		AltID: kind + ":" + r.Actor.ID, Requestor: true,
	}
	if r.Actor.ID == "" {
		actor.Who, actor.AltID = nil, kind
	}
	if addr, err := netip.ParseAddr(record.Attr(r.Entry, "address")); err == nil {
		actor.Network = &auditNetwork{addr.String(), "2"}
	}
	list := []auditAgent{actor}
	behalf := cmp.Or(r.Actor.OnBehalfOf, record.Attr(r.Entry, "on_behalf_of"), about.OnBehalfOf)
	if behalf != "" {
		list = append(list, auditAgent{Who: &fhirReference{Identifier: &fhirIdentifier{Value: record.Masked(behalf)}}})
	}
	if phone := cmp.Or(record.Attr(r.Entry, "phone"), about.Phone.E164()); export && strings.HasPrefix(phone, "+") {
		source, destination := concept(systemDCM, dcmSource), concept(systemDCM, dcmDestination)
		list[0].Type = &source
		list = append(list, auditAgent{Type: &destination, Network: &auditNetwork{record.Masked(phone), "3"}})
	}
	return list
}

// entitiesOf are the patient and the record acted on, with what the entry says of it.
func entitiesOf(e store.Entry, c record.Coding, about record.About) (list []auditEntity) {
	if authority, mrn, ok := strings.Cut(cmp.Or(e.Subject, about.Subject.Key()), "|"); ok {
		list = append(list, auditEntity{
			What: patientRef(contact.SubjectID{Authority: authority, MRN: mrn}),
			Type: fhirCoding{System: systemEntityType, Code: "1"}, Role: fhirCoding{System: systemObjectRole, Code: "1"},
		})
	}
	thing := auditEntity{
		Type: fhirCoding{System: systemEntityType, Code: "2"}, Role: fhirCoding{System: systemObjectRole, Code: "4"}, Name: string(e.Action),
	}
	switch {
	case strings.HasPrefix(string(e.Action), "notice.") && messageID.MatchString(e.Object):
		thing.What = &fhirReference{Reference: fhirCommunicationType + "/" + e.Object, Type: fhirCommunicationType}
	case strings.HasPrefix(string(e.Action), "message.") && messageID.MatchString(record.Attr(e, "ref")):
		thing.What = &fhirReference{Reference: fhirCommunicationType + "/" + record.Attr(e, "ref"), Type: fhirCommunicationType}
	case c.Object != "":
		thing.What = &fhirReference{Identifier: &fhirIdentifier{System: systemObject, Value: c.Object}}
	}
	for _, a := range c.Attrs {
		thing.Detail = append(thing.Detail, auditDetail{a.Key, a.Value})
	}
	if thing.What != nil || thing.Detail != nil {
		list = append(list, thing)
	}
	return list
}

func auditEventQuery(r *http.Request, site contact.Site) (q record.Query, kind string, err error) {
	if q.Limit, err = countOf(r); err != nil {
		return q, "", err
	}
	if s := r.Form.Get(cursorParam); s != "" {
		if q.Before, err = strconv.ParseUint(s, 10, 64); err != nil || q.Before == 0 {
			return q, "", bad("http."+cursorParam, "one that an earlier answer gave")
		}
	}
	if q.From, q.To, err = dates(r.Form["date"], site.Location()); err != nil {
		return q, "", err
	}
	if q.Subject, err = patientOf(r, site); err != nil {
		return q, "", err
	}
	if s := formOf(r, "agent"); s != "" {
		if err := line("http.agent", s, maxString); err != nil {
			return q, "", err
		}
		q.Actor = s
		if system, value, ok := strings.Cut(s, "|"); ok {
			kind, ok = strings.CutPrefix(system, systemActor)
			if !ok && system != "" {
				kind = system // of somebody else's agents: none here
			}
			if q.Actor = value; value == "" {
				return q, "", bad("http.agent", "the identifier of an agent: "+systemActor+"KIND|ID")
			}
		}
	}
	return q, kind, nil
}

// viewedAuditEvents notes the search before it is made.
func viewedAuditEvents(r *http.Request, tx *store.Tx) error {
	site, err := contact.SiteOf(tx)
	if err != nil {
		return err
	}
	q, _, err := auditEventQuery(r, site)
	if err != nil {
		return err
	}
	return record.Note(tx, q)
}

// searchAuditEvents looks for entries, newest first; the first of them is the search itself.
func searchAuditEvents(_ *api, r *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	site, err := contact.SiteOf(tx)
	if err != nil {
		return nil, err
	}
	q, kind, err := auditEventQuery(r, site)
	if err != nil {
		return nil, err
	}
	q.About = AboutOf // an event that shows a patient is found by that patient
	found, err := record.Search(tx, q)
	if err != nil {
		return nil, err
	}
	b := newBundle(r)
	for _, one := range found.Records {
		if kind == "" || string(one.Actor.Kind) == kind {
			e := showAuditEvent(one, site, record.AboutText(tx, one, AboutOf))
			b.add("AuditEvent", string(e.ID), e)
		}
	}
	if found.Next > 0 {
		b.next(strconv.FormatUint(found.Next, 10))
	}
	return b.fhirBundle, nil
}
