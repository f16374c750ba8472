package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/kardianos/service"
	"github.com/spf13/cobra"

	"pinward/systemd"
)

// idle stands in for the program: the service manager runs pinwardd, not this command.
type idle struct{}

func (idle) Start(service.Service) error { return nil }
func (idle) Stop(service.Service) error  { return nil }

// packaged are the places of a packaged unit. A unit below /etc would shadow it, and with it the
// hardening that the package brings.
var packaged = []string{"/usr/lib/systemd/system/" + systemd.Service, "/lib/systemd/system/" + systemd.Service}

// Exit codes of `service status`, as LSB has them.
const (
	lsbStopped = 3
	lsbUnknown = 4
)

func serviceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "service", Short: "Install, start and stop the daemon where no package did"}
	for _, verb := range []string{"install", "uninstall", "start", "stop", "restart"} {
		cmd.AddCommand(&cobra.Command{
			Use: verb, Short: verb + " the daemon's service", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return controlService(verb) },
		})
	}
	cmd.AddCommand(&cobra.Command{
		Use: "status", Short: "Exit 0 running, 3 stopped, 4 unknown", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return serviceStatus() },
	})
	return cmd
}

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

func controlService(verb string) error {
	if verb == "install" {
		for _, path := range packaged {
			if _, err := os.Stat(path); err == nil {
				return fmt.Errorf("a packaged unit is present (%s); use: systemctl enable --now %s", path, systemd.Service)
			}
		}
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

func serviceStatus() error {
	s, err := newService()
	if err != nil {
		return err
	}
	st, err := s.Status()
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		fmt.Println("not installed")
		return exit(lsbUnknown)
	case st == service.StatusRunning:
		fmt.Println("running")
		return nil
	case st == service.StatusStopped:
		fmt.Println("stopped")
		return exit(lsbStopped)
	}
	fmt.Println("unknown:", err)
	return exit(lsbUnknown)
}
