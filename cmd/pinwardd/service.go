package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/kardianos/service"

	"pinward/daemon"
	"pinward/systemd"
)

// program lets the service manager's stop and a fatal error of ours meet: whichever comes first
// ends Wait, and the reason reaches the exit code.
type program struct {
	cfg  daemon.Config
	path string // of cfg's file
	stop context.CancelFunc
	done chan struct{}
	err  error // written before done is closed
}

func serve(path string, cfg daemon.Config) error {
	p := &program{cfg: cfg, path: path, done: make(chan struct{})}
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
	level := new(slog.LevelVar)
	log := newLog(p.cfg.Log, level)
	go func() {
		defer close(p.done)
		p.err = daemon.Run(ctx, p.cfg, daemon.Options{
			Reload: hup, Config: p.config, Version: buildVersion(), Log: log, Level: level, PasswordWork: passwordWork,
		})
	}()
	return nil
}

// passwordWork is how many iterations a password's hash takes, 0 the real figure. Nothing but the tests sets it.
var passwordWork int

// config reads the file again, for a reload.
func (p *program) config() (daemon.Config, error) { return daemon.LoadConfig(p.path) }

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
