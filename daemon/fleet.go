package daemon

import (
	"sync/atomic"
	"time"

	"pinward/daemon/admin"
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
	case outbox.Sent:
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
	}
}

// troubles are what somebody should see to at a modem, the root cause first.
func (h *house) troubles(s *sender) []admin.Trouble {
	found := alarmTroubles(s.modem.Status())
	if why := s.wiring.spot(s.port.Name).wrong; why != "" {
		found = append([]admin.Trouble{misplaced(why)}, found...)
	}
	return found
}

// fleet tells how each modem stands.
func (h *house) fleet(tx *store.Tx) ([]admin.Modem, error) {
	all, err := outbox.Senders(tx)
	if err != nil {
		return nil, err
	}
	standing := map[string]outbox.Standing{}
	for _, s := range all {
		standing[s.Name] = s
	}
	out := []admin.Modem{}
	for _, s := range h.senders {
		out = append(out, s.describe(standing[s.port.Name], h.troubles(s)))
	}
	return out, nil
}

func (s *sender) describe(o outbox.Standing, troubles []admin.Trouble) admin.Modem {
	st := s.modem.Status()
	f := &s.figures
	return admin.Modem{
		Name: s.port.Name, Device: s.port.Device, Phase: st.Phase, Ready: st.Ready, Since: st.Since, Until: st.Until,
		Troubles: troubles,
		Vendor:   st.Vendor, Model: st.Model, Revision: st.Revision, Profile: st.Profile,
		IMEI: admin.Masked(st.IMEI), SIM: admin.Masked(st.ICCID),
		Carrier: o.Carrier, Operator: st.Operator, Register: st.Registration.String(), Signal: st.SignalDBm,
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
	ready, why := 0, ""
	for _, s := range h.senders {
		st := s.modem.Status()
		if st.Ready {
			ready++
		}
		found := h.troubles(s)
		node := health.Check{Name: s.port.Name, Ask: known(health.OK, "")}
		if len(found) > 0 {
			node.Ask = known(found[0].State, sentence(found[0]))
			if !st.Ready {
				why += "; " + s.port.Name + ": " + found[0].Cause
			}
			for _, t := range found[1:] {
				node.Children = append(node.Children, health.Check{Name: t.Name, Ask: known(t.State, sentence(t))})
			}
		}
		modems.Children = append(modems.Children, node)
	}
	if ready == 0 {
		// What stands on it is not judged any more, so the causes are named here.
		modems.Ask = known(health.Fail, "no modem can send"+why)
	}
	return modems
}

// known is the question whose answer was found before the tree is judged.
func known(s health.State, cause string) func() (health.State, string) {
	return func() (health.State, string) { return s, cause }
}
