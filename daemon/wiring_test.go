package daemon

import (
	"context"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"pinward/daemon/admin"
	"pinward/modem/modemsim"
	"pinward/modem/port"
)

// bus puts modems behind devices: what a machine with a hub shows.
type bus map[string]*modemsim.Modem

func (b bus) list() (out []port.Device, err error) {
	for path := range b {
		out = append(out, port.Device{Path: path, Stable: true, Node: path, VendorID: "2c7c", ProductID: "0125", Interface: 2, Use: port.UseAT})
	}
	slices.SortFunc(out, func(a, b port.Device) int { return len(a.Path) - len(b.Path) })
	return out, nil
}

func (b bus) open(_ context.Context, p ModemPort) (io.ReadWriteCloser, error) {
	m := b[p.Device]
	if m == nil {
		return nil, port.ErrUnplugged
	}
	return m.Pipe()
}

// onBus begins anew with the flow's modems behind /usb1, /usb22, ... and their IMEIs configured.
func (f *flow) onBus() bus {
	f.close()
	b := bus{}
	for i, m := range f.modems {
		path := []string{"/usb1", "/usb22", "/usb333"}[i]
		b[path] = m
		f.box.cfg.Modems[i].Device, f.box.cfg.Modems[i].IMEI = path, m.IMEI()
	}
	f.box.openPort, f.box.wiring.list = b.open, b.list
	f.open()
	f.waitReady()
	return b
}

func (f *flow) imei(modem int) string { return f.senders[modem].modem.Status().IMEI }

// Reference 3: a modem that returns under another name is the same modem, known by its IMEI.
func TestFlowModemReturnsUnderAnotherName(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		b := f.onBus()
		m := b["/usb1"]
		delete(b, "/usb1")
		f.must(m.SetFaults(modemsim.Faults{Unplugged: true}))
		f.until("it is gone", time.Minute, func() bool { return !f.status().Ready })
		f.must(m.SetFaults(modemsim.Faults{}))
		b["/usb22"] = m
		f.until("it is back", 3*time.Minute, func() bool { return f.status().Ready })
		if at := f.box.wiring.spot("m1").node; at != "/usb22" {
			t.Errorf("it is open at %q", at)
		}
		if f.status().Swapped || len(f.entries(actModemChanged)) != 0 || len(f.entries(actSIMSwapped)) != 0 {
			t.Error("it counts as another modem, or its SIM as another one")
		}
	})
}

// Two sticks that were plugged in crosswise keep their names: IMEI and not the socket says who is who.
func TestFlowModemsPluggedInCrosswise(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		b := f.onBus()
		first, second := f.imei(0), f.imei(1)
		f.close()
		b["/usb1"], b["/usb22"] = b["/usb22"], b["/usb1"]
		f.open()
		f.until("both are back", 5*time.Minute, func() bool {
			return f.senders[0].modem.Status().Ready && f.senders[1].modem.Status().Ready
		})
		if f.imei(0) != first || f.imei(1) != second {
			t.Error("the names did not follow the modems")
		}
	})
}

// Another modem at the port of one that is configured by IMEI is not taken for it, and health says so.
func TestFlowWrongModemAtThePort(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		b := f.onBus()
		f.close()
		spare, err := f.network.AddModem(modemsim.ModemOptions{Name: "spare"})
		f.must(err)
		b["/usb1"] = spare
		f.open()
		f.until("it is noticed", time.Minute, func() bool { return slices.Contains(f.troubles(), "misplaced") })
		if f.status().Ready {
			t.Error("a modem with another IMEI is used")
		}
		if got := f.troubles()[0]; got != "misplaced" {
			t.Errorf("the root cause is %s", got)
		}
	})
}

// pinward modem probe opens no port that the daemon uses, nor one that is for something else.
func TestFlowProbe(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		b := f.onBus()
		spare, err := f.network.AddModem(modemsim.ModemOptions{Name: "spare", Profile: "ec25"})
		f.must(err)
		b["/usb22"], b["/usb333"], b["/usb4444"] = spare, nil, nil
		f.box.wiring.list = func() ([]port.Device, error) {
			all, err := b.list()
			all[2].Use, all[2].Interface = port.UseDiag, 0
			return all, err
		}
		var opened []string
		var asking sync.Mutex // several ports are asked at once
		f.box.openPort = func(ctx context.Context, p ModemPort) (io.ReadWriteCloser, error) {
			asking.Lock()
			opened = append(opened, p.Device)
			asking.Unlock()
			if b[p.Device] == nil { // no modem: it swallows what is written and says nothing
				return silence(), nil
			}
			return b.open(ctx, p)
		}
		f.box.cfg.Modems[0].IMEI = ""
		found, err := f.box.probe(f.t.Context(), "")
		f.must(err)
		var states []admin.PortState
		for _, c := range found {
			states = append(states, c.State)
		}
		if want := []admin.PortState{admin.PortUsed, admin.PortModem, admin.PortNotAsked, admin.PortSilent}; !slices.Equal(states, want) {
			t.Fatalf("states are %v, want %v", states, want)
		}
		if found[0].UsedBy != "m1" || found[1].IMEI != spare.IMEI() || found[1].Profile != "quectel-ec25" {
			t.Errorf("found %+v", found[:2])
		}
		if slices.Sort(opened); !slices.Equal(opened, []string{"/usb22", "/usb4444"}) {
			t.Errorf("opened %v", opened)
		}
	})
}

// silence is a port behind which nothing answers.
func silence() io.ReadWriteCloser {
	r, w := io.Pipe()
	return struct {
		io.Reader
		io.Writer
		io.Closer
	}{r, io.Discard, w}
}
