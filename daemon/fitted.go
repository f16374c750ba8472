package daemon

import (
	"fmt"
	"time"

	"pinward/modem"
	"pinward/store"
)

// Actions about which modem and which SIM stand behind a configured name. The serial numbers are in
// the sealed part of the entry.
const (
	actSIMFitted    store.Action = "sim.fitted"      // the first SIM that a modem was met with
	actSIMSwapped   store.Action = "sim.swapped"     // another SIM than the accepted one
	actSIMAccepted  store.Action = "sim.accepted"    // an operator made it the right one
	actModemFitted  store.Action = "modem.fitted"    // the first device met under a name
	actModemChanged store.Action = "modem.exchanged" // another device (IMEI) under the same name
)

// fitted is which device and which SIM belong to a configured modem. It outlives the process, so that
// a SIM which was changed while the box was off is noticed as well.
type fitted struct {
	IMEI string
	SIM  string // ICCID, of the first SIM met or of the last one accepted
	// Told is the ICCID of the swap that has its entry, "" while the right SIM is in: a restart with
	// the same wrong SIM is no second swap.
	Told  string
	Since time.Time
}

var fittings = store.NewTable[fitted]("modem.fitted")

func fittedOf(tx *store.Tx, name string) (fitted, error) {
	f, _, err := fittings.Get(tx, []byte(name))
	if err != nil {
		return fitted{}, fmt.Errorf("read fitted SIM: %w", err)
	}
	return f, nil
}

func fit(tx *store.Tx, name string, f fitted, e store.Entry) error {
	f.Since = tx.Now()
	if err := fittings.Put(tx, []byte(name), f); err != nil {
		return fmt.Errorf("keep fitted SIM: %w", err)
	}
	e.Outcome, e.Object = store.OK, "modem:"+name
	return tx.Record(e)
}

// news reports whether the modem is one, or has a SIM, that this name has not had before. A SIM that
// took the place of another is not news here: Event.Swap tells of it.
func (f fitted) news(st modem.Status) bool {
	return st.IMEI != "" && st.IMEI != f.IMEI || st.ICCID != "" && f.SIM == ""
}

// meet keeps what a modem shows of itself for the first time.
func meet(tx *store.Tx, name string, st modem.Status) (fitted, error) {
	f, err := fittedOf(tx, name)
	if err != nil {
		return f, err
	}
	if st.ICCID != "" && f.SIM == "" {
		f.SIM = st.ICCID
		if err := fit(tx, name, f, store.Entry{Action: actSIMFitted, Attrs: []store.Attr{{Key: "sim", Value: f.SIM}}}); err != nil {
			return f, err
		}
	}
	if st.IMEI != "" && st.IMEI != f.IMEI {
		was := f.IMEI
		f.IMEI = st.IMEI
		e := store.Entry{Action: actModemFitted, Attrs: []store.Attr{{Key: "imei", Value: f.IMEI}, {Key: "model", Value: st.Model}}}
		if was != "" {
			e.Action = actModemChanged
			e.Attrs = append(e.Attrs, store.Attr{Key: "imei_before", Value: was})
		}
		if err := fit(tx, name, f, e); err != nil {
			return f, err
		}
	}
	return f, nil
}

// swapped records once that another SIM is in a modem.
func swapped(tx *store.Tx, name string, s modem.Swap) error {
	f, err := fittedOf(tx, name)
	if err != nil || f.Told == s.New {
		return err
	}
	f.Told = s.New
	attrs := []store.Attr{{Key: "sim", Value: s.New}, {Key: "sim_before", Value: s.Old}}
	return fit(tx, name, f, store.Entry{Action: actSIMSwapped, Attrs: attrs})
}

// acceptSIM makes the SIM that is in a modem now the right one.
func acceptSIM(tx *store.Tx, name, iccid string) error {
	f, err := fittedOf(tx, name)
	if err != nil {
		return err
	}
	was := f.SIM
	f.SIM, f.Told = iccid, ""
	attrs := []store.Attr{{Key: "sim", Value: iccid}, {Key: "sim_before", Value: was}}
	return fit(tx, name, f, store.Entry{Action: actSIMAccepted, Attrs: attrs})
}
