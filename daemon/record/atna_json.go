package record

import (
	"encoding/json"
	"fmt"
	"time"

	"pinward/store"
)

// jsonEvent is an entry as one JSON line. All entries are sent, with event only where it is one for a
// repository; the same attributes leave as in XML.
type jsonEvent struct {
	Box        string            `json:"box"`
	Site       string            `json:"site,omitempty"`
	Seq        uint64            `json:"seq"`
	At         time.Time         `json:"at"`
	Action     string            `json:"action"`
	Outcome    string            `json:"outcome"` // ok, refused, failed
	Event      string            `json:"event,omitempty"`
	ActorKind  string            `json:"actor_kind,omitempty"`
	Actor      string            `json:"actor"`
	OnBehalfOf string            `json:"on_behalf_of,omitempty"`
	Object     string            `json:"object,omitempty"`
	Subject    string            `json:"subject,omitempty"` // AUTHORITY|MRN
	Phone      string            `json:"phone,omitempty"`   // masked
	Attrs      map[string]string `json:"attrs,omitempty"`
}

func (r *Repository) line(rec store.Record, about About) (string, error) {
	e := rec.Entry
	j := jsonEvent{
		Box: r.Box, Site: r.Site, Seq: rec.Seq, At: rec.Time.UTC(), Action: string(e.Action), Outcome: e.Outcome.String(), Event: eventOf(e).ID.Text,
		ActorKind: string(rec.Actor.Kind), Actor: outward(rec.Actor.ID), OnBehalfOf: outward(rec.Actor.OnBehalfOf), Object: outwardObject(e), Subject: e.Subject,
		Attrs: map[string]string{},
	}
	if rec.Shredded {
		j.Actor = fmt.Sprintf("%x", rec.Header.Actor[:])
	}
	if j.OnBehalfOf == "" {
		j.OnBehalfOf = outward(about.OnBehalfOf)
	}
	if j.Subject == "" {
		j.Subject = about.Subject.Key()
	}
	if n := about.Phone.E164(); n != "" {
		j.Phone = masked(n)
	}
	for _, a := range outwardAttrs(e) {
		if a.Key == "phone" {
			j.Phone = maskedList(a.Value)
			continue
		}
		j.Attrs[a.Key] = a.Value
	}
	b, err := json.Marshal(j)
	if err != nil {
		return "", fmt.Errorf("encode event: %w", err)
	}
	return string(b) + "\n", nil
}
