package daemon

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"
)

// reload reads the configuration, the certificates and the recordings again. No connection is lost. A configuration that is wrong
// is refused as a whole and told: what was in force stays. It runs on work's goroutine.
func (b *box) reload(d *doors) {
	b.notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, monotonicMicros()))
	b.lately.Store(nil)
	if next, err := b.readAgain(); err != nil {
		b.log.Error("reload refused: the old configuration stays in use", "error", err)
		b.came("; the last reload was refused: see the log")
	} else {
		b.reloadFiles(d, next.HTTPS)
		b.connectDirectory(next.Directory)
		if keys := unapplied(b.cfg, next); len(keys) > 0 {
			b.log.Warn("changed in the configuration, and in force after a restart, which refuses nobody: systemctl restart pinward", "keys", keys)
			b.came("; restart to put in force: " + strings.Join(keys, ", "))
		}
	}
	b.notify(daemon.SdNotifyReady + "\n" + b.statusLine())
}

// readAgain is the configuration as its file is now; without a file (the demo) it is the one in force.
func (b *box) readAgain() (Config, error) {
	if b.opts.Config == nil {
		return b.cfg, nil
	}
	return b.opts.Config()
}

// reloadFiles reads what the configuration names. What cannot be read leaves what is in use.
func (b *box) reloadFiles(d *doors, https HTTPS) {
	if err := b.certs.load(https); err != nil {
		b.log.Error("reload certificates: the old ones stay in use", "error", err)
		b.came("; the last reload kept the old certificates: see the log")
	}
	if err := b.reloadMLLP(d); err != nil {
		b.log.Error("reload certificates of MLLP: the old ones stay in use", "error", err)
		b.came("; the last reload kept the old certificates: see the log")
	}
	b.certs.lookAgain()
	b.loadSpeech()
}

// came keeps what came of a reload.
func (b *box) came(of string) { b.lately.Store(&of) }

// statusLine is what systemctl status shows in one line.
func (b *box) statusLine() string {
	line := "STATUS=" + b.state.Load().String()
	if of := b.lately.Load(); of != nil {
		line += *of
	}
	return line
}

// unapplied names the parts of the configuration that differ and that only a start reads; the certificate's files
// and the directory are read by a reload.
func unapplied(now, next Config) []string {
	next.HTTPS.Certificate, next.HTTPS.Key = now.HTTPS.Certificate, now.HTTPS.Key
	next.Directory = now.Directory
	var keys []string
	a, b := reflect.ValueOf(now), reflect.ValueOf(next)
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			keys = append(keys, a.Type().Field(i).Tag.Get("toml"))
		}
	}
	return keys
}
