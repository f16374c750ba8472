package api

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/daemon/record"
	"pinward/store"
)

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
	Push         struct{}          `json:"push"`
	TOTP         struct{}          `json:"totp"`
	Template     *string           `json:"default_template_sid"`
	Events       bool              `json:"verify_event_subscription_enabled"`
	DateCreated  *time.Time        `json:"date_created"` // not known here: a service is policy
	DateUpdated  *time.Time        `json:"date_updated"`
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

func (a *api) vService(c call) (reply, error) {
	return a.view(c, func(tx *store.Tx) (any, error) {
		s, err := c.service(tx)
		if err == nil && s.Retired {
			err = otp.ErrUnknownService
		}
		if err != nil {
			return nil, err
		}
		return c.showService(s), nil
	})
}

func (a *api) vServices(c call) (reply, error) {
	return a.view(c, func(tx *store.Tx) (any, error) {
		all, err := otp.Services(tx)
		if err != nil {
			return nil, err
		}
		list := []vServiceBody{}
		for _, s := range all {
			if !s.Retired {
				list = append(list, c.showService(s))
			}
		}
		return paged(c, "services", list)
	})
}

// paged cuts a list into the page asked for, with its "meta".
func paged[T any](c call, key string, list []T) (any, error) {
	page, err := c.count("Page", 0, 0, 1<<20)
	if err != nil {
		return nil, err
	}
	size, err := c.count("PageSize", 50, 1, 1000)
	if err != nil {
		return nil, err
	}
	at := func(page int) *string {
		q := c.URL.Query()
		q.Del("PageToken")
		q.Set("PageSize", strconv.Itoa(size))
		q.Set("Page", strconv.Itoa(page))
		u := c.base() + (&url.URL{Path: c.URL.Path, RawQuery: q.Encode()}).String()
		return &u
	}
	from := min(page*size, len(list))
	to := min(from+size, len(list))
	meta := map[string]any{
		"key": key, "page": page, "page_size": size, "first_page_url": at(0), "url": at(page),
		"previous_page_url": nil, "next_page_url": nil,
	}
	if page > 0 {
		meta["previous_page_url"] = at(page - 1)
	}
	if to < len(list) {
		meta["next_page_url"] = at(page + 1)
	}
	return map[string]any{key: append([]T{}, list[from:to]...), "meta": meta}, nil
}

func (c call) count(name string, usual, least, most int) (int, error) {
	s := c.URL.Query().Get(name)
	if s == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, bad(name, "a number from %d to %d", least, most)
	}
	return n, nil
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
	Price           *string           `json:"price"` // a text costs what the hospital's own plan says
	ChannelData     map[string]string `json:"channel_data"`
	URL             string            `json:"url"`
}

// attempts lists the sends that the filters of the query keep, newest first. Without a number or a
// verification it looks at the newest verifications of all; a portal or an engine sees its own of them.
func (c call) attempts(tx *store.Tx) ([]vAttempt, error) {
	all, err := c.attempted(tx)
	if err != nil {
		return nil, err
	}
	keep, err := c.attemptFilter()
	if err != nil {
		return nil, err
	}
	list := []vAttempt{}
	for _, v := range all {
		if ownOnly(c.p) && v.Client != c.p.Actor.ID {
			continue
		}
		of, err := c.attemptsOf(tx, v)
		if err != nil {
			return nil, err
		}
		for _, t := range of {
			if keep(t) {
				list = append(list, t)
			}
		}
	}
	return list, nil
}

func (c call) attempted(tx *store.Tx) ([]otp.Verification, error) {
	q := c.URL.Query()
	if sid := q.Get("VerificationSid"); sid != "" {
		v, err := otp.Get(tx, sid)
		return []otp.Verification{v}, err
	}
	if raw := plus(q.Get("ChannelData.To")); raw != "" {
		to, err := number164(tx, "ChannelData.To", raw)
		if err != nil {
			return nil, err
		}
		return otp.Of(tx, to)
	}
	return otp.Recent(tx, otp.MaxRecent)
}

// attemptFilter makes of the query what says whether an attempt is in the list.
func (c call) attemptFilter() (func(vAttempt) bool, error) {
	q := c.URL.Query()
	after, err := instant(q.Get("DateCreatedAfter")).time("DateCreatedAfter")
	if err != nil {
		return nil, err
	}
	before, err := instant(q.Get("DateCreatedBefore")).time("DateCreatedBefore")
	if err != nil {
		return nil, err
	}
	same := func(name, got string) bool { want := q.Get(name); return want == "" || want == got }
	return func(t vAttempt) bool {
		return same("VerifyServiceSid", t.ServiceSID) && same("Channel", t.Channel) && same("Status", t.Conversion) &&
			same("Country", t.ChannelData["country"]) &&
			(after.IsZero() || !t.DateCreated.Before(after)) && (before.IsZero() || !t.DateCreated.After(before))
	}, nil
}

func (c call) attemptsOf(tx *store.Tx, v otp.Verification) (list []vAttempt, err error) {
	tries, err := otp.Tries(tx, v)
	conversion := "unconverted"
	if v.State == otp.Approved {
		conversion = "converted"
	}
	for _, t := range slices.Backward(tries) {
		list = append(list, vAttempt{
			SID: t.ID, AccountSID: c.p.Actor.ID, ServiceSID: v.ServiceSID, VerificationSID: v.ID, DateCreated: second(t.At),
			DateUpdated: second(v.Updated), Conversion: conversion, Channel: string(t.Channel),
			ChannelData: map[string]string{"to": v.To.E164(), "country": v.To.Country(), "status": string(t.Status)},
			URL:         c.base() + "/v2/Attempts?VerificationSid=" + v.ID,
		})
	}
	return list, err
}

func (a *api) vAttempts(c call) (reply, error) {
	if err := a.Store.Update(c.Context(), c.p.Actor, func(tx *store.Tx) error {
		return record.Viewed(tx, "attempts", contact.SubjectID{})
	}); err != nil {
		return reply{}, err
	}
	return a.view(c, func(tx *store.Tx) (any, error) {
		list, err := c.attempts(tx)
		if err != nil {
			return nil, err
		}
		return paged(c, "attempts", list)
	})
}

// vSummaryBody counts attempts.
type vSummaryBody struct {
	Total       int    `json:"total_attempts"`
	Converted   int    `json:"total_converted"`
	Unconverted int    `json:"total_unconverted"`
	Rate        string `json:"conversion_rate_percentage"`
	URL         string `json:"url"`
}

func (a *api) vSummary(c call) (reply, error) {
	return a.view(c, func(tx *store.Tx) (any, error) {
		list, err := c.attempts(tx)
		if err != nil {
			return nil, err
		}
		s := vSummaryBody{Total: len(list), URL: c.base() + c.URL.Path}
		for _, t := range list {
			if t.Conversion == "converted" {
				s.Converted++
			}
		}
		s.Unconverted = s.Total - s.Converted
		s.Rate = strconv.FormatFloat(100*float64(s.Converted)/float64(max(s.Total, 1)), 'f', 1, 64)
		return s, nil
	})
}
