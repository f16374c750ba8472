// Package systemd holds Pinward's units as files and hands them to whoever installs them.
//
// The text exists once: packages ship the files of this folder, and a tarball installation writes
// the embedded copies. The package knows nothing of the daemon; it imports nothing of ours.
package systemd

import (
	"embed"
	"io/fs"
)

// Name is the service as service managers know it.
const Name = "pinward"

// Names of the units, as systemctl takes them.
const (
	Service      = "pinward.service"        // the daemon, without an internet socket of its own
	Socket       = "pinward.socket"         // owns the HTTPS port, so that a restart refuses nobody
	HL7Socket    = "pinward-hl7.socket"     // owns the MLLP port; its own list of who may connect
	Control      = "pinward-control.socket" // owns the control socket, and gives it to its group
	RelayService = "pinward-relay.service"  // dials the hospital's addresses for the daemon
	RelaySocket  = "pinward-relay.socket"

	BackupService = "pinward-backup.service" // asks the daemon for its nightly backup
	BackupTimer   = "pinward-backup.timer"
)

//go:embed *.service *.socket *.timer
var units embed.FS

// Unit returns the text of a unit, ready to be written below /etc/systemd/system. It holds no
// template actions: kardianos/service takes it verbatim as its SystemdScript.
func Unit(name string) (string, error) {
	b, err := units.ReadFile(name)
	return string(b), err
}

// Names lists the units, sorted.
func Names() []string {
	names, err := fs.Glob(units, "*")
	if err != nil {
		panic(err) // the pattern is constant
	}
	return names
}
