package console

import (
	"net/http"
	"slices"
	"strings"

	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/store"
)

// deskSource is who says what is learned at a desk; the name is in the entry's actor.
const deskSource = "desk"

// numberView is what is known of one number, whoever holds it.
type numberView struct {
	Typed string // as it was typed in
	Known bool   // it is a number, and the rest is about it
	Saved bool
	contact.Contact
	Line       contact.LineType // that holds, and who said so
	LineSource string
	Callable   bool
}

// Types are what a line can be said to be; "" leaves it to feeds and sends.
func (numberView) Types() []contact.LineType {
	return []contact.LineType{contact.LineUnknown, contact.LineMobile, contact.LineLandline}
}

// number shows what is known of a number. It comes in the form and never in the address; the look is an entry.
func (c *console) number(w http.ResponseWriter, v *visit) error {
	body := numberView{Typed: strings.TrimSpace(v.PostFormValue("number"))}
	out := view{Title: "Number", Path: "/numbers", Body: &body}
	if body.Typed == "" {
		return c.ok(w, v, "number", out)
	}
	site, err := c.site(v)
	if err != nil {
		return err
	}
	to, err := contact.ParsePhone(body.Typed, site.Plan())
	if err != nil {
		c.fail(w, v, err, "number", out)
		return nil
	}
	err = c.noted(v, "number", contact.SubjectID{}, func(tx *store.Tx) error { return body.read(tx, to) })
	if err != nil {
		return err
	}
	return c.ok(w, v, "number", out)
}

func (n *numberView) read(tx *store.Tx, to contact.Phone) (err error) {
	if n.Contact, err = contact.Of(tx, to); err != nil {
		return err
	}
	if n.Line, n.LineSource, err = contact.LineOf(tx, to, contact.SubjectID{}); err != nil {
		return err
	}
	n.Known = true
	n.Callable, err = contact.MayCall(tx, to)
	return err
}

// saveNumber keeps what somebody at the desk says of a number. What the form showed and nobody touched is left as it is, also where it
// has changed since: above all the type of the line, which would bear the desk's word from then on.
func (c *console) saveNumber(w http.ResponseWriter, v *visit) error {
	body := numberView{Typed: strings.TrimSpace(v.PostFormValue("number")), Saved: true}
	out := view{Title: "Number", Path: "/numbers", Body: &body}
	site, err := c.site(v)
	if err != nil {
		return err
	}
	to, err := contact.ParsePhone(body.Typed, site.Plan())
	if err != nil {
		c.fail(w, v, err, "number", out)
		return nil
	}
	touched := func(name string) (string, bool) {
		is := v.PostFormValue(name)
		return is, is != v.PostFormValue("was_"+name)
	}
	flag := func(name string) *bool {
		is, ok := touched(name)
		if !ok {
			return nil
		}
		return new(is == "true")
	}
	flags := contact.Flags{NoVoice: flag("no_voice"), Slow: flag("slow"), WrongNumber: flag("wrong_number")}
	if is, ok := touched("type"); ok {
		if !slices.Contains(body.Types(), contact.LineType(is)) {
			return &refusal{"This is no type of a line."}
		}
		flags.Type = new(contact.LineType(is))
	}
	err = c.goOn(v, func(tx *store.Tx) error {
		if err := contact.Flag(tx, to, flags, deskSource); err != nil {
			return err
		}
		return body.read(tx, to)
	})
	if err != nil {
		return err
	}
	return c.ok(w, v, "number", out)
}

// saveLanguage keeps the language of a patient, as they said it at the desk. A newer message of the hospital's record may say otherwise.
func (c *console) saveLanguage(w http.ResponseWriter, v *visit) error {
	site, err := c.site(v)
	if err != nil {
		return err
	}
	tag := v.PostFormValue("language")
	if !slices.Contains(site.Languages, tag) {
		return otp.ErrLocale
	}
	id := contact.SubjectID{Authority: site.Authority, MRN: strings.TrimSpace(v.PostFormValue("mrn"))}
	err = c.goOn(v, func(tx *store.Tx) error {
		_, known, err := contact.Find(tx, id)
		if err != nil {
			return err
		}
		if !known {
			return &refusal{"No patient of this record number is known here."}
		}
		_, err = contact.Upsert(tx, contact.SubjectUpdate{ID: id, Source: deskSource, Language: &tag})
		return err
	})
	if err != nil {
		return err
	}
	return c.contacts(w, v)
}
