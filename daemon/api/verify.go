package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/store"
)

// This file and verify_*.go serve the subset of Twilio Verify v2 that portals use: form bodies in,
// JSON out, dates in ISO 8601 (that is what its clients decode), errors as {code, message, more_info,
// status}.

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
func (a *api) verify(may access.Permission, do func(call) (reply, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := a.admit(r, may)
		c := call{Request: r, p: p}
		if err == nil && r.Method == http.MethodPost {
			c.body, c.form, err = form(w, r)
		}
		var out reply
		if err == nil {
			out, err = do(c)
		}
		a.send(w, r, out, err, showVerifyError)
	}
}

// form reads the body; each field is one line of a bounded size, whatever it means.
func form(w http.ResponseWriter, r *http.Request) ([]byte, url.Values, error) {
	body, err := readBody(w, r)
	if err != nil {
		return nil, nil, err
	}
	if !contentType(r, "application/x-www-form-urlencoded") {
		return nil, nil, &invalid{http.StatusUnsupportedMediaType, "Content-Type", "send application/x-www-form-urlencoded"}
	}
	v, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, nil, bad("body", "no form")
	}
	v.Set("To", plus(v.Get("To")))
	for name := range v {
		if err := line(keyName(name), strings.ToValidUTF8(v.Get(name), "\uFFFD"), maxBody); err != nil {
			return nil, nil, err
		}
	}
	return body, v, nil
}

// plus mends a number whose sender did not encode it: in a form and in a query a bare "+" is a space.
func plus(number string) string {
	if rest, ok := strings.CutPrefix(number, " "); ok {
		return "+" + rest
	}
	return number
}

// view runs fn over a snapshot and answers with what it returns.
func (a *api) view(c call, fn func(*store.Tx) (any, error)) (out reply, err error) {
	err = a.Store.View(c.Context(), func(tx *store.Tx) error {
		answer, err := fn(tx)
		if err != nil {
			return err
		}
		out, err = encode(http.StatusOK, answer)
		return err
	})
	return out, err
}

// verifyError is an error in this shape; status equals the HTTP status.
type verifyError struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

func showVerifyError(w http.ResponseWriter, r *http.Request, f fault) {
	// A number that cannot be texted is an invalid parameter in this shape.
	if f.Status == http.StatusUnprocessableEntity {
		f.Status = http.StatusBadRequest
		if f.Code == 60605 || f.Code == 21610 {
			f.Status = http.StatusForbidden
		}
	}
	e := verifyError{f.Code, f.Title, "https://" + r.Host + problemPath + f.Kind, f.Status}
	if f.Detail != "" {
		e.Message += ": " + strings.TrimSpace(f.Field+" "+f.Detail)
	}
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // made of strings and numbers alone
	}
	writeJSON(w, f.Status, "application/json", append(body, '\n'))
}

// vVerification is the answer about a verification. No numeric error_code is ever added: a client in
// the field decodes that as a string.
type vVerification struct {
	SID         string    `json:"sid"`
	ServiceSID  string    `json:"service_sid"`
	AccountSID  string    `json:"account_sid"`
	To          string    `json:"to"`
	Channel     string    `json:"channel"`
	Status      otp.State `json:"status"`
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

// vSent is one way that the code went; where it stands is told by the list of attempts.
type vSent struct {
	Time       time.Time `json:"time"`
	Channel    string    `json:"channel"`
	AttemptSID string    `json:"attempt_sid"`
}

func (c call) show(tx *store.Tx, v otp.Verification) (vVerification, error) {
	out := vVerification{
		SID: v.ID, ServiceSID: v.ServiceSID, AccountSID: c.p.Actor.ID, To: v.To.E164(), Channel: v.Channel,
		Status: v.State, Valid: v.State == otp.Approved, Attempts: []vSent{},
		DateCreated: second(v.Created), DateUpdated: second(v.Updated),
		URL: c.base() + "/v2/Services/" + v.ServiceSID + "/Verifications/" + v.ID,
	}
	out.Amount, out.Payee = amountOf(v)
	tries, err := otp.Tries(tx, v)
	for _, t := range tries {
		out.Attempts = append(out.Attempts, vSent{second(t.At), strings.ToUpper(string(t.Channel)), t.ID})
	}
	return out, err
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
	return otp.FindService(tx, "VA"+strings.ToLower(sid[2:]))
}

// e164 holds To to the form that this shape asks for.
func e164(field, raw string) error {
	if raw == "" {
		return bad(field, "must be set")
	}
	if !strings.HasPrefix(raw, "+") {
		return bad(field, "must be E.164, such as +16175551234")
	}
	return nil
}

// number reads a number before any transaction.
func (a *api) number(c call, field, raw string) (n readable, err error) {
	if err := e164(field, raw); err != nil {
		return n, err
	}
	site, err := a.site(c.Context())
	return readNumber(raw, site), err
}

// number164 reads a number that a look-up names.
func number164(tx *store.Tx, field, raw string) (contact.Phone, error) {
	if err := e164(field, raw); err != nil {
		return contact.Phone{}, err
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return contact.Phone{}, err
	}
	return contact.ParsePhone(raw, site.Plan())
}

// find finds a verification by SID or by number, within the path's service.
func (c call) find(tx *store.Tx, sidOrNumber string) (otp.Verification, error) {
	s, err := c.service(tx)
	if err != nil {
		return otp.Verification{}, err
	}
	var v otp.Verification
	if verificationSID.MatchString(sidOrNumber) {
		v, err = otp.Get(tx, "VE"+strings.ToLower(sidOrNumber[2:]))
	} else {
		var to contact.Phone
		if to, err = number164(tx, "Sid", sidOrNumber); err == nil {
			v, err = otp.Find(tx, s.Name, to, "")
		}
	}
	if err == nil && v.Service != s.Name {
		err = otp.ErrNotFound
	}
	return v, err
}

// channel reads the channels of the shape; email, whatsapp and sna exist there and not here.
func channel(c string) (string, error) {
	switch c {
	case otp.ChannelSMS, otp.ChannelCall, otp.ChannelAuto:
		return c, nil
	case "":
		return "", bad("Channel", "must be set")
	}
	return "", otp.ErrChannel
}

// amountOf shows amount and payee, null where the service names none.
func amountOf(v otp.Verification) (amount, payee *string) {
	if v.Amount == 0 && v.Payee == "" {
		return nil, nil
	}
	a := strconv.FormatInt(v.Amount/100, 10) + "." + strconv.FormatInt(100+v.Amount%100, 10)[1:]
	return &a, &v.Payee
}

var amountShape = regexp.MustCompile(`^\$?([0-9]{1,9})(\.[0-9]{1,2})?$`)

// cents reads an amount such as "12.50"; none is 0.
func cents(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	m := amountShape.FindStringSubmatch(s)
	if m == nil {
		return 0, bad("Amount", "an amount such as 12.50")
	}
	n, err := strconv.ParseInt(m[1]+(strings.TrimPrefix(m[2], ".") + "00")[:2], 10, 64)
	if err != nil {
		return 0, bad("Amount", "an amount such as 12.50")
	}
	return n, nil
}
