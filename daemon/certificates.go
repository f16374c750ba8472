package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pinward/daemon/health"
)

const (
	certificateSoon  = 30 * 24 * time.Hour // what is left when health begins to warn, as the alert rules do
	certificateLooks = time.Minute         // how often health reads the files
)

// certificates are read from their files, and read again on reload without a connection lost.
type certificates struct {
	from atomic.Pointer[HTTPS] // the files that they were read from
	pair atomic.Pointer[tls.Certificate]

	mu     sync.Mutex // guards what health found last
	looked time.Time  // zero: look now
	state  health.State
	words  string
}

func newCertificates(c HTTPS) (*certificates, error) {
	certs := &certificates{}
	return certs, certs.load(c)
}

func (c *certificates) load(files HTTPS) error {
	pair, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	c.pair.Store(&pair)
	c.from.Store(&files)
	return nil
}

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil }

// lookAgain has health read the files anew: a reload has just done so.
func (c *certificates) lookAgain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked = time.Time{}
}

// checkCertificates warns before portals and engines find out: of what runs out, and of files that work only for as long as
// nobody restarts the daemon.
func (b *box) checkCertificates() health.Check {
	return health.Check{Name: "certificates", Ask: func() (health.State, string) {
		c, now := b.certs, time.Now()
		if c == nil || c.from.Load() == nil { // no doors, as in tests of what is behind them
			return health.OK, ""
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if since := now.Sub(c.looked); since < 0 || since >= certificateLooks {
			c.state, c.words = b.inForce().judgeCertificates(c.pair.Load().Leaf.NotAfter, now)
			c.looked = now
		}
		return c.state, c.words
	}}
}

// inForce is the configuration with the files of HTTPS that a reload may have named.
func (b *box) inForce() Config {
	c := b.cfg
	if b.certs != nil && b.certs.from.Load() != nil {
		c.HTTPS = *b.certs.from.Load()
	}
	return c
}

// judgeCertificates looks at each certificate file of the configuration. served is when the one that HTTPS shows runs out.
func (c Config) judgeCertificates(served, now time.Time) (state health.State, words string) {
	var said []string
	say := func(s health.State, format string, args ...any) {
		state = max(state, s)
		said = append(said, fmt.Sprintf(format, args...))
	}
	runsOut := func(name string, at time.Time, over health.State, next string) {
		switch day := at.UTC().Format(time.DateOnly); {
		case !at.After(now):
			say(over, "%s ran out on %s: %s", name, day, next)
		case at.Sub(now) < certificateSoon:
			say(health.Warn, "%s runs out on %s: %s", name, day, next)
		}
	}
	for _, f := range c.certificateFiles() {
		at, err := f.load()
		if err != nil {
			say(health.Warn, "%s: %s; pinward doctor, as root, says why", f.place, f.unusable())
			continue
		}
		switch {
		case f.ca:
			runsOut(f.place, at, health.Warn, "get the new one from those who run that server")
		case f.place == "https" && at.After(served):
			runsOut("the certificate that https shows", served, health.Fail, "its file holds a newer one, run: systemctl reload pinward")
			runsOut("the file of https", at, health.Warn, "get a new one, then: systemctl reload pinward")
		default:
			runsOut(f.place, at, health.Fail, "get a new one, then: systemctl reload pinward")
		}
	}
	return state, strings.Join(said, "; ")
}

// CheckCertificates loads what the configuration names, as a start would: a start that cannot ends at once. Whether the
// daemon's user may read the files is not known to root, who asks.
func (c Config) CheckCertificates() error {
	var errs []error
	for _, f := range c.certificateFiles() {
		if _, err := f.load(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.place, err))
		}
	}
	return errors.Join(errs...)
}

// certificateFile is a PEM file of the configuration: a certificate of our own with its key, or the authorities of a peer.
type certificateFile struct {
	named
	key string
	ca  bool
}

func (c Config) certificateFiles() (list []certificateFile) {
	keys := map[string]string{}
	for _, n := range c.valuesOf("key") {
		keys[n.place] = n.value
	}
	for _, n := range c.valuesOf("certificate") {
		list = append(list, certificateFile{named: n, key: keys[n.place]})
	}
	for _, n := range c.valuesOf("ca") {
		n.place += " ca"
		list = append(list, certificateFile{named: n, ca: true})
	}
	return list
}

// load tells when the file runs out, if it can be used: a key has to be there, and of this certificate. Of authorities that is the last
// of them: whoever trades one has both in the file for a while, and a bundle has always one that is about to run out.
func (f certificateFile) load() (at time.Time, err error) {
	at, last, err := expiryOf(f.value)
	if err != nil {
		return at, err
	}
	if f.ca {
		return last, nil
	}
	if err := regular(f.key); err != nil {
		return at, fmt.Errorf("read key: %w", err)
	}
	if _, err := tls.LoadX509KeyPair(f.value, f.key); err != nil {
		return at, fmt.Errorf("load certificate: %w", err)
	}
	return at, nil
}

// unusable is what health says of files that cannot be loaded. Ports keep what they loaded; who is dialled is dialled by what
// the file holds then.
func (f certificateFile) unusable() string {
	switch {
	case f.ca:
		return "its file holds no certificate that can be read"
	case f.place == "https" || strings.HasPrefix(f.place, "hl7"):
		return "its files cannot be loaded: what is in use stays until a restart, and that would fail"
	}
	return "its files cannot be loaded"
}
