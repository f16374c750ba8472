package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/daemon/outbox"
	"pinward/modem"
	"pinward/store"
)

// Modems is what the program lets this door do with its modems: the loops that own them stand on the
// other side.
type Modems struct {
	// Get finds a configured modem; nil if there is none of that name.
	Get func(name string) *modem.Modem
	// List tells how each stands, in the order of the configuration.
	List func(*store.Tx) ([]Modem, error)
	// Probe looks for modems behind a device, or behind all ports that may have one.
	Probe func(ctx context.Context, device string) ([]Candidate, error)
	// Test begins a self-test of a modem: a text to another SIM or, unless it is zero, to a number, or a call to a
	// number; TestOf finds it again. The error's text is for the operator where it is ErrState.
	Test   func(tx *store.Tx, name string, to contact.Phone, call bool) (SelfTest, error)
	TestOf func(tx *store.Tx, id string) (SelfTest, bool, error)
	// Accept makes iccid the SIM that is expected in a modem.
	Accept func(tx *store.Tx, name, iccid string) error
}

// Modem is one modem as `pinward modem list` shows it. Of serial numbers it has the last four digits.
type Modem struct {
	Name     string      `json:"name"`
	Device   string      `json:"device"`
	Phase    modem.Phase `json:"phase"`
	Ready    bool        `json:"ready"`
	Since    time.Time   `json:"since"`          // when phase last changed
	Until    time.Time   `json:"until,omitzero"` // quarantined: when it is tried again
	Troubles []Trouble   `json:"troubles"`       // what somebody should see to, the root cause first
	Vendor   string      `json:"vendor,omitempty"`
	Model    string      `json:"model,omitempty"`
	Revision string      `json:"revision,omitempty"`
	Profile  string      `json:"profile"`
	IMEI     string      `json:"imei,omitempty"`
	SIM      string      `json:"sim,omitempty"`     // ICCID
	Carrier  string      `json:"carrier,omitempty"` // by the SIM's record, else the network
	Operator string      `json:"operator,omitempty"`
	Register string      `json:"registration"`
	Signal   int         `json:"signal_dbm,omitempty"` // 0 is unknown
	Voice    modem.Voice `json:"voice,omitempty"`      // how it can call: none, csfb, volte
	Audio    string      `json:"audio,omitempty"`      // its ways to play into a call, best first, as "pcm, file, tts"
	// Proven is when a call by this modem and SIM was last confirmed by a key, and ProvenWay how its sound was
	// played; zero where none was within 90 days.
	Proven    time.Time `json:"voice_proven,omitzero"`
	ProvenWay string    `json:"voice_proven_way,omitempty"`

	Storage  [2]int    `json:"storage"`      // texts kept, of how many
	PartTime float64   `json:"part_seconds"` // how long the network takes for a part, of late
	Minute   Budget    `json:"minute"`
	Day      Budget    `json:"day"`
	Test     *SelfTest `json:"test,omitempty"` // the last one of its SIM
	Figures  Figures   `json:"figures"`
}

// Budget is how many parts a SIM has sent in a span of time, and may.
type Budget struct {
	Used int `json:"used"`
	Cap  int `json:"cap,omitempty"` // 0 is none
}

// Figures count since the daemon started, but for those of the last day.
type Figures struct {
	Sent       uint64 `json:"sent"` // messages that the network took
	NotSent    uint64 `json:"not_sent"`
	Refused    uint64 `json:"refused"`
	Unknown    uint64 `json:"unknown"`
	Parts      uint64 `json:"parts"`
	Resets     int    `json:"resets"`
	Reboots    int    `json:"reboots"` // by itself
	ResetsDay  int    `json:"resets_day"`
	RebootsDay int    `json:"reboots_day"`
	Calls      int    `json:"calls"` // that came in
	Dropped    int    `json:"dropped"`
}

// Trouble is one thing that somebody should see to.
type Trouble struct {
	Name  string       `json:"name"` // short and stable, for monitors
	State health.State `json:"state"`
	Cause string       `json:"cause"`
	Next  string       `json:"next,omitempty"` // what to do about it
}

// Actions of what an operator has a modem do. Each is recorded before the modem is asked, and again,
// as failed, when it did not.
const (
	actQuery   store.Action = "modem.query"
	actReset   store.Action = "modem.reset"
	actWatch   store.Action = "modem.watch"
	actForward store.Action = "modem.forward"
)

// modemPatience bounds an order to a modem that has to wait for its line or for the network.
const modemPatience = 90 * time.Second

// named finds the modem of a request.
func (d *door) named(r *http.Request) (string, *modem.Modem, error) {
	name := r.PathValue("name")
	if m := d.Modems.Get(name); m != nil {
		return name, m, nil
	}
	return name, nil, refuse(http.StatusNotFound, "there is no modem of that name; see pinward modem list")
}

func (d *door) modems(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var list []Modem
	err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		list, err = d.Modems.List(tx)
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, list)
	}
	return err
}

// routes are what was learned of receipts, by SIM and destination prefix. A prefix is no number.
func (d *door) routes(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	list := []outbox.Route{}
	err := s.View(r.Context(), func(tx *store.Tx) error {
		all, err := outbox.Learned(tx)
		for _, route := range all {
			route.SIM = Masked(route.SIM)
			list = append(list, route)
		}
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, list)
	}
	return err
}

// order records what an operator has a modem do, does it, and records it as failed if it did.
func (d *door) order(r *http.Request, s *store.Store, name string, a store.Action, attrs []store.Attr, do func(context.Context) error) error {
	note := func(ctx context.Context, o store.Outcome, more ...store.Attr) error {
		return s.Update(ctx, actor(r), func(tx *store.Tx) error {
			return tx.Record(store.Entry{Action: a, Outcome: o, Object: "modem:" + name, Attrs: append(attrs[:len(attrs):len(attrs)], more...)})
		})
	}
	if err := note(r.Context(), store.OK); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), modemPatience)
	defer cancel()
	err := do(ctx)
	if err == nil {
		return nil
	}
	p := &problem{http.StatusBadGateway, cmp.Or(modemWords(err), pinWords(err), "the modem did not do it; pinward modem watch "+name+" shows what it said")}
	return errors.Join(p, note(context.WithoutCancel(r.Context()), store.Failed, store.Attr{Key: "cause", Value: p.text}))
}

// modemWords says in words what kept a modem from an order; "" where only its conversation tells.
func modemWords(err error) string {
	switch {
	case errors.Is(err, modem.ErrNotUp):
		return "the modem is not up; pinward modem list tells why"
	case errors.Is(err, modem.ErrForward):
		return "the network did not take the forwarding: ask the carrier whether the plan has it"
	case errors.Is(err, modem.ErrNoBalance):
		return "the network told no balance"
	case errors.Is(err, context.DeadlineExceeded):
		return "the modem did not answer in time"
	}
	return ""
}

// accept makes the SIM that is in the modem now the right one.
func (d *door) accept(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	name, m, err := d.named(r)
	if err != nil {
		return err
	}
	st := m.Status()
	switch {
	case st.ICCID == "":
		return refuse(http.StatusConflict, "the modem shows no SIM now")
	case !st.Swapped:
		return refuse(http.StatusConflict, "the SIM in it (%s) is the accepted one", Masked(st.ICCID))
	}
	if err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error { return d.Modems.Accept(tx, name, st.ICCID) }); err != nil {
		return err
	}
	m.AcceptSIM()
	answer(w, http.StatusOK, map[string]string{"sim": Masked(st.ICCID)})
	return nil
}

// Masked is a serial number as it may be shown: its last four digits.
func Masked(serial string) string {
	if len(serial) <= 4 {
		return serial
	}
	return "…" + serial[len(serial)-4:]
}
