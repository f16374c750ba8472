package console

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/store"
)

// verificationView is a verification as the desk sees it.
type verificationView struct {
	otp.Verification
	Number     string
	Length     int // digits of the code
	ChecksLeft int
	Left       time.Duration
	Sent       []sentView
	Zone       *time.Location
	Wrong      bool // the code just typed was wrong
	Calls      bool // the number may be called, and the box has a modem for it
}

// sentView is one send and the hand-over that it came to.
type sentView struct {
	At      time.Time
	Channel outbox.Channel // of the present step of its route
	State   outbox.State
	Cause   string
	Modem   string
}

// Says is how it stands, in words for a call where it is one.
func (s sentView) Says() string {
	switch {
	case s.Channel == outbox.Call && s.State == outbox.Sending:
		return "calling"
	case s.Channel == outbox.Call && s.State == outbox.Delivered:
		return "heard"
	case s.Channel == outbox.Call && s.State == outbox.Undelivered:
		return "not heard"
	}
	return say(s.State)
}

// Pending tells whether a code can still be typed in.
func (v verificationView) Pending() bool { return v.State == otp.Pending }

// InHand tells whether more will become known of what was sent.
func (v verificationView) InHand() bool {
	for _, s := range v.Sent {
		if s.State == outbox.Queued || s.State == outbox.Sending || s.State == outbox.Sent {
			return true
		}
	}
	return false
}

func (c *console) read(v *visit) (body verificationView, err error) {
	err = c.Store.View(v.Context(), func(tx *store.Tx) error {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		body.Zone = site.Location()
		if body.Verification, err = otp.Get(tx, v.PathValue("id")); err != nil {
			return err
		}
		s, err := otp.FindService(tx, body.Service)
		if err != nil {
			return err
		}
		body.Number, body.Length = national(body.To), s.CodeLength
		body.Left = max(0, body.Expires.Sub(tx.Now())).Truncate(time.Second)
		if body.ChecksLeft, err = otp.ChecksLeft(tx, body.Verification); err != nil {
			return err
		}
		if body.Sent, err = sentOf(tx, body.Sends); err != nil {
			return err
		}
		if body.Calls, err = contact.MayCall(tx, body.To); err != nil || !body.Calls {
			return err
		}
		body.Calls, err = outbox.Calls(tx)
		return err
	})
	return body, err
}

// sentOf lists the sends, the last first: it is the one that the patient waits for.
func sentOf(tx *store.Tx, sends []otp.Send) (out []sentView, err error) {
	for _, s := range slices.Backward(sends) {
		m, ok, err := outbox.Get(tx, s.Message)
		if err != nil {
			return nil, err
		}
		if !ok {
			m.State = outbox.Unknown // its record is past its time
		}
		sent := sentView{At: s.At, State: m.State, Cause: m.Cause}
		if m.Step < len(m.Route) {
			sent.Channel = m.Route[m.Step].Channel
		}
		if n := len(m.Attempts); n > 0 {
			sent.Modem = m.Attempts[n-1].Sender
		}
		out = append(out, sent)
	}
	return out, nil
}

func (c *console) verification(w http.ResponseWriter, v *visit) error {
	out, err := c.verificationView(v)
	if err != nil {
		return err
	}
	return c.ok(w, v, "verification", out)
}

func (c *console) verificationView(v *visit) (view, error) {
	body, err := c.read(v)
	body.Wrong = v.URL.Query().Has("wrong")
	out := view{Title: "Check the code", Path: "/", Body: body}
	if !body.Pending() {
		out.Title = "Verification"
	}
	return out, err
}

// status is the part of the page that loads itself again, in a frame, so that what the nurse types
// beside it stays.
func (c *console) status(w http.ResponseWriter, v *visit) error {
	framed(w)
	body, err := c.read(v)
	if err != nil {
		return err
	}
	out := view{Title: "How it stands", Body: body}
	if body.Pending() || body.InHand() {
		out.Refresh = "2"
	}
	return c.ok(w, v, "status", out)
}

// framed lets our own pages show this one in a frame.
func framed(w http.ResponseWriter) { w.Header().Set("Content-Security-Policy", policy+"'self'") }

func (c *console) check(w http.ResponseWriter, v *visit) error {
	var valid bool
	err := c.goOn(v, func(tx *store.Tx) (err error) {
		_, valid, err = otp.Check(tx, otp.CheckRequest{
			ID: v.PathValue("id"), Reference: v.PostFormValue("reference"),
			Code: strings.Join(strings.Fields(v.PostFormValue("code")), ""),
		})
		return err
	})
	query := ""
	if !valid {
		query = "?wrong=1"
	}
	return c.back(w, v, query, err)
}

// resend sends the code of a pending verification once more, by the way that it went before.
func (c *console) resend(w http.ResponseWriter, v *visit) error { return c.again(w, v, "") }

// callInstead calls with the code of a pending verification: at a desk that is the only way to a call.
func (c *console) callInstead(w http.ResponseWriter, v *visit) error {
	return c.again(w, v, otp.ChannelCall)
}

// again sends the code once more by a channel; "" is that of the last time.
func (c *console) again(w http.ResponseWriter, v *visit, channel string) error {
	return c.back(w, v, "", c.accept(v, func(tx *store.Tx) error {
		old, err := otp.Get(tx, v.PathValue("id"))
		if err != nil {
			return err
		}
		if old.State != otp.Pending {
			return otp.ErrNotFound
		}
		_, err = otp.Start(tx, otp.StartRequest{
			Service: old.Service, To: old.To, Subject: old.Subject, Locale: old.Locale, Channel: cmp.Or(channel, old.Channel),
			Reference: old.Reference, Amount: old.Amount, Payee: old.Payee, Staff: v.who.Staff, Mode: modeOf(v.who),
		})
		return err
	}))
}

// next takes the next way of the route now.
func (c *console) next(w http.ResponseWriter, v *visit) error {
	return c.back(w, v, "", c.goOn(v, func(tx *store.Tx) error {
		old, err := otp.Get(tx, v.PathValue("id"))
		if err != nil {
			return err
		}
		if old.State != otp.Pending || len(old.Sends) == 0 {
			return otp.ErrNotFound
		}
		return outbox.Hasten(tx, old.Sends[len(old.Sends)-1].Message)
	}))
}

func (c *console) cancel(w http.ResponseWriter, v *visit) error {
	return c.back(w, v, "", c.goOn(v, func(tx *store.Tx) error {
		_, err := otp.Cancel(tx, v.PathValue("id"))
		return err
	}))
}

// back leads to the verification's page; a refusal is shown there.
func (c *console) back(w http.ResponseWriter, v *visit, query string, err error) error {
	if err == nil {
		http.Redirect(w, v.Request, "/verifications/"+v.PathValue("id")+query, http.StatusSeeOther)
		return nil
	}
	out, readErr := c.verificationView(v)
	if readErr != nil {
		return err // there is no such verification: the words say so
	}
	c.fail(w, v, err, "verification", out)
	return nil
}
