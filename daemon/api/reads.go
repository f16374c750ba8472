package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/record"
	"pinward/daemon/text"
	"pinward/store"
)

// limitOf reads ?limit=.
func limitOf(r *http.Request, usual, most int) (int, error) {
	s := r.URL.Query().Get("limit")
	if s == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		return 0, bad("limit", "a number from 1 to %d", most)
	}
	return n, nil
}

// subjectOf reads ?authority=&mrn=; the site's own authority needs not be named.
func subjectOf(r *http.Request, tx *store.Tx) (contact.SubjectID, error) {
	q := r.URL.Query()
	s := &subject{q.Get("authority"), q.Get("mrn")}
	if s.MRN == "" {
		return contact.SubjectID{}, bad("mrn", "must be set")
	}
	return s.id(tx)
}

// contactAnswer is what is known about a patient's numbers.
type contactAnswer struct {
	Subject  subject  `json:"subject"`
	Language string   `json:"language"`
	Dead     bool     `json:"dead"`
	NoTexts  bool     `json:"no_texts"`
	NoVoice  bool     `json:"no_voice"`
	Numbers  []number `json:"numbers"`
}

// number is one of them, best first as the box would use them.
type number struct {
	To       string    `json:"to"`
	Use      string    `json:"use"`  // HL7 table 0201
	Type     string    `json:"type"` // mobile, landline or unknown
	Since    time.Time `json:"since"`
	Verified time.Time `json:"verified,omitzero"`
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
		NoTexts: s.NoTexts, NoVoice: s.NoVoice, Numbers: []number{},
	}
	for _, n := range s.Phones {
		out.Numbers = append(out.Numbers, number{n.Phone.E164(), n.Use, string(n.Type), n.Since, n.Verified})
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

// entry is one record of the audit, opened.
type entry struct {
	Seq        uint64            `json:"seq"`
	At         time.Time         `json:"at"`
	Actor      string            `json:"actor"` // "user:jane", "client:AC...", "peer:...", "daemon:pinwardd"
	OnBehalfOf string            `json:"on_behalf_of"`
	Action     string            `json:"action"`
	Outcome    string            `json:"outcome"` // ok, refused or failed
	Object     string            `json:"object"`
	Subject    string            `json:"subject"` // AUTHORITY|MRN
	Attrs      map[string]string `json:"attrs"`
}

func showEntry(r store.Record) entry {
	e := entry{
		Seq: r.Seq, At: r.Time, Actor: string(r.Actor.Kind) + ":" + r.Actor.ID, OnBehalfOf: r.Actor.OnBehalfOf,
		Action: string(r.Entry.Action), Outcome: r.Entry.Outcome.String(), Object: r.Entry.Object, Subject: r.Entry.Subject,
		Attrs: map[string]string{},
	}
	for _, a := range r.Entry.Attrs {
		e.Attrs[a.Key] = a.Value
	}
	return e
}

// searchAudit looks for entries, newest first. The search itself becomes an entry.
func searchAudit(_ *api, r *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	q, err := auditQuery(r)
	if err != nil {
		return nil, err
	}
	found, err := record.Search(tx, q)
	if err != nil {
		return nil, err
	}
	if err := record.Note(tx, q); err != nil {
		return nil, err
	}
	entries := []entry{}
	for _, r := range found.Records {
		entries = append(entries, showEntry(r))
	}
	next := ""
	if found.Next > 0 {
		next = strconv.FormatUint(found.Next, 10)
	}
	return page{entries, next}, nil
}

func auditQuery(r *http.Request) (record.Query, error) {
	v := r.URL.Query()
	q := record.Query{Action: v.Get("action"), Object: v.Get("object")}
	if _, id, ok := strings.Cut(v.Get("actor"), ":"); ok {
		q.Actor = id // as an entry shows it
	} else {
		q.Actor = v.Get("actor")
	}
	if s := v.Get("subject"); s != "" {
		authority, mrn, ok := strings.Cut(s, "|")
		if !ok {
			return q, bad("subject", "AUTHORITY|MRN")
		}
		q.Subject = contact.SubjectID{Authority: authority, MRN: mrn}
	}
	for name, to := range map[string]*time.Time{"from": &q.From, "to": &q.To} {
		if s := v.Get(name); s != "" {
			at, err := time.Parse(time.RFC3339, s)
			if err != nil {
				return q, bad(name, "a time as in RFC 3339")
			}
			*to = at
		}
	}
	if s := v.Get("cursor"); s != "" {
		before, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return q, bad("cursor", "one that an earlier answer gave")
		}
		q.Before = before
	}
	var err error
	q.Limit, err = limitOf(r, 100, 1000)
	return q, err
}
