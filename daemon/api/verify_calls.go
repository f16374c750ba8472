package api

import (
	"net/http"
	"strings"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/otp"
	"pinward/store"
)

// decided makes a decision of this shape, under its idempotency key if it bears one.
func (a *api) decided(c call, goesOn bool, do func(*store.Tx, access.Principal) (int, any, error)) (reply, error) {
	return a.once(c.Request, c.body, c.p, goesOn, decision{do: do})
}

func (a *api) vStart(c call) (reply, error) {
	ch, err := channel(c.form.Get("Channel"))
	if err != nil {
		return reply{}, err
	}
	to, err := a.number(c, "To", c.form.Get("To"))
	if err != nil {
		return reply{}, err
	}
	amount, err := cents(c.form.Get("Amount"))
	if err != nil {
		return reply{}, err
	}
	from, err := source("DeviceIp", c.form.Get("DeviceIp"))
	if err != nil {
		return reply{}, err
	}
	return a.decided(c, false, func(tx *store.Tx, p access.Principal) (int, any, error) {
		s, err := c.service(tx)
		if err != nil {
			return 0, nil, err
		}
		v, err := start(tx, p, to, otp.StartRequest{
			Service: s.Name, Locale: c.form.Get("Locale"), Channel: ch, Amount: amount, Payee: c.form.Get("Payee"),
			CustomCode: c.form.Get("CustomCode"), EndUserAddress: from,
		})
		if err != nil {
			return 0, nil, err
		}
		out, err := c.show(tx, v)
		return http.StatusCreated, out, err
	})
}

func (a *api) vGet(c call) (reply, error) {
	return a.view(c, func(tx *store.Tx) (any, error) {
		v, err := c.find(tx, c.PathValue("sid"))
		if err == nil && !otp.Going(tx, v) {
			err = otp.ErrNotFound // the shape deletes what is over
		}
		if err != nil {
			return nil, err
		}
		return c.show(tx, v)
	})
}

func (a *api) vUpdate(c call) (reply, error) {
	status := c.form.Get("Status")
	if status != "canceled" && status != "approved" {
		return reply{}, bad("Status", "canceled or approved")
	}
	return a.decided(c, true, func(tx *store.Tx, _ access.Principal) (int, any, error) {
		v, err := c.find(tx, c.PathValue("sid"))
		switch {
		case err != nil:
		case status == "canceled":
			v, err = otp.Cancel(tx, v.ID)
		default:
			v, err = otp.Approve(tx, v.ID)
		}
		if err != nil {
			return 0, nil, err
		}
		out, err := c.show(tx, v)
		return http.StatusOK, out, err
	})
}

// vChecked is the answer to a check. A wrong code is status "pending", valid false.
type vChecked struct {
	SID         string    `json:"sid"`
	ServiceSID  string    `json:"service_sid"`
	AccountSID  string    `json:"account_sid"`
	To          string    `json:"to"`
	Channel     string    `json:"channel"`
	Status      otp.State `json:"status"`
	Valid       bool      `json:"valid"`
	Amount      *string   `json:"amount"`
	Payee       *string   `json:"payee"`
	SNAErrors   []string  `json:"sna_attempts_error_codes"`
	DateCreated time.Time `json:"date_created"`
	DateUpdated time.Time `json:"date_updated"`
}

func (a *api) vCheck(c call) (reply, error) {
	code := c.form.Get("Code")
	if code == "" {
		return reply{}, bad("Code", "must be set")
	}
	sid, to := c.form.Get("VerificationSid"), c.form.Get("To")
	if sid != "" {
		if !verificationSID.MatchString(sid) {
			return reply{}, otp.ErrNotFound
		}
		sid = "VE" + strings.ToLower(sid[2:])
	}
	var number readable
	if to != "" || sid == "" {
		var err error
		if number, err = a.number(c, "To", to); err != nil {
			return reply{}, err
		}
	}
	amount, err := cents(c.form.Get("Amount"))
	if err != nil {
		return reply{}, err
	}
	return a.decided(c, true, func(tx *store.Tx, _ access.Principal) (int, any, error) {
		s, err := c.service(tx)
		if err == nil {
			err = number.err
		}
		if err != nil {
			return 0, nil, err
		}
		v, valid, err := otp.Check(tx, otp.CheckRequest{
			ID: sid, Service: s.Name, To: number.phone, Code: code, Amount: amount, Payee: c.form.Get("Payee"),
		})
		if err != nil {
			return 0, nil, until(tx, v, err)
		}
		return http.StatusOK, c.checked(v, valid), nil
	})
}

func (c call) checked(v otp.Verification, valid bool) vChecked {
	out := vChecked{
		SID: v.ID, ServiceSID: v.ServiceSID, AccountSID: c.p.Actor.ID, To: v.To.E164(), Channel: v.Channel, Status: v.State,
		Valid: valid, SNAErrors: []string{}, DateCreated: second(v.Created), DateUpdated: second(v.Updated),
	}
	if !valid {
		out.Status = otp.Pending // of the last try as well: that it was the last shows in the next one's 429
	}
	out.Amount, out.Payee = amountOf(v)
	return out
}
