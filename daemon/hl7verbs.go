package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/daemon/intake"
	"pinward/store"
)

// hl7Routes are the operator's verbs of the HL7 door: between two doors stands the program.
func (b *box) hl7Routes() []admin.Route {
	return []admin.Route{
		{Pattern: "GET /hl7/explain", May: access.Operate, Do: hl7Explain},
		{Pattern: "GET /hl7/peers", May: access.Operate, Do: b.hl7Peers},
		{Pattern: "GET /hl7/policy", May: access.StatusRead, Do: func(r *http.Request, s *store.Store, _ store.Actor) (any, error) {
			return hl7Policy(r.Context(), s)
		}},
		{Pattern: "PUT /hl7/policy", May: access.SiteWrite, Do: b.refreshed(setHL7Policy)},
		{Pattern: "POST /hl7/lint", May: access.Operate, Do: b.hl7Lint},
		{Pattern: "POST /hl7/load", May: access.SiteWrite, Do: b.hl7Load},
		{Pattern: "GET /hl7/held", May: access.Operate, Do: hl7Held},
		{Pattern: "POST /hl7/release", May: access.Operate, Do: hl7Release},
		{Pattern: "POST /hl7/drop", May: access.Operate, Do: hl7Drop},
		{Pattern: "POST /hl7/pause", May: access.Operate, Do: b.refreshed(b.hl7Pause)},
		{Pattern: "POST /hl7/living", May: access.Operate, Do: b.hl7Living},
		{Pattern: "POST /hl7/live", May: access.SiteWrite, Do: b.refreshed(b.hl7Live)},
	}
}

// refreshed makes what a verb changed hold for the next message.
func (b *box) refreshed(do func(*http.Request, *store.Store, store.Actor) (any, error)) func(*http.Request, *store.Store, store.Actor) (any, error) {
	return func(r *http.Request, s *store.Store, by store.Actor) (any, error) {
		v, err := do(r, s, by)
		if h := b.house.Load(); h != nil {
			for _, in := range h.intake {
				in.Refresh()
			}
		}
		return v, err
	}
}

// ask reads the JSON of a request strictly.
func ask(r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxPolicy))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: at byte %d: %w", admin.ErrState, dec.InputOffset(), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: at byte %d: more than one value", admin.ErrState, dec.InputOffset())
	}
	return nil
}

// maxPolicy is more than the rules of any site, and than a part of a first load.
const maxPolicy = 8 << 20

func hl7Explain(r *http.Request, s *store.Store, _ store.Actor) (any, error) {
	found := []intake.Explanation{}
	q := r.URL.Query()
	err := s.View(r.Context(), func(tx *store.Tx) error {
		list, err := intake.Explain(tx, q.Get("peer"), q.Get("id"))
		found = append(found, list...)
		return err
	})
	return found, err
}

func hl7Policy(ctx context.Context, s *store.Store) (p intake.Shown, err error) {
	err = s.View(ctx, func(tx *store.Tx) error {
		own, err := intake.PolicyOf(tx)
		p = own.Show()
		return err
	})
	return p, err
}

// setHL7Policy changes what the body names. A whole policy is applied as a file: see policy.go.
func setHL7Policy(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxPolicy))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	var shown intake.Shown
	err = s.Update(r.Context(), by, func(tx *store.Tx) error {
		p, err := intake.PolicyOf(tx)
		if err != nil {
			return err
		}
		want := p.Show()
		rules := want.Rules
		want.Rules = nil // a list is decoded over its old elements
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err := ask(r, &want); err != nil {
			return err
		}
		if want.Rules == nil {
			want.Rules = rules
		}
		p = want.Take()
		shown = p.Show()
		return intake.SetPolicy(tx, p)
	})
	if errors.Is(err, intake.ErrPolicy) {
		return nil, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	if err != nil {
		return nil, err
	}
	return shown, nil
}

func (b *box) hl7Peers(r *http.Request, s *store.Store, _ store.Actor) (any, error) {
	list := []peerLine{}
	h := b.house.Load()
	if h == nil {
		return nil, errNotOpen
	}
	err := s.View(r.Context(), func(tx *store.Tx) error {
		for _, l := range b.cfg.HL7 {
			peers, err := h.intake[l.Name].Report(tx)
			if err != nil {
				return err
			}
			for _, p := range peers {
				back, err := h.back(tx, p)
				if err != nil {
					return err
				}
				list = append(list, peerLine{p, back})
			}
		}
		return nil
	})
	return list, err
}

// peerLine is a peer of `pinward hl7 peers`, and the way back to it.
type peerLine struct {
	intake.PeerReport
	Way *backLine `json:"way_back,omitempty"`
}

// listener finds the intake that a request names; a box with one listener needs no name.
func (b *box) listener(name string) (*intake.Intake, error) {
	h := b.house.Load()
	switch {
	case h == nil:
		return nil, errNotOpen
	case name == "" && len(b.cfg.HL7) == 1:
		return h.intake[b.cfg.HL7[0].Name], nil
	case h.intake[name] == nil:
		return nil, fmt.Errorf("%w: name one of the listeners of pinward.toml", admin.ErrState)
	}
	return h.intake[name], nil
}

// fileRequest is a file of messages, or a part of one.
type fileRequest struct {
	Listener string `json:"listener"`
	File     []byte `json:"file"`
}

func (b *box) hl7Lint(r *http.Request, _ *store.Store, by store.Actor) (any, error) {
	var req fileRequest
	if err := ask(r, &req); err != nil {
		return nil, err
	}
	in, err := b.listener(req.Listener)
	if err != nil {
		return nil, err
	}
	list := []intake.Verdict{}
	for _, m := range intake.Split(req.File) {
		v, err := in.Lint(r.Context(), by, m)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: there is no message in the file (MSH at the beginning of a line)", admin.ErrState)
	}
	return list, nil
}

func (b *box) hl7Load(r *http.Request, _ *store.Store, by store.Actor) (any, error) {
	var req fileRequest
	if err := ask(r, &req); err != nil {
		return nil, err
	}
	in, err := b.listener(req.Listener)
	if err != nil {
		return nil, err
	}
	messages := intake.Split(req.File)
	if len(messages) > intake.MaxLoad {
		return nil, fmt.Errorf("%w: more than %d messages at once", admin.ErrState, intake.MaxLoad)
	}
	return in.Load(r.Context(), by, messages)
}

func hl7Held(r *http.Request, s *store.Store, _ store.Actor) (any, error) {
	list := []intake.Held{}
	err := s.View(r.Context(), func(tx *store.Tx) error {
		more, err := intake.HeldTexts(tx)
		list = append(list, more...)
		return err
	})
	return list, err
}

// heldAnswer is what became of the texts that a rule held.
type heldAnswer struct {
	Sent    int `json:"sent"`
	Dropped int `json:"dropped"`
}

func hl7Release(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	return endHeld(r, s, by, intake.Release)
}

func hl7Drop(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	return endHeld(r, s, by, func(tx *store.Tx, rule string) (int, int, int, error) {
		dropped, left, err := intake.Drop(tx, rule)
		return 0, dropped, left, err
	})
}

// endHeld goes on until nothing of the rule is left, a few texts in each transaction.
func endHeld(r *http.Request, s *store.Store, by store.Actor, do func(*store.Tx, string) (sent, dropped, left int, err error)) (any, error) {
	var req struct {
		Rule string `json:"rule"`
	}
	if err := ask(r, &req); err != nil {
		return nil, err
	}
	var all heldAnswer
	for left := 1; left > 0; {
		err := s.Update(r.Context(), by, func(tx *store.Tx) error {
			sent, dropped, more, err := do(tx, req.Rule)
			left = more
			all.Sent, all.Dropped = all.Sent+sent, all.Dropped+dropped
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (b *box) hl7Pause(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	var req struct {
		Kind string `json:"kind"` // rule or peer
		Name string `json:"name"`
		On   bool   `json:"on"`
	}
	if err := ask(r, &req); err != nil {
		return nil, err
	}
	if req.Kind == "peer" && req.On && !b.hasPeer(req.Name) {
		return nil, fmt.Errorf("%w: there is no peer of this name; pinward hl7 peers lists them", admin.ErrState)
	}
	err := s.Update(r.Context(), by, func(tx *store.Tx) error { return intake.Pause(tx, req.Kind, req.Name, req.On) })
	if errors.Is(err, intake.ErrPolicy) {
		err = fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	return req, err
}

// hasPeer tells whether a listener has a peer of this name.
func (b *box) hasPeer(name string) bool {
	h := b.house.Load()
	if h == nil {
		return false
	}
	for _, in := range h.intake {
		if slices.Contains(in.Peers(), name) {
			return true
		}
	}
	return false
}

func (b *box) hl7Living(r *http.Request, _ *store.Store, by store.Actor) (any, error) {
	var req struct {
		Listener  string `json:"listener"` // whose mode holds for the reminders that come back
		Authority string `json:"authority"`
		MRN       string `json:"mrn"`
	}
	if err := ask(r, &req); err != nil {
		return nil, err
	}
	in, err := b.listener(req.Listener)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Did []string `json:"did"`
	}
	answer.Did, err = in.Living(r.Context(), by, contact.SubjectID{Authority: req.Authority, MRN: req.MRN})
	if errors.Is(err, intake.ErrNotDead) {
		err = fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	return answer, err
}

func (b *box) hl7Live(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	var req struct {
		Listener string `json:"listener"`
		Live     bool   `json:"live"`
	}
	if err := ask(r, &req); err != nil {
		return nil, err
	}
	in, err := b.listener(req.Listener)
	if err != nil || req.Listener == "" {
		return nil, fmt.Errorf("%w: name one of the listeners of pinward.toml", admin.ErrState)
	}
	var answer struct {
		Live bool `json:"live"`
	}
	err = s.Update(r.Context(), by, func(tx *store.Tx) (err error) {
		if !req.Live {
			return in.EndLive(tx)
		}
		answer.Live, err = in.GoLive(tx)
		return err
	})
	if errors.Is(err, intake.ErrSecondPerson) {
		err = fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	return answer, err
}
