package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pinward/systemd"
)

// accessFile is the drop-in that `pinward access` owns, in the folder of each socket. Other drop-ins are
// the administrator's, and are not touched.
const accessFile = "50-pinward-access.conf"

const accessHead = "# Written by pinward access; change it by that command.\n[Socket]\n"

// Doors are the sockets whose lists pinward access keeps, by the flag that names them.
var Doors = map[string]string{"https": systemd.Socket, "hl7": systemd.HL7Socket}

// Granted is one network that may connect to a socket.
type Granted struct {
	Socket  string `json:"socket"`
	Network string `json:"network"`
	File    string `json:"file"`
	Ours    bool   `json:"ours"` // pinward access wrote it and can remove it
}

// Change is what was done to a drop-in.
type Change struct {
	File    string   `json:"file"`
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	After   []string `json:"after"` // the lines of the drop-in now; none: it is gone
	Advice  []string `json:"advice,omitempty"`
}

// widest is the shortest prefix that may be let in by command: what is let in is also what a daemon that
// was taken over could reach (the list is the boundary of its sockets, both ways).
func widest(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 8
	}
	return 32
}

// ParseNetwork reads what the operator typed: an address or a network in canonical form.
func ParseNetwork(s string) (netip.Prefix, error) {
	p, err := parsePrefix(s)
	switch {
	case err != nil:
		return p, err
	case p != p.Masked():
		return p, fmt.Errorf("%s has bits behind its mask: did you mean %s?", p, p.Masked())
	case p.Bits() < widest(p):
		return p, fmt.Errorf("%s is far more than one hospital: name its own networks", p)
	case p.Addr().IsLoopback():
		return p, fmt.Errorf("%s is this machine, which may connect already", p)
	}
	return p, nil
}

func (h *Host) accessPath(socket string) string {
	return filepath.Join("/etc/systemd/system", socket+".d", accessFile)
}

// granted reads our own drop-in of a socket.
func (h *Host) granted(socket string) (list []string, err error) {
	b, err := os.ReadFile(h.path(h.accessPath(socket)))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read drop-in: %w", err)
	}
	for _, s := range settings(string(b)) {
		if s.key == "IPAddressAllow" {
			list = append(list, strings.Fields(s.value)...)
		}
	}
	return list, nil
}

// Allow lets a network connect to a socket, and has systemd read it, which holds at once.
func (h *Host) Allow(ctx context.Context, configPath, socket string, p netip.Prefix) (Change, error) {
	list, err := h.granted(socket)
	if err != nil {
		return Change{}, err
	}
	ch := Change{File: h.accessPath(socket), Advice: h.advice(ctx, configPath, socket, p)}
	if slices.Contains(list, p.String()) {
		ch.After = list
		return ch, h.reload(ctx) // systemd may not have read it the last time
	}
	ch.Added, ch.After = []string{p.String()}, append(list, p.String())
	return ch, h.keep(ctx, socket, ch.After)
}

// Remove takes back what Allow let in.
func (h *Host) Remove(ctx context.Context, socket string, p netip.Prefix) (Change, error) {
	list, err := h.granted(socket)
	if err != nil {
		return Change{}, err
	}
	ch := Change{File: h.accessPath(socket)}
	if !slices.Contains(list, p.String()) {
		if err := h.reload(ctx); err != nil { // systemd may hold what the drop-in no longer says
			return ch, err
		}
		return ch, fmt.Errorf("%s is not in %s; pinward access list shows where it comes from", p, ch.File)
	}
	ch.Removed = []string{p.String()}
	ch.After = slices.DeleteFunc(list, func(s string) bool { return s == p.String() })
	return ch, h.keep(ctx, socket, ch.After)
}

// keep writes the drop-in whole, beside the old one first: if we crash here, one of the two holds.
func (h *Host) keep(ctx context.Context, socket string, list []string) error {
	path := h.path(h.accessPath(socket))
	if len(list) == 0 {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove drop-in: %w", err)
		}
		return h.reload(ctx)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write drop-in: %w", err)
	}
	text := accessHead
	for _, n := range list {
		text += "IPAddressAllow=" + n + "\n"
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".pinward-access-")
	if err != nil {
		return fmt.Errorf("write drop-in: %w", err)
	}
	defer os.Remove(f.Name()) // it has its name by then, or is not wanted
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write drop-in: %w", err)
	}
	return h.reload(ctx)
}

func (h *Host) reload(ctx context.Context) error {
	if _, err := h.run(ctx, "systemctl", "daemon-reload"); err != nil {
		return fmt.Errorf("the drop-in is written, and systemd did not read it: run: systemctl daemon-reload: %w", err)
	}
	return nil
}

// advice is what the network still needs to be heard.
func (h *Host) advice(ctx context.Context, configPath, socket string, p netip.Prefix) (list []string) {
	if p.Bits() < p.Addr().BitLen() && socket == systemd.HL7Socket {
		list = append(list, "plain MLLP carries patient data: name each engine by its own address where you can")
	}
	if p.Addr().Is4() && p.Bits() < 16 || p.Addr().Is6() && p.Bits() < 48 {
		list = append(list, "this is a wide network: the list is also what the box could reach if it were taken over")
	}
	c, _ := h.examineConfig(ctx, configPath)
	if socket != systemd.HL7Socket || !c.Known {
		return list
	}
	for _, l := range c.HL7 {
		var probe report
		if h.fromListener(&probe, c, l, p.Addr()); Worst(probe.list) != OK {
			list = append(list, fmt.Sprintf("the listener %s has a list of its own: add %q to its allow in %s, then: systemctl restart pinward", l.Name, p, c.Path))
		}
	}
	return list
}

// Access lists who may connect to which socket, and where that is written.
func (h *Host) Access(ctx context.Context) ([]Granted, error) {
	list := []Granted{}
	for _, socket := range []string{systemd.Socket, systemd.HL7Socket} {
		u, err := h.show(ctx, socket)
		if err != nil {
			return nil, fmt.Errorf("ask systemd for %s: %w", socket, err)
		}
		last := ""
		for _, s := range h.addresses(u).allow {
			if s.word+s.file != last { // a word such as localhost is two networks
				list = append(list, Granted{socket, s.word, s.file, s.file == h.accessPath(socket)})
			}
			last = s.word + s.file
		}
	}
	return list, nil
}
