package console

import (
	"net/http"
	"strings"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/store"
)

// desk is the first page: send a code.
func (c *console) desk(w http.ResponseWriter, v *visit) error {
	var services []otp.Service
	if err := c.Store.View(v.Context(), func(tx *store.Tx) error {
		all, err := otp.Services(tx)
		for _, s := range all {
			if !s.Retired && !s.Amount {
				services = append(services, s)
			}
		}
		return err
	}); err != nil {
		return err
	}
	return c.render(w, v, "desk", view{Title: "Send a code", Body: services})
}

// start sends a code to a number, or to the number on a patient's record.
func (c *console) start(w http.ResponseWriter, v *visit) error {
	var made otp.Verification
	err := c.decide(v, func(tx *store.Tx) error {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		req := otp.StartRequest{
			Service: v.PostFormValue("service"), Locale: v.PostFormValue("locale"), Channel: v.PostFormValue("channel"),
			Reference: strings.TrimSpace(v.PostFormValue("reference")), Staff: v.who.Staff, Mode: modeOf(v.who),
		}
		if mrn := strings.TrimSpace(v.PostFormValue("mrn")); mrn != "" {
			req.Subject = contact.SubjectID{Authority: site.Authority, MRN: mrn}
		}
		number := strings.TrimSpace(v.PostFormValue("number"))
		switch {
		case number != "":
			req.To, err = contact.ParsePhone(number, site.Plan())
		case !req.Subject.IsZero():
			var ok bool
			if req.To, ok, err = contact.Textable(tx, req.Subject); err == nil && !ok {
				err = &refusal{"There is no mobile number on this patient's record. Ask for it and type it in."}
			}
		default:
			err = &refusal{"Type a phone number, or the record number of a known patient."}
		}
		if err != nil {
			return err
		}
		made, err = otp.Start(tx, req)
		return err
	})
	if err != nil {
		return err
	}
	http.Redirect(w, v.Request, "/verifications/"+made.ID, http.StatusSeeOther)
	return nil
}

func modeOf(p access.Principal) contact.Mode {
	m, err := contact.ParseMode(p.Mode)
	if err != nil {
		return contact.Shadow
	}
	return m
}

// verificationView is a verification as the desk sees it.
type verificationView struct {
	otp.Verification
	Number     string
	ChecksLeft int
	Left       time.Duration
	Sent       []sentView
	Zone       *time.Location
	Wrong      bool // the code just typed was wrong
}

type sentView struct {
	At      time.Time
	Channel string
	State   outbox.State
	Cause   string
	Modem   string
}

// Pending tells whether a code can still be typed in.
func (v verificationView) Pending() bool { return v.State == otp.Pending }

func (c *console) verification(w http.ResponseWriter, v *visit) error {
	return c.showVerification(w, v, v.URL.Query().Get("wrong") != "")
}

func (c *console) showVerification(w http.ResponseWriter, v *visit, wrong bool) error {
	body := verificationView{Wrong: wrong}
	if err := c.Store.View(v.Context(), func(tx *store.Tx) error {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		body.Zone = site.Location()
		if body.Verification, err = otp.Get(tx, v.PathValue("id")); err != nil {
			return err
		}
		body.Number = body.To.E164()
		body.Left = max(0, body.Expires.Sub(tx.Now())).Round(time.Second)
		l, err := limit.Of(tx)
		if err != nil {
			return err
		}
		body.ChecksLeft = l.Checks - body.Checks
		for _, s := range body.Sends {
			m, _, err := outbox.Get(tx, s.Message)
			if err != nil {
				return err
			}
			sent := sentView{At: s.At, Channel: s.Channel, State: m.State, Cause: m.Cause}
			if n := len(m.Attempts); n > 0 {
				sent.Modem = m.Attempts[n-1].Sender
			}
			body.Sent = append(body.Sent, sent)
		}
		return nil
	}); err != nil {
		return err
	}
	out := view{Title: "Check the code", Body: body}
	if !body.Pending() {
		out.Title = "Verification"
	}
	return c.render(w, v, "verification", out)
}

func (c *console) check(w http.ResponseWriter, v *visit) error {
	var valid bool
	err := c.decide(v, func(tx *store.Tx) (err error) {
		_, valid, err = otp.Check(tx, otp.CheckRequest{
			ID: v.PathValue("id"), Reference: v.PostFormValue("reference"),
			Code: strings.Join(strings.Fields(v.PostFormValue("code")), ""),
		})
		return err
	})
	if err != nil {
		return err
	}
	to := "/verifications/" + v.PathValue("id")
	if !valid {
		to += "?wrong=1"
	}
	http.Redirect(w, v.Request, to, http.StatusSeeOther)
	return nil
}

// resend sends the code of a pending verification once more.
func (c *console) resend(w http.ResponseWriter, v *visit) error {
	return c.change(w, v, func(tx *store.Tx) error {
		old, err := otp.Get(tx, v.PathValue("id"))
		if err != nil {
			return err
		}
		_, err = otp.Start(tx, otp.StartRequest{
			Service: old.Service, To: old.To, Subject: old.Subject, Locale: old.Locale, Channel: old.Channel,
			Reference: old.Reference, Staff: v.who.Staff, Mode: modeOf(v.who),
		})
		return err
	})
}

// next takes the next way of the route now.
func (c *console) next(w http.ResponseWriter, v *visit) error {
	return c.change(w, v, func(tx *store.Tx) error {
		old, err := otp.Get(tx, v.PathValue("id"))
		if err != nil {
			return err
		}
		if old.State != otp.Pending || len(old.Sends) == 0 {
			return otp.ErrNotFound
		}
		return outbox.Hasten(tx, old.Sends[len(old.Sends)-1].Message)
	})
}

func (c *console) cancel(w http.ResponseWriter, v *visit) error {
	return c.change(w, v, func(tx *store.Tx) error {
		_, err := otp.Cancel(tx, v.PathValue("id"))
		return err
	})
}

func (c *console) change(w http.ResponseWriter, v *visit, fn func(*store.Tx) error) error {
	if err := c.decide(v, fn); err != nil {
		return err
	}
	http.Redirect(w, v.Request, "/verifications/"+v.PathValue("id"), http.StatusSeeOther)
	return nil
}
