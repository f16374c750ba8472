package api

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/record"
	"pinward/store"
)

// message is how one outgoing thing stands. It holds no text.
type message struct {
	ID        string       `json:"id"`
	Kind      string       `json:"kind"` // otp, notice or consent
	Ref       string       `json:"ref"`  // what it was made for: a verification or a notice
	Lane      outbox.Lane  `json:"lane"`
	To        string       `json:"to"`
	Status    outbox.State `json:"status"`
	Cause     string       `json:"cause"`
	CreatedAt time.Time    `json:"created_at"`
	DueAt     time.Time    `json:"due_at"`
	ExpiresAt time.Time    `json:"expires_at"`
	Attempts  []attempt    `json:"attempts"`
}

// attempt is one hand-over to one modem.
type attempt struct {
	At      time.Time    `json:"at"`
	Modem   string       `json:"modem"`
	Carrier string       `json:"carrier"`
	Parts   int          `json:"parts"`
	Status  outbox.State `json:"status"`
	Cause   string       `json:"cause"`
}

func showMessage(m outbox.Message) message {
	out := message{
		ID: m.ID, Kind: string(m.Kind), Ref: m.Ref, Lane: m.Lane, To: m.To.E164(), Status: m.State, Cause: m.Cause,
		CreatedAt: m.Created, DueAt: m.Due, ExpiresAt: m.Expires, Attempts: []attempt{},
	}
	for _, t := range m.Attempts {
		out.Attempts = append(out.Attempts, attempt{t.At, t.Sender, t.Carrier, len(t.Parts), t.Outcome, t.Cause})
	}
	return out
}

// ownOnly reports whether the caller sees only what it sent itself. A portal or an engine needs no
// more, and a list of all that leaves the box is a list of who is a patient here.
func ownOnly(p access.Principal) bool {
	return p.Kind == access.KindClient && !p.Can(access.StatusRead)
}

func getMessage(_ *api, r *http.Request, tx *store.Tx, p access.Principal) (any, error) {
	m, ok, err := outbox.Get(tx, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if !ok || ownOnly(p) && m.Client != p.Actor.ID {
		return nil, outbox.ErrNotFound
	}
	return showMessage(m), nil
}

// messageList is a page of a list, newest first. An empty next is the end; a page may be short of its
// limit before that.
type messageList struct {
	Items []message `json:"items"`
	Next  string    `json:"next"`
}

var messageID = regexp.MustCompile(`^SM[0-9a-f]{32}$`)

func messageFilter(r *http.Request) (f outbox.Filter, cursor string, err error) {
	q := r.URL.Query()
	f.State, cursor = outbox.State(q.Get("state")), q.Get("cursor")
	if f.State != "" && !slices.Contains(enums[stateType], any(f.State)) {
		return f, "", bad("state", "one of the states of a message")
	}
	if cursor != "" && !messageID.MatchString(cursor) {
		return f, "", bad("cursor", "one that an earlier answer gave")
	}
	f.Limit, err = limitOf(r, 50, 1000)
	return f, cursor, err
}

func viewedMessages(r *http.Request, tx *store.Tx) error {
	if _, _, err := messageFilter(r); err != nil {
		return err
	}
	return record.Viewed(tx, "messages", contact.SubjectID{})
}

func listMessages(_ *api, r *http.Request, tx *store.Tx, p access.Principal) (any, error) {
	f, cursor, err := messageFilter(r)
	if err != nil {
		return nil, err
	}
	if ownOnly(p) {
		f.Client = p.Actor.ID
	}
	found, next, err := outbox.List(tx, f, cursor)
	if err != nil {
		return nil, err
	}
	list := messageList{Items: []message{}, Next: next}
	for _, m := range found {
		list.Items = append(list.Items, showMessage(m))
	}
	return list, nil
}

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
