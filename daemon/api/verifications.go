package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// startRequest is the body of POST /v1/verifications.
type startRequest struct {
	Service        string          `json:"service" required:"true"`
	To             string          `json:"to" required:"true"`
	Channel        string          `json:"channel"`
	Locale         string          `json:"locale"`
	Reference      string          `json:"reference" max:"256"`
	Subject        *subjectRequest `json:"subject"`
	OnBehalfOf     string          `json:"on_behalf_of" max:"256"`
	EndUserAddress string          `json:"end_user_address"`
	Fresh          bool            `json:"fresh"`
	Amount         int64           `json:"amount"` // cents
	Payee          string          `json:"payee"`
}

func startVerification(a *api, r *http.Request, body []byte) (decision, error) {
	var req startRequest
	if err := decode(r, body, &req); err != nil {
		return decision{}, err
	}
	from, err := source("end_user_address", req.EndUserAddress)
	if err != nil {
		return decision{}, err
	}
	site, err := a.site(r.Context())
	if err != nil {
		return decision{}, err
	}
	to := readNumber(req.To, site)
	do := func(tx *store.Tx, p access.Principal) (int, any, error) {
		v, err := start(tx, p, to, otp.StartRequest{
			Service: req.Service, Subject: req.Subject.id(site), OnBehalfOf: onBehalf(p, req.OnBehalfOf), Locale: req.Locale,
			Channel: req.Channel, Reference: req.Reference, Amount: req.Amount, Payee: req.Payee,
			EndUserAddress: from, Fresh: req.Fresh,
		})
		if err != nil {
			return 0, nil, err
		}
		status := http.StatusCreated
		if len(v.Sends) > 1 {
			status = http.StatusOK
		}
		answer, err := showVerification(tx, v)
		return status, answer, err
	}
	return decision{req.OnBehalfOf, do}, nil
}

// readable is a number as it was read before the transaction, for reading takes long; why it could not
// be is a decision, which the transaction records.
type readable struct {
	phone contact.Phone
	err   error
}

// site reads the site as it stands before a transaction.
func (a *api) site(ctx context.Context) (site contact.Site, err error) {
	err = a.Store.View(ctx, func(tx *store.Tx) error {
		site, err = contact.SiteOf(tx)
		return err
	})
	return site, err
}

func readNumber(raw string, site contact.Site) (n readable) {
	n.phone, n.err = contact.ParsePhone(raw, site.Plan())
	return n
}

// start starts a verification in the name of a caller, in either shape.
func start(tx *store.Tx, p access.Principal, to readable, req otp.StartRequest) (v otp.Verification, err error) {
	if to.err != nil {
		if e, ok := errors.AsType[*contact.NumberError](to.err); ok {
			if err := otp.RefuseNumber(tx, req.Service, e); err != nil {
				return v, err
			}
		}
		return v, to.err
	}
	req.To = to.phone
	req.Client, req.Staff, req.Mode, req.From = p.Actor.ID, p.Staff, modeOf(p), clientOf(p)
	v, err = otp.Start(tx, req)
	if e, ok := errors.AsType[*text.SlotError](err); ok {
		if e.Slot == string(text.Payee) || e.Slot == string(text.Amount) {
			return v, bad(e.Slot, "it cannot stand in a text: %s", e.Reason)
		}
		// The site's own wording is at fault, and no caller can mend it.
		return v, fmt.Errorf("render text of code: slot %s: %s", e.Slot, e.Reason)
	}
	return v, until(tx, v, err)
}

// until adds to a refusal that lasts for the life of the verification when that ends.
func until(tx *store.Tx, v otp.Verification, err error) error {
	if errors.Is(err, otp.ErrMaxSends) || errors.Is(err, otp.ErrMaxChecks) {
		return &after{err, max(v.Expires.Sub(tx.Now()), time.Second)}
	}
	return err
}

// onBehalf is the person for whom the caller speaks; a person speaks for themselves.
func onBehalf(p access.Principal, named string) string {
	if p.Kind == access.KindUser {
		return ""
	}
	return named
}

// clientOf is whose mode holds when a text of this caller's goes: a client's, as a person's never changes.
func clientOf(p access.Principal) string {
	if p.Kind != access.KindClient {
		return ""
	}
	return contact.OfClient(p.Actor.ID)
}

// modeOf is how far this caller's requests go; what it does not understand is shadow.
func modeOf(p access.Principal) contact.Mode {
	m, err := contact.ParseMode(p.Mode)
	if err != nil {
		return contact.Shadow
	}
	return m
}

// verification is the answer about one. It never holds the code.
type verification struct {
	ID         string    `json:"id"`
	Service    string    `json:"service"`
	To         string    `json:"to"`
	Channel    string    `json:"channel"`
	Status     otp.State `json:"status"`
	Valid      bool      `json:"valid"` // of a check: the code was right; else whether it is approved
	Locale     string    `json:"locale"`
	Reference  string    `json:"reference"`
	Subject    *subject  `json:"subject"`
	OnBehalfOf string    `json:"on_behalf_of"`
	ChecksLeft int       `json:"checks_left"`
	Sends      []send    `json:"sends"`
	Attempts   []way     `json:"attempts"` // the ways that the sends went, oldest first
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

// send is one time that the code was asked for, and how its message stands.
type send struct {
	ID      string       `json:"id"`
	At      time.Time    `json:"at"`
	Channel string       `json:"channel"`
	Message string       `json:"message"`
	Status  outbox.State `json:"status"`
}

// way is one way that a send went: its first, and each further one that its route came to.
type way struct {
	ID      string         `json:"id"`
	At      time.Time      `json:"at"`
	Channel outbox.Channel `json:"channel"` // sms or call
	Status  outbox.State   `json:"status"`
}

func showVerification(tx *store.Tx, v otp.Verification) (verification, error) {
	out := verification{
		ID: v.ID, Service: v.Service, To: v.To.E164(), Channel: v.Channel, Status: v.State, Valid: v.State == otp.Approved,
		Locale: v.Locale, Reference: v.Reference, Subject: showSubject(v.Subject), OnBehalfOf: v.OnBehalfOf, Sends: []send{}, Attempts: []way{},
		CreatedAt: v.Created, UpdatedAt: v.Updated, ExpiresAt: v.Expires,
	}
	var err error
	if out.ChecksLeft, err = otp.ChecksLeft(tx, v); err != nil {
		return out, err
	}
	for _, s := range v.Sends {
		state, err := stateOf(tx, s)
		if err != nil {
			return out, err
		}
		out.Sends = append(out.Sends, send{ID: s.ID, At: s.At, Channel: s.Channel, Message: s.Message, Status: state})
	}
	tries, err := otp.Tries(tx, v)
	if err != nil {
		return out, err
	}
	for _, t := range tries {
		out.Attempts = append(out.Attempts, way(t))
	}
	return out, nil
}

func stateOf(tx *store.Tx, s otp.Send) (outbox.State, error) {
	if s.At.Equal(tx.Now()) {
		return outbox.Queued, nil // this very transaction put it there
	}
	m, ok, err := outbox.Get(tx, s.Message)
	if !ok {
		return outbox.Unknown, err // its record is past its time
	}
	return m.State, err
}

func getVerification(_ *api, r *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	v, err := otp.Get(tx, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return showVerification(tx, v)
}

// findVerification finds what an engine started by HL7, which knows its own request id alone: the service
// and the reference, which is that id where the start named none.
func findVerification(_ *api, r *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	q := r.URL.Query()
	v, err := otp.FindRequest(tx, q.Get("service"), q.Get("reference"))
	if err != nil {
		return nil, err
	}
	return showVerification(tx, v)
}

// checkRequest is the body of POST /v1/verifications/{id}/check.
type checkRequest struct {
	Code      string `json:"code" required:"true"`
	Reference string `json:"reference" max:"256"`
	Amount    int64  `json:"amount"`
	Payee     string `json:"payee"`
}

// checkVerification answers 200 for a wrong code as well: that a code is wrong is an answer and no
// error. Whoever reads it looks at "valid".
func checkVerification(_ *api, r *http.Request, body []byte) (decision, error) {
	var req checkRequest
	if err := decode(r, body, &req); err != nil {
		return decision{}, err
	}
	return decision{do: func(tx *store.Tx, _ access.Principal) (int, any, error) {
		v, valid, err := otp.Check(tx, otp.CheckRequest{
			ID: r.PathValue("id"), Code: req.Code, Reference: req.Reference, Amount: req.Amount, Payee: req.Payee,
		})
		if err != nil {
			return 0, nil, until(tx, v, err)
		}
		answer, err := showVerification(tx, v)
		answer.Valid = valid
		return http.StatusOK, answer, err
	}}, nil
}

func cancelVerification(_ *api, r *http.Request, body []byte) (decision, error) {
	if err := noBody(r, body); err != nil {
		return decision{}, err
	}
	return decision{do: func(tx *store.Tx, _ access.Principal) (int, any, error) {
		v, err := otp.Cancel(tx, r.PathValue("id"))
		if err != nil {
			return 0, nil, err
		}
		answer, err := showVerification(tx, v)
		return http.StatusOK, answer, err
	}}, nil
}

// hastenVerification makes the next way of the last send due now: "call instead".
func hastenVerification(_ *api, r *http.Request, body []byte) (decision, error) {
	if err := noBody(r, body); err != nil {
		return decision{}, err
	}
	return decision{do: func(tx *store.Tx, _ access.Principal) (int, any, error) {
		v, err := otp.Get(tx, r.PathValue("id"))
		if err != nil {
			return 0, nil, err
		}
		if v.State != otp.Pending || len(v.Sends) == 0 {
			return 0, nil, otp.ErrNotFound
		}
		if err := outbox.Hasten(tx, v.Sends[len(v.Sends)-1].Message); err != nil {
			return 0, nil, err
		}
		answer, err := showVerification(tx, v)
		return http.StatusOK, answer, err
	}}, nil
}

// noBody takes an empty body or an empty object.
func noBody(r *http.Request, body []byte) error {
	if len(body) == 0 {
		return nil
	}
	return decode(r, body, &struct{}{})
}
