package doctor

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"pinward/systemd"
)

// Part is one file of a bundle for support.
type Part struct {
	Name string
	Text []byte
}

// Parts collects what the machine has to tell, with addresses and names of machines as tokens: the same
// one is the same token everywhere, so that a line of the log can be held against the configuration.
func (h *Host) Parts(ctx context.Context, configPath string, m *Masker) []Part {
	var parts []Part
	add := func(name, text string) {
		parts = append(parts, Part{name, []byte(m.Mask(strings.TrimRight(text, "\n") + "\n"))})
	}
	command := func(name string, args ...string) {
		out, err := h.run(ctx, args[0], args[1:]...)
		if err != nil && out == "" {
			out = "not available: " + args[0]
		}
		add(name, out)
	}
	m.Learn(h.read(configPath))
	m.Learn(h.read(relayFile))
	add("config/pinward.toml", h.read(configPath))
	add("config/relay.toml", h.read(relayFile))
	add("system/os-release", h.read("/etc/os-release"))
	add("system/kernel", h.read("/proc/version"))
	add("system/memory", h.read("/proc/meminfo"))
	command("system/packages", "dpkg-query", "-W", "pinward*", "systemd", "modemmanager", "brltty", "usb-modeswitch", "tpm-udev")
	command("system/clock", "timedatectl", "show")
	command("system/disk", "df", "-h")
	for _, name := range systemd.Names() {
		command("units/"+name, "systemctl", "show", "--no-pager", "--property="+strings.Join(unitProperties, ","), name)
	}
	add("devices/usb", h.usbText())
	args := []string{"journalctl", "--no-pager", "--output=short-iso-precise", "--lines=5000"}
	for _, name := range systemd.Names() {
		args = append(args, "--unit="+name)
	}
	command("log/journal", args...)
	return parts
}

// usbText lists the bus without serial numbers.
func (h *Host) usbText() string {
	var b strings.Builder
	for _, d := range h.usb() {
		fmt.Fprintf(&b, "%s %s:%s %s\n", d.place, d.vendor, d.product, d.name)
	}
	return b.String()
}

// WriteBundle writes the parts as a gzipped tar with one folder, at the given time.
func WriteBundle(w io.Writer, folder string, at time.Time, parts []Part) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	var errs []error
	for _, p := range parts {
		errs = append(errs, t.WriteHeader(&tar.Header{Name: folder + "/" + p.Name, Mode: 0o600, Size: int64(len(p.Text)), ModTime: at, Format: tar.FormatPAX}))
		_, err := t.Write(p.Text)
		errs = append(errs, err)
	}
	if err := errors.Join(append(errs, t.Close(), z.Close())...); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}

// Masker replaces what a bundle may not hold. Addresses and names of machines become tokens, the same one
// for the same value; what looks like a serial or a telephone number, a password or a key is taken out.
type Masker struct {
	tokens map[string]string
	hosts  []string
	count  map[string]int
}

// NewMasker makes one that has seen nothing.
func NewMasker() *Masker { return &Masker{tokens: map[string]string{}, count: map[string]int{}} }

var (
	hostLine = regexp.MustCompile(`(?m)^\s*[A-Za-z0-9_"-]+\s*=\s*"([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)(?::\d+)?"`)
	ipv4     = regexp.MustCompile(`\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b`)
	ipv6     = regexp.MustCompile(`(?i)\b[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}\b|::[0-9a-f:]*`)
	// Telephone numbers as people write them, and runs of digits of their length or a serial number's.
	// A run within a longer word (a hash, a device) is none.
	phone = regexp.MustCompile(`\+\d[\d .()-]{6,}\d|\(\d{3}\)\s?\d{3}[ .-]?\d{4}|\b\d{3}[ .-]\d{3}[ .-]\d{4}\b|\b\d{10,20}\b`)
	// Values whose keys say that they are secret. The configuration has none; somebody's drop-in may.
	secret  = regexp.MustCompile(`(?im)^(\s*[\w."-]*(?:password|passwd|secret|token|apikey|api_key|\bpin|\bpsk)\b[\w."-]*\s*[=:]\s*).+$`)
	email   = regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}`)
	private = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`)
)

// Learn takes the names of machines from a configuration, to find them again in the log.
func (m *Masker) Learn(config string) {
	for _, f := range hostLine.FindAllStringSubmatch(config, -1) {
		if _, err := netip.ParseAddr(f[1]); err != nil && !strings.HasSuffix(f[1], ".pem") {
			m.hosts = append(m.hosts, f[1])
		}
	}
}

// LearnHost takes the name of a machine, such as this one's.
func (m *Masker) LearnHost(name string) {
	if len(name) > 2 && name != "localhost" {
		m.hosts = append(m.hosts, name)
	}
}

func (m *Masker) token(kind, value string) string {
	if t, ok := m.tokens[value]; ok {
		return t
	}
	m.count[kind]++
	t := "<" + kind + "-" + strconv.Itoa(m.count[kind]) + ">"
	m.tokens[value] = t
	return t
}

// Mask gives the text without what may not leave.
func (m *Masker) Mask(text string) string {
	text = private.ReplaceAllString(text, "<private key>")
	text = secret.ReplaceAllString(text, "${1}<secret>")
	text = email.ReplaceAllStringFunc(text, func(s string) string { return m.token("mail", s) })
	for _, host := range m.hosts {
		text = strings.ReplaceAll(text, host, m.token("host", host))
	}
	ip := func(s string) string {
		a, err := netip.ParseAddr(s)
		if err != nil || a.IsLoopback() || a.IsUnspecified() {
			return s
		}
		return m.token("address", s)
	}
	text = ipv4.ReplaceAllStringFunc(text, ip)
	text = ipv6.ReplaceAllStringFunc(text, ip)
	return phone.ReplaceAllString(text, "<number>")
}
