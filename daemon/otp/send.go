package otp

import (
	"fmt"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/store"
)

// again sends the code of a pending verification once more.
func again(tx *store.Tx, p policy, req StartRequest, v Verification) (Verification, error) {
	s := p.service
	if len(v.Sends) >= s.sends(p.limits) {
		return v, ErrMaxSends
	}
	if req.CustomCode != v.Custom {
		return v, ErrCustomCode
	}
	if req.Amount != v.Amount || req.Payee != v.Payee {
		return v, ErrAmount
	}
	was := v
	v.Channel, v.Locale = req.Channel, req.Locale
	if req.Order != "" {
		v.Order = req.Order // the latest who asked is told
	}
	if req.Request != "" && req.Request != v.Request {
		v.Request = req.Request
		if err := byRequest.Put(tx, requestKey(tx, v.Service, v.Request), v.ID); err != nil {
			return Verification{}, fmt.Errorf("index verification: %w", err)
		}
	}
	v.Mode = contact.Strictest(v.Mode, req.Mode)
	if req.Place != "" {
		v.Place = req.Place
	}
	m := message(tx, v, p.route, s)
	m.Client, m.Staff, m.From = req.Client, req.Staff, req.From
	if err := takeSend(tx, req, p.limits, m, true); err != nil {
		return was, err
	}
	// The text on its way is overtaken: its further steps would only bring the
	// person a second text after the new one.
	if err := withdraw(tx, v); err != nil {
		return Verification{}, err
	}
	if s.Fresh || req.Fresh {
		v.Generation++
	}
	v.Updated = tx.Now()
	if err := put(tx, &v, m); err != nil {
		return Verification{}, err
	}
	if err := save(tx, v); err != nil {
		return Verification{}, err
	}
	if err := becomeCurrent(tx, v); err != nil { // another's may have begun since
		return Verification{}, err
	}
	return v, record(tx, v, ActionResend, store.OK, sendAttrs(v)...)
}

// message is the text or call that carries the code of v.
func message(tx *store.Tx, v Verification, route []outbox.Step, s Service) outbox.Message {
	m := outbox.Message{
		Kind: Kind, Ref: v.ID, Lane: outbox.OTP, To: v.To, Client: v.Client, Staff: v.Staff, Route: route,
		Due: tx.Now(), Expires: v.Expires, Repeat: true, Mode: v.Mode, Order: v.Order, Place: v.Place,
	}
	if s.Replace {
		// A handset replaces a text only by one of the same type (3GPP 23.040
		// 9.2.3.9), so the first text carries it as well as the resend.
		m.Replace = 1
	}
	return m
}

// put gives a message to the outbox and notes it as a send of v.
func put(tx *store.Tx, v *Verification, m outbox.Message) error {
	m, err := outbox.Put(tx, m)
	if err != nil {
		return fmt.Errorf("queue code: %w", err)
	}
	if m.State == outbox.Sending && channelOf(m, m.Step) == outbox.SMS {
		// The sender has it already and renders it where nothing is written.
		if err := noteText(tx, *v); err != nil {
			return err
		}
	}
	v.Sends = append(v.Sends, Send{ID: newID("VL"), At: tx.Now(), Channel: v.Channel, Message: m.ID})
	return nil
}

func sendAttrs(v Verification) []store.Attr {
	last := v.Sends[len(v.Sends)-1]
	attrs := []store.Attr{
		attr("phone", v.To.E164()), attr("channel", v.Channel), attr("locale", v.Locale),
		attr("message", last.Message), attr("send", fmt.Sprint(len(v.Sends))), attr("mode", v.Mode.String()),
	}
	for _, a := range []store.Attr{attr("on_behalf_of", clip(v.OnBehalfOf)), attr("reference", v.Reference)} {
		if a.Value != "" {
			attrs = append(attrs, a)
		}
	}
	if v.Amount > 0 {
		attrs = append(attrs, attr("amount", fmt.Sprint(v.Amount)), attr("payee", clip(v.Payee)))
	}
	if v.Custom != "" {
		attrs = append(attrs, attr("asserted", "code"))
	}
	return attrs
}
