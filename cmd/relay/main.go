// Command relay (installed as pinward-relay) dials the few hospital addresses on its own list and
// hands the connected socket to the daemon, which cannot make an internet socket itself.
//
// It knows names and addresses. It never sees a byte of what is sent: it passes the socket by
// SCM_RIGHTS and closes its own copy. The list is policy; the kernel's boundary is the address list
// of its unit.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pinward-relay:", err)
		os.Exit(1)
	}
}

func run() error {
	config := flag.String("config", "/etc/pinward/relay.toml", "the list of `names` and addresses")
	socket := flag.String("socket", "", "listen on this `path` instead of systemd's descriptor")
	check := flag.Bool("check", false, "check the list and exit")
	flag.Parse()
	targets, err := loadTargets(*config)
	if err != nil || *check {
		return err
	}
	l, err := listener(*socket)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return serve(ctx, l, relay{targets: targets, log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
}

// listener is systemd's descriptor 3, or a socket of our own where no systemd hands one over.
func listener(path string) (*net.UnixListener, error) {
	if path != "" {
		l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: path})
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		return l, os.Chmod(path, 0o600)
	}
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take systemd's listener: %w", err)
	}
	if len(passed) == 1 {
		if l, ok := passed[0].(*net.UnixListener); ok {
			return l, nil
		}
	}
	return nil, fmt.Errorf("want one SOCK_SEQPACKET listener of systemd's, got %d descriptors", len(passed))
}
