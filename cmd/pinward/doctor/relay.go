package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"pinward/systemd"
)

// relayFile is the list of the relay.
const relayFile = "/etc/pinward/relay.toml"

// wanted are the names that the configuration dials by the relay, and for what.
func (c Config) wanted() map[string]string {
	out := map[string]string{}
	c.tables(func(name string, t map[string]any) {
		for _, key := range []string{"relay", "back"} {
			if target, ok := t[key].(string); ok && target != "" {
				out[target] = name
			}
		}
	})
	return out
}

// examineRelay holds the names that are wanted against the relay's list and the addresses that its unit
// lets out. Whether somebody answers there, the daemon finds out by dialling.
func (h *Host) examineRelay(ctx context.Context, c Config) []Finding {
	r := report{area: "relay"}
	wanted := c.wanted()
	var list struct{ Dial map[string]string }
	b, err := os.ReadFile(h.path(relayFile))
	if err == nil {
		err = toml.Unmarshal(b, &list)
	}
	switch {
	case len(wanted) == 0 && (err != nil || len(list.Dial) == 0):
		return nil // nothing goes out, and nothing wants to
	case errors.Is(err, os.ErrNotExist):
		r.add(relayFile, Fail, "install the package's, and name the addresses in it", "the relay has no list, and the box wants to dial by it")
		return r.list
	case err != nil:
		r.add(relayFile, Fail, "run: pinward-relay -check", "the relay's list cannot be read")
		return r.list
	}
	for name, purpose := range wanted {
		if _, ok := list.Dial[name]; !ok {
			r.add(name, Fail, "add "+name+" = \"host:port\" to [dial] in "+relayFile+", then: systemctl restart "+systemd.RelayService, "%s dials it, and the relay's list has no such name", purpose)
		}
	}
	u, err := h.show(ctx, systemd.RelayService)
	if err != nil || u["LoadState"] != "loaded" {
		return sorted(r.list)
	}
	lists := h.addresses(u)
	for name, address := range list.Dial {
		h.examineTarget(ctx, &r, name, address, lists)
	}
	return sorted(r.list)
}

func sorted(list []Finding) []Finding {
	slices.SortFunc(list, func(a, b Finding) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// examineTarget resolves one address of the relay's list, as the relay does, and judges it by the unit's.
func (h *Host) examineTarget(ctx context.Context, r *report, name, address string, lists addresses) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		r.add(name, Fail, "write it as host:port in "+relayFile, "its address is none")
		return
	}
	ips := []string{host}
	if _, err := netip.ParseAddr(host); err != nil {
		lookup := h.LookupHost
		if lookup == nil {
			lookup = net.DefaultResolver.LookupHost
		}
		if ips, err = lookup(ctx, host); err != nil {
			r.add(name, Fail, "look at the name, and at the name servers of this machine; the relay's unit has to let them through as well", "%s cannot be resolved", host)
			return
		}
	}
	for _, s := range ips {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			continue
		}
		if in, why := lists.judge(ip.Unmap()); !in {
			r.add(name, Fail, "add IPAddressAllow="+s+" to a drop-in of "+systemd.RelayService+" (systemctl edit "+systemd.RelayService+"), then restart it", "what is sent to %s is dropped: %s", address, why)
			return
		}
	}
	r.ok(name, "the relay may dial %s", address)
}
