package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/daemon/intake"
	"pinward/hl7"
	"pinward/hl7/mllp"
	"pinward/store"
)

// check tells what cannot work about a listener, each as "key: why".
func (l HL7Listener) check() (list []string) {
	bad := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if _, err := contact.ParseMode(l.Mode); err != nil {
		bad("mode: %q is none of shadow, pilot, live", l.Mode)
	}
	switch l.ACK {
	case "", "original", "enhanced":
	default:
		bad("ack: %q is neither original nor enhanced", l.ACK)
	}
	if _, err := time.LoadLocation(l.Zone); err != nil {
		bad("zone: %v", err)
	} else if l.Zone == "Local" {
		bad("zone: Local is no IANA name")
	}
	if l.MaxFrame < 0 || l.MaxFrame > hl7.MaxBytes {
		bad("max_frame: not between 0 and %d", hl7.MaxBytes)
	}
	secure, pins := l.Certificate != "" || l.Key != "", l.files().Pins
	switch {
	case (l.Certificate == "") != (l.Key == ""):
		bad("certificate: needs its key, and the key needs it")
	case secure && l.CA == "" && len(pins) == 0:
		bad("ca: TLS needs an authority or the pin of a peer to know senders by")
	case !secure && (l.CA != "" || len(pins) > 0):
		bad("certificate: is missing, and without TLS there are no certificates of peers")
	}
	for _, p := range l.Peers {
		switch {
		case p.Name == "":
			bad("peer: a name must be set")
		case len(p.Addresses)+len(p.Pins)+len(p.Subjects) == 0:
			bad("peer: %q has neither addresses nor pins nor subjects to be known by", p.Name)
		case len(p.Subjects) > 0 && (!secure || l.CA == ""):
			bad("peer: %q has a subject, which needs TLS and a ca", p.Name)
		}
		switch {
		case p.Back == "" && p.BackTLS != "":
			bad("peer: back_tls of %q needs back, the place on the relay's list", p.Name)
		case p.Back != "" && secure && p.BackTLS == "":
			bad("peer: back of %q needs back_tls, the name in its certificate, as the listener has TLS", p.Name)
		case p.BackTLS != "" && !secure:
			bad("peer: back_tls of %q needs the listener's certificate and key", p.Name)
		}
		if p.Secret != filepath.Base(p.Secret) && p.Secret != "" {
			bad("peer: secret of %q is the name of a credential, not a path", p.Name)
		}
	}
	return list
}

// secret reads the password of MSH-8; "" is none. Without its credential nobody is this peer: an error
// comes with a password that no message bears.
func (p HL7Peer) secret() (intake.Secret, error) {
	if p.Secret == "" {
		return "", nil
	}
	b, err := os.ReadFile(filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), p.Secret))
	s := strings.TrimSpace(string(b))
	if err == nil && s == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return intake.Secret(rand.Text()), fmt.Errorf("read secret of peer %s: %w", p.Name, err)
	}
	return intake.Secret(s), nil
}

// files are the credentials of a port with TLS.
func (l HL7Listener) files() mllp.Files {
	f := mllp.Files{Certificate: l.Certificate, Key: l.Key, CA: l.CA}
	for _, p := range l.Peers {
		f.Pins = append(f.Pins, p.Pins...)
	}
	return f
}

// allowed is who may connect: the listed networks and those of the peers. Without any it is loopback
// for a plain port, and everybody where TLS asks for a certificate.
func (l HL7Listener) allowed() func(netip.Addr) bool {
	list := slices.Clone(l.Allow)
	for _, p := range l.Peers {
		list = append(list, p.Addresses...)
	}
	return func(a netip.Addr) bool {
		a = a.Unmap()
		if len(list) == 0 {
			return l.Certificate != "" || a.IsLoopback()
		}
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	}
}

// intake is what the HL7 door needs to know of its listener.
func (l HL7Listener) intake(log *slog.Logger) intake.Listener {
	mode, err := contact.ParseMode(l.Mode)
	if err != nil {
		mode = contact.Shadow
	}
	zone, err := time.LoadLocation(l.Zone)
	if err != nil || l.Zone == "" {
		zone = nil // the site's
	}
	in := intake.Listener{Name: l.Name, Mode: mode, Zone: zone, ACK: l.ACK, MaxBytes: l.MaxFrame}
	for _, p := range l.Peers {
		secret, err := p.secret()
		if err != nil {
			log.Error("nobody is let in as this peer", "listener", l.Name, "error", err)
		}
		in.Peers = append(in.Peers, intake.Peer{Name: p.Name, Addresses: p.Addresses, Pins: mllp.Pins(p.Pins), Subjects: p.Subjects, Secret: secret})
	}
	return in
}

// reloadMLLP reads the certificates of the MLLP ports again, and closes connections of senders that
// are no longer believed.
func (b *box) reloadMLLP(d *doors) error {
	var errs []error
	for _, c := range b.creds {
		errs = append(errs, c.Reload())
	}
	for _, s := range d.mllp {
		s.Recheck()
	}
	if h := b.house.Load(); h != nil {
		h.dialEnginesAnew()
	}
	return errors.Join(errs...)
}

// refusedConn leaves a Security Alert of a connection that was not served.
func (b *box) refusedConn(p hl7.Peer, err error) {
	if h := b.house.Load(); h != nil {
		h.intake[p.Listener].Refused(p, err)
	}
}

// checkHL7 is what waits for a person at the HL7 door: nothing is broken, and patients do not hear.
func (h *house) checkHL7() health.Check {
	return health.Check{Name: "hl7", Ask: func() (health.State, string) {
		var t intake.Trouble
		err := h.store.View(context.Background(), func(tx *store.Tx) (err error) {
			t, err = intake.TroubleOf(tx)
			return err
		})
		switch {
		case err != nil:
			return health.Unknown, "what the rules hold cannot be read"
		case len(t.Open) > 0:
			return health.Warn, "far more texts than usual are held, of " + strings.Join(t.Open, ", ") + ": see pinward hl7 held"
		case t.Held:
			return health.Warn, "texts of a paused rule or peer are held: see pinward hl7 held"
		}
		return health.OK, ""
	}}
}

// keepCounts puts what was counted of the peers into the store.
func (h *house) keepCounts(ctx context.Context) {
	for name, in := range h.intake {
		if err := in.Keep(ctx); err != nil && ctx.Err() == nil {
			h.log.Error("keep counts", "listener", name, "error", err)
		}
	}
}
