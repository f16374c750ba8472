// Command modemsim runs a simulated mobile network as a program: modems on
// terminals, and handsets over HTTP on loopback. It knows nothing of who drives
// the modems; any program that speaks AT to a serial port may.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"pinward/modem/modemsim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "modemsim:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends; then everything is closed and the links are gone.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("modemsim", flag.ContinueOnError)
	dir := flags.String("dir", "modemsim.state", "folder that keeps handsets and SIMs, sealed; empty: memory only")
	listen := flags.String("http", "127.0.0.1:8088", "loopback `address` of handsets and modems over HTTP")
	count := flags.Int("modems", 4, "number of modems")
	links := flags.String("links", "modemsim.ports", "folder for the links modem1, modem2, ... to the terminals, and modem1-audio, ... to those of their calls")
	dev := flags.String("dev", "", "`folder` to lay the modems out in as Linux does in /dev, with all their ports and serial/by-path, in place of -links")
	profile := flags.String("profile", "generic", "kinds of the modems, in turn: generic, ec25, sim7600, e173, le910; parted by commas")
	pin := flags.String("pin", "", "PIN of the SIMs; empty: none")
	latency := flags.Duration("latency", modemsim.DefaultLatency, "time that the network takes for one part")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if host, _, err := net.SplitHostPort(*listen); err != nil || !net.ParseIP(host).IsLoopback() {
		return errors.New("-http must be a loopback address and a port, such as 127.0.0.1:8088")
	}
	if *count < 1 || *count > 256 {
		return errors.New("-modems must be 1 to 256")
	}
	if *latency == 0 {
		*latency = -1 // none; 0 would mean the default
	}
	network, err := modemsim.NewNetwork(modemsim.NetworkOptions{Dir: *dir, Latency: *latency, Log: slog.Default()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, network.Close()) }()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	if *dev == "" {
		if err := os.MkdirAll(*links, 0o755); err != nil {
			return fmt.Errorf("make folder for links: %w", err)
		}
	}
	kinds := strings.Split(*profile, ",")
	for i := range *count {
		name := fmt.Sprintf("modem%d", i+1)
		m, err := network.AddModem(modemsim.ModemOptions{Name: name, Profile: strings.TrimSpace(kinds[i%len(kinds)]), PIN: *pin})
		if err != nil {
			return err
		}
		link, err := lay(m, *dev, filepath.Join(*links, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\t%s -> %s\t%s\t%s\n", name, link, m.State().Path, m.Carrier(), m.Number())
	}
	fmt.Fprintf(out, "handsets\thttp://%s/\n", listener.Addr())
	return serve(ctx, listener, network.Handler())
}

// lay gives the modem its terminal: behind link, with that of its audio beside it, or with all its ports in the tree of dev. It
// returns where the AT port is.
func lay(m *modemsim.Modem, dev, link string) (string, error) {
	if dev != "" {
		return m.Tree(dev)
	}
	_, err := m.PTY(link)
	if err == nil && m.Calls() {
		_, err = m.AudioPTY(link + "-audio")
	}
	return link, err
}

// serve answers HTTP until ctx ends, and gives open requests a moment to end.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve handsets: %w", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := server.Shutdown(ending)
	<-failed
	return err
}
