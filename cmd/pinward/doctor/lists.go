package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"pinward/systemd"
)

// source is one line of a unit file that lets addresses in or keeps them out.
type source struct {
	prefix netip.Prefix
	word   string // as it was written
	file   string
}

// addresses are the lists of a unit: systemd lets in what Allow has, keeps out what Deny has, and lets
// in the rest (systemd.resource-control(5)).
type addresses struct{ allow, deny []source }

// words are the names that systemd knows for networks.
var words = map[string][]string{
	"any":        {"0.0.0.0/0", "::/0"},
	"localhost":  {"127.0.0.0/8", "::1/128"},
	"link-local": {"169.254.0.0/16", "fe80::/64"},
	"multicast":  {"224.0.0.0/4", "ff00::/8"},
}

// parseList reads a value of IPAddressAllow= or IPAddressDeny=.
func parseList(value, file string) (list []source) {
	for _, w := range strings.Fields(value) {
		nets, named := words[w]
		if !named {
			nets = []string{w}
		}
		for _, n := range nets {
			if p, err := parsePrefix(n); err == nil {
				list = append(list, source{p, w, file})
			}
		}
	}
	return list
}

// parsePrefix reads a network, or one address as a network of its own.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network", s)
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network", s)
	}
	return p, nil
}

// addresses reads the lists of a unit from its file and its drop-ins, in systemd's order; where these
// cannot be read, as systemd tells them.
func (h *Host) addresses(u unit) (a addresses) {
	section := strings.TrimPrefix(strings.ToLower(suffix(u["FragmentPath"])), ".")
	read := false
	for _, file := range append([]string{u["FragmentPath"]}, u.dropIns()...) {
		text := h.read(file)
		read = read || text != ""
		for _, s := range settings(text) {
			if !strings.EqualFold(s.section, section) {
				continue
			}
			list := &a.allow
			switch s.key {
			case "IPAddressAllow":
			case "IPAddressDeny":
				list = &a.deny
			default:
				continue
			}
			if s.value == "" { // an empty assignment ends the list so far
				*list = nil
			}
			*list = append(*list, parseList(s.value, file)...)
		}
	}
	if !read {
		a.allow, a.deny = parseList(u["IPAddressAllow"], "systemd"), parseList(u["IPAddressDeny"], "systemd")
	}
	return a
}

func suffix(path string) string {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return ""
	}
	return path[i:]
}

func find(list []source, ip netip.Addr) (source, bool) {
	for _, s := range list {
		if s.prefix.Contains(ip) {
			return s, true
		}
	}
	return source{}, false
}

// judge says whether an address gets in, and which line decides.
func (a addresses) judge(ip netip.Addr) (in bool, why string) {
	if s, ok := find(a.allow, ip); ok {
		return true, fmt.Sprintf("IPAddressAllow=%s in %s", s.word, s.file)
	}
	if s, ok := find(a.deny, ip); ok {
		return false, fmt.Sprintf("no IPAddressAllow= has it, and IPAddressDeny=%s in %s drops it without an answer", s.word, s.file)
	}
	return true, "no list names it, and nothing is denied"
}

// examineAccess says who may connect: too few is what people call a silent drop, everybody is a mistake.
func (h *Host) examineAccess(ctx context.Context, c Config) []Finding {
	r := report{area: "access"}
	for _, name := range []string{systemd.Socket, systemd.HL7Socket} {
		u, err := h.show(ctx, name)
		if err != nil || u["LoadState"] != "loaded" {
			continue // examineUnits has told
		}
		a := h.addresses(u)
		var networks []string
		everybody := len(a.deny) == 0
		for _, s := range a.allow {
			everybody = everybody || s.prefix.Bits() == 0
			if !s.prefix.Addr().IsLoopback() && (len(networks) == 0 || networks[len(networks)-1] != s.word) {
				networks = append(networks, s.word)
			}
		}
		flag := " --https"
		if name == systemd.HL7Socket {
			flag = " --hl7"
		}
		switch {
		case everybody:
			r.add(name, Warn, "name the hospital's networks: pinward access allow CIDR"+flag+", and take the line away that lets all in", "every address may connect")
		case len(networks) == 0:
			r.add(name, Warn, "run: pinward access allow CIDR"+flag, "only this machine may connect: all others get no answer at all")
		default:
			r.ok(name, "may connect: %s", strings.Join(networks, ", "))
		}
	}
	for _, l := range c.HL7 {
		if len(l.Allow) == 0 && l.Certificate == "" && len(l.Peer) == 0 {
			r.add("hl7 "+l.Name, Warn, "name the engines in allow of [[hl7]] in "+c.Path+", then: systemctl restart pinward", "only this machine may send")
		}
	}
	return r.list
}

// From says for each door whether an address gets in, and if not, which list drops it.
func (h *Host) From(ctx context.Context, configPath string, ip netip.Addr) []Finding {
	ip = ip.Unmap()
	c, list := h.examineConfig(ctx, configPath)
	r := report{area: "from"}
	if !c.Known {
		r.list = list
	}
	for _, name := range []string{systemd.Socket, systemd.HL7Socket} {
		flag := "--https"
		if name == systemd.HL7Socket {
			flag = "--hl7"
		}
		u, err := h.show(ctx, name)
		switch {
		case err != nil || u["LoadState"] == "":
			r.add(name, Unknown, "", "systemd does not answer; where it has no list, nothing is dropped here")
			continue
		case u["LoadState"] != "loaded":
			r.add(name, Fail, "install the package, or run: pinward service install", "is not installed: nobody listens for it")
			continue
		case u["ActiveState"] != "active":
			r.add(name, Fail, "run: systemctl start "+name, "does not listen (%s)", u["ActiveState"])
		}
		if in, why := h.addresses(u).judge(ip); in {
			r.ok(name, "lets %s in: %s", ip, why)
		} else {
			r.add(name, Fail, fmt.Sprintf("run: pinward access allow %s %s", netip.PrefixFrom(ip, ip.BitLen()), flag), "drops %s: %s", ip, why)
		}
	}
	for _, l := range c.HL7 {
		h.fromListener(&r, c, l, ip)
	}
	if Worst(r.list) == OK {
		r.ok("beyond", "all lists of the box let it in; if it still gets no answer, look at the firewall of this machine (nft list ruleset) and of the network between")
	}
	return r.list
}

// fromListener judges the daemon's own list of an MLLP port, which closes the connection at once.
func (h *Host) fromListener(r *report, c Config, l Listener, ip netip.Addr) {
	name := "hl7 " + l.Name
	for _, p := range l.Allow {
		if p.Contains(ip) {
			r.ok(name, "allow = %s in %s lets it send", p, c.Path)
			return
		}
	}
	peers := false
	for _, peer := range l.Peer {
		for _, p := range peer.Addresses {
			peers = true
			if p.Contains(ip) {
				r.ok(name, "it is peer %s (%s)", peer.Name, p)
				return
			}
		}
	}
	switch {
	case len(l.Allow) == 0 && !peers && l.Certificate != "":
		r.ok(name, "lets every address try: its certificate decides")
	case len(l.Allow) == 0 && !peers && ip.IsLoopback():
		r.ok(name, "lets this machine send")
	default:
		r.add(name, Fail, fmt.Sprintf("add %q to allow of [[hl7]] %s in %s, then: systemctl restart pinward", netip.PrefixFrom(ip, ip.BitLen()), l.Name, c.Path),
			"closes the connection of %s: it is in neither allow nor the addresses of a peer", ip)
	}
}
