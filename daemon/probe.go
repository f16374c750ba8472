package daemon

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync"

	"pinward/daemon/admin"
	"pinward/modem"
	"pinward/modem/port"
)

// probeAtOnce bounds how many ports are asked at the same time; a silent one costs 3 s.
const probeAtOnce = 8

// probe looks for modems: behind one device, or behind every serial port of the machine that may answer
// AT commands. A port that the daemon uses is never opened, nor one that is known to be for something
// else, unless the operator named it.
func (b *box) probe(ctx context.Context, device string) ([]admin.Candidate, error) {
	devices, err := b.wiring.ports()
	if err != nil {
		return nil, err
	}
	if device != "" {
		devices = only(devices, device)
	}
	out := make([]admin.Candidate, len(devices))
	gate := make(chan struct{}, probeAtOnce)
	var asking sync.WaitGroup
	for i, d := range devices {
		out[i] = admin.Candidate{Path: d.Path, Node: d.Node, Stable: d.Stable, Use: string(d.Use), Interface: d.Interface, Product: d.Product}
		if d.VendorID != "" {
			out[i].USB = d.VendorID + ":" + d.ProductID
		}
		switch name := b.usedBy(d.Node); {
		case name != "":
			out[i].State, out[i].UsedBy = admin.PortUsed, name
		case !d.Use.MayAnswer() && device == "":
			out[i].State = admin.PortNotAsked
		default:
			asking.Go(func() {
				gate <- struct{}{}
				defer func() { <-gate }()
				b.ask(ctx, d.Path, &out[i])
			})
		}
	}
	asking.Wait()
	markDoubles(out)
	return out, ctx.Err()
}

// only is the device of that name, also one that no list has, such as a terminal of a simulator.
func only(devices []port.Device, name string) []port.Device {
	node, err := filepath.EvalSymlinks(name)
	if err != nil {
		node = name
	}
	for _, d := range devices {
		if d.Node == node || slices.Contains(d.Names, name) {
			return []port.Device{d}
		}
	}
	return []port.Device{{Path: name, Stable: node != name, Node: node, Interface: -1}}
}

// ask opens one port and looks whether a modem answers.
func (b *box) ask(ctx context.Context, path string, c *admin.Candidate) {
	found, err := modem.Probe(ctx, func(ctx context.Context) (io.ReadWriteCloser, error) {
		return b.openPort(ctx, ModemPort{Device: path})
	})
	switch {
	case err == nil:
		c.State = admin.PortModem
		c.Vendor, c.Model, c.Revision, c.Profile = found.Vendor, found.Model, found.Revision, found.Profile
		c.IMEI, c.SIM, c.SIMState, c.Voice = found.IMEI, admin.Masked(found.ICCID), found.SIM, found.Voice
	case errors.Is(err, modem.ErrNoModem):
		c.State = admin.PortSilent
	case errors.Is(err, port.ErrBusy):
		c.State = admin.PortBusy
	case errors.Is(err, port.ErrUnplugged):
		c.State = admin.PortGone
	default:
		c.State = admin.PortFailed
		b.log.Warn("probe port", "device", path, "error", err)
	}
}

// markDoubles marks all ports of a modem but the best one to configure: commands alone come before
// commands and data calls.
func markDoubles(all []admin.Candidate) {
	best := map[string]int{}
	for i, c := range all {
		j, seen := best[c.IMEI]
		switch {
		case c.State != admin.PortModem || c.IMEI == "":
		case !seen:
			best[c.IMEI] = i
		case all[j].Use != string(port.UseAT) && c.Use == string(port.UseAT):
			all[j].SameAs, best[c.IMEI] = c.Path, i
		default:
			all[i].SameAs = all[j].Path
		}
	}
}
