package api

import (
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/daemon/record"
	"pinward/daemon/text"
	"pinward/store"
)

// subject names a patient by the authority that assigns the record number.
type subject struct {
	Authority string `json:"authority"`
	MRN       string `json:"mrn"`
}

func showSubject(id contact.SubjectID) *subject {
	if id.IsZero() {
		return nil
	}
	return &subject{id.Authority, id.MRN}
}

// subjectRequest is a subject in a request: the site's own authority needs not be named.
type subjectRequest struct {
	Authority string `json:"authority" max:"256"`
	MRN       string `json:"mrn" required:"true" max:"256"`
}

func (s *subjectRequest) id(site contact.Site) contact.SubjectID {
	if s == nil {
		return contact.SubjectID{}
	}
	id := contact.SubjectID{Authority: s.Authority, MRN: s.MRN}
	if id.Authority == "" {
		id.Authority = site.Authority
	}
	return id
}

// subjectOf reads ?authority=&mrn=.
func subjectOf(r *http.Request, tx *store.Tx) (contact.SubjectID, error) {
	q := r.URL.Query()
	s := &subjectRequest{q.Get("authority"), q.Get("mrn")}
	if s.MRN == "" {
		return contact.SubjectID{}, bad("mrn", "must be set")
	}
	if err := line("authority", s.Authority, 256); err != nil {
		return contact.SubjectID{}, err
	}
	if err := line("mrn", s.MRN, 256); err != nil {
		return contact.SubjectID{}, err
	}
	site, err := contact.SiteOf(tx)
	return s.id(site), err
}

func viewedSubject(what string) func(*http.Request, *store.Tx) error {
	return func(r *http.Request, tx *store.Tx) error {
		id, err := subjectOf(r, tx)
		if err != nil {
			return err
		}
		return record.Viewed(tx, what, id)
	}
}

// contactAnswer is what is known about a patient's numbers.
type contactAnswer struct {
	Subject  subject  `json:"subject"`
	Language string   `json:"language"`
	Dead     bool     `json:"dead"`
	NoTexts  bool     `json:"no_texts"`
	NoVoice  bool     `json:"no_voice"`
	Ward     string   `json:"ward"`  // HL7 PV1-3, "" for nowhere
	Class    string   `json:"class"` // HL7 table 0004
	Numbers  []number `json:"numbers"`
}

// number is one of them.
type number struct {
	To       string    `json:"to"`
	Use      string    `json:"use"`  // HL7 table 0201
	Type     string    `json:"type"` // mobile, landline, or "" for not known
	Since    time.Time `json:"since"`
	Verified time.Time `json:"verified,omitzero"`

	Extension string `json:"extension"` // behind a switchboard; no text goes there
	Proxy     string `json:"proxy"`     // HL7 table 0063: who is told in the patient's place; "" for the patient
}

func getContact(_ *api, r *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	id, err := subjectOf(r, tx)
	if err != nil {
		return nil, err
	}
	s, ok, err := contact.Find(tx, id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errAbsent
	}
	out := contactAnswer{
		Subject: subject{s.ID.Authority, s.ID.MRN}, Language: s.Language, Dead: s.Dead != nil,
		NoTexts: s.NoTexts, NoVoice: s.NoVoice, Ward: s.Ward, Class: s.Class, Numbers: []number{},
	}
	for _, n := range s.Phones {
		out.Numbers = append(out.Numbers, number{n.Phone.E164(), n.Use, string(n.Type), n.Since, n.Verified, n.Extension, n.Proxy})
	}
	return out, nil
}

// appointmentAnswer is one appointment, by the number that its system gave it.
type appointmentAnswer struct {
	ID      string    `json:"id"`
	Start   time.Time `json:"start"`
	Minutes int       `json:"minutes"`
	Site    string    `json:"site"`
	Status  string    `json:"status"`
	Version int       `json:"version"`
}

func listAppointments(_ *api, r *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	id, err := subjectOf(r, tx)
	if err != nil {
		return nil, err
	}
	all, err := contact.AppointmentsOf(tx, id)
	if err != nil {
		return nil, err
	}
	list := []appointmentAnswer{}
	for _, a := range all {
		list = append(list, appointmentAnswer{a.ID.Number, a.Start, a.Minutes, a.SiteName, string(a.Status), a.Version})
	}
	return list, nil
}

// templateAnswer is the wording of a text; it is policy and holds nothing of a patient's.
type templateAnswer struct {
	Name    string `json:"name"`
	Locale  string `json:"locale"`
	Class   string `json:"class"`
	Body    string `json:"body"`
	Version int    `json:"version"`
}

func listTemplates(_ *api, _ *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	all, err := text.List(tx)
	if err != nil {
		return nil, err
	}
	list := []templateAnswer{}
	for _, t := range all {
		list = append(list, templateAnswer{t.Name, t.Lang, string(t.Class), t.Body, t.Version})
	}
	return list, nil
}

// service is a policy for verifications, as clients need to know it.
type service struct {
	SID        string `json:"sid"`
	Name       string `json:"name"`
	CodeLength int    `json:"code_length"`
	Life       int    `json:"life"` // seconds
	Staff      bool   `json:"staff"`
	Reference  bool   `json:"reference"` // a start has to name one, and its checks too
	Subject    bool   `json:"subject"`   // a start has to name a known patient
	Amount     bool   `json:"amount"`    // a start has to name amount and payee
}

func listServices(_ *api, _ *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	all, err := otp.Services(tx)
	if err != nil {
		return nil, err
	}
	list := []service{}
	for _, s := range all {
		if !s.Retired {
			list = append(list, service{s.SID, s.Name, s.CodeLength, int(s.Life.Seconds()), s.Staff, s.Reference, s.Bound, s.Amount})
		}
	}
	return list, nil
}

func getHealth(a *api, _ *http.Request, _ *store.Tx, _ access.Principal) (any, error) {
	return a.Health(), nil
}
