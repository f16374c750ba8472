// Command pinwardd is the daemon. It reads its configuration, opens its doors and runs until it is
// told to stop; systemd and kardianos/service start it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"

	"pinward/daemon"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pinwardd:", err)
		os.Exit(1)
	}
}

func run() error {
	path := flag.String("config", "/etc/pinward/pinward.toml", "the configuration `file`")
	check := flag.Bool("check", false, "check the configuration and the certificates that it names, and exit")
	sign := flag.Bool("self-signed", false, "make the certificate and key that the configuration names, where there are none, and exit")
	allowRoot := flag.Bool("allow-root", false, "run although the user is root")
	told := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	switch {
	case *told:
		fmt.Println("pinwardd", buildVersion())
		fmt.Println("store", daemon.StoreVersion())
		return nil
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	cfg, err := daemon.LoadConfig(*path)
	if err != nil {
		return err
	}
	if *sign {
		return selfSign(cfg.HTTPS)
	}
	if *check {
		if err := cfg.CheckCertificates(); err != nil {
			return fmt.Errorf("%s: %w", *path, err)
		}
		fmt.Println(*path + ": ok")
		return nil
	}
	if os.Getuid() == 0 && !*allowRoot {
		return errors.New("refusing to run as root: the daemon needs no rights of root's; see -allow-root")
	}
	return serve(*path, cfg)
}

// version is set by packaging/package.
var version string

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
