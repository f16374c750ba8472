package api

import (
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/store"
)

// subject names a patient by the authority that assigns the record number.
type subject struct {
	Authority string `json:"authority"`
	MRN       string `json:"mrn"`
}

func (s *subject) id(tx *store.Tx) (contact.SubjectID, error) {
	if s == nil {
		return contact.SubjectID{}, nil
	}
	if s.MRN == "" {
		return contact.SubjectID{}, bad("subject.mrn", "must be set")
	}
	id := contact.SubjectID{Authority: s.Authority, MRN: s.MRN}
	if id.Authority == "" {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return id, err
		}
		id.Authority = site.Authority
	}
	return id, nil
}

// start is the body of POST /v1/verifications.
type start struct {
	Service        string   `json:"service"`
	To             string   `json:"to"`
	Channel        string   `json:"channel"`
	Locale         string   `json:"locale"`
	Reference      string   `json:"reference"`
	Subject        *subject `json:"subject"`
	OnBehalfOf     string   `json:"on_behalf_of"`
	EndUserAddress string   `json:"end_user_address"`
	Fresh          bool     `json:"fresh"`
	Amount         int64    `json:"amount"`
	Payee          string   `json:"payee"`
}

func startVerification(_ *api, r *http.Request, body []byte) (effect, error) {
	var req start
	if err := decode(r, body, &req); err != nil {
		return nil, err
	}
	if req.Service == "" {
		return nil, bad("service", "must be set")
	}
	return func(tx *store.Tx, p access.Principal) (int, any, error) {
		to, err := phone(tx, "to", req.To)
		if err != nil {
			return 0, nil, err
		}
		id, err := req.Subject.id(tx)
		if err != nil {
			return 0, nil, err
		}
		v, err := otp.Start(tx, otp.StartRequest{
			Service: req.Service, To: to, Subject: id, OnBehalfOf: onBehalf(p, req.OnBehalfOf), Locale: req.Locale,
			Channel: req.Channel, Reference: req.Reference, Amount: req.Amount, Payee: req.Payee,
			EndUserAddress: req.EndUserAddress, Client: p.Actor.ID, Staff: p.Staff, Mode: modeOf(p), Fresh: req.Fresh,
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
	}, nil
}

// onBehalf is the person for whom the caller speaks; a person speaks for themselves.
func onBehalf(p access.Principal, named string) string {
	if p.Kind == access.KindUser {
		return ""
	}
	return named
}

// modeOf is how far this caller's requests go; what it does not understand is shadow.
func modeOf(p access.Principal) contact.Mode {
	m, err := contact.ParseMode(p.Mode)
	if err != nil {
		return contact.Shadow
	}
	return m
}

// phone reads a number by the site's plan.
func phone(tx *store.Tx, field, raw string) (contact.Phone, error) {
	if raw == "" {
		return contact.Phone{}, bad(field, "must be set")
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return contact.Phone{}, err
	}
	return contact.ParsePhone(raw, site.Plan())
}

// verification is the answer about one. It never holds the code.
type verification struct {
	ID         string    `json:"id"`
	Service    string    `json:"service"`
	To         string    `json:"to"`
	Channel    string    `json:"channel"`
	Status     string    `json:"status"`
	Valid      bool      `json:"valid"`
	Locale     string    `json:"locale"`
	Reference  string    `json:"reference"`
	Subject    *subject  `json:"subject"`
	OnBehalfOf string    `json:"on_behalf_of"`
	ChecksLeft int       `json:"checks_left"`
	Sends      []send    `json:"sends"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

// send is one time that the code was asked for, and how its message stands.
type send struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Channel string    `json:"channel"`
	Message string    `json:"message"`
	Status  string    `json:"status"`
}

func showVerification(tx *store.Tx, v otp.Verification) (verification, error) {
	out := verification{
		ID: v.ID, Service: v.Service, To: v.To.E164(), Channel: v.Channel, Status: string(v.State), Valid: v.State == otp.Approved,
		Locale: v.Locale, Reference: v.Reference, OnBehalfOf: v.OnBehalfOf, Sends: []send{},
		CreatedAt: v.Created, UpdatedAt: v.Updated, ExpiresAt: v.Expires,
	}
	if !v.Subject.IsZero() {
		out.Subject = &subject{v.Subject.Authority, v.Subject.MRN}
	}
	max, err := maxChecks(tx, v)
	if err != nil {
		return out, err
	}
	out.ChecksLeft = max - v.Checks
	for _, s := range v.Sends {
		m, _, err := outbox.Get(tx, s.Message)
		if err != nil {
			return out, err
		}
		out.Sends = append(out.Sends, send{ID: s.ID, At: s.At, Channel: s.Channel, Message: s.Message, Status: string(m.State)})
	}
	return out, nil
}

func maxChecks(tx *store.Tx, v otp.Verification) (int, error) {
	s, err := otp.FindService(tx, v.Service)
	if err != nil {
		return 0, err
	}
	if s.MaxChecks > 0 {
		return s.MaxChecks, nil
	}
	l, err := limit.Of(tx)
	return l.Checks, err
}

func getVerification(_ *api, r *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	v, err := otp.Get(tx, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return showVerification(tx, v)
}

// check is the body of POST /v1/verifications/{id}/check.
type check struct {
	Code      string `json:"code"`
	Reference string `json:"reference"`
	Amount    int64  `json:"amount"`
	Payee     string `json:"payee"`
}

// checkVerification answers 200 for a wrong code as well: that a code is wrong is an answer and no
// error. Whoever reads it looks at "valid".
func checkVerification(_ *api, r *http.Request, body []byte) (effect, error) {
	var req check
	if err := decode(r, body, &req); err != nil {
		return nil, err
	}
	if req.Code == "" {
		return nil, bad("code", "must be set")
	}
	return func(tx *store.Tx, _ access.Principal) (int, any, error) {
		v, valid, err := otp.Check(tx, otp.CheckRequest{
			ID: r.PathValue("id"), Code: req.Code, Reference: req.Reference, Amount: req.Amount, Payee: req.Payee,
		})
		if err != nil {
			return 0, nil, err
		}
		answer, err := showVerification(tx, v)
		answer.Valid = valid
		return http.StatusOK, answer, err
	}, nil
}

func cancelVerification(_ *api, r *http.Request, body []byte) (effect, error) {
	if err := noBody(r, body); err != nil {
		return nil, err
	}
	return func(tx *store.Tx, _ access.Principal) (int, any, error) {
		v, err := otp.Cancel(tx, r.PathValue("id"))
		if err != nil {
			return 0, nil, err
		}
		answer, err := showVerification(tx, v)
		return http.StatusOK, answer, err
	}, nil
}

// hastenVerification makes the next way of the last send due now: "call instead".
func hastenVerification(_ *api, r *http.Request, body []byte) (effect, error) {
	if err := noBody(r, body); err != nil {
		return nil, err
	}
	return func(tx *store.Tx, _ access.Principal) (int, any, error) {
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
	}, nil
}

// noBody takes an empty body or an empty object.
func noBody(r *http.Request, body []byte) error {
	if len(body) == 0 {
		return nil
	}
	return decode(r, body, &struct{}{})
}

// service is a policy for verifications, as clients need to know it.
type service struct {
	SID        string `json:"sid"`
	Name       string `json:"name"`
	CodeLength int    `json:"code_length"`
	Life       int    `json:"life"` // seconds
	Staff      bool   `json:"staff"`
	Reference  bool   `json:"reference"`
}

func listServices(_ *api, _ *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	all, err := otp.Services(tx)
	if err != nil {
		return nil, err
	}
	list := []service{}
	for _, s := range all {
		if !s.Retired {
			list = append(list, service{s.SID, s.Name, s.CodeLength, int(s.Life.Seconds()), s.Staff, s.Reference})
		}
	}
	return list, nil
}
