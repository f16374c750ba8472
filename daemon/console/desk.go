package console

import (
	"errors"
	"net/http"
	"strings"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/store"
)

// home is the first page: the desk, or for those who send no codes the page of their role.
func (c *console) home(w http.ResponseWriter, v *visit) error {
	switch {
	case v.who.Can(access.Verify):
		return c.desk(w, v)
	case v.who.Can(access.AuditRead):
		http.Redirect(w, v.Request, "/audit", http.StatusSeeOther)
	default:
		http.Redirect(w, v.Request, "/health", http.StatusSeeOther)
	}
	return nil
}

// deskForm is the desk's form as it was filled in.
type deskForm struct {
	Number, MRN, Service, Locale, Channel, Reference string

	Services []otp.Service // to choose from
}

func formOf(v *visit) deskForm {
	trimmed := func(name string) string { return strings.TrimSpace(v.PostFormValue(name)) }
	f := deskForm{
		Number: trimmed("number"), MRN: trimmed("mrn"), Service: trimmed("service"), Locale: trimmed("locale"),
		Channel: trimmed("channel"), Reference: trimmed("reference"),
	}
	if f.Service == "" {
		f.Service = "prescription-pickup" // the one for a person who stands at the desk
	}
	return f
}

// desk shows the form, filled in with what was posted: that is how the page of a patient leads here
// without a record number in an address.
func (c *console) desk(w http.ResponseWriter, v *visit) error {
	out, err := c.deskView(v)
	if err != nil {
		return err
	}
	return c.ok(w, v, "desk", out)
}

func (c *console) deskView(v *visit) (view, error) {
	f := formOf(v)
	err := c.Store.View(v.Context(), func(tx *store.Tx) error {
		all, err := otp.Services(tx)
		for _, s := range all {
			// An amount is named by whoever bills it, not at the desk.
			if !s.Retired && !s.Amount && (!s.Staff || v.who.Staff) {
				f.Services = append(f.Services, s)
			}
		}
		return err
	})
	return view{Title: "Send a code", Path: "/", Body: f}, err
}

// start sends a code to a number, or to the number on a patient's record. What is refused comes back
// with the form as it was filled in.
func (c *console) start(w http.ResponseWriter, v *visit) error {
	f := formOf(v)
	var made otp.Verification
	err := c.accept(v, func(tx *store.Tx) error {
		req, err := f.request(tx, v)
		if err != nil {
			return err
		}
		made, err = otp.Start(tx, req)
		return err
	})
	if err == nil {
		http.Redirect(w, v.Request, "/verifications/"+made.ID, http.StatusSeeOther)
		return nil
	}
	out, formErr := c.deskView(v)
	if formErr != nil {
		return errors.Join(err, formErr)
	}
	c.fail(w, v, err, "desk", out)
	return nil
}

// request reads the form. The number typed goes before the one on record.
func (f deskForm) request(tx *store.Tx, v *visit) (req otp.StartRequest, err error) {
	site, err := contact.SiteOf(tx)
	if err != nil {
		return req, err
	}
	req = otp.StartRequest{
		Service: f.Service, Locale: f.Locale, Channel: f.Channel, Reference: f.Reference, Staff: v.who.Staff, Mode: modeOf(v.who),
	}
	if f.MRN != "" {
		req.Subject = contact.SubjectID{Authority: site.Authority, MRN: f.MRN}
	}
	switch {
	case f.Number != "":
		if req.To, err = contact.ParsePhone(f.Number, site.Plan()); err != nil {
			if e, ok := errors.AsType[*contact.NumberError](err); ok {
				if err := otp.RefuseNumber(tx, f.Service, e); err != nil {
					return req, err
				}
			}
			return req, err
		}
	case f.MRN != "":
		var ok bool
		if req.To, ok, err = contact.Textable(tx, req.Subject); err == nil && !ok {
			req.To, ok, err = contact.Callable(tx, req.Subject)
		}
		if err == nil && !ok {
			err = &refusal{"No mobile number is on record for this patient. Ask for it and type it in."}
		}
	default:
		err = &refusal{"Type a phone number, or the record number of a known patient."}
	}
	return req, err
}

// modeOf is how far this person's requests go; what it does not understand is shadow.
func modeOf(p access.Principal) contact.Mode {
	m, err := contact.ParseMode(p.Mode)
	if err != nil {
		return contact.Shadow
	}
	return m
}
