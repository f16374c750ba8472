package api

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/text"
)

// asked is what a CommunicationRequest means here.
type asked struct {
	subject    contact.SubjectID
	to         readable // zero: the patient's number of the day
	lang       string
	template   string // "" where body has to be matched
	slots      map[string]string
	body       string // a whole text
	key        string // business key: the first identifier
	at         time.Time
	expires    time.Time
	urgent     bool
	call       bool       // PHONE is the only medium
	class      text.Class // "" is the template's
	onBehalfOf string
	dead       bool
	words      []string // that may not stand in the text
	kept       fhirKept
}

// fhirKept is what of a request is kept beside its notice, so that a read gives it back: references,
// codes and times. Words of people, and why the patient is one, are not among it.
type fhirKept struct {
	Digest     []byte           `json:"digest"` // of the request as it came, to know it again
	Identifier []fhirIdentifier `json:"identifier,omitempty"`
	Category   []fhirConcept    `json:"category,omitempty"`
	Priority   fhirCode         `json:"priority,omitempty"`
	Medium     []fhirConcept    `json:"medium,omitempty"`
	About      []fhirReference  `json:"about,omitempty"`
	At         fhirDateTime     `json:"at,omitempty"`
	Period     *fhirPeriod      `json:"period,omitempty"`
	AuthoredOn fhirDateTime     `json:"authored,omitempty"`
	Requester  *fhirReference   `json:"requester,omitempty"`
}

// reading collects what a request asks for that is not done here; all of it is told at once, as 422.
type reading struct {
	req      communicationRequest
	site     contact.Site
	out      asked
	findings []finding
}

func (rd *reading) not(code, at, text string) {
	rd.findings = append(rd.findings, finding{code: code, at: fhirRequestType + at, text: text})
}

// meaning reads a request. What R4 allows and this box does not do is refused, and never passed over.
func (req communicationRequest) meaning(d decoded, site contact.Site) (asked, error) {
	rd := &reading{req: req, site: site}
	rd.out.words = d.words
	rd.out.kept = fhirKept{Digest: digest(d.tree), Identifier: req.Identifier, Category: req.Category, Priority: req.Priority,
		Medium: req.Medium, About: req.About, At: req.OccurrenceDateTime, Period: req.OccurrencePeriod, AuthoredOn: req.AuthoredOn, Requester: req.Requester}
	if req.Status != "active" {
		rd.not("business-rule", ".status", "only active is acted on: send the request when it is")
	}
	if req.DoNotPerform {
		rd.not("not-supported", ".doNotPerform", "what is not to be done need not be asked for; revoke the request that asks for it")
	}
	rd.who()
	rd.what()
	rd.how()
	rd.when()
	rd.named()
	if rd.findings != nil {
		return rd.out, &badResource{http.StatusUnprocessableEntity, rd.findings}
	}
	return rd.out, nil
}

// person finds whom a reference names: by identifier, or a resource inside the request.
func (rd *reading) person(at string, ref fhirReference) (contact.SubjectID, *fhirPerson) {
	if name, ok := strings.CutPrefix(ref.Reference, "#"); ok {
		for i, p := range rd.req.Contained {
			if string(p.ID) == name && name != "" && p.ResourceType != "" {
				id := contact.SubjectID{}
				for _, one := range p.Identifier {
					if id.IsZero() && p.ResourceType == "Patient" {
						id = one.subject(rd.site)
					}
				}
				return id, &rd.req.Contained[i]
			}
		}
		rd.not("not-found", at, "no patient or related person of that id is contained")
		return contact.SubjectID{}, nil
	}
	if id := ref.Identifier.subject(rd.site); !id.IsZero() {
		return id, nil
	}
	rd.not("not-supported", at, "name the person by identifier (system and value of the record number), or contain them")
	return contact.SubjectID{}, nil
}

// who reads subject and recipient.
func (rd *reading) who() {
	var patient, holder *fhirPerson
	if s := rd.req.Subject; s != nil {
		if s.Type != "" && s.Type != "Patient" {
			rd.not("not-supported", ".subject", "one patient at a time")
			return
		}
		rd.out.subject, holder = rd.person(".subject", *s)
		if holder != nil && holder.ResourceType != "Patient" {
			rd.not("value", ".subject", "a subject is a patient")
		}
		patient = holder
	}
	switch n := len(rd.req.Recipient); {
	case n > 1:
		rd.not("not-supported", ".recipient", "one recipient a request, so that each has an outcome of its own")
	case n == 1:
		rd.recipient(rd.req.Recipient[0], &holder)
	}
	if rd.findings != nil {
		return
	}
	if patient != nil && patient != holder && !rd.inUse(*patient) {
		holder = nil // whoever is texted in their place, it is about them
	}
	if holder != nil && rd.inUse(*holder) {
		rd.reach(*holder)
	}
	if rd.out.subject.IsZero() && rd.out.to == (readable{}) && !rd.out.dead {
		rd.not("required", ".subject", "whom is it for: subject with the record number, or a recipient with a number")
	}
	for _, half := range []string{rd.out.subject.Authority, rd.out.subject.MRN} {
		if len(half) > maxString {
			rd.not("too-long", ".subject", "at most 256 bytes")
		}
	}
	rd.out.words = append(rd.out.words, rd.out.subject.MRN)
}

func (rd *reading) recipient(ref fhirReference, holder **fhirPerson) {
	const at = ".recipient[0]"
	id, p := rd.person(at, ref)
	switch {
	case p != nil:
		*holder = p // a related person gets the text in the patient's place
		if of := p.Patient; of != nil {
			if id := of.Identifier.subject(rd.site); !id.IsZero() && id != rd.out.subject {
				rd.not("business-rule", at, "related to another patient than the subject")
			}
		}
		if p.ResourceType == "Patient" && rd.out.subject.IsZero() {
			rd.out.subject = id
		} else if p.ResourceType == "Patient" && id != rd.out.subject && !id.IsZero() {
			rd.not("business-rule", at, "another patient than the subject")
		}
	case id.IsZero():
	case ref.Type != "" && ref.Type != "Patient":
		rd.not("not-supported", at, "a recipient other than the patient has to be contained, with a number")
	case rd.out.subject.IsZero():
		rd.out.subject = id
	case id != rd.out.subject:
		rd.not("business-rule", at, "another patient than the subject")
	}
}

// inUse tells whether the request may be about, or go to, a person that it contains: one who lives, whose record is in use,
// and who is related to the patient still.
func (rd *reading) inUse(p fhirPerson) bool {
	switch {
	case p.DeceasedBoolean || p.DeceasedDateTime != "":
		rd.out.dead = true
		return false
	case p.Active != nil && !*p.Active:
		rd.not("business-rule", ".contained", "the record is not in use")
		return false
	case !rd.inForce(p.Period):
		rd.not("business-rule", ".contained", "the person is not related to the patient now")
		return false
	}
	return true
}

// reach takes the number of a person that the request contains: of those in force sms before phone, the
// person's own rank, mobile before others. A related person without one is not told by the patient's own.
func (rd *reading) reach(p fhirPerson) {
	for _, l := range p.Communication {
		if rd.out.lang == "" || l.Preferred {
			for _, c := range l.Language.Coding {
				rd.out.lang = string(c.Code)
			}
		}
	}
	best, rank := fhirContactPoint{}, 0
	for _, t := range p.Telecom {
		if r := rd.rank(t); r > 0 && (rank == 0 || r < rank) {
			best, rank = t, r
		}
	}
	switch {
	case rank > 0:
		rd.out.to = readNumber(best.Value, rd.site)
	case p.ResourceType == "RelatedPerson":
		rd.out.to = readable{err: notice.ErrNoNumber}
	}
}

// rank orders numbers, the best first; 0 is none to text.
func (rd *reading) rank(t fhirContactPoint) int {
	if t.System != "sms" && t.System != "phone" || t.Use == "old" || t.Value == "" || !rd.inForce(t.Period) {
		return 0
	}
	order := 1000
	if t.Rank > 0 {
		order = min(int(t.Rank), 999)
	}
	order *= 4
	if t.System != "sms" {
		order += 2
	}
	if t.Use != "mobile" {
		order++
	}
	return order
}

func (rd *reading) inForce(p fhirPeriod) bool {
	now := time.Now()
	from, _, ok1 := p.Start.span(rd.site.Location())
	_, to, ok2 := p.End.span(rd.site.Location())
	return (p.Start == "" || ok1 && !now.Before(from)) && (p.End == "" || ok2 && now.Before(to))
}

// payloadShape is "template?slot=value&slot=value", the values escaped as in an address; anything else is a
// whole text.
var payloadShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(\?\S*)?$`)

// what reads the payload: a template's name and its slots, or a whole text.
func (rd *reading) what() {
	if len(rd.req.Payload) != 1 || rd.req.Payload[0].ContentString == "" {
		rd.not("not-supported", ".payload", "one payload, with contentString: a template's name and its slots")
		return
	}
	s := rd.req.Payload[0].ContentString
	if !payloadShape.MatchString(s) {
		rd.out.body = s
		return
	}
	name, query, _ := strings.Cut(s, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		rd.not("value", ".payload[0].content", "the slots cannot be read: slot=value&slot=value, escaped as in an address")
		return
	}
	rd.out.template, rd.out.slots = name, map[string]string{}
	for slot, v := range values {
		if len(v) != 1 {
			rd.not("value", ".payload[0].content", "a slot is given twice")
		}
		rd.out.slots[slot] = v[0]
	}
}

// how reads medium, category and priority. Texts are what notices go by, and where both are allowed too: that a landline is called in place
// of one is the box's own choice then. PHONE alone asks for a call.
func (rd *reading) how() {
	is := func(code string) func(fhirConcept) bool {
		return func(c fhirConcept) bool { return c.has(systemMode, code) }
	}
	if m := rd.req.Medium; len(m) > 0 && !slices.ContainsFunc(m, is("SMSWRIT")) {
		if rd.out.call = slices.ContainsFunc(m, is("PHONE")); !rd.out.call {
			rd.not("not-supported", ".medium", "SMSWRIT and PHONE of v3-ParticipationMode are what a notice goes by")
		}
	}
	for _, c := range rd.req.Category {
		if c.has(systemActReason, "HMARKT") {
			rd.out.class = text.Marketing
		}
	}
	if len(rd.req.Category) > 0 && rd.out.class == "" {
		rd.out.class = text.Care
	}
	// Only what cannot wait for the morning wakes a patient up.
	rd.out.urgent = rd.req.Priority == "stat"
}

// noticeLife is how long a text is of use where the request does not say it.
const noticeLife = 24 * time.Hour

// when reads the occurrence. A day is one of the site.
func (rd *reading) when() {
	at, p := rd.req.OccurrenceDateTime, rd.req.OccurrencePeriod
	zone := rd.site.Location()
	switch {
	case at != "" && p != nil:
		rd.not("structure", ".occurrence", "occurrenceDateTime or occurrencePeriod")
	case at != "":
		from, to, ok := at.span(zone)
		if !ok || len(at) < len(time.DateOnly) {
			rd.not("value", ".occurrence", "a day, or an instant with its zone")
			return
		}
		rd.out.at, rd.out.expires = from, from.Add(noticeLife)
		if len(at) == len(time.DateOnly) {
			rd.out.expires = to
		}
	case p != nil:
		from, _, ok1 := p.Start.span(zone)
		_, to, ok2 := p.End.span(zone)
		if len(p.End) > len(time.DateOnly) {
			to, _, ok2 = p.End.span(zone)
		}
		if p.Start != "" && (!ok1 || len(p.Start) < len(time.DateOnly)) || p.End != "" && (!ok2 || len(p.End) < len(time.DateOnly)) ||
			p.Start != "" && p.End != "" && !to.After(from) {
			rd.not("value", ".occurrence", "days, or instants with their zone, the end after the start")
			return
		}
		if p.Start != "" {
			rd.out.at = from
		}
		if p.End != "" {
			rd.out.expires = to
		}
	}
	if time.Until(rd.out.at) > notice.MaxWait {
		rd.not("business-rule", ".occurrence", "at most 400 days ahead")
	}
}

// named reads the business key and the person behind the request.
func (rd *reading) named() {
	for i := len(rd.req.Identifier) - 1; i >= 0; i-- {
		if id := rd.req.Identifier[i]; id.Value != "" {
			rd.out.key = businessKey(string(id.System), id.Value)
		}
	}
	if r := rd.req.Requester; r != nil {
		rd.out.onBehalfOf = r.Reference
		if r.Identifier != nil && r.Identifier.Value != "" {
			rd.out.onBehalfOf = r.Identifier.Value
		}
	}
}

func businessKey(system, value string) string { return system + "|" + value }

// ifNoneExist reads the header of a conditional create (R4 http.html#ccreate). An identifier that the
// request bears is the one condition that finds it again.
func (ask *asked) ifNoneExist(header string) (conditional bool, err error) {
	if header == "" {
		return false, nil
	}
	bad := func(text string) error {
		return oneFinding(http.StatusBadRequest, "invalid", "http.If-None-Exist", text)
	}
	_, query, found := strings.Cut(header, "?")
	if !found {
		query = header
	}
	v, err := url.ParseQuery(query)
	if err != nil || len(v) != 1 || len(v["identifier"]) != 1 {
		return false, bad("identifier=system|value is the condition that is understood")
	}
	system, value, ok := strings.Cut(v.Get("identifier"), "|")
	if !ok {
		return false, bad("identifier=system|value, with the system")
	}
	for _, id := range ask.kept.Identifier {
		if string(id.System) == system && id.Value == value && value != "" {
			ask.key = businessKey(system, value)
			return true, nil
		}
	}
	return false, bad("the request does not bear this identifier")
}

var errDuplicate = errors.New("identifier was used for another request")
