package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/record"
	"pinward/store"
)

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

// entryList is a page of the audit, newest first. An empty next is the end; a page may be short of
// its limit before that.
type entryList struct {
	Items []entry `json:"items"`
	Next  string  `json:"next"`
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

// viewedAudit notes the search before it is made.
func viewedAudit(r *http.Request, tx *store.Tx) error {
	q, err := auditQuery(r)
	if err != nil {
		return err
	}
	return record.Note(tx, q)
}

// searchAudit looks for entries, newest first; the first of them is the search itself.
func searchAudit(_ *api, r *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	q, err := auditQuery(r)
	if err != nil {
		return nil, err
	}
	found, err := record.Search(tx, q)
	if err != nil {
		return nil, err
	}
	list := entryList{Items: []entry{}}
	for _, r := range found.Records {
		list.Items = append(list.Items, showEntry(r))
	}
	if found.Next > 0 {
		list.Next = strconv.FormatUint(found.Next, 10)
	}
	return list, nil
}

func auditQuery(r *http.Request) (record.Query, error) {
	v := r.URL.Query()
	q := record.Query{Action: v.Get("action"), Object: v.Get("object")}
	for _, name := range []string{"action", "object", "actor", "subject"} {
		if err := line(name, v.Get(name), 512); err != nil {
			return q, err
		}
	}
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
	var err error
	if q.From, err = instant(v.Get("from")).time("from"); err != nil {
		return q, err
	}
	if q.To, err = instant(v.Get("to")).time("to"); err != nil {
		return q, err
	}
	if s := v.Get("cursor"); s != "" {
		if q.Before, err = strconv.ParseUint(s, 10, 64); err != nil {
			return q, bad("cursor", "one that an earlier answer gave")
		}
	}
	q.Limit, err = limitOf(r, 100, 1000)
	return q, err
}
