package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/outbox"
	"pinward/modem"
	"pinward/store"
)

// Actions at the end of a box.
const (
	actDecommission store.Action = "decommission.begun"
	actEmptied      store.Action = "decommission.modem"
	actExported     store.Action = "decommission.exported"
	actCertified    store.Action = "decommission.certified"
)

// ending is how far the end of the box has come. Until it is certified it can be left as it is: nothing is sent, nothing is
// destroyed.
type ending struct {
	At       time.Time `json:"at"`
	By       []string  `json:"by"` // the two persons
	Reason   string    `json:"reason"`
	NoExport string    `json:"no_export,omitempty"` // why no audit is exported
	KeepTPM  string    `json:"keep_tpm,omitempty"`  // why the TPM is not cleared
	Since    uint64    `json:"since"`               // entries of the log when it began

	Emptied  []emptied `json:"emptied,omitempty"`
	Spares   []emptied `json:"spares,omitempty"`   // SIMs on record that no modem showed
	Exported uint64    `json:"exported,omitempty"` // entries in the bundle that was seen to verify
}

// emptied is what was done with one modem and the SIM in it.
type emptied struct {
	Modem   string    `json:"modem,omitempty"`   // "" for a SIM that is in none
	SIM     string    `json:"sim,omitempty"`     // its last four digits; "" if the modem showed none
	Carrier string    `json:"carrier,omitempty"` // with whom the contract is to be ended
	At      time.Time `json:"at,omitzero"`
	Storage string    `json:"storage,omitempty"`
	Forward string    `json:"forward,omitempty"`
}

var endings = store.NewTable[ending]("daemon.decommission")

var endingKey = []byte("decommission")

func endingOf(tx *store.Tx) (ending, bool, error) {
	e, ok, err := endings.Get(tx, endingKey)
	if err != nil {
		return e, false, fmt.Errorf("read decommission: %w", err)
	}
	return e, ok, nil
}

// decommissionOrder is what each of the two persons says.
type decommissionOrder struct {
	Box      string `json:"box"` // typed, so that nobody ends the wrong one
	Reason   string `json:"reason"`
	NoExport string `json:"no_export,omitempty"`
	KeepTPM  string `json:"keep_tpm,omitempty"`
}

func (o decommissionOrder) check(box string) error {
	if o.Box != box {
		return fmt.Errorf("%w: this box is not the one that was named", admin.ErrState)
	}
	for what, reason := range map[string]string{"a decommission": o.Reason, "going without an export": o.NoExport, "leaving the TPM as it is": o.KeepTPM} {
		if (reason != "" || what == "a decommission") && (len(strings.TrimSpace(reason)) < 10 || len(reason) > 400) {
			return fmt.Errorf("%w: %s needs a reason that an auditor understands (10 to 400 characters)", admin.ErrState, what)
		}
	}
	return nil
}

// decommissionStatus is what `pinward decommission` goes by.
type decommissionStatus struct {
	Waits bool   `json:"waits"` // for the second person
	Box   string `json:"box"`
	ending
}

// beginDecommission counts the word of one of two persons; with the second nothing more is sent.
func (b *box) beginDecommission(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	var o decommissionOrder
	if err := decodeStrictly(r, &o); err != nil {
		return nil, err
	}
	if err := o.check(b.cfg.Box.ID); err != nil {
		return nil, err
	}
	if _, _, _, err := b.sealedKeys(); err != nil {
		return nil, err // before anything is stopped: this box has nothing that could be destroyed
	}
	st := decommissionStatus{Box: b.cfg.Box.ID}
	err := s.Update(r.Context(), by, func(tx *store.Tx) error {
		e, begun, err := endingOf(tx)
		if err != nil || begun {
			st.ending = e
			return err
		}
		first, err := access.Asked(tx, whatDecommission(o))
		if err != nil {
			return err
		}
		agreed, err := access.Agree(tx, whatDecommission(o))
		if errors.Is(err, access.ErrSecondPerson) {
			return fmt.Errorf("%w: you asked for this: another person has to say the same", admin.ErrState)
		}
		if st.Waits = !agreed; err != nil || st.Waits {
			return err
		}
		e = ending{At: tx.Now(), By: []string{first, by.ID}, Reason: o.Reason, NoExport: o.NoExport, KeepTPM: o.KeepTPM, Since: s.Stats().Entries}
		for l := outbox.OTP; l <= outbox.Bulk; l++ {
			if err := outbox.Pause(tx, l); err != nil {
				return err
			}
		}
		st.ending = e
		return keepEnding(tx, e, actDecommission, []store.Attr{{Key: "reason", Value: o.Reason}, {Key: "no_export", Value: o.NoExport}, {Key: "keep_tpm", Value: o.KeepTPM}})
	})
	return st, err
}

// whatDecommission is what the two agree to: the same reasons, word for word.
func whatDecommission(o decommissionOrder) string {
	return "decommission: " + o.Reason + "|" + o.NoExport + "|" + o.KeepTPM
}

func keepEnding(tx *store.Tx, e ending, act store.Action, attrs []store.Attr) error {
	if err := endings.Put(tx, endingKey, e); err != nil {
		return fmt.Errorf("keep decommission: %w", err)
	}
	attrs = slices.DeleteFunc(attrs, func(a store.Attr) bool { return a.Value == "" })
	return tx.Record(store.Entry{Action: act, Outcome: store.OK, Attrs: attrs})
}

// begun is a decommission that two persons have begun.
func (b *box) begun(ctx context.Context, s *store.Store) (h *house, e ending, err error) {
	if h, err = b.opened(); err != nil {
		return nil, e, err
	}
	var ok bool
	err = s.View(ctx, func(tx *store.Tx) (err error) { e, ok, err = endingOf(tx); return err })
	if err == nil && !ok {
		err = fmt.Errorf("%w: no decommission was begun", admin.ErrState)
	}
	return h, e, err
}

// emptyModems deletes the texts of every modem and ends its forwarding. A modem that is not there is told on the
// certificate: somebody has to see to its SIM by hand, and so it is with a SIM that is on record and in no modem. It may be
// done again; what was done last counts.
func (b *box) emptyModems(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	h, e, err := b.begun(r.Context(), s)
	if err != nil {
		return nil, err
	}
	done, seen := make([]emptied, len(h.senders)), make([]string, len(h.senders))
	var working sync.WaitGroup
	for i, snd := range h.senders {
		working.Go(func() {
			ctx, cancel := context.WithTimeout(r.Context(), 90*time.Second)
			defer cancel()
			done[i], seen[i] = h.empty(ctx, snd)
		})
	}
	working.Wait()
	err = s.Update(r.Context(), by, func(tx *store.Tx) (err error) {
		if e, _, err = endingOf(tx); err != nil { // meanwhile the audit may have been exported
			return err
		}
		sims, err := outbox.SIMs(tx)
		if err != nil {
			return err
		}
		e.Emptied, e.Spares = done, nil
		var attrs []store.Attr
		for _, d := range done {
			attrs = append(attrs, store.Attr{Key: d.Modem, Value: d.Storage + "; forwarding " + d.Forward})
		}
		for _, sim := range sims {
			if !slices.Contains(seen, sim.ICCID) {
				e.Spares = append(e.Spares, emptied{SIM: admin.Masked(sim.ICCID), Carrier: sim.Carrier})
			}
		}
		return keepEnding(tx, e, actEmptied, attrs)
	})
	return e, err
}

// comingUp is how long a modem that is being started is waited for: the box itself may have started just now.
const comingUp = time.Minute

// empty empties one modem, and tells what came of it and which SIM it was.
func (h *house) empty(ctx context.Context, snd *sender) (done emptied, iccid string) {
	for end := time.Now().Add(comingUp); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		if p := snd.modem.Status().Phase; p != modem.PhaseStarting && p != modem.PhaseRegistering {
			break
		}
	}
	st := snd.modem.Status()
	done = emptied{Modem: snd.port.Name, Carrier: st.Operator, Storage: "emptied", Forward: "ended"}
	if st.ICCID != "" {
		done.SIM = admin.Masked(st.ICCID)
	}
	if err := snd.modem.Empty(ctx); err != nil {
		h.log.Warn("empty modem", "modem", snd.port.Name, "error", err)
		done.Storage = "NOT EMPTIED: see to its SIM by hand"
	}
	if err := snd.modem.Forward(ctx, ""); err != nil {
		h.log.Warn("end forwarding", "modem", snd.port.Name, "error", err)
		done.Forward = "NOT ENDED: ask the carrier"
	}
	done.At = time.Now().UTC()
	return done, st.ICCID
}

// noteExport takes the operator's word that a bundle of the audit was written and seen to verify: so many entries.
func (b *box) noteExport(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	var req struct {
		Entries uint64 `json:"entries"`
	}
	if err := decodeStrictly(r, &req); err != nil {
		return nil, err
	}
	_, e, err := b.begun(r.Context(), s)
	switch {
	case err != nil:
		return nil, err
	case req.Entries <= e.Since || req.Entries > s.Stats().Entries:
		return nil, fmt.Errorf("%w: the bundle does not reach to the decommission: export it again", admin.ErrState)
	}
	return e, s.Update(r.Context(), by, func(tx *store.Tx) (err error) {
		if e, _, err = endingOf(tx); err != nil { // meanwhile the modems may have been emptied
			return err
		}
		e.Exported = req.Entries
		return keepEnding(tx, e, actExported, []store.Attr{{Key: "entries", Value: fmt.Sprint(req.Entries)}})
	})
}

// decommissionRoutes are the steps of `pinward decommission`, in their order.
func (b *box) decommissionRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "POST /decommission", May: access.SiteWrite, Do: b.beginDecommission},
		{Pattern: "POST /decommission/modems", May: access.SiteWrite, Do: b.emptyModems},
		{Pattern: "POST /decommission/exported", May: access.SiteWrite, Do: b.noteExport},
		{Pattern: "POST /decommission/end", May: access.SiteWrite, Do: b.endBox},
	}
}
