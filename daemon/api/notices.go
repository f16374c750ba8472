package api

import (
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// noticeRequest is the body of POST /v1/notices: a template and its slots, never a free text.
type noticeRequest struct {
	Template   string            `json:"template"`
	To         string            `json:"to"`
	Subject    *subject          `json:"subject"`
	Locale     string            `json:"locale"`
	Slots      map[string]string `json:"slots"`
	SendAt     time.Time         `json:"send_at"`
	ExpiresAt  time.Time         `json:"expires_at"`
	Key        string            `json:"key"`
	OnBehalfOf string            `json:"on_behalf_of"`
}

func sendNotice(_ *api, r *http.Request, body []byte) (effect, error) {
	var req noticeRequest
	if err := decode(r, body, &req); err != nil {
		return nil, err
	}
	if req.Template == "" {
		return nil, bad("template", "must be set")
	}
	if req.To == "" && req.Subject == nil {
		return nil, bad("to", "set to, or subject")
	}
	return func(tx *store.Tx, p access.Principal) (int, any, error) {
		n, err := req.notice(tx, p)
		if err != nil {
			return 0, nil, err
		}
		sent, already, err := notice.Send(tx, n)
		if err != nil {
			return 0, nil, err
		}
		status := http.StatusCreated
		if already {
			status = http.StatusOK
		}
		answer, err := showNotice(tx, sent.ID)
		return status, answer, err
	}, nil
}

func (req noticeRequest) notice(tx *store.Tx, p access.Principal) (notice.Request, error) {
	n := notice.Request{
		Template: req.Template, Lang: req.Locale, At: req.SendAt, Expires: req.ExpiresAt, Client: p.Actor.ID,
		OnBehalfOf: onBehalf(p, req.OnBehalfOf), Staff: p.Staff, Mode: modeOf(p),
	}
	if req.Key != "" {
		n.Group, n.Key = "api/"+p.Actor.ID, req.Key
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return n, err
	}
	if req.To != "" {
		if n.To, err = contact.ParsePhone(req.To, site.Plan()); err != nil {
			return n, err
		}
	}
	if n.Subject, err = req.Subject.id(tx); err != nil {
		return n, err
	}
	lang := req.Locale
	if lang == "" {
		lang = site.Language()
	}
	t, err := text.Find(tx, req.Template, lang)
	if err != nil {
		return n, err
	}
	n.Slots, err = t.Fill(req.Slots, site.LinkHosts)
	return n, err
}

// noticeAnswer is the answer about one. It holds neither text nor slots.
type noticeAnswer struct {
	ID        string    `json:"id"`
	Template  string    `json:"template"`
	Locale    string    `json:"locale"`
	To        string    `json:"to"`
	Subject   *subject  `json:"subject"`
	Status    string    `json:"status"`
	Cause     string    `json:"cause"`
	Answer    string    `json:"answer"` // "yes" or "no", where the text asked for one
	SendAt    time.Time `json:"send_at"`
	ExpiresAt time.Time `json:"expires_at"`
	CreatedAt time.Time `json:"created_at"`
	Message   string    `json:"message"`
}

func showNotice(tx *store.Tx, id string) (noticeAnswer, error) {
	n, state, err := notice.Get(tx, id)
	if err != nil {
		return noticeAnswer{}, err
	}
	out := noticeAnswer{
		ID: n.ID, Template: n.Template, Locale: n.Lang, To: n.To.E164(), Status: string(state), Cause: n.Cause, Answer: n.Answer,
		SendAt: n.At, ExpiresAt: n.Expires, CreatedAt: n.Created, Message: n.Message,
	}
	if !n.Subject.IsZero() {
		out.Subject = &subject{n.Subject.Authority, n.Subject.MRN}
	}
	return out, nil
}

func getNotice(_ *api, r *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	return showNotice(tx, r.PathValue("id"))
}

func cancelNotice(_ *api, r *http.Request, body []byte) (effect, error) {
	if err := noBody(r, body); err != nil {
		return nil, err
	}
	return func(tx *store.Tx, _ access.Principal) (int, any, error) {
		if done, err := notice.Cancel(tx, r.PathValue("id"), "canceled by the client"); err != nil {
			return 0, nil, err
		} else if !done {
			return 0, nil, outbox.ErrOver
		}
		answer, err := showNotice(tx, r.PathValue("id"))
		return http.StatusOK, answer, err
	}, nil
}

// message is how one outgoing thing stands. It holds no text.
type message struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Ref       string    `json:"ref"`
	Lane      string    `json:"lane"`
	To        string    `json:"to"`
	Status    string    `json:"status"`
	Cause     string    `json:"cause"`
	CreatedAt time.Time `json:"created_at"`
	DueAt     time.Time `json:"due_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Attempts  []attempt `json:"attempts"`
}

// attempt is one hand-over to one modem.
type attempt struct {
	At      time.Time `json:"at"`
	Modem   string    `json:"modem"`
	Carrier string    `json:"carrier"`
	Parts   int       `json:"parts"`
	Status  string    `json:"status"`
	Cause   string    `json:"cause"`
}

func showMessage(m outbox.Message) message {
	out := message{
		ID: m.ID, Kind: string(m.Kind), Ref: m.Ref, Lane: m.Lane.String(), To: m.To.E164(), Status: string(m.State), Cause: m.Cause,
		CreatedAt: m.Created, DueAt: m.Due, ExpiresAt: m.Expires, Attempts: []attempt{},
	}
	for _, t := range m.Attempts {
		out.Attempts = append(out.Attempts, attempt{t.At, t.Sender, t.Carrier, len(t.Parts), string(t.Outcome), t.Cause})
	}
	return out
}

func getMessage(_ *api, r *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	m, ok, err := outbox.Get(tx, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, outbox.ErrNotFound
	}
	return showMessage(m), nil
}

// page is a list with the cursor of what follows; an empty cursor is the end.
type page struct {
	Items any    `json:"items"`
	Next  string `json:"next"`
}

func listMessages(_ *api, r *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	n, err := limitOf(r, 50, 1000)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	found, next, err := outbox.List(tx, outbox.Filter{State: outbox.State(q.Get("state")), Limit: n}, q.Get("cursor"))
	if err != nil {
		return nil, err
	}
	items := []message{}
	for _, m := range found {
		items = append(items, showMessage(m))
	}
	return page{items, next}, nil
}
