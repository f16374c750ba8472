package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/outbox"
	"pinward/daemon/record"
	"pinward/store"
)

const fhirCommunicationType = "Communication"

// communication is what became of a text (R4 communication.html). It holds neither the text nor the number.
type communication struct {
	ResourceType string          `json:"resourceType"`
	ID           fhirID          `json:"id"`
	Meta         fhirMeta        `json:"meta"`
	BasedOn      []fhirReference `json:"basedOn,omitempty"`
	Status       fhirCode        `json:"status"`
	StatusReason *fhirConcept    `json:"statusReason,omitempty"`
	Category     []fhirConcept   `json:"category,omitempty"`
	Priority     fhirCode        `json:"priority,omitempty"`
	Medium       []fhirConcept   `json:"medium"`
	Subject      *fhirReference  `json:"subject,omitempty"`
	About        []fhirReference `json:"about,omitempty"`
	Sent         fhirDateTime    `json:"sent,omitempty"`
	Received     fhirDateTime    `json:"received,omitempty"`
	Recipient    []fhirReference `json:"recipient,omitempty"`
}

func showCommunication(tx *store.Tx, n notice.Notice) (communication, error) {
	f, err := fateOf(tx, n)
	if err != nil {
		return communication{}, err
	}
	out := communication{
		ResourceType: fhirCommunicationType, ID: fhirID(n.ID), Status: fhirCode(f.status), StatusReason: f.reason.concept(),
		Meta:    fhirMeta{VersionID: f.version(), LastUpdated: fhirInstant(stampOf(f.changed))},
		Medium:  []fhirConcept{concept(systemMode, mediumOf(n))},
		Subject: patientRef(n.Subject), Sent: fhirDateTime(stampOf(f.sent)), Received: fhirDateTime(stampOf(f.received)),
	}
	if out.Subject != nil {
		out.Recipient = []fhirReference{*out.Subject}
	}
	if k, ok := keptOf(n); ok {
		out.BasedOn = []fhirReference{{Reference: fhirRequestType + "/" + n.ID, Type: fhirRequestType}}
		out.Category, out.Priority, out.About = k.Category, k.Priority, k.About
	}
	return out, nil
}

// mediumOf is a code of v3-ParticipationMode: whoever has a landline is called and told that there is a message.
func mediumOf(n notice.Notice) string {
	if n.Voice {
		return "PHONE"
	}
	return "SMSWRIT"
}

func readCommunication(_ *api, r *http.Request, tx *store.Tx, p access.Principal) (any, error) {
	id := r.PathValue("id")
	if err := ownNotice(tx, id, p); err != nil {
		return nil, err
	}
	n, _, err := notice.Get(tx, id)
	if err != nil {
		return nil, err
	}
	c, err := showCommunication(tx, n)
	if err == nil {
		err = vread(r, &c.Meta)
	}
	return c, err
}

// eventStatus are the states that a Communication can have here.
var eventStatus = []string{"preparation", "in-progress", "not-done", "stopped", "completed", "unknown"}

func viewedCommunications(r *http.Request, tx *store.Tx) error {
	if _, err := communicationQuery(r); err != nil {
		return err
	}
	return record.Viewed(tx, "communications", contact.SubjectID{})
}

// communicationSearch is what a search asks for.
type communicationSearch struct {
	ids      []string // of the requests; nil is all
	key      string   // business key of the request
	statuses []string // nil is all
	count    int
	cursor   string
}

func communicationQuery(r *http.Request) (q communicationSearch, err error) {
	if q.count, err = countOf(r); err != nil {
		return q, err
	}
	if q.cursor = r.Form.Get(cursorParam); q.cursor != "" && !messageID.MatchString(q.cursor) {
		return q, bad("http."+cursorParam, "one that an earlier answer gave")
	}
	if s := r.Form.Get("status"); s != "" {
		q.statuses = strings.Split(s, ",")
	}
	for _, s := range q.statuses {
		if !slices.Contains(eventStatus, s) && !slices.Contains([]string{"on-hold", "entered-in-error"}, s) {
			return q, bad("http.status", "codes of event-status")
		}
	}
	if s := r.Form.Get("based-on"); s != "" {
		for one := range strings.SplitSeq(s, ",") {
			resource, id := splitReference(one)
			if resource != "" && resource != fhirRequestType || !messageID.MatchString(id) {
				return q, bad("http.based-on", "a "+fhirRequestType+" of this server")
			}
			q.ids = append(q.ids, id)
		}
	}
	if s := r.Form.Get("based-on:identifier"); s != "" {
		system, value, ok := strings.Cut(s, "|")
		if !ok || value == "" {
			return q, bad("http.based-on", "system|value")
		}
		q.key = businessKey(system, value)
	}
	return q, nil
}

// splitReference takes a reference apart, absolute or not: the last two parts.
func splitReference(s string) (resource, id string) {
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		resource, id = s[:i], s[i+1:]
		return resource[strings.LastIndexByte(resource, '/')+1:], id
	}
	return "", s
}

// mostLooked bounds how many messages one search looks at; its page may be short, and the next link
// goes on.
const mostLooked = 2000

func searchCommunications(_ *api, r *http.Request, tx *store.Tx, p access.Principal) (any, error) {
	q, err := communicationQuery(r)
	if err != nil {
		return nil, err
	}
	b := newBundle(r)
	if q.key != "" {
		n, err := notice.FindKey(tx, fhirGroup(p), q.key)
		if errors.Is(err, notice.ErrNotFound) {
			return b.fhirBundle, nil
		}
		if err != nil {
			return nil, err
		}
		q.ids = append(q.ids, n.ID)
	}
	if q.ids != nil {
		for _, id := range slices.Compact(slices.Sorted(slices.Values(q.ids))) {
			if err := q.add(tx, b, id, p); err != nil {
				return nil, err
			}
		}
		return b.fhirBundle, nil
	}
	f := outbox.Filter{Kind: notice.Kind, Limit: q.count}
	if ownOnly(p) {
		f.Client = p.Actor.ID
	}
	for looked := 0; ; {
		found, next, err := outbox.List(tx, f, q.cursor)
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			n, _, err := notice.Get(tx, m.Ref)
			if errors.Is(err, notice.ErrNotFound) || err == nil && n.Message != m.ID {
				err = nil // deleted, or queued anew since
			} else if err == nil {
				err = q.add(tx, b, n.ID, p)
			}
			if err != nil {
				return nil, err
			}
			if len(b.Entry) >= q.count {
				if next != "" || m.ID != found[len(found)-1].ID {
					b.next(m.ID)
				}
				return b.fhirBundle, nil
			}
		}
		looked += len(found)
		if q.cursor = next; next == "" {
			return b.fhirBundle, nil
		}
		if looked >= mostLooked || len(found) == 0 {
			b.next(next)
			return b.fhirBundle, nil
		}
	}
}

// add puts a Communication into the bundle if it is what is asked for, and the caller's to see.
func (q communicationSearch) add(tx *store.Tx, b *bundle, id string, p access.Principal) error {
	err := ownNotice(tx, id, p)
	if errors.Is(err, notice.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	n, _, err := notice.Get(tx, id)
	if err != nil {
		return err
	}
	c, err := showCommunication(tx, n)
	if err == nil && (q.statuses == nil || slices.Contains(q.statuses, string(c.Status))) {
		b.add(fhirCommunicationType, string(c.ID), c)
	}
	return err
}
