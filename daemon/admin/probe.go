package admin

import (
	"context"
	"errors"
	"net/http"

	"pinward/modem"
	"pinward/store"
)

// Candidate is a serial port that may have a modem behind it.
type Candidate struct {
	Path      string    `json:"path"` // the name to configure
	Stable    bool      `json:"stable"`
	Node      string    `json:"node"`
	USB       string    `json:"usb,omitempty"` // vendor:product
	Product   string    `json:"product,omitempty"`
	Interface int       `json:"interface"`     // bInterfaceNumber, -1 unknown
	Use       string    `json:"use,omitempty"` // what the interface is known to be for
	State     PortState `json:"state"`
	UsedBy    string    `json:"used_by,omitempty"` // the configured modem that has it
	SameAs    string    `json:"same_as,omitempty"` // the better port of the same modem

	// Of a modem that answered; the IMEI is whole, because it may be configured.
	Vendor   string `json:"vendor,omitempty"`
	Model    string `json:"model,omitempty"`
	Revision string `json:"revision,omitempty"`
	Profile  string `json:"profile,omitempty"`
	IMEI     string `json:"imei,omitempty"`
	SIM      string `json:"sim,omitempty"`
	SIMState string `json:"sim_state,omitempty"` // READY, SIM PIN, ...
	Voice    bool   `json:"voice,omitempty"`
}

// PortState is what a probe found.
type PortState string

// The states of a port.
const (
	PortModem    PortState = "modem"     // one answers
	PortSilent   PortState = "no modem"  // nothing answers AT there
	PortUsed     PortState = "in use"    // by this daemon; not touched
	PortBusy     PortState = "busy"      // another program has it
	PortNotAsked PortState = "not asked" // its interface is known to be for something else
	PortGone     PortState = "gone"      // there is no such device
	PortFailed   PortState = "failed"    // it cannot be opened; the daemon's log says why
)

const actProbe store.Action = "modem.probe"

// probing is what a probe is asked for.
type probing struct {
	Device string `json:"device"` // "": every port that may have a modem
}

// look probes for a box that is empty: its configuration is written before its set-up, and there is no audit yet.
func (d *door) look(w http.ResponseWriter, r *http.Request) error {
	var req probing
	if err := decode(w, r, &req); err != nil {
		return err
	}
	found, err := d.Modems.Probe(r.Context(), req.Device)
	if err == nil {
		answer(w, http.StatusOK, found)
	}
	return err
}

// probe looks for modems. It writes to ports, so it is an entry.
func (d *door) probe(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var req probing
	if err := decode(w, r, &req); err != nil {
		return err
	}
	device := req.Device
	if device == "" {
		device = "all"
	}
	if err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: actProbe, Outcome: store.OK, Attrs: []store.Attr{{Key: "device", Value: device}}})
	}); err != nil {
		return err
	}
	found, err := d.Modems.Probe(r.Context(), req.Device)
	if err == nil {
		answer(w, http.StatusOK, found)
	}
	return err
}

const actPIN store.Action = "modem.pin"

// pin gives a SIM the PIN that a person typed. It is used once and kept nowhere.
func (d *door) pin(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	name, m, err := d.named(r)
	if err != nil {
		return err
	}
	var req struct {
		PIN string `json:"pin"`
	}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if !digits(req.PIN, 4, 8) {
		return refuse(http.StatusBadRequest, "a PIN is 4 to 8 digits")
	}
	err = d.order(r, s, name, actPIN, nil, func(ctx context.Context) error { return m.EnterPIN(ctx, req.PIN) })
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// pinWords says what became of a PIN, "" if the error is not about one.
func pinWords(err error) string {
	if p, ok := errors.AsType[*modem.PINError](err); ok {
		return p.Error()
	}
	if errors.Is(err, modem.ErrNoPINWanted) {
		return modem.ErrNoPINWanted.Error()
	}
	return ""
}

func digits(s string, least, most int) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(s) >= least && len(s) <= most
}
