package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/otp"
	"pinward/store"
)

// decided runs an effect of this shape once, under its idempotency key if it bears one.
func (a *api) decided(c call, goesOn bool, do effect) (int, any, error) {
	out, err := a.once(c.Request, c.body, c.p, goesOn, do)
	if err != nil {
		return 0, nil, err
	}
	if out.fault.status != 0 || out.kind == "application/problem+json" {
		return 0, nil, replayedFault(out)
	}
	return out.status, raw(out.body), nil
}

func (a *api) vStart(c call) (int, any, error) {
	ch, err := channel(c.form.Get("Channel"))
	if err != nil {
		return 0, nil, err
	}
	amount, err := cents(c.form.Get("Amount"))
	if err != nil {
		return 0, nil, err
	}
	return a.decided(c, false, func(tx *store.Tx, p access.Principal) (int, any, error) {
		s, err := c.service(tx)
		if err != nil {
			return 0, nil, err
		}
		to, err := c.number(tx, c.form.Get("To"))
		if err != nil {
			return 0, nil, err
		}
		v, err := otp.Start(tx, otp.StartRequest{
			Service: s.Name, To: to, Locale: c.form.Get("Locale"), Channel: ch, Amount: amount, Payee: c.form.Get("Payee"),
			CustomCode: c.form.Get("CustomCode"), EndUserAddress: c.form.Get("DeviceIp"),
			Client: p.Actor.ID, Staff: p.Staff, Mode: modeOf(p),
		})
		return http.StatusCreated, c.show(v), err
	})
}

func (a *api) vGet(c call) (int, any, error) {
	var v otp.Verification
	err := a.Store.View(c.Context(), func(tx *store.Tx) (err error) {
		if v, err = c.find(tx, c.PathValue("sid")); err == nil && v.State != otp.Pending && v.State != otp.MaxChecks {
			err = otp.ErrNotFound // the shape deletes what is over
		}
		return err
	})
	return http.StatusOK, c.show(v), err
}

func (a *api) vUpdate(c call) (int, any, error) {
	status := c.form.Get("Status")
	if status != "canceled" && status != "approved" {
		return 0, nil, bad("Status", "canceled or approved")
	}
	return a.decided(c, true, func(tx *store.Tx, _ access.Principal) (int, any, error) {
		v, err := c.find(tx, c.PathValue("sid"))
		if err != nil {
			return 0, nil, err
		}
		if status == "canceled" {
			v, err = otp.Cancel(tx, v.ID)
		} else {
			v, err = otp.Approve(tx, v.ID)
		}
		return http.StatusOK, c.show(v), err
	})
}

// vChecked is the answer to a check. A wrong code is status "pending", valid false.
type vChecked struct {
	SID         string    `json:"sid"`
	ServiceSID  string    `json:"service_sid"`
	AccountSID  string    `json:"account_sid"`
	To          string    `json:"to"`
	Channel     string    `json:"channel"`
	Status      string    `json:"status"`
	Valid       bool      `json:"valid"`
	Amount      *string   `json:"amount"`
	Payee       *string   `json:"payee"`
	SNAErrors   []string  `json:"sna_attempts_error_codes"`
	DateCreated time.Time `json:"date_created"`
	DateUpdated time.Time `json:"date_updated"`
}

func (a *api) vCheck(c call) (int, any, error) {
	code := c.form.Get("Code")
	if code == "" {
		return 0, nil, bad("Code", "must be set")
	}
	amount, err := cents(c.form.Get("Amount"))
	if err != nil {
		return 0, nil, err
	}
	return a.decided(c, true, func(tx *store.Tx, p access.Principal) (int, any, error) {
		s, err := c.service(tx)
		if err != nil {
			return 0, nil, err
		}
		req := otp.CheckRequest{ID: c.form.Get("VerificationSid"), Service: s.Name, Code: code, Amount: amount, Payee: c.form.Get("Payee")}
		if to := c.form.Get("To"); to != "" || req.ID == "" {
			if req.To, err = c.number(tx, to); err != nil {
				return 0, nil, err
			}
		}
		v, valid, err := otp.Check(tx, req)
		if err != nil {
			return 0, nil, err
		}
		out := vChecked{
			SID: v.ID, ServiceSID: v.ServiceSID, AccountSID: p.Actor.ID, To: v.To.E164(), Channel: v.Channel, Status: string(v.State),
			Valid: valid, SNAErrors: []string{}, DateCreated: second(v.Created), DateUpdated: second(v.Updated),
		}
		if !valid {
			out.Status = string(otp.Pending)
		}
		out.Amount, out.Payee = amountOf(v)
		return http.StatusOK, out, nil
	})
}

// vServiceBody is a service as this shape shows it. Policy is changed by the operator, not here.
type vServiceBody struct {
	SID          string            `json:"sid"`
	AccountSID   string            `json:"account_sid"`
	FriendlyName string            `json:"friendly_name"`
	CodeLength   int               `json:"code_length"`
	Lookup       bool              `json:"lookup_enabled"`
	PSD2         bool              `json:"psd2_enabled"`
	SkipLandline bool              `json:"skip_sms_to_landlines"`
	DTMF         bool              `json:"dtmf_input_required"`
	TTSName      *string           `json:"tts_name"`
	Warning      bool              `json:"do_not_share_warning_enabled"`
	CustomCode   bool              `json:"custom_code_enabled"`
	URL          string            `json:"url"`
	Links        map[string]string `json:"links"`
}

func (c call) showService(s otp.Service) vServiceBody {
	name := s.FriendlyName
	if name == "" {
		name = s.Name
	}
	url := c.base() + "/v2/Services/" + s.SID
	return vServiceBody{
		SID: s.SID, AccountSID: c.p.Actor.ID, FriendlyName: name, CodeLength: s.CodeLength, PSD2: s.Amount, SkipLandline: true, DTMF: true,
		Warning: s.DoNotShare, CustomCode: s.CustomCodes, URL: url,
		Links: map[string]string{"verifications": url + "/Verifications", "verification_checks": url + "/VerificationCheck"},
	}
}

func (a *api) vService(c call) (int, any, error) {
	var s otp.Service
	err := a.Store.View(c.Context(), func(tx *store.Tx) (err error) {
		s, err = c.service(tx)
		return err
	})
	return http.StatusOK, c.showService(s), err
}

func (a *api) vServices(c call) (int, any, error) {
	var all []otp.Service
	err := a.Store.View(c.Context(), func(tx *store.Tx) (err error) {
		all, err = otp.Services(tx)
		return err
	})
	list := []vServiceBody{}
	for _, s := range all {
		if !s.Retired {
			list = append(list, c.showService(s))
		}
	}
	return http.StatusOK, map[string]any{"services": list, "meta": c.meta("services", len(list))}, err
}

// meta is the paging part of a list that fits one page.
func (c call) meta(key string, size int) map[string]any {
	url := c.base() + c.URL.Path
	return map[string]any{
		"key": key, "page": 0, "page_size": max(size, 50), "first_page_url": url, "url": url,
		"previous_page_url": nil, "next_page_url": nil,
	}
}

// vAttempt is one send, with what became of its verification.
type vAttempt struct {
	SID             string            `json:"sid"`
	AccountSID      string            `json:"account_sid"`
	ServiceSID      string            `json:"service_sid"`
	VerificationSID string            `json:"verification_sid"`
	DateCreated     time.Time         `json:"date_created"`
	DateUpdated     time.Time         `json:"date_updated"`
	Conversion      string            `json:"conversion_status"`
	Channel         string            `json:"channel"`
	ChannelData     map[string]string `json:"channel_data"`
	URL             string            `json:"url"`
}

// attempts lists the sends to one number; without a number there is no list, because nothing here
// lists patients' numbers.
func (a *api) attempts(c call) ([]vAttempt, error) {
	q := c.URL.Query()
	list := []vAttempt{}
	err := a.Store.View(c.Context(), func(tx *store.Tx) error {
		var all []otp.Verification
		if sid := q.Get("VerificationSid"); sid != "" {
			v, err := otp.Get(tx, sid)
			if err != nil {
				return err
			}
			all = append(all, v)
		} else {
			to, err := c.number(tx, q.Get("ChannelData.To"))
			if err != nil {
				return err
			}
			if all, err = otp.Of(tx, to); err != nil {
				return err
			}
		}
		for _, v := range all {
			list = append(list, c.attemptsOf(v)...)
		}
		return nil
	})
	return list, err
}

func (c call) attemptsOf(v otp.Verification) (list []vAttempt) {
	conversion := "unconverted"
	if v.State == otp.Approved {
		conversion = "converted"
	}
	for _, s := range v.Sends {
		list = append(list, vAttempt{
			SID: s.ID, AccountSID: c.p.Actor.ID, ServiceSID: v.ServiceSID, VerificationSID: v.ID, DateCreated: second(s.At),
			DateUpdated: second(v.Updated), Conversion: conversion, Channel: s.Channel,
			ChannelData: map[string]string{"to": v.To.E164()}, URL: c.base() + "/v2/Attempts/" + s.ID,
		})
	}
	return list
}

func (a *api) vAttempts(c call) (int, any, error) {
	list, err := a.attempts(c)
	return http.StatusOK, map[string]any{"attempts": list, "meta": c.meta("attempts", len(list))}, err
}

func (a *api) vSummary(c call) (int, any, error) {
	list, err := a.attempts(c)
	converted := 0
	for _, t := range list {
		if t.Conversion == "converted" {
			converted++
		}
	}
	rate := 0.0
	if len(list) > 0 {
		rate = 100 * float64(converted) / float64(len(list))
	}
	return http.StatusOK, map[string]any{
		"total_attempts": len(list), "total_converted": converted, "total_unconverted": len(list) - converted,
		"conversion_rate_percentage": strconv.FormatFloat(rate, 'f', 1, 64), "url": c.base() + c.URL.Path,
	}, err
}

// amountOf shows amount and payee, null where the service names none.
func amountOf(v otp.Verification) (amount, payee *string) {
	if v.Amount == 0 && v.Payee == "" {
		return nil, nil
	}
	a := strconv.FormatInt(v.Amount/100, 10) + "." + strconv.FormatInt(100+v.Amount%100, 10)[1:]
	return &a, &v.Payee
}

// cents reads an amount such as "12.50"; none is 0.
func cents(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	whole, part, _ := strings.Cut(strings.TrimPrefix(s, "$"), ".")
	n, err := strconv.ParseInt(whole, 10, 32)
	if err != nil || n < 0 || len(part) > 2 {
		return 0, bad("Amount", "an amount such as 12.50")
	}
	hundredths, err := strconv.Atoi((part + "00")[:2])
	if err != nil || hundredths < 0 {
		return 0, bad("Amount", "an amount such as 12.50")
	}
	return n*100 + int64(hundredths), nil
}
