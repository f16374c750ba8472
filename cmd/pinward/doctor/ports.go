package doctor

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	"pinward/systemd"
)

// listening finds the inodes of TCP listeners by port, from /proc/net/tcp and tcp6 (proc(5)).
func (h *Host) listening() map[int][]string {
	out := map[int][]string{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for line := range strings.Lines(h.read(file)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != "0A" { // TCP_LISTEN
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if port, err := strconv.ParseUint(hex, 16, 16); err == nil {
				out[int(port)] = append(out[int(port)], f[9])
			}
		}
	}
	return out
}

// portOf is the port of host:port, or of systemd's "8443 (Stream)" and "[::]:8443 (Stream)"; 0 if none.
func portOf(address string) int {
	address, _, _ = strings.Cut(address, " ")
	if _, p, err := net.SplitHostPort(address); err == nil {
		address = p
	}
	n, _ := strconv.Atoi(address)
	return n
}

// examinePorts looks whether somebody listens on each door, and whether it is us.
func (h *Host) examinePorts(ctx context.Context, c Config) []Finding {
	r := report{area: "port"}
	listening := h.listening()
	type door struct{ name, socket, address string }
	doors := []door{{"https", systemd.Socket, c.HTTPS.Listen}}
	for _, l := range c.HL7 {
		d := door{"hl7 " + l.Name, "", l.Listen}
		if l.Name == "mllp" {
			d.socket = systemd.HL7Socket
		}
		doors = append(doors, d)
	}
	for _, d := range doors {
		if d.socket != "" {
			if u, err := h.show(ctx, d.socket); err == nil && u["LoadState"] == "loaded" && portOf(u["Listen"]) > 0 {
				if own := portOf(u["Listen"]); own != portOf(d.address) && c.Known {
					r.add(d.name, Warn, "write the same port into both, so that nobody is misled", "%s listens on port %d, and %s says %s, which is not used", d.socket, own, c.Path, d.address)
				}
				d.address = u["Listen"]
			} else {
				d.socket = ""
			}
		}
		h.examinePort(&r, d.name, d.socket, portOf(d.address), listening)
	}
	return r.list
}

func (h *Host) examinePort(r *report, name, socket string, port int, listening map[int][]string) {
	at := strconv.Itoa(port)
	if len(listening[port]) == 0 {
		next := "run: systemctl restart pinward"
		if socket != "" {
			next = "run: systemctl start " + socket
		}
		r.add(name, Fail, next, "nobody listens on port %s", at)
		return
	}
	var who []process
	all := true
	for _, inode := range listening[port] {
		list, whole := h.holders("socket:[" + inode + "]")
		who, all = append(who, list...), all && whole
	}
	ours := slices.ContainsFunc(who, func(p process) bool { return p.name == "pinwardd" || p.name == "systemd" || p.pid == 1 })
	switch {
	case ours:
		r.ok(name, "we listen on port %s", at)
	case len(who) > 0:
		r.add(name, Fail, "end it, or move it to another port; then: systemctl restart "+orService(socket), "%s listens on port %s", names(who), at)
	case all:
		r.add(name, Warn, "see who it is: ss -ltnp sport = :"+at, "somebody listens on port %s, and no process shows it", at)
	default:
		r.add(name, Unknown, "run it as root to see by whom", "somebody listens on port %s", at)
	}
}

func orService(socket string) string {
	if socket == "" {
		return systemd.Service
	}
	return socket
}
