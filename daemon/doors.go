package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"pinward/hl7"
	"pinward/hl7/mllp"
)

// doors are the listeners and the servers behind them. They are open in every state of the box.
type doors struct {
	https   *drained
	control *drained
	// endControl ends the context of every request to control.
	endControl context.CancelFunc
	mllp       []*mllp.Server
	serving    []func() error
	// asking are loops that ask whether the servers answer, as long as stopAsking has not been called.
	asking     []func(context.Context)
	stopAsking context.CancelFunc
	waiting    sync.WaitGroup
	failed     chan error // a server that ended by itself; buffered for all of them
}

// openDoors opens every listener before anything is served, so that a port that is taken is found
// at once, with its name.
func (b *box) openDoors() (*doors, error) {
	var err error
	if b.certs, err = newCertificates(b.cfg.HTTPS); err != nil {
		return nil, err
	}
	passed, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("take systemd's listeners: %w", err)
	}
	d := &doors{failed: make(chan error, 2+len(b.cfg.HL7))}
	for _, open := range []func(map[string][]net.Listener, *doors) error{b.openControl, b.openHTTPS, b.openMLLP} {
		if err := open(passed, d); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// nameHTTPS is the name of the HTTPS listener in pinward.socket.
const nameHTTPS = "https"

// listen takes systemd's listener of that name, or opens one.
func listen(passed map[string][]net.Listener, name string, a Address) (timedListener, error) {
	if l, err := timed(passed[name]); l != nil || err != nil {
		return l, err
	}
	l, err := net.Listen("tcp", a.HostPort)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", name, err)
	}
	return timed([]net.Listener{l})
}

// timed is the first of them; nil if there is none.
func timed(ls []net.Listener) (timedListener, error) {
	if len(ls) == 0 {
		return nil, nil
	}
	l, ok := ls[0].(timedListener)
	if !ok {
		return nil, fmt.Errorf("listen on %s: a socket of another kind", ls[0].Addr().Network())
	}
	return l, nil
}

// suites are those of TLS 1.2 that are offered: ECDHE with AEAD (RFC 9325, 4.2). Those of 1.3 are not chosen.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

func (b *box) openHTTPS(passed map[string][]net.Listener, d *doors) error {
	l, err := listen(passed, nameHTTPS, b.cfg.HTTPS.Listen)
	if err != nil {
		return err
	}
	d.https = newDrained(&http.Server{
		Handler:           http.HandlerFunc(b.serveHTTPS),
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites, GetCertificate: b.certs.get},
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          quietLog(b.log),
	}, newDoor(l, nil))
	d.serving = append(d.serving, func() error {
		return d.https.serve(func(l net.Listener) error { return d.https.ServeTLS(l, "", "") })
	})
	alive := b.pulses.add(nameHTTPS)
	d.asking = append(d.asking, func(ctx context.Context) { d.https.door.keepAsking(ctx, alive, true) })
	return nil
}

// nameControl is the name of the listener in pinward-control.socket, which gives it to the group
// pinward-admin: within its own namespace of users the daemon could not.
const nameControl = "control"

// openControl takes systemd's socket of `pinward`, or makes one.
func (b *box) openControl(passed map[string][]net.Listener, d *doors) error {
	l, err := timed(passed[nameControl])
	if err == nil && l == nil {
		l, err = listenControl(b.cfg.Control.Socket)
	}
	if err != nil {
		return err
	}
	ending, end := context.WithCancel(context.Background())
	d.endControl = end
	d.control = newDrained(&http.Server{
		Handler: b.controlHandler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quietLog(b.log),
		BaseContext: func(net.Listener) context.Context { return ending },
	}, newDoor(l, nil))
	d.serving = append(d.serving, func() error { return d.control.serve(d.control.Serve) })
	alive := b.pulses.add(nameControl)
	d.asking = append(d.asking, func(ctx context.Context) { d.control.door.keepAsking(ctx, alive, false) })
	return nil
}

// listenControl makes the socket where no systemd did. A file that is no socket is never removed; a
// socket that somebody answers on belongs to another daemon.
func listenControl(path string) (timedListener, error) {
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for control: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("open control socket to its group: %w", err)
	}
	return timed([]net.Listener{l})
}

func clearSocket(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at control socket: %w", err)
	}
	if fi.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("control socket: %s is a file of another kind", path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c, err := DialLocal(ctx, "unix", path); err == nil {
		c.Close()
		return fmt.Errorf("control socket: another daemon answers on %s", path)
	}
	return os.Remove(path)
}

func (b *box) openMLLP(passed map[string][]net.Listener, d *doors) error {
	for _, cfg := range b.cfg.HL7 {
		l, err := listen(passed, cfg.Name, cfg.Listen)
		if err != nil {
			return err
		}
		srv := &mllp.Server{
			Name: cfg.Name, Handler: b.mllpHandler(cfg.Name), Allow: cfg.allowed(), Log: b.log,
			Limits: mllp.Limits{MaxFrame: cfg.MaxFrame}, FormFeedEnd: cfg.FormFeedEnd, Refused: b.refusedConn,
			Zone: func() *time.Location {
				if h := b.house.Load(); h != nil {
					return h.intake[cfg.Name].Zone()
				}
				return nil
			},
		}
		if cfg.Certificate != "" {
			creds, err := mllp.NewCredentials(cfg.files())
			if err != nil {
				return fmt.Errorf("open %s: %w", cfg.Name, err)
			}
			srv.TLS, b.creds[cfg.Name] = creds.Server(), creds
		}
		d.mllp, b.ports = append(d.mllp, srv), append(b.ports, srv)
		// No question: whatever is sent there would be a message.
		accepting := newDoor(l, b.pulses.add(cfg.Name))
		d.serving = append(d.serving, func() error { return srv.Serve(context.Background(), accepting) })
	}
	return nil
}

// errNotOpen closes an HL7 connection: the engine keeps the message and sends it again.
var errNotOpen = errors.New("the box is not open")

func (b *box) mllpHandler(name string) mllp.Handler {
	return func(ctx context.Context, p hl7.Peer, frame []byte) ([]byte, error) {
		b.awaitDecided(ctx)
		h := b.house.Load()
		if h == nil {
			b.sealed.mllp.Add(1)
			return nil, errNotOpen
		}
		if h.inMaintenance() != nil {
			return nil, errMaintenance
		}
		return h.intake[name].Handle(ctx, p, frame)
	}
}

// startPatience is how long a request waits for a start that is under way. systemd keeps the ports
// open over a restart, so that nobody is refused by one: neither may the first moment after it.
const startPatience = 10 * time.Second

// awaitDecided waits until the start has found out how the box stands.
func (b *box) awaitDecided(ctx context.Context) {
	select {
	case <-b.decided:
	case <-ctx.Done():
	case <-time.After(startPatience):
	}
}

// serveHTTPS sends a request to its room: machines to the API, people to the console, and everybody
// to the plain page while the box is not open.
func (b *box) serveHTTPS(w http.ResponseWriter, r *http.Request) {
	if ownQuestion(r) {
		fmt.Fprintln(w, "ok")
		return
	}
	w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	if r.URL.Path != "/healthz" {
		b.awaitDecided(r.Context())
	}
	h := b.house.Load()
	switch {
	case h == nil:
		b.serveClosed(w, r)
	case forSetup(r.URL.Path):
		b.serveSetup(w, r)
	case b.maintain(h, w, r):
	case r.URL.Path == downtimePath:
		b.show(w, http.StatusOK, "downtime", b.downtime())
	case forMachines(r.URL.Path):
		h.api.ServeHTTP(w, r)
	default:
		h.console.ServeHTTP(w, r)
	}
}

func forMachines(path string) bool {
	for _, p := range []string{"/v1/", "/v2/", "/fhir/", "/2010-04-01/", "/healthz", "/readyz", "/metrics"} {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return path == "/v1" || path == "/v2"
}

// serve starts every server; one that ends by itself is fatal.
func (d *doors) serve() {
	asking, stop := context.WithCancel(context.Background())
	d.stopAsking = stop
	for _, ask := range d.asking {
		d.waiting.Go(func() { ask(asking) })
	}
	for _, serve := range d.serving {
		d.waiting.Go(func() {
			if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
				d.failed <- fmt.Errorf("serve: %w", err)
			}
		})
	}
}

// requestPatience is how long requests under way may go on when the daemon stops. A client that is
// slow, or wants to be, must not use up the time that what is on air needs (stopPatience).
const requestPatience = 2 * time.Second

// close lets requests under way finish and cuts off what takes too long: that is
// context.DeadlineExceeded. The control socket stays, so that `pinward status` can tell how the stop
// goes.
func (d *doors) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	errs := make([]error, len(d.mllp))
	var closing sync.WaitGroup
	for i, s := range d.mllp {
		closing.Go(func() { errs[i] = s.Shutdown(ctx) })
	}
	d.stopAsking()
	err := d.https.drain(ctx)
	closing.Wait()
	return errors.Join(append(errs, err)...)
}

func (d *doors) closeControl(ctx context.Context) error {
	d.endControl() // who watches a modem would watch for ever
	err := d.control.drain(ctx)
	d.waiting.Wait()
	return err
}
