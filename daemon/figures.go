package daemon

import (
	"context"

	"pinward/daemon/admin"
	"pinward/daemon/api"
	"pinward/store"
)

// figures are what /metrics shows of the modems: what the control socket lists, without its words.
func (h *house) figures() []api.ModemFigures {
	var all []admin.Modem
	if err := h.store.View(context.Background(), func(tx *store.Tx) (err error) {
		all, err = h.fleet(tx)
		return err
	}); err != nil {
		h.log.Error("read figures of modems", "error", err)
		return nil
	}
	var out []api.ModemFigures
	for _, m := range all {
		f := api.ModemFigures{
			Name: m.Name, SignalDBm: m.Signal, PartSeconds: m.PartTime,
			MinuteUsed: m.Minute.Used, MinuteCap: m.Minute.Cap, DayUsed: m.Day.Used, DayCap: m.Day.Cap,
			Sent: m.Figures.Sent, NotSent: m.Figures.NotSent, Refused: m.Figures.Refused, Unknown: m.Figures.Unknown, Parts: m.Figures.Parts,
			Resets: m.Figures.Resets, Reboots: m.Figures.Reboots, Calls: m.Figures.Calls, SelfTest: -1,
		}
		if m.Test != nil {
			f.SelfTest = 0
			if m.Test.OK {
				f.SelfTest = 1
			}
		}
		for _, t := range m.Troubles {
			f.Troubles = append(f.Troubles, t.Name)
		}
		out = append(out, f)
	}
	return out
}
