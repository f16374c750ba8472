package api

import (
	"encoding/hex"
	"net/http"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/record"
	"pinward/daemon/text"
	"pinward/store"
)

// consentResource is what one number of a patient may get (R4 consent.html). It is what the box decides now
// from all that it knows: what the number chose, what the hospital's record says, and that somebody said the
// number is wrong.
type consentResource struct {
	ResourceType string           `json:"resourceType"`
	ID           fhirID           `json:"id"`
	Meta         *fhirMeta        `json:"meta,omitempty"`
	Identifier   []fhirIdentifier `json:"identifier"` // the number, as a tel: URI
	Status       fhirCode         `json:"status"`
	Scope        fhirConcept      `json:"scope"`
	Category     []fhirConcept    `json:"category"`
	Patient      *fhirReference   `json:"patient"`
	DateTime     fhirDateTime     `json:"dateTime,omitempty"`
	PolicyRule   fhirConcept      `json:"policyRule"`
	Provision    fhirProvision    `json:"provision"`
}

// fhirProvision is a rule; the root has no type, the ones within it each have one (R4 consent.html).
type fhirProvision struct {
	Type      fhirCode        `json:"type,omitempty"`
	Purpose   []fhirCoding    `json:"purpose,omitempty"`
	Code      []fhirConcept   `json:"code,omitempty"`
	Provision []fhirProvision `json:"provision,omitempty"`
}

// systemClass is the code system of what a text is for: code, care, marketing.
const systemClass = "urn:pinward:text-class"

// purposes are the nearest codes of v3-ActReason.
var purposes = map[text.Class]fhirCode{text.Care: "TREAT", text.Code: "PATRQT", text.Marketing: "HMARKT"}

func consentPatient(r *http.Request, tx *store.Tx) (contact.SubjectID, error) {
	site, err := contact.SiteOf(tx)
	if err != nil {
		return contact.SubjectID{}, err
	}
	id, err := patientOf(r, site)
	if err == nil && id.IsZero() {
		err = oneFinding(http.StatusBadRequest, "required", "http.patient", "must be set: patient:identifier=system|value")
	}
	return id, err
}

func viewedConsents(r *http.Request, tx *store.Tx) error {
	id, err := consentPatient(r, tx)
	if err != nil {
		return err
	}
	return record.Viewed(tx, "consents", id)
}

func searchConsents(_ *api, r *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	id, err := consentPatient(r, tx)
	if err != nil {
		return nil, err
	}
	b := newBundle(r)
	s, known, err := contact.Find(tx, id)
	if err != nil || !known {
		return b.fhirBundle, err
	}
	for _, n := range s.Phones {
		c, err := showConsent(tx, s, n.Phone)
		if err != nil {
			return nil, err
		}
		b.Entry = append(b.Entry, fhirEntry{FullURL: b.base + "/Consent/" + string(c.ID), Resource: c, Search: map[string]string{"mode": "match"}})
	}
	return b.fhirBundle, nil
}

func showConsent(tx *store.Tx, s contact.Subject, p contact.Phone) (consentResource, error) {
	chosen, err := consent.Of(tx, p)
	if err != nil {
		return consentResource{}, err
	}
	out := consentResource{
		ResourceType: "Consent", Status: "active", Patient: patientRef(s.ID),
		ID:         fhirID(hex.EncodeToString(tx.Blind("api.fhir.consent", s.ID.Key()+"\x00"+p.E164())[:16])),
		Identifier: []fhirIdentifier{{System: uriSystem, Value: "tel:" + p.E164()}},
		Scope:      concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
		Category:   []fhirConcept{concept("http://loinc.org", "59284-0")},
		DateTime:   fhirDateTime(stampOf(chosen.Changed)),
		PolicyRule: concept(systemActCode, "OPTOUT"),
	}
	if out.DateTime != "" {
		out.Meta = &fhirMeta{LastUpdated: fhirInstant(out.DateTime)}
	}
	for _, class := range []text.Class{text.Care, text.Code, text.Marketing} {
		rule := fhirProvision{
			Type: "permit", Purpose: []fhirCoding{{System: systemActReason, Code: purposes[class]}}, Code: []fhirConcept{concept(systemClass, string(class))},
		}
		err := consent.AllowedSubject(tx, s.ID, class)
		if err == nil {
			err = consent.Allowed(tx, p, class, class == text.Code) // a code is always asked for
		}
		switch {
		case consent.Refused(err):
			rule.Type = "deny"
		case err != nil:
			return consentResource{}, err
		}
		out.Provision.Provision = append(out.Provision.Provision, rule)
	}
	return out, nil
}
