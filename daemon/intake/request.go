package intake

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/hl7"
	"pinward/store"
)

// request is one Z segment that asks for a code or a text:
//
//	ZNT|1|OTP^login|REQ-123|SMS|en|20260101120000-0500|300
//
// set id, purpose^service or template, request id, channel, language, not before, seconds of use: the
// life of a code, within its service's, or how long a notice may wait. It never carries a code: codes
// are made and checked here, and a check comes by the API.
type request struct {
	code      bool   // a verification; else a notice
	name      string // service, its purpose, or template
	id        string // of the request: a second one with it does nothing
	namespace string // of the id, where the sender gave one
	key       string // by which a repeat is known; "" is the id
	channel   string // otp.ChannelSMS, ...
	lang      string
	notBefore time.Time
	life      time.Duration // 0 is not told
	maxAge    time.Duration // of the message, where its rule says so; 0 is requestMaxAge
	unasked   bool          // a rule's idea, and nobody waits for the code
	ordered   bool          // by OMG^O19: code is known when it is carried out
	cancel    bool          // takes an earlier order of this id back
}

// maxRequests bounds what one message starts.
const maxRequests = 4

// readRequests reads the Z segments. They are ours, so what is wrong in one is the sender's mistake and
// earns AE with its place.
func (rd *reading) readRequests() error {
	name := rd.policy.zSegment()
	if rd.person.id.IsZero() {
		return &hl7.Error{Code: hl7.CodeSegmentSequence, Segment: "PID", Seq: 1, Reason: "a request needs a patient"}
	}
	if isOrder(rd.m) {
		if err := rd.readOrders(); err != nil {
			return err
		}
	}
	seq := 0
	for s := range rd.m.All(name) {
		seq++
		wrong := func(code hl7.Code, field int, reason string) error {
			return &hl7.Error{Code: code, Segment: name, Seq: seq, Field: field, Reason: reason}
		}
		if len(rd.requests) == maxRequests {
			return wrong(hl7.CodeInternal, 0, "more requests than one message may hold")
		}
		r := request{name: s.Field(2).Comp(2).String(), id: s.Field(3).Comp(1).String()}
		switch strings.ToUpper(s.Field(2).Comp(1).String()) {
		case "OTP":
			r.code = true
		case "NOTICE", "TEXT":
		case "":
			return wrong(hl7.CodeRequiredFieldMissing, 2, "purpose is missing")
		default:
			return wrong(hl7.CodeTableValue, 2, "purpose is neither OTP nor NOTICE")
		}
		switch {
		case r.name == "":
			return wrong(hl7.CodeRequiredFieldMissing, 2, "service or template is missing")
		case r.id == "":
			return wrong(hl7.CodeRequiredFieldMissing, 3, "request id is missing")
		case len(r.id) > maxID || len(r.name) > maxID:
			return wrong(hl7.CodeDataType, 3, "identifier is too long")
		}
		channel, ok := channels[strings.ToUpper(s.Field(4).Comp(1).String())]
		if !ok {
			return wrong(hl7.CodeTableValue, 4, "channel is none of SMS, CALL, AUTO")
		}
		r.channel = channel
		if tag := readLanguage(s.Field(5)); tag != nil {
			r.lang = *tag
		}
		if ts := s.Field(6).TS(); !ts.IsZero() {
			at, _, err := ts.Time(rd.zone)
			if err != nil {
				return wrong(hl7.CodeDataType, 6, "not a time")
			}
			r.notBefore = at
		}
		if v := s.Field(7); v.Valued() {
			n, err := strconv.ParseInt(v.String(), 10, 32)
			least := time.Second
			if r.code {
				least = otp.MinLife // nobody types a code in less
			}
			switch r.life = time.Duration(n) * time.Second; {
			case err != nil || n > int64(notBefore/time.Second):
				return wrong(hl7.CodeDataType, 7, "not a number of seconds")
			case r.life < least:
				return wrong(hl7.CodeTableValue, 7, fmt.Sprintf("fewer than %d seconds", least/time.Second))
			}
		}
		rd.requests = append(rd.requests, r)
	}
	return nil
}

var channels = map[string]string{
	"": otp.ChannelAuto, "AUTO": otp.ChannelAuto, "SMS": otp.ChannelSMS, "TEXT": otp.ChannelSMS,
	"CALL": otp.ChannelCall, "VOICE": otp.ChannelCall,
}

// requests keeps what a request id led to, as long as seen keeps messages: one that comes again, even
// in another message, does nothing.
var requests = store.NewTable[string]("intake.requests", store.Blinded(2),
	store.Bookkeeping("request ids, so that a repeat starts nothing; the start has its own entry"))

// requestGroup begins the group of the notices that somebody asked for by a request.
const requestGroup = "request"

// requestMaxAge is how old a message may be to start a code: nobody waits for it any more.
const requestMaxAge = 2 * time.Minute

func (w *work) request(r request) error {
	now := w.tx.Now()
	if !r.code {
		return w.requestNotice(r)
	}
	use := cmp.Or(r.maxAge, requestMaxAge)
	if r.life > 0 {
		use = min(use, max(r.life, time.Minute))
	}
	key := cmp.Or(r.key, r.id)
	before, err := w.requested(key)
	switch {
	case err != nil:
		return err
	case before != "":
		w.because("verification: this request was made before")
		return nil
	case !w.at.IsZero() && now.Sub(w.at) > use:
		return w.decline(r, fmt.Sprintf("verification: the message is older than %s (or its clock or zone is wrong)", use))
	case r.notBefore.After(now.Add(time.Minute)):
		return w.decline(r, "verification: a code cannot be asked for ahead of its time")
	case w.sender.Paused:
		return w.decline(r, "verification: the peer is paused, and a code cannot wait")
	}
	if r.unasked { // counted only here: a night that an engine was down brings no code, and opens no breaker
		if open, err := w.tooMany(w.rule.Name); err != nil {
			return err
		} else if open {
			return w.decline(r, "verification: the rule would text far more than its usual; its breaker is open, and a code cannot wait")
		}
	}
	id, err := w.start(r)
	if err != nil || id == "" {
		return err
	}
	w.did("verification started")
	return requests.Put(w.tx, requestKey(w.tx, weekOf(now), w.peer, key), id)
}

// requested finds the verification that a request of this id started, "" if none did.
func (w *work) requested(id string) (string, error) {
	this := weekOf(w.tx.Now())
	for _, n := range []uint16{this, this - 1} {
		v, known, err := requests.Get(w.tx, requestKey(w.tx, n, w.peer, id))
		if err != nil {
			return "", fmt.Errorf("look for request: %w", err)
		}
		if known {
			return v, nil
		}
	}
	return "", nil
}

// ActionDecline is the entry of a request that this room does not carry out, for a peer that is told of
// what became of it.
const ActionDecline store.Action = "hl7.request"

// decline explains why a request is not carried out, to a person and to its peer.
func (w *work) decline(r request, why string) error {
	w.because("%s", why)
	return w.declined(r, why)
}

// declined is decline where the person knows why already.
func (w *work) declined(r request, why string) error {
	order := w.order(r.placer(), w.person.id)
	if order == "" {
		return nil
	}
	return w.tx.Record(store.Entry{Action: ActionDecline, Outcome: store.Refused, Object: clip(w.control), Subject: w.person.id.Key(),
		Attrs: []store.Attr{{Key: "cause", Value: why}, {Key: "order", Value: order}}})
}

// startVerify starts a code because of the message's event, where the rule says so. It is one request,
// under the message's own control ID; another message with that ID, for they restart, is another one.
func (w *work) startVerify() error {
	if w.person.id.IsZero() {
		w.because("verification: no patient")
		return nil
	}
	if quiet, err := w.suppressed(w.person.id); err != nil || quiet {
		return err
	}
	r := request{
		code: true, name: w.rule.Verify, id: w.rule.Name + "/" + clip(w.control), channel: otp.ChannelAuto, maxAge: time.Duration(w.rule.MaxAge), unasked: true,
	}
	r.key = r.id + "/" + hex.EncodeToString(w.fingerprint[:])
	now := w.tx.Now()
	s, _, err := contact.Find(w.tx, w.person.id)
	switch {
	case err != nil:
		return err
	case s.NoTexts:
		return w.decline(r, "verification: the patient wants no texts, and nobody asked for this one")
	case w.rule.Paused:
		return w.decline(r, "verification: the rule is paused, and a code cannot wait")
	case !w.rule.Hours.Next(now, w.site.Location()).Equal(now):
		return w.decline(r, "verification: it is outside of the rule's hours, and a code cannot wait")
	}
	return w.request(r)
}

// start begins the verification, and gives its id; "" where it was refused.
func (w *work) start(r request) (string, error) {
	to, err := w.numberForCode()
	if err != nil {
		return "", err
	}
	if to.IsZero() {
		w.because("verification refused: no number")
		attrs := []store.Attr{{Key: "service", Value: clip(r.name)}, {Key: "cause", Value: "no number"}}
		if order := w.order(r.placer(), w.person.id); order != "" {
			attrs = append(attrs, store.Attr{Key: "order", Value: order})
		}
		return "", w.tx.Record(store.Entry{Action: otp.ActionStart, Outcome: store.Refused, Subject: w.person.id.Key(), Attrs: attrs})
	}
	service, err := findService(w.tx, r.name)
	if err != nil {
		return "", err
	}
	req := otp.StartRequest{
		Service: service.Name, To: to, Subject: w.person.id, OnBehalfOf: w.tx.Actor().OnBehalfOf,
		Locale: r.lang, Channel: r.channel, Mode: w.mode, From: w.from, Life: r.life, Unasked: r.unasked, Request: r.id, Order: w.order(r.placer(), w.person.id), Place: w.place(),
	}
	if req.Service == "" {
		req.Service = clip(r.name) // refused and recorded by Start
	}
	if service.Reference {
		req.Reference = r.id // the check has to name the request
	}
	v, err := otp.Start(w.tx, req)
	if errors.Is(err, otp.ErrLocale) {
		req.Locale = "" // a code in the site's language is better than none
		v, err = otp.Start(w.tx, req)
	}
	if otp.Overloaded(err) {
		return "", &busyError{err}
	}
	if err != nil {
		return "", w.refused("verification", err)
	}
	return v.ID, nil
}

// findService finds a service by name or SID, or by what its codes are for ("login"). The zero Service
// is none.
func findService(tx *store.Tx, name string) (otp.Service, error) {
	s, err := otp.FindService(tx, name)
	if !errors.Is(err, otp.ErrUnknownService) {
		return s, err
	}
	all, err := otp.Services(tx)
	if err != nil {
		return otp.Service{}, err
	}
	for _, s := range all {
		if strings.EqualFold(s.Purpose, name) && !s.Retired {
			return s, nil
		}
	}
	return otp.Service{}, nil
}

// numberForCode is the person's number: a code is asked for by somebody, so it goes to one who wants no
// other texts too.
func (w *work) numberForCode() (contact.Phone, error) {
	p, ok, err := contact.Textable(w.tx, w.person.id)
	if err != nil || ok {
		return p, err
	}
	s, known, err := contact.Find(w.tx, w.person.id)
	if err != nil || !known || len(s.Phones) == 0 {
		return contact.Phone{}, err
	}
	best := contact.Phone{}
	for _, n := range s.Phones {
		switch {
		case n.Extension != "" || n.Proxy != "":
		case n.Type != contact.LineLandline:
			return n.Phone, nil
		case best.IsZero():
			best = n.Phone
		}
	}
	return best, nil
}

// busyError undoes the whole message: no sender can take its code in time, and the engine, which gets
// no answer, brings it again.
type busyError struct{ err error }

func (e *busyError) Error() string { return "no sender can take a code in time" }
func (e *busyError) Unwrap() error { return e.err }

// overdue is how long ago the time of a notice was over that somebody asked for: an engine that was down for a
// night asks for the whole night's at once. Its time begins when it was asked for, or when it was not to go before.
func (w *work) overdue(r request) time.Duration {
	begins, use := w.at, DefaultMaxAge
	if r.notBefore.After(begins) {
		begins = r.notBefore
	}
	if r.life > 0 {
		use = min(use, max(r.life, time.Minute)) // a minute for clocks that differ, as of a code
	}
	if begins.IsZero() {
		return 0
	}
	return w.tx.Now().Sub(begins.Add(use))
}

func (w *work) requestNotice(r request) error {
	slots, ok, err := w.noticeSlots(r.name, r.lang)
	if err != nil {
		return err
	}
	if !ok {
		return w.declined(r, w.why[len(w.why)-1])
	}
	if late := w.overdue(r); late > 0 {
		// One that is served is told of by what becomes of it: a repeat does not take that back.
		switch _, err := notice.FindKey(w.tx, w.group(requestGroup, w.peer), r.id); {
		case err == nil:
			w.because("notice: this request was made before")
			return nil
		case !errors.Is(err, notice.ErrNotFound):
			return err
		}
		return w.decline(r, fmt.Sprintf("notice: its time is over by %s (or the message's clock or zone is wrong)", late.Round(time.Second)))
	}
	req := notice.Request{
		Template: clip(r.name), Lang: r.lang, Subject: w.person.id, Slots: slots, At: r.notBefore,
		OnBehalfOf: w.tx.Actor().OnBehalfOf, Group: w.group(requestGroup, w.peer), Key: r.id, Mode: w.mode,
		Order: w.order(r.placer(), w.person.id),
	}
	now := w.tx.Now()
	if req.At.Before(now) {
		req.At = now
	}
	if req.At.Sub(now) > notBefore {
		return w.decline(r, "notice: it lies too far ahead")
	}
	if r.life > 0 {
		req.Expires = req.At.Add(r.life)
	}
	got, err := w.text(req, contact.Appointment{})
	switch got {
	case already:
		w.because("notice: this request was made before")
	case taken:
		w.did("notice queued")
	}
	return w.refused("notice", err)
}
