package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/kardianos/service"
	"github.com/spf13/cobra"

	"pinward/systemd"
)

// idle stands in for the program: the service manager runs pinwardd, not this command.
type idle struct{}

func (idle) Start(service.Service) error { return nil }
func (idle) Stop(service.Service) error  { return nil }

// Exit codes of `service status`, as LSB has them.
const (
	lsbStopped = 3
	lsbUnknown = 4
)

func serviceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "service", Short: "Install, start and stop the daemon where no package did"}
	for _, c := range []struct {
		verb, short, long string
		do                func() error
	}{
		{"install", "Make users, folders and units, and start the daemon", `Make users, folders, the udev rules and all units, with the same rights as the package gives them, enable and start them.
It is for the tarball: its programs have to be in /usr/bin. It refuses where a package is installed, and where the
machine is not run by systemd: no other init system was tried.`, installService},
		{"uninstall", "Stop the daemon and take its units away", `Stop the daemon and take away what install has laid down. /etc/pinward, the user and /var/lib/pinward with the audit stay.`, uninstallService},
		{"start", "Start the daemon", "", func() error { return control("start") }},
		{"stop", "Stop the daemon, and close its ports", "", stopService},
		{"restart", "Stop the daemon and start it; its ports stay open", "", func() error { return control("restart") }},
		{"status", "Exit 0 running, 3 not running, 4 unknown", "", serviceStatus},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: c.verb, Short: c.short, Long: c.long, Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return c.do() },
		})
	}
	return cmd
}

// newService is the daemon's unit as kardianos/service handles it: our text, verbatim.
func newService() (service.Service, error) {
	unit, err := systemd.Unit(systemd.Service)
	if err != nil {
		return nil, fmt.Errorf("read unit: %w", err)
	}
	s, err := service.New(idle{}, &service.Config{
		Name:       systemd.Name,
		Executable: "/usr/bin/pinwardd",
		Option:     service.KeyValue{"SystemdScript": unit},
	})
	if err != nil {
		return nil, fmt.Errorf("make service: %w", err)
	}
	return s, nil
}

// control hands one verb to the service manager.
func control(verb string) error {
	if err := underSystemd("/"); err != nil {
		return err
	}
	s, err := newService()
	if err != nil {
		return err
	}
	if err := service.Control(s, verb); err != nil {
		return fmt.Errorf("%s service: %w", verb, err)
	}
	return nil
}

// stopService closes the sockets first: whoever came next would start the daemon again.
func stopService() error {
	if err := underSystemd("/"); err != nil {
		return err
	}
	if err := run("systemctl", append([]string{"stop"}, units(".socket")...)...); err != nil {
		return err
	}
	return control("stop")
}

// underSystemd refuses init systems that nobody tried; root is "/" but in tests.
func underSystemd(root string) error {
	if _, err := os.Stat(root + "run/systemd/system"); err != nil {
		return errors.New("this machine is not run by systemd: Pinward was tried with no other init system; start pinwardd yourself, see pinwardd(8)")
	}
	return nil
}

// units names those that end so, sorted.
func units(suffix string) []string {
	var names []string
	for _, n := range systemd.Names() {
		if strings.HasSuffix(n, suffix) {
			names = append(names, n)
		}
	}
	return names
}

// run runs one of the system's programs; what it says is the reason where it fails.
func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// serviceStatus asks systemd itself: kardianos/service takes a service that crashes and waits for its next start for
// one that runs.
func serviceStatus() error {
	if err := underSystemd("/"); err != nil {
		fmt.Println("unknown:", err)
		return exit(lsbUnknown)
	}
	out, err := exec.Command("systemctl", "show", "--property=LoadState,ActiveState,SubState,Result,NRestarts", systemd.Service).Output()
	if err != nil {
		fmt.Println("unknown:", err)
		return exit(lsbUnknown)
	}
	text, code := describe(string(out))
	fmt.Println(text)
	if code == 0 {
		return nil
	}
	return exit(code)
}

// describe puts what systemctl show says into words, with the exit code of it.
func describe(shown string) (string, int) {
	p := map[string]string{}
	for line := range strings.Lines(shown) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			p[key] = value
		}
	}
	switch {
	case p["LoadState"] == "not-found":
		return "not installed", lsbUnknown
	case p["ActiveState"] == "active":
		return "running", 0
	case p["ActiveState"] == "reloading":
		return "running, reading its files again", 0
	case p["SubState"] == "auto-restart":
		return fmt.Sprintf("not running: it ended (%s) and is started again, restart %s; see: journalctl -u %s", p["Result"], p["NRestarts"], systemd.Name), lsbStopped
	case p["ActiveState"] == "activating":
		return "starting", lsbStopped
	case p["ActiveState"] == "deactivating":
		return "stopping", lsbStopped
	case p["ActiveState"] == "failed":
		return fmt.Sprintf("failed (%s); see: journalctl -u %s", p["Result"], systemd.Name), lsbStopped
	case p["ActiveState"] == "inactive":
		return "stopped", lsbStopped
	}
	return "unknown: " + p["ActiveState"], lsbUnknown
}
