package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// Setup commissions an empty box.
type Setup struct {
	Passphrase string       `json:"passphrase,omitempty"` // for unseal = "tpm+passphrase" and "operator"
	Site       contact.Site `json:"site"`                 // its mode holds once set-up is finished
	// Override is why the site goes live at the end of set-up without its acceptance. The two holders whose shares pass
	// the drill are the two persons who answer for it. Without it a site that is to be live is pilot until it passed.
	Override string   `json:"override,omitempty"`
	Admin    NewUser  `json:"admin"`   // the first person who may do everything
	Holders  []string `json:"holders"` // who keeps the shares of the recovery kit, in their order
	// Again discards a set-up whose kit was never tried: its answer may have been lost.
	Again bool `json:"again,omitempty"`
}

// Kit is what set-up hands out once: any two of the three shares open the box without its TPM.
type Kit struct {
	Box     string   `json:"box"`
	Signer  string   `json:"signer"` // fingerprint of the audit's signer
	Holders []string `json:"holders"`
	Shares  []string `json:"shares"`
	Warning string   `json:"warning"` // what the box is not protected against
	Page    string   `json:"page"`    // HTML, a page for each holder to print
}

// Ticket lets one browser through to the page of set-up and unsealing.
type Ticket struct {
	Code  string    `json:"code"` // good once
	Until time.Time `json:"until"`
	Path  string    `json:"path"`
}

// Progress is how far an unfinished set-up has come. Until it is finished the site stays in shadow.
type Progress struct {
	Holders []string  `json:"holders"`
	Drilled time.Time `json:"drilled,omitzero"` // when two shares were seen to open the box
	Witness string    `json:"witness,omitempty"`
	Left    []string  `json:"left"` // what is still to be done, in words
}

// Unseal opens a sealed box: with the passphrase, or with two shares of the recovery kit, which also
// seals the root key anew to the TPM as it is now. One share waits for another holder, who may be
// elsewhere, for a quarter of an hour.
type Unseal struct {
	Passphrase string   `json:"passphrase,omitempty"`
	Shares     []string `json:"shares,omitempty"`
	// Place is where the shares are given, for the audit; empty is the control socket.
	Place string `json:"-"`
	// NewTPM says that the operator knows this TPM to be another, or cleared. Without it the kit is
	// not sealed to a TPM that only poses as the box's own.
	NewTPM bool `json:"new_tpm,omitempty"`
	// AcceptRollback takes a store that is older than the TPM's counter and says who takes it and why;
	// only with shares. It is an entry, and every lane is held until somebody lets it go on.
	AcceptRollback string `json:"accept_rollback,omitempty"`
}

// Keys is what the program does with the box's keys for this door. Their errors are in the chain of
// ErrState where the text is for the operator.
type Keys struct {
	Setup  func(context.Context, Setup) (Kit, error)
	Unseal func(context.Context, Unseal) error
	// Drill proves that two shares of the kit open this box, and changes nothing.
	Drill func(ctx context.Context, by store.Actor, shares []string) error
	// Finish ends set-up, or says what is left to do.
	Finish func(ctx context.Context, by store.Actor) error
	// Page has a code shown for the page of set-up and unsealing.
	Page func(context.Context) (Ticket, error)
	// Certificate is that of a box that was taken out of service.
	Certificate func() (any, error)
	// Progress is nil once set-up is finished.
	Progress func(*store.Tx) (*Progress, error)
}

// ErrState is in the chain of an error about set-up or unsealing whose text is for the operator:
// the box is in another state, a share is wrong, the TPM refuses.
var ErrState = errors.New("the box is not ready for that")

func stateProblem(err error) error {
	if errors.Is(err, ErrState) {
		return &problem{http.StatusConflict, strings.TrimLeft(strings.TrimPrefix(err.Error(), ErrState.Error()), ":\n ")}
	}
	return err
}

// certificate is shown without a login: when there is one, nobody can log in any more.
func (d *door) certificate(w http.ResponseWriter, _ *http.Request) {
	c, err := d.Keys.Certificate()
	if err != nil {
		d.fail(w, stateProblem(err))
		return
	}
	answer(w, http.StatusOK, c)
}

func (d *door) setup(w http.ResponseWriter, r *http.Request) {
	var req Setup
	if err := decode(w, r, &req); err != nil {
		d.fail(w, err)
		return
	}
	kit, err := d.Keys.Setup(r.Context(), req)
	if err != nil {
		d.fail(w, stateProblem(err))
		return
	}
	answer(w, http.StatusCreated, kit)
}

func (d *door) unseal(w http.ResponseWriter, r *http.Request) {
	var req Unseal
	if err := decode(w, r, &req); err != nil {
		d.fail(w, err)
		return
	}
	if err := d.Keys.Unseal(r.Context(), req); err != nil {
		d.fail(w, stateProblem(err))
		return
	}
	answer(w, http.StatusOK, d.Status())
}

func (d *door) page(w http.ResponseWriter, r *http.Request) {
	t, err := d.Keys.Page(r.Context())
	if err != nil {
		d.fail(w, stateProblem(err))
		return
	}
	answer(w, http.StatusCreated, t)
}

// installer is whoever does set-up: the first person exists already, but need not have logged in.
var installer = store.Actor{Kind: "root", ID: "setup"}

type shares struct {
	Shares []string `json:"shares"`
}

// unfinished lets a request through without a login while set-up is under way, and not after.
func (d *door) unfinished(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := d.whileUnfinished(r)
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			d.fail(w, stateProblem(err))
		}
	}
}

func (d *door) whileUnfinished(r *http.Request) error {
	s := d.Store()
	if s == nil {
		return refuse(http.StatusConflict, "the box is not open: see pinward status")
	}
	var p *Progress
	err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		p, err = d.Keys.Progress(tx)
		return err
	})
	if err == nil && p == nil {
		err = refuse(http.StatusConflict, "set-up is finished already")
	}
	return err
}

func (d *door) setupDrill(w http.ResponseWriter, r *http.Request) error {
	return d.drillAs(w, r, installer)
}

func (d *door) drill(w http.ResponseWriter, r *http.Request, _ *store.Store) error {
	return stateProblem(d.drillAs(w, r, actor(r)))
}

func (d *door) drillAs(w http.ResponseWriter, r *http.Request, by store.Actor) error {
	var req shares
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := d.Keys.Drill(r.Context(), by, req.Shares); err != nil {
		return err
	}
	answer(w, http.StatusOK, d.Status())
	return nil
}

func (d *door) finish(w http.ResponseWriter, r *http.Request) error {
	if err := d.Keys.Finish(r.Context(), installer); err != nil {
		return err
	}
	answer(w, http.StatusOK, d.Status())
	return nil
}

// errShadow refuses to let a box text patients that one dead chip would take all from.
var errShadow = refuse(http.StatusConflict, "set-up is not finished, so the site stays in shadow: run pinward setup --continue")

// shadowUntilFinished guards the site's mode.
func (d *door) shadowUntilFinished(tx *store.Tx, site contact.Site) error {
	if site.Mode == contact.Shadow || d.Keys.Progress == nil {
		return nil
	}
	p, err := d.Keys.Progress(tx)
	if err == nil && p != nil {
		err = errShadow
	}
	return err
}
