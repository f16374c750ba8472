package daemon

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"pinward/daemon/admin"
	"pinward/modem/port"
)

// wiring is where the modems were found. Ports are configured by path; a modem with a configured IMEI
// is itself wherever it is plugged in.
type wiring struct {
	list func() ([]port.Device, error) // nil: the machine's own

	mu     sync.Mutex
	spots  map[string]spot // by modem
	asking map[string]bool // nodes that are being asked who is behind them
}

// spot is where one modem is.
type spot struct {
	node  string // that it has open; "" while it has none
	wrong string // why it is not at its port, in words
	// asked are the ports that were asked for it when it was not at its own, and when.
	asked   string
	askedAt time.Time
}

// searchAgain is when ports that did not have the modem are asked once more.
const searchAgain = 10 * time.Minute

func (w *wiring) ports() ([]port.Device, error) {
	if w.list != nil {
		return w.list()
	}
	return port.List(port.Roots{})
}

func (w *wiring) spot(name string) spot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.spots[name]
}

func (w *wiring) change(name string, f func(*spot)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.spots == nil {
		w.spots = map[string]spot{}
	}
	s := w.spots[name]
	f(&s)
	w.spots[name] = s
}

// claim waits until nobody else asks at a node.
func (w *wiring) claim(ctx context.Context, node string) (release func(), err error) {
	for {
		w.mu.Lock()
		if !w.asking[node] {
			if w.asking == nil {
				w.asking = map[string]bool{}
			}
			w.asking[node] = true
			w.mu.Unlock()
			return func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				delete(w.asking, node)
			}, nil
		}
		w.mu.Unlock()
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// held is an open port that is its modem's until it is closed.
type held struct {
	io.ReadWriteCloser
	release func()
}

// Close implements io.Closer.
func (h held) Close() error {
	h.release()
	return h.ReadWriteCloser.Close()
}

// usedBy names the modem that a node belongs to: the one that has it open, or is configured for it.
func (b *box) usedBy(node string) string {
	if name := b.openedBy(node); name != "" {
		return name
	}
	for _, p := range b.cfg.Modems {
		if b.wiring.spot(p.Name).node == "" && nodeOf(p.Device) == node {
			return p.Name
		}
	}
	return ""
}

// openedBy names the modem that has a node open.
func (b *box) openedBy(node string) string {
	for _, p := range b.cfg.Modems {
		if b.wiring.spot(p.Name).node == node {
			return p.Name
		}
	}
	return ""
}

// nodeOf follows a stable name to what it leads to now.
func nodeOf(path string) string {
	if node, err := filepath.EvalSymlinks(path); err == nil {
		return node
	}
	return path
}

// openModem opens the port of a modem: the configured one, and if an IMEI is configured, whichever port
// that modem is behind now.
func (b *box) openModem(ctx context.Context, p ModemPort) (io.ReadWriteCloser, error) {
	if p.IMEI == "" {
		return b.openAt(ctx, p, p.Device)
	}
	own, err := b.atHome(ctx, p)
	if err != nil {
		return nil, err
	}
	if own.State == admin.PortModem && own.IMEI == p.IMEI || own.State == admin.PortBusy {
		return b.openAt(ctx, p, p.Device) // a busy one says so
	}
	device, err := b.seek(ctx, p)
	switch {
	case err != nil:
		return nil, err
	case device != "":
		b.log.Info("modem is behind another port", "modem", p.Name, "device", device)
		return b.openAt(ctx, p, device)
	case own.State == admin.PortModem, own.State == admin.PortUsed:
		b.wiring.change(p.Name, func(s *spot) { s.wrong = "another modem than the configured one (by its IMEI) is at its port" })
		return nil, fmt.Errorf("find modem: another one is at its port: %w", port.ErrUnplugged)
	}
	// It may be silent where it is: the reset ladder is for that.
	return b.openAt(ctx, p, p.Device)
}

// atHome asks the configured port of a modem who is behind it.
func (b *box) atHome(ctx context.Context, p ModemPort) (c admin.Candidate, err error) {
	return c, b.askFor(ctx, p.Device, &c)
}

// askFor asks one port, unless a modem was found there, one at a time.
func (b *box) askFor(ctx context.Context, path string, c *admin.Candidate) error {
	node := nodeOf(path)
	release, err := b.wiring.claim(ctx, node)
	if err != nil {
		return err
	}
	defer release()
	if b.openedBy(node) != "" {
		c.State = admin.PortUsed
		return nil
	}
	b.ask(ctx, path, c)
	return ctx.Err()
}

func (b *box) openAt(ctx context.Context, p ModemPort, device string) (io.ReadWriteCloser, error) {
	rw, err := b.openPort(ctx, ModemPort{Name: p.Name, Device: device})
	if err != nil {
		return nil, err
	}
	b.wiring.change(p.Name, func(s *spot) { *s = spot{node: nodeOf(device)} })
	return held{rw, func() { b.wiring.change(p.Name, func(s *spot) { s.node = "" }) }}, nil
}

// openAudio opens the PCM port of a modem that has its AT port open, for one call.
func (b *box) openAudio(ctx context.Context, p ModemPort) (io.ReadWriteCloser, error) {
	device := p.Audio
	if device == "" {
		devices, err := b.wiring.ports()
		if err != nil {
			return nil, err
		}
		if device = port.AudioOf(devices, b.wiring.spot(p.Name).node); device == "" {
			return nil, fmt.Errorf("find audio port: none is known beside the modem's: %w", port.ErrUnplugged)
		}
	}
	return port.OpenAudio(ctx, device)
}

// seek finds the port behind which a modem of that IMEI answers now, "" if none. It asks only ports of
// known modem makers that nobody uses, and the same ones not more often than every ten minutes: there
// may be other things on the bus, which a stray AT could disturb.
func (b *box) seek(ctx context.Context, p ModemPort) (device string, err error) {
	devices, err := b.wiring.ports()
	if err != nil {
		return "", err
	}
	var free []string
	for _, d := range devices {
		if (d.Use == port.UseAT || d.Use == port.UseATModem) && !b.taken(p, d.Node) {
			free = append(free, d.Path)
		}
	}
	asked, last := strings.Join(free, " "), b.wiring.spot(p.Name)
	if last.asked == asked && time.Since(last.askedAt) < searchAgain {
		return "", nil
	}
	b.wiring.change(p.Name, func(s *spot) { s.asked, s.askedAt = asked, time.Now() })
	for _, path := range free {
		var c admin.Candidate
		if err := b.askFor(ctx, path, &c); err != nil {
			return "", err
		}
		if c.IMEI == p.IMEI {
			return path, nil
		}
	}
	return "", nil
}

// taken tells whether a node is no place to look for a modem: it is the modem's own, which was asked;
// another one has it open; or one takes whatever is there, as it has no IMEI configured.
func (b *box) taken(p ModemPort, node string) bool {
	for _, other := range b.cfg.Modems {
		if nodeOf(other.Device) == node && (other.Name == p.Name || other.IMEI == "") {
			return true
		}
	}
	return b.openedBy(node) != ""
}
