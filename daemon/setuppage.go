package daemon

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/store"
)

// installer is whoever does set-up with a ticket: the first person exists already, but need not have
// logged in.
var installer = store.Actor{Kind: "root", ID: "setup page"}

const setupCookie = "__Host-pinward-setup"

// field is one line of the form of set-up.
type field struct {
	Name, Label, Hint, Value string
	Required                 bool
}

// siteFields are the hospital's, named as in contact.Site.
func siteFields(r *http.Request) []field {
	f := []field{
		{Name: "name", Label: "Name of the site", Required: true},
		{Name: "brand", Label: "Neutral name that begins each text", Hint: "Riverside, never Riverside Oncology", Required: true},
		{Name: "zone", Label: "Time zone", Hint: "such as America/New_York", Required: true},
		{Name: "authority", Label: "Assigning authority of the record numbers", Required: true},
		{Name: "region", Label: "Country whose numbers have no country code", Value: "US"},
		{Name: "area", Label: "Area code of numbers without one"},
		{Name: "help_phone", Label: "Number that a text tells people to call"},
	}
	for i := range f {
		if v, ok := r.PostForm[f[i].Name]; ok {
			f[i].Value = v[0]
		}
	}
	return f
}

type holder struct {
	Number int
	Name   string
}

// serveSetup serves the pages behind a ticket, in whatever state the box is.
func (b *box) serveSetup(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		http.Error(w, "GET or POST", http.StatusMethodNotAllowed)
		return
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil || r.ParseForm() != nil {
		http.Error(w, "this form is from another page", http.StatusForbidden)
		return
	}
	if r.Method == http.MethodPost && r.URL.Path == "/setup/code" {
		b.redeemTicket(w, r)
		return
	}
	if c, err := r.Cookie(setupCookie); err != nil || !b.ticket.holds(c.Value) {
		b.show(w, http.StatusForbidden, "code", map[string]any{"Error": ""})
		return
	}
	if r.Method == http.MethodGet {
		b.setupForm(w, r, nil)
		return
	}
	if kit, err := b.setupStep(r); err != nil {
		b.setupForm(w, r, err)
	} else if kit != nil {
		b.showKit(w, *kit)
	} else {
		http.Redirect(w, r, "/setup", http.StatusSeeOther)
	}
}

func (b *box) redeemTicket(w http.ResponseWriter, r *http.Request) {
	session, ok := b.ticket.redeem(r.PostForm.Get("code"))
	if !ok {
		b.log.Warn("a wrong code was typed into the page of set-up")
		b.show(w, http.StatusForbidden, "code", map[string]any{"Error": "This code is wrong, or too old, or was used. Have a new one shown: pinward setup --page"})
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: setupCookie, Value: session, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	http.Redirect(w, r, "/setup", http.StatusSeeOther)
}

// setupForm shows what is to be done in the state that the box is in.
func (b *box) setupForm(w http.ResponseWriter, r *http.Request, failed error) {
	status, text := http.StatusOK, ""
	if failed != nil {
		status, text = http.StatusConflict, b.forOperator(failed)
	}
	needsPassphrase := b.cfg.TPM.Unseal != "tpm"
	st := b.state.Load()
	h := b.house.Load()
	switch {
	case st.Name == Empty:
		holders := make([]holder, kitShares)
		for i := range holders {
			holders[i].Number = i + 1
			if names := r.PostForm["holder"]; i < len(names) {
				holders[i].Name = names[i]
			}
		}
		admin := r.PostForm.Get("admin")
		if admin == "" {
			admin = "admin"
		}
		b.show(w, status, "begin", map[string]any{
			"Error": text, "Fields": siteFields(r), "Holders": holders, "Admin": admin, "Passphrase": needsPassphrase,
			"Modes": []string{"shadow", "pilot", "live"}, "Mode": r.PostForm.Get("mode"),
		})
	case h == nil:
		b.show(w, status, "unseal", map[string]any{"Error": text, "Cause": st.Cause, "Passphrase": needsPassphrase, "Waits": b.given.waits()})
	default:
		b.setupRest(w, r.Context(), h, status, text)
	}
}

// setupRest shows what is left of a set-up once the box is open.
func (b *box) setupRest(w http.ResponseWriter, ctx context.Context, h *house, status int, text string) {
	var p *admin.Progress
	err := h.store.View(ctx, func(tx *store.Tx) (err error) {
		p, err = setupProgress(tx)
		return err
	})
	switch {
	case err != nil:
		b.show(w, http.StatusInternalServerError, "done", b.forOperator(err))
	case p == nil:
		b.ticket.end()
		b.show(w, http.StatusOK, "done", "Nothing is left to do here. This page is closed now.")
	case p.Drilled.IsZero():
		b.show(w, status, "drill", map[string]any{"Error": text})
	default:
		b.show(w, status, "finish", map[string]any{"Error": text, "Left": p.Left})
	}
}

// setupStep does what a form asks for. Only the first step has something to show: the kit.
func (b *box) setupStep(r *http.Request) (*admin.Kit, error) {
	f := r.PostForm
	switch r.URL.Path {
	case "/setup/begin":
		if f.Get("password") != f.Get("password_again") {
			return nil, errors.Join(admin.ErrState, errors.New("the two passwords are not the same"))
		}
		mode, err := contact.ParseMode(f.Get("mode"))
		if err != nil {
			return nil, errors.Join(admin.ErrState, err)
		}
		kit, err := b.commission(r.Context(), admin.Setup{
			Passphrase: f.Get("passphrase"), Holders: f["holder"],
			Admin: admin.NewUser{Name: f.Get("admin"), Password: f.Get("password")},
			Site: contact.Site{
				Name: f.Get("name"), Brand: f.Get("brand"), Zone: f.Get("zone"), Authority: f.Get("authority"),
				Region: f.Get("region"), Area: f.Get("area"), HelpPhone: f.Get("help_phone"), Mode: mode,
			},
		})
		return &kit, err
	case "/setup/unseal":
		return nil, b.unseal(r.Context(), admin.Unseal{
			Passphrase: f.Get("passphrase"), NewTPM: f.Get("new_tpm") != "", Place: "setup page",
			Shares: slices.DeleteFunc(f["share"], func(s string) bool { return strings.TrimSpace(s) == "" }),
		})
	case "/setup/drill":
		if err := b.stillUnfinished(r.Context()); err != nil {
			return nil, err
		}
		return nil, b.drill(r.Context(), installer, f["share"])
	case "/setup/finish":
		return nil, b.finish(r.Context(), installer)
	}
	return nil, errors.Join(admin.ErrState, errors.New("there is no such step"))
}

// stillUnfinished keeps a ticket from what needs a login once set-up is over.
func (b *box) stillUnfinished(ctx context.Context) error {
	h := b.house.Load()
	if h == nil {
		return errNotOpen
	}
	return h.store.View(ctx, func(tx *store.Tx) error {
		_, finished, err := progress(tx)
		if err == nil && finished {
			err = errors.Join(admin.ErrState, errors.New("set-up is finished already"))
		}
		return err
	})
}

// forOperator is an error in words for the page: those that are meant for the operator, else that the
// log knows more.
func (b *box) forOperator(err error) string {
	if errors.Is(err, admin.ErrState) {
		return strings.TrimLeft(strings.TrimPrefix(err.Error(), admin.ErrState.Error()), ":\n ")
	}
	b.log.Error("step of set-up", "error", err)
	return "It failed; the daemon's log says why."
}

func (b *box) showKit(w http.ResponseWriter, k admin.Kit) {
	var intro strings.Builder
	if err := pages.ExecuteTemplate(&intro, "kitmade", nil); err != nil {
		b.log.Error("show page", "page", "kitmade", "error", err)
	}
	b.write(w, http.StatusOK, strings.Replace(k.Page, "<section>", intro.String()+"<section>", 1))
}

// openPage has a code shown for the page of set-up and unsealing. An open box that is set up has none:
// what is done there needs a login.
func (b *box) openPage(ctx context.Context) (admin.Ticket, error) {
	if b.house.Load() != nil {
		if err := b.stillUnfinished(ctx); err != nil {
			return admin.Ticket{}, err
		}
	}
	code, until := b.ticket.issue()
	return admin.Ticket{Code: code, Until: until, Path: "/setup"}, nil
}
