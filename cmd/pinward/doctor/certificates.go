package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"time"
)

// When a certificate that runs out is told of.
const (
	certSoon = 30 * 24 * time.Hour
	certNow  = 7 * 24 * time.Hour
)

// certFile is a file of the configuration with certificates in it.
type certFile struct{ name, path, key string }

func (c Config) certificates() (list []certFile) {
	c.tables(func(name string, t map[string]any) {
		if path, ok := t["certificate"].(string); ok && path != "" {
			key, _ := t["key"].(string)
			list = append(list, certFile{name, path, key})
		}
		if path, ok := t["ca"].(string); ok && path != "" {
			list = append(list, certFile{name + " ca", path, ""})
		}
	})
	return list
}

// examineCertificates looks at each certificate of the configuration: there, readable by the daemon, of its
// key, and for how long.
func (h *Host) examineCertificates(_ context.Context, c Config) []Finding {
	r := report{area: "certificate"}
	for _, f := range c.certificates() {
		h.examineCertificate(&r, f)
	}
	return r.list
}

const afterwards = ", then: systemctl reload pinward"

func (h *Host) examineCertificate(r *report, f certFile) {
	b, err := os.ReadFile(h.path(f.path))
	switch {
	case errors.Is(err, os.ErrNotExist):
		r.add(f.name, Fail, "put the certificate there"+afterwards, "%s is not there", f.path)
		return
	case err != nil:
		state, next := needRoot(err)
		r.add(f.name, state, next, "%s cannot be read", f.path)
		return
	}
	first, last, n := (*x509.Certificate)(nil), (*x509.Certificate)(nil), 0
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			r.add(f.name, Fail, "put the certificate there anew"+afterwards, "%s holds a certificate that cannot be read", f.path)
			return
		}
		if n++; first == nil {
			first = cert
		}
		if last == nil || cert.NotAfter.Before(last.NotAfter) {
			last = cert // the one that runs out first decides
		}
	}
	if first == nil {
		r.add(f.name, Fail, "put a certificate in PEM form there"+afterwards, "%s holds no certificate", f.path)
		return
	}
	before := len(r.list)
	h.examineKey(r, f, b)
	left := last.NotAfter.Sub(h.now())
	day := last.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case first.NotBefore.After(h.now()):
		r.add(f.name, Fail, "look at the clock, or get another certificate"+afterwards, "it holds from %s on only", first.NotBefore.UTC().Format(time.DateOnly))
	case left <= 0:
		r.add(f.name, Fail, "get a new one"+afterwards, "it ran out on %s", day)
	case left < certNow:
		r.add(f.name, Fail, "get a new one now"+afterwards, "it runs out on %s", day)
	case left < certSoon:
		r.add(f.name, Warn, "get a new one"+afterwards, "it runs out on %s", day)
	}
	if len(r.list) == before {
		r.ok(f.name, "%s, until %s", strings.TrimPrefix(strings.Join(first.DNSNames, " ")+" ", " "), day)
		if len(first.DNSNames) == 0 {
			r.list[len(r.list)-1].What = "until " + day
		}
	}
}

// examineKey looks whether the key is the certificate's, readable by the daemon, and by nobody else.
func (h *Host) examineKey(r *report, f certFile, cert []byte) {
	if f.key == "" {
		return
	}
	fi, err := os.Stat(h.path(f.key))
	if errors.Is(err, os.ErrNotExist) {
		r.add(f.name, Fail, "put its key there"+afterwards, "%s is not there", f.key)
		return
	}
	if err == nil && fi.Mode().Perm()&0o007 != 0 {
		r.add(f.name, Fail, "run: chmod 0640 "+f.key+" && chgrp pinward "+f.key, "every user of this machine may read its key")
	}
	if a, ok := h.account("pinward"); ok && err == nil {
		if may, how := h.mayUse(a, fi, 4); !may {
			r.add(f.name, Fail, "run: chgrp pinward "+f.key+" && chmod 0640 "+f.key, "the daemon may not read its key (%s)", how)
		}
	}
	key, err := os.ReadFile(h.path(f.key))
	if err != nil {
		return // who may read it was judged; its contents only root sees
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		r.add(f.name, Fail, "put the two there that belong together"+afterwards, "its key is of another certificate, or cannot be read")
	}
}
