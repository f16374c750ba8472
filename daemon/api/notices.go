package api

import (
	"errors"
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// noticeRequest is the body of POST /v1/notices: a template and its slots, never a free text.
type noticeRequest struct {
	Template   string            `json:"template" required:"true"`
	To         string            `json:"to"`
	Subject    *subjectRequest   `json:"subject"` // where to is not set: the patient's number of the day
	Locale     string            `json:"locale"`
	Slots      map[string]string `json:"slots"`
	SendAt     instant           `json:"send_at"`
	ExpiresAt  instant           `json:"expires_at"`
	Key        string            `json:"key" max:"256"` // business key: a second notice with it is the same notice
	OnBehalfOf string            `json:"on_behalf_of" max:"256"`
}

func sendNotice(a *api, r *http.Request, body []byte) (decision, error) {
	var req noticeRequest
	if err := decode(r, body, &req); err != nil {
		return decision{}, err
	}
	if req.To == "" && req.Subject == nil {
		return decision{}, bad("to", "set to, or subject")
	}
	at, err := req.SendAt.time("send_at")
	if err != nil {
		return decision{}, err
	}
	expires, err := req.ExpiresAt.time("expires_at")
	if err != nil {
		return decision{}, err
	}
	site, err := a.site(r.Context())
	if err != nil {
		return decision{}, err
	}
	var to readable
	if req.To != "" {
		to = readNumber(req.To, site)
	}
	return decision{req.OnBehalfOf, func(tx *store.Tx, p access.Principal) (int, any, error) {
		if at.Sub(tx.Now()) > notice.MaxWait {
			return 0, nil, bad("send_at", "at most %d days ahead", notice.MaxWait/(24*time.Hour))
		}
		n, err := req.notice(tx, p, site, to)
		if err != nil {
			return 0, nil, refuseNotice(tx, req.Template, err)
		}
		n.At, n.Expires = at, expires
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
	}}, nil
}

func (req noticeRequest) notice(tx *store.Tx, p access.Principal, site contact.Site, to readable) (notice.Request, error) {
	n := notice.Request{
		Template: req.Template, To: to.phone, Lang: req.Locale, Subject: req.Subject.id(site), Client: p.Actor.ID,
		OnBehalfOf: onBehalf(p, req.OnBehalfOf), Staff: p.Staff, Mode: modeOf(p), From: clientOf(p),
	}
	if req.Key != "" {
		n.Group, n.Key = "api/"+p.Actor.ID, req.Key
	}
	if to.err != nil {
		return n, to.err
	}
	lang := req.Locale
	if lang == "" {
		lang = site.Language()
	}
	t, err := text.Find(tx, req.Template, lang)
	if errors.Is(err, text.ErrNoTemplate) {
		err = notice.ErrUnknownTemplate
	}
	if err != nil {
		return n, err
	}
	n.Slots, err = t.Fill(req.Slots, site.LinkHosts)
	return n, err
}

// refuseNotice records what is refused before notice.Send could: a number, a template, a slot.
func refuseNotice(tx *store.Tx, template string, err error) error {
	if !refusal(err) {
		return err
	}
	cause := err.Error() // constant words, and the name of a slot
	if e, ok := errors.AsType[*contact.NumberError](err); ok {
		cause = "number " + string(e.Reason)
	}
	e := tx.Record(store.Entry{Action: notice.ActionSend, Outcome: store.Refused, Attrs: []store.Attr{
		{Key: "template", Value: template}, {Key: "cause", Value: cause},
	}})
	if e != nil {
		return e
	}
	return err
}

// noticeAnswer is the answer about one. It holds neither text nor slots.
type noticeAnswer struct {
	ID        string       `json:"id"`
	Template  string       `json:"template"`
	Locale    string       `json:"locale"`
	To        string       `json:"to"`
	Channel   string       `json:"channel"` // sms, or call: a landline is told that there is a message
	Subject   *subject     `json:"subject"`
	Status    outbox.State `json:"status"`
	Cause     string       `json:"cause"`
	Answer    string       `json:"answer"` // "yes" or "no", where the text asked for one
	SendAt    time.Time    `json:"send_at"`
	ExpiresAt time.Time    `json:"expires_at"`
	CreatedAt time.Time    `json:"created_at"`
	Message   string       `json:"message"`
}

func showNotice(tx *store.Tx, id string) (noticeAnswer, error) {
	n, state, err := notice.Get(tx, id)
	if err != nil {
		return noticeAnswer{}, err
	}
	channel := otp.ChannelSMS
	if n.Voice {
		channel = otp.ChannelCall
	}
	return noticeAnswer{
		ID: n.ID, Template: n.Template, Locale: n.Lang, To: n.To.E164(), Channel: channel, Subject: showSubject(n.Subject), Status: state,
		Cause: n.Cause, Answer: n.Answer, SendAt: n.At, ExpiresAt: n.Expires, CreatedAt: n.Created, Message: n.Message,
	}, nil
}

func getNotice(_ *api, r *http.Request, tx *store.Tx, p access.Principal) (any, error) {
	if err := ownNotice(tx, r.PathValue("id"), p); err != nil {
		return nil, err
	}
	return showNotice(tx, r.PathValue("id"))
}

// ownNotice refuses another client's notice to a client that sees only its own.
func ownNotice(tx *store.Tx, id string, p access.Principal) error {
	n, _, err := notice.Get(tx, id)
	if err == nil && ownOnly(p) && n.Client != p.Actor.ID {
		err = notice.ErrNotFound
	}
	return err
}

func cancelNotice(_ *api, r *http.Request, body []byte) (decision, error) {
	if err := noBody(r, body); err != nil {
		return decision{}, err
	}
	return decision{do: func(tx *store.Tx, p access.Principal) (int, any, error) {
		id := r.PathValue("id")
		if err := ownNotice(tx, id, p); err != nil {
			return 0, nil, err
		}
		done, err := notice.Cancel(tx, id, "canceled by the client")
		if err == nil && !done {
			err = outbox.ErrOver
		}
		if err != nil {
			return 0, nil, err
		}
		answer, err := showNotice(tx, id)
		return http.StatusOK, answer, err
	}}, nil
}
