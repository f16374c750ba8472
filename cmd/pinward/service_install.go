package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kardianos/service"

	"pinward/packaging"
	"pinward/systemd"
)

// Where an administrator's units are, and those of packages. A unit below /etc would shadow a packaged one, and with it
// what the package's next version changes.
const ownUnits = "etc/systemd/system/"

var packagedUnits = []string{"usr/lib/systemd/system/", "lib/systemd/system/"}

// programs are the tarball's; the units start them there.
var programs = []string{"usr/bin/pinwardd", "usr/bin/pinward", "usr/bin/pinward-relay"}

// laid is a file that install lays down.
type laid struct {
	path string
	text []byte
	mode fs.FileMode
	kept bool // it is the administrator's from then on: not written over, and not taken away
}

// layout is all of them but pinward.service, which kardianos/service writes.
func layout() ([]laid, error) {
	files := []laid{
		{"etc/sysusers.d/pinward.conf", packaging.Sysusers, 0o644, false},
		{"etc/tmpfiles.d/pinward.conf", packaging.Tmpfiles, 0o644, false},
		{"etc/udev/rules.d/70-pinward.rules", packaging.Rules, 0o644, false},
		{"etc/pinward/pinward.toml", packaging.Config, 0o640, true},
		{"etc/pinward/relay.toml", packaging.RelayList, 0o644, true},
	}
	for _, name := range systemd.Names() {
		if name == systemd.Service {
			continue
		}
		text, err := systemd.Unit(name)
		if err != nil {
			return nil, fmt.Errorf("read unit: %w", err)
		}
		files = append(files, laid{ownUnits + name, []byte(text), 0o644, false})
	}
	return files, nil
}

// installable refuses where this is not a tarball's installation on systemd, before anything is touched. self is the
// path of this program; root is "/" but in tests.
func installable(root, self string) error {
	if err := underSystemd(root); err != nil {
		return err
	}
	for _, dir := range packagedUnits {
		if _, err := os.Stat(root + dir + systemd.Service); err == nil {
			return fmt.Errorf("a packaged unit is present (%s); use: systemctl enable --now %s", root+dir+systemd.Service, systemd.Service)
		}
	}
	for _, p := range programs {
		if fi, err := os.Stat(root + p); err != nil || fi.Mode()&0o111 == 0 {
			return fmt.Errorf("%s is no program: put the tarball's three programs into /usr/bin first", root+p)
		}
	}
	if self != root+"usr/bin/pinward" {
		return fmt.Errorf("this is %s: run the one in /usr/bin, which is what the service belongs to", self)
	}
	return nil
}

// installService lays the files down, makes the users, and starts the units. Each step may be made again: after one that
// failed, install goes on from the beginning.
func installService() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if err := installable("/", self); err != nil {
		return err
	}
	files, err := layout()
	if err != nil {
		return err
	}
	if err := lay("/", files); err != nil {
		return err
	}
	s, err := newService()
	if err != nil {
		return err
	}
	if _, err := os.Stat("/" + ownUnits + systemd.Service); errors.Is(err, fs.ErrNotExist) {
		if err := service.Control(s, "install"); err != nil {
			return fmt.Errorf("install service: %w", err)
		}
	}
	for _, step := range [][]string{
		{"systemd-sysusers", "pinward.conf"},
		{"systemd-tmpfiles", "--create", "pinward.conf"},
		{"systemctl", "daemon-reload"},
	} {
		if err := run(step[0], step[1:]...); err != nil {
			return err
		}
	}
	tellUdev()
	if err := firstCertificate(); err != nil {
		return err
	}
	for _, step := range [][]string{
		append([]string{"enable", "-q", systemd.Service}, append(units(".socket"), units(".timer")...)...),
		append([]string{"start"}, append(units(".socket"), units(".timer")...)...),
		{"start", systemd.Service},
	} {
		if err := run("systemctl", step...); err != nil {
			return err
		}
	}
	fmt.Println("Pinward is running, empty. Next: /etc/pinward/pinward.toml, then: pinward setup")
	return nil
}

// tellUdev has the rules read, and the modems that are plugged in already looked at. A machine without udevd, such as a
// container, has no devices of its own, and reads them when it starts.
func tellUdev() {
	if run("udevadm", "control", "--reload") == nil {
		_ = run("udevadm", "trigger", "--subsystem-match=tty", "--subsystem-match=usb", "--action=change") // the next plug tells as well
	}
}

// firstCertificate makes one for the page of set-up, as the package does.
func firstCertificate() error {
	pair := []string{"/etc/pinward/server.pem", "/etc/pinward/server-key.pem"}
	for _, path := range pair {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
	}
	if err := run("/usr/bin/pinwardd", "-self-signed"); err != nil {
		return err
	}
	return run("chgrp", append([]string{"pinward"}, pair...)...)
}

// lay writes the files below root. What the administrator may have changed is not written over.
func lay(root string, files []laid) error {
	for _, f := range files {
		path := root + f.path
		if _, err := os.Stat(path); err == nil && f.kept {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		if err := os.WriteFile(path, f.text, f.mode); err != nil {
			return fmt.Errorf("lay down %s: %w", path, err)
		}
	}
	return nil
}

// take takes the files away that lay has laid down, and leaves the administrator's.
func take(root string, files []laid) error {
	var errs []error
	for _, f := range files {
		if f.kept {
			continue
		}
		if err := os.Remove(root + f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("take away: %w", err))
		}
	}
	return errors.Join(errs...)
}

// uninstallService stops everything and takes the files away; keys, configuration and audit stay.
func uninstallService() error {
	if err := underSystemd("/"); err != nil {
		return err
	}
	if _, err := os.Stat("/" + ownUnits + systemd.Service); err != nil {
		return fmt.Errorf("no service that `pinward service install` made: %w", err)
	}
	files, err := layout()
	if err != nil {
		return err
	}
	all := append(units(".socket"), append(units(".timer"), units(".service")...)...)
	if err := run("systemctl", append([]string{"disable", "-q", "--now"}, all...)...); err != nil {
		return err
	}
	s, err := newService()
	if err != nil {
		return err
	}
	if err := service.Control(s, "uninstall"); err != nil {
		return fmt.Errorf("uninstall service: %w", err)
	}
	if err := take("/", files); err != nil {
		return err
	}
	if err := run("systemctl", "daemon-reload"); err != nil {
		return err
	}
	// One that had crashed would stay in the list as failed.
	_ = run("systemctl", append([]string{"reset-failed"}, all...)...) // fails where none had
	tellUdev()
	fmt.Println(`Kept: /etc/pinward, and /var/lib/pinward with the audit, which must be kept for six years. "pinward decommission" ends a box; only then: rm -r /var/lib/pinward`)
	return nil
}
