package api

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/store"
)

// This file serves the subset of Twilio Verify v2 that portals use: form bodies in, JSON out, dates
// in ISO 8601 (that is what its clients decode), errors as {code, message, more_info, status}.

var (
	serviceSID      = regexp.MustCompile(`^VA[0-9a-fA-F]{32}$`)
	verificationSID = regexp.MustCompile(`^VE[0-9a-fA-F]{32}$`)
)

func (a *api) verifyRoutes(m *http.ServeMux) {
	m.HandleFunc("POST /v2/Services/{service}/Verifications", a.verify(access.Verify, a.vStart))
	m.HandleFunc("GET /v2/Services/{service}/Verifications/{sid}", a.verify(access.VerifyRead, a.vGet))
	m.HandleFunc("POST /v2/Services/{service}/Verifications/{sid}", a.verify(access.Verify, a.vUpdate))
	m.HandleFunc("POST /v2/Services/{service}/VerificationCheck", a.verify(access.Verify, a.vCheck))
	m.HandleFunc("GET /v2/Services", a.verify(access.VerifyRead, a.vServices))
	m.HandleFunc("GET /v2/Services/{service}", a.verify(access.VerifyRead, a.vService))
	m.HandleFunc("GET /v2/Attempts", a.verify(access.VerifyRead, a.vAttempts))
	m.HandleFunc("GET /v2/Attempts/Summary", a.verify(access.VerifyRead, a.vSummary))
}

// call is one request in this shape: who asks and what the form holds.
type call struct {
	*http.Request
	p    access.Principal
	form url.Values
	body []byte
}

// verify serves one route of this shape. POST requests obey Idempotency-Key as the native ones do.
func (a *api) verify(may access.Permission, do func(call) (int, any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := a.principal(r)
		if err == nil && !p.Can(may) {
			err = errForbidden
		}
		c := call{Request: r, p: p}
		if err == nil && r.Method == http.MethodPost {
			c.body, c.form, err = form(w, r)
		}
		var status int
		var answer any
		if err == nil {
			status, answer, err = do(c)
		}
		if err != nil {
			f := faultOf(err)
			if f.status == http.StatusInternalServerError {
				a.Log.Error("serve request", "method", r.Method, "pattern", r.Pattern, "error", err)
			}
			writeVerifyError(w, f)
			return
		}
		writeJSON(w, status, answer)
	}
}

func form(w http.ResponseWriter, r *http.Request) ([]byte, url.Values, error) {
	body, err := readBody(w, r)
	if err != nil {
		return nil, nil, err
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return nil, nil, &invalid{http.StatusUnsupportedMediaType, "Content-Type", "send application/x-www-form-urlencoded"}
	}
	v, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, nil, bad("body", "no form")
	}
	return body, v, nil
}

// verifyError is an error in this shape; status equals the HTTP status.
type verifyError struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

func (f fault) verify() verifyError {
	message := f.title
	if f.field != "" {
		message += ": " + f.field
	}
	if f.detail != "" {
		message += ": " + f.detail
	}
	return verifyError{f.code, message, problemType + f.kind, f.status}
}

func writeVerifyError(w http.ResponseWriter, f fault) {
	// A number that cannot be texted is an invalid parameter in this shape.
	if f.status == http.StatusUnprocessableEntity {
		f.status = http.StatusBadRequest
		if f.code == 60605 || f.code == 21610 {
			f.status = http.StatusForbidden
		}
	}
	f.headers(w)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	_ = json.NewEncoder(w).Encode(f.verify()) // the caller is gone: there is nobody to tell
}

// vVerification is the answer about a verification. No numeric error_code is ever added: a client in
// the field decodes that as a string.
type vVerification struct {
	SID         string    `json:"sid"`
	ServiceSID  string    `json:"service_sid"`
	AccountSID  string    `json:"account_sid"`
	To          string    `json:"to"`
	Channel     string    `json:"channel"`
	Status      string    `json:"status"`
	Valid       bool      `json:"valid"`
	Lookup      struct{}  `json:"lookup"`
	Amount      *string   `json:"amount"`
	Payee       *string   `json:"payee"`
	Attempts    []vSent   `json:"send_code_attempts"`
	DateCreated time.Time `json:"date_created"`
	DateUpdated time.Time `json:"date_updated"`
	SNA         *string   `json:"sna"`
	URL         string    `json:"url"`
}

type vSent struct {
	Time       time.Time `json:"time"`
	Channel    string    `json:"channel"`
	AttemptSID string    `json:"attempt_sid"`
}

func (c call) show(v otp.Verification) vVerification {
	out := vVerification{
		SID: v.ID, ServiceSID: v.ServiceSID, AccountSID: c.p.Actor.ID, To: v.To.E164(), Channel: v.Channel,
		Status: string(v.State), Valid: v.State == otp.Approved, Attempts: []vSent{},
		DateCreated: second(v.Created), DateUpdated: second(v.Updated),
		URL: c.base() + "/v2/Services/" + v.ServiceSID + "/Verifications/" + v.ID,
	}
	out.Amount, out.Payee = amountOf(v)
	for _, s := range v.Sends {
		out.Attempts = append(out.Attempts, vSent{second(s.At), strings.ToUpper(s.Channel), s.ID})
	}
	return out
}

// second is a time as this shape shows it, without fractions.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func (c call) base() string { return "https://" + c.Host }

// service finds the service of the path; what is no VA SID is not found, whatever it is.
func (c call) service(tx *store.Tx) (otp.Service, error) {
	sid := c.PathValue("service")
	if !serviceSID.MatchString(sid) {
		return otp.Service{}, otp.ErrUnknownService
	}
	return otp.FindService(tx, sid)
}

// number reads To; the shape asks for E.164.
func (c call) number(tx *store.Tx, raw string) (contact.Phone, error) {
	if raw == "" {
		return contact.Phone{}, bad("To", "must be set")
	}
	if !strings.HasPrefix(raw, "+") {
		return contact.Phone{}, bad("To", "must be E.164, such as +16175551234")
	}
	return phone(tx, "To", raw)
}

// find finds a verification by SID or by number, within the path's service.
func (c call) find(tx *store.Tx, sidOrNumber string) (otp.Verification, error) {
	s, err := c.service(tx)
	if err != nil {
		return otp.Verification{}, err
	}
	var v otp.Verification
	if verificationSID.MatchString(sidOrNumber) {
		v, err = otp.Get(tx, sidOrNumber)
	} else {
		var to contact.Phone
		if to, err = c.number(tx, sidOrNumber); err == nil {
			v, err = otp.Find(tx, s.Name, to, "")
		}
	}
	if err == nil && v.Service != s.Name {
		err = otp.ErrNotFound
	}
	return v, err
}

// channels of the shape; email, whatsapp and sna exist there and not here.
func channel(c string) (string, error) {
	switch c {
	case otp.ChannelSMS, otp.ChannelCall, otp.ChannelAuto:
		return c, nil
	case "":
		return "", bad("Channel", "must be set")
	}
	return "", otp.ErrChannel
}
