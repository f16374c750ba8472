// Command pinwardd is the daemon. It reads its configuration, opens its doors and runs until it is
// told to stop; systemd and kardianos/service start it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/kardianos/service"

	"pinward/daemon"
	"pinward/systemd"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pinwardd:", err)
		os.Exit(1)
	}
}

func run() error {
	path := flag.String("config", "/etc/pinward/pinward.toml", "the configuration `file`")
	check := flag.Bool("check", false, "check the configuration and exit")
	allowRoot := flag.Bool("allow-root", false, "run although the user is root")
	version := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	switch {
	case *version:
		fmt.Println("pinwardd", buildVersion())
		return nil
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	cfg, err := daemon.LoadConfig(*path)
	if err != nil {
		return err
	}
	if *check {
		fmt.Println(*path + ": ok")
		return nil
	}
	if os.Getuid() == 0 && !*allowRoot {
		return errors.New("refusing to run as root: the daemon needs no rights of root's; see -allow-root")
	}
	return serve(cfg)
}

// program lets the service manager's stop and a fatal error of ours meet: whichever comes first
// ends Wait, and the reason reaches the exit code.
type program struct {
	cfg  daemon.Config
	stop context.CancelFunc
	done chan struct{}
	err  error // written before done is closed
}

func serve(cfg daemon.Config) error {
	p := &program{cfg: cfg, done: make(chan struct{})}
	s, err := service.New(p, &service.Config{
		Name:   systemd.Name,
		Option: service.KeyValue{"RunWait": p.wait},
	})
	if err != nil {
		return fmt.Errorf("make service: %w", err)
	}
	return errors.Join(s.Run(), p.err)
}

// Start returns at once, as the manager wants it; readiness is told by READY=1.
func (p *program) Start(service.Service) error {
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	go func() {
		defer close(p.done)
		p.err = daemon.Run(ctx, p.cfg, daemon.Options{Reload: hup, Version: buildVersion(), Log: log})
	}()
	return nil
}

// wait is what keeps Run in place: a signal, or a daemon that ended by itself.
func (p *program) wait() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	select {
	case <-ctx.Done():
	case <-p.done:
	}
}

// Stop waits for the ordered stop; the unit's TimeoutStopSec bounds it.
func (p *program) Stop(service.Service) error {
	p.stop()
	<-p.done
	return nil
}

func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
