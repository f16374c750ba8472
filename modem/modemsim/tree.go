package modemsim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// PortKind is what one interface of a device is for.
type PortKind string

// The kinds of ports, by what a host meets there.
const (
	PortAT    PortKind = "at"    // the interpreter, with everything
	PortModem PortKind = "modem" // a second interpreter, for PPP: it answers questions of identity and state, and refuses the rest
	PortDiag  PortKind = "diag"  // binary noise, no answer
	PortNMEA  PortKind = "nmea"  // sentences of a receiver without a fix, no answer
	PortAudio PortKind = "audio" // the PCM of a call, both ways; nothing while there is none
)

// chatter is how often a port says something of itself.
const chatter = time.Second

// tree is a device's place in a folder that looks like /dev.
type tree struct {
	dir   string
	hub   int // port of the hub that it is plugged into
	links map[string]string
	side  []*sidePort
}

// sidePort is a port beside the interpreter's.
type sidePort struct {
	kind    PortKind
	slave   *os.File
	session *session
	talk    *entry
	line    []byte
	silent  bool // ATE0
}

// Tree lays the modem out in dir as Linux does in /dev: a ttyUSB for each of its ports, in the order of their kind of device, and
// beside it serial/by-path and serial/by-id. It returns the by-path name of the port of the interpreter. A modem that was unplugged
// comes back under other ttyUSB numbers and the same path; two of one kind share one by-id name, and the last one has it.
func (m *Modem) Tree(dir string) (string, error) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	switch {
	case m.network.closed:
		return "", errors.New("lay out device: the network is closed")
	case m.tty != nil:
		return "", errors.New("lay out device: the modem has a terminal already")
	case m.out():
		return "", errors.New("lay out device: the modem is unplugged")
	}
	for _, sub := range []string{"by-path", "by-id"} {
		if err := os.MkdirAll(filepath.Join(dir, "serial", sub), 0o755); err != nil {
			return "", fmt.Errorf("lay out device: %w", err)
		}
	}
	hub := 1
	for _, other := range m.network.modems {
		if other.tree != nil {
			hub++
		}
	}
	m.tree, m.tty = &tree{dir: dir, hub: hub}, &terminal{}
	if err := m.offerTTY(); err != nil {
		m.tree, m.tty = nil, nil
		return "", err
	}
	for number, kind := range m.profile.ports {
		if kind == PortAT {
			return filepath.Join(dir, "serial", "by-path", m.tree.path(number)), nil
		}
	}
	return "", errors.New("lay out device: it has no AT port")
}

// path is the by-path name of an interface.
func (t *tree) path(number int) string {
	return fmt.Sprintf("pci-0000:00:14.0-usb-0:1.%d:1.%d-port0", t.hub, number)
}

// offerTree names the ports, and opens those beside the interpreter's.
func (m *Modem) offerTree() error {
	t := m.tree
	if t == nil {
		return nil
	}
	t.links, t.side = map[string]string{}, nil
	for number, kind := range m.profile.ports {
		m.network.lastTTY++
		tty := fmt.Sprintf("ttyUSB%d", m.network.lastTTY-1)
		if kind == PortAT {
			m.tty.link = filepath.Join(t.dir, tty)
		} else if err := m.openSide(kind, filepath.Join(t.dir, tty)); err != nil {
			return errors.Join(err, m.withdrawTree())
		}
		id := strings.ReplaceAll(fmt.Sprintf("usb-%s_%s-if%02d-port0", m.profile.manufacturer, m.profile.model, number), " ", "_")
		for _, link := range []string{filepath.Join("by-path", t.path(number)), filepath.Join("by-id", id)} {
			if err := t.point(filepath.Join(t.dir, "serial", link), "../../"+tty); err != nil {
				return errors.Join(err, m.withdrawTree())
			}
		}
	}
	return nil
}

func (t *tree) point(link, target string) error {
	if err := pointLink(link, target); err != nil {
		return err
	}
	t.links[link] = target
	return nil
}

// withdrawTree closes the ports beside the interpreter's and takes all names away.
func (m *Modem) withdrawTree() error {
	t := m.tree
	if t == nil {
		return nil
	}
	var errs []error
	for _, p := range t.side {
		p.talk.cancel()
		p.session.end()
		errs = append(errs, p.slave.Close())
	}
	for link, target := range t.links {
		if now, err := os.Readlink(link); err == nil && now == target {
			errs = append(errs, os.Remove(link))
		}
	}
	t.links, t.side, m.audio = map[string]string{}, nil, nil
	return errors.Join(errs...)
}

// openSide opens a port beside the interpreter's behind link.
func (m *Modem) openSide(kind PortKind, link string) error {
	master, slave, err := openPair()
	if err != nil {
		return err
	}
	if err := m.tree.point(link, slave.Name()); err != nil {
		return errors.Join(err, master.Close(), slave.Close())
	}
	p := &sidePort{kind: kind, slave: slave}
	p.session = &session{modem: m, side: p, rw: master, quit: make(chan struct{}), wake: make(chan struct{}, 1)}
	m.network.sessions.Go(p.session.read)
	m.network.sessions.Go(p.session.write)
	m.tree.side = append(m.tree.side, p)
	if kind == PortAudio || kind == PortNMEA && m.profile.manufacturer == "Quectel" {
		m.audio = p
	}
	switch kind {
	case PortDiag:
		m.repeat(&p.talk, chatter, func() { p.say(noise(m.rng)) })
	case PortNMEA:
		m.repeat(&p.talk, chatter, func() {
			if !strings.Contains(m.set.vendor["+QGPSCFG"], "none") {
				p.say("$GPGSV,1,1,00*79\r\n$GPRMC,,V,,,,,,,,,,N*53\r\n")
			}
		})
	}
	return nil
}

// say drops what nobody reads, as a terminal with a small buffer does.
func (p *sidePort) say(text string) {
	p.session.mu.Lock()
	unread := p.session.size
	p.session.mu.Unlock()
	if unread < 4096 {
		p.session.say([]byte(text), 0, 0)
	}
}

// heard takes what the host wrote. The caller holds the world's lock.
func (p *sidePort) heard(m *Modem, b []byte, at time.Time) {
	if p == m.audio {
		m.heardAudio(b, at)
		return
	}
	if p.kind != PortModem || m.booting {
		return
	}
	for _, c := range b {
		if !p.silent {
			p.say(string([]byte{c}))
		}
		switch {
		case c != '\r' && c != '\n':
			if p.line = append(p.line, c); len(p.line) > maxLine {
				p.line = nil
			}
		case len(p.line) > 0:
			line := string(p.line)
			p.line = nil
			p.run(m, line)
		}
	}
}

// run answers one command line.
func (p *sidePort) run(m *Modem, line string) {
	at := prefixAT(line)
	if at < 0 {
		return
	}
	commands, valid := parseLine(line[at+2:])
	r := ok()
	for _, c := range commands {
		if r = p.answer(m, c); r.final != "OK" {
			break
		}
		for _, info := range r.info {
			p.say("\r\n" + info + "\r\n")
		}
	}
	if !valid {
		r = reply{final: "ERROR"}
	}
	p.say("\r\n" + r.final + "\r\n")
}

func (p *sidePort) answer(m *Modem, c command) reply {
	switch c.name {
	case "E":
		p.silent = c.args != "1"
		return ok()
	case "I", "+GMI", "+CGMI", "+GMM", "+CGMM", "+GMR", "+CGMR", "+GSN", "+CGSN":
		return m.execute(c)
	case "+CPIN", "+CREG", "+CEREG", "+COPS", "+CSQ":
		if c.op == '?' || c.op == 0 {
			return m.execute(c)
		}
	}
	return m.unsupported()
}
