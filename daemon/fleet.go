package daemon

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/daemon/outbox"
	"pinward/modem"
	"pinward/store"
)

// figures count what became of the hand-overs of one sender since the daemon started.
type figures struct {
	parts, sent, notSent, refused, unknown atomic.Uint64
}

func (f *figures) count(r outbox.Result) {
	f.parts.Add(uint64(len(r.Parts)))
	switch r.Outcome {
	case outbox.Sent, outbox.Delivered, outbox.Undelivered: // the last two of a call: it reached the network
		f.sent.Add(1)
	case outbox.NotSent:
		f.notSent.Add(1)
	case outbox.Refused:
		f.refused.Add(1)
	default:
		f.unknown.Add(1)
	}
}

// sender finds the one of a configured modem, nil if there is none of that name.
func (h *house) sender(name string) *sender {
	for _, s := range h.senders {
		if s.port.Name == name {
			return s
		}
	}
	return nil
}

// modems is what the control socket may do with them.
func (b *box) modems() admin.Modems {
	return admin.Modems{
		Get: func(name string) *modem.Modem {
			if h := b.house.Load(); h != nil {
				if s := h.sender(name); s != nil {
					return s.modem
				}
			}
			return nil
		},
		List: func(tx *store.Tx) ([]admin.Modem, error) {
			if h := b.house.Load(); h != nil {
				return h.fleet(tx)
			}
			return nil, nil
		},
		Probe:  b.probe,
		Accept: acceptSIM,
		Test: func(tx *store.Tx, name string, to contact.Phone, call bool) (admin.SelfTest, error) {
			return b.house.Load().startTest(tx, name, to, call) // it has the modem, so the box is open
		},
		TestOf: findTest,
	}
}

// troubles are what somebody should see to at a modem, the root cause first: where it is, what it tells
// of itself, whether it proved itself last night, and what is known of its SIM.
func (h *house) troubles(tx *store.Tx, s *sender, o outbox.Standing) ([]admin.Trouble, error) {
	st := s.modem.Status()
	var out []admin.Trouble
	if why := s.wiring.spot(s.port.Name).wrong; why != "" {
		out = append(out, misplaced(why))
	}
	out = append(out, alarmTroubles(st)...)
	if st.Ready && o.Cause == noAnswer {
		out = append(out, admin.Trouble{Name: "no-answer", State: health.Warn, Cause: o.Cause, Next: "wait, or run: pinward modem reset " + s.port.Name})
	}
	last, ok, err := tested.Get(tx, testedKey(tx, st.ICCID))
	if err != nil {
		return nil, fmt.Errorf("read last test: %w", err)
	}
	if ok && !last.OK {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return nil, err
		}
		out = append(out, admin.Trouble{
			Name: "self-test", State: health.Warn, Cause: "self-test failed " + last.Began.In(site.Location()).Format("Jan 2 15:04") + ": " + last.Cause,
			Next: "run: pinward modem test " + s.port.Name,
		})
	}
	if t, err := balanceTrouble(tx, s); err != nil {
		return nil, err
	} else if t != nil {
		out = append(out, *t)
	}
	sims, err := outbox.SIMTroubles(tx)
	if err != nil {
		return nil, err
	}
	for _, t := range sims {
		if t.Sender == s.port.Name && t.SIM == st.ICCID {
			out = append(out, admin.Trouble{Name: string(t.Kind), State: health.Warn, Cause: t.What})
		}
	}
	return out, nil
}

// standings are the senders as the outbox sees them, by name.
func standings(tx *store.Tx) (map[string]outbox.Standing, error) {
	all, err := outbox.Senders(tx)
	out := map[string]outbox.Standing{}
	for _, s := range all {
		out[s.Name] = s
	}
	return out, err
}

// fleet tells how each modem stands.
func (h *house) fleet(tx *store.Tx) ([]admin.Modem, error) {
	standing, err := standings(tx)
	if err != nil {
		return nil, err
	}
	out := []admin.Modem{}
	for _, s := range h.senders {
		m := s.describe(standing[s.port.Name])
		if m.Troubles, err = h.troubles(tx, s, standing[s.port.Name]); err != nil {
			return nil, err
		}
		p, err := proofOf(tx, s.modem.Status())
		if err != nil {
			return nil, err
		}
		m.Proven, m.ProvenWay = p.At, p.Way
		last, ok, err := tested.Get(tx, testedKey(tx, s.modem.Status().ICCID))
		if err != nil {
			return nil, err
		}
		if ok {
			v := last.view()
			m.Test = &v
		}
		out = append(out, m)
	}
	return out, nil
}

func (s *sender) describe(o outbox.Standing) admin.Modem {
	st := s.modem.Status()
	f := &s.figures
	return admin.Modem{
		Name: s.port.Name, Device: s.port.Device, Phase: st.Phase, Ready: st.Ready, Since: st.Since, Until: st.Until,
		Vendor: st.Vendor, Model: st.Model, Revision: st.Revision, Profile: st.Profile,
		IMEI: admin.Masked(st.IMEI), SIM: admin.Masked(st.ICCID),
		Carrier: o.Carrier, Operator: st.Operator, Register: st.Registration.String(), Signal: st.SignalDBm,
		Voice: st.Voice, Audio: st.Audio,
		Storage: [2]int{st.StorageUsed, st.StorageSize}, PartTime: o.PartTime.Round(time.Millisecond).Seconds(),
		Minute: admin.Budget{Used: o.Minute, Cap: o.PerMinute}, Day: admin.Budget{Used: o.Day, Cap: o.PerDay},
		Figures: admin.Figures{
			Sent: f.sent.Load(), NotSent: f.notSent.Load(), Refused: f.refused.Load(), Unknown: f.unknown.Load(), Parts: f.parts.Load(),
			Resets: st.Resets, Reboots: st.Reboots, ResetsDay: st.ResetsDay, RebootsDay: st.RebootsDay, Calls: st.Rings, Dropped: st.Dropped,
		},
	}
}

// checkModems is the part of the health tree that stands on the store: one node for each modem, and
// below it one for each trouble beside the first. One modem that can send is enough; a dead one beside
// it is a warning.
func (h *house) checkModems() health.Check {
	modems := health.Check{Name: "modems"}
	ready, open, why := 0, 0, ""
	err := h.store.View(context.Background(), func(tx *store.Tx) error {
		standing, err := standings(tx)
		if err != nil {
			return err
		}
		for _, s := range h.senders {
			o := standing[s.port.Name]
			found, err := h.troubles(tx, s, o)
			if err != nil {
				return err
			}
			switch st := s.modem.Status(); {
			case !st.Ready && len(found) > 0:
				why += "; " + s.port.Name + ": " + found[0].Cause
			case st.Ready:
				ready++
				if o.Hindrance == "" {
					open++
				} else {
					why += "; " + s.port.Name + ": " + o.Hindrance
				}
			}
			modems.Children = append(modems.Children, checkModem(s.port.Name, found))
		}
		return nil
	})
	switch {
	case err != nil:
		modems.Ask, modems.Children = known(health.Unknown, "their records cannot be read"), nil
	case ready == 0:
		// What stands on it is not judged any more, so the causes are named here.
		modems.Ask = known(health.Fail, "no modem can send"+why)
	case open == 0:
		modems.Ask = known(health.Fail, "no modem takes a code now"+why)
	}
	return modems
}

func checkModem(name string, found []admin.Trouble) health.Check {
	node := health.Check{Name: name}
	if len(found) > 0 {
		node.Ask = known(found[0].State, sentence(found[0]))
		for _, t := range found[1:] {
			node.Children = append(node.Children, health.Check{Name: t.Name, Ask: known(t.State, sentence(t))})
		}
	}
	return node
}

// known is the question whose answer was found before the tree is judged.
func known(s health.State, cause string) func() (health.State, string) {
	return func() (health.State, string) { return s, cause }
}
