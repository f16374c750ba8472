// Command demo is the whole appliance on one laptop: simulated modems and handsets, demo keys,
// loopback only. It needs no hardware and no root, and nothing of it can be reached from pinwardd.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are the demo's flags.
type options struct {
	dir, https, mllp, handsets, zone string
	modems                           int
	jitter                           time.Duration
	verbose                          bool
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "demo-data", "keep everything in `DIR`; the same DIR goes on where it stopped")
	flag.StringVar(&o.https, "https", "127.0.0.1:8443", "`address` of the API and the console")
	flag.StringVar(&o.mllp, "mllp", "127.0.0.1:2575", "`address` that takes HL7 v2 over MLLP")
	flag.StringVar(&o.handsets, "handsets", "127.0.0.1:8088", "`address` of the simulated handsets' page")
	flag.IntVar(&o.modems, "modems", 4, "`number` of simulated modems, on two carriers")
	flag.StringVar(&o.zone, "zone", "America/New_York", "time `zone` of the hospital; where it is between 2 and 4 o'clock the box tests its SIMs")
	flag.DurationVar(&o.jitter, "jitter", 200*time.Millisecond, "how late a frame of sound may be until a call has a hole, as a `duration`")
	flag.BoolVar(&o.verbose, "v", false, "show the daemon's log")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "demo: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return fmt.Errorf("find folder: %w", err)
	}
	for name, addr := range map[string]string{"-https": o.https, "-mllp": o.mllp, "-handsets": o.handsets} {
		if err := loopback(addr); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if o.modems < 1 || o.modems > 64 {
		return errors.New("-modems: from 1 to 64")
	}
	if _, err := time.LoadLocation(o.zone); err != nil || o.zone == "" || o.zone == "Local" {
		return errors.New("-zone: the name of an IANA time zone, such as America/New_York")
	}
	if o.jitter <= 0 {
		return errors.New("-jitter: longer than 0")
	}
	if err := os.MkdirAll(filepath.Join(o.dir, "modems"), 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	log := slog.New(slog.DiscardHandler)
	if o.verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	d, err := newDemo(o, log)
	if err != nil {
		return err
	}
	return d.run(ctx)
}

// loopback refuses an address that others could reach: demo keys protect nothing, and anybody may
// read the handsets.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("the demo listens on loopback only, such as 127.0.0.1:PORT")
	}
	return nil
}
