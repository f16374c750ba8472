// Package packaging holds what an installation lays down beside the programs and the units, for `pinward service
// install`, which has no package to do it. The packages take the same files from this folder (nfpm.yaml).
package packaging

import _ "embed"

// The files, as they are installed.
var (
	//go:embed sysusers.conf
	Sysusers []byte // /etc/sysusers.d/pinward.conf, sysusers.d(5)
	//go:embed tmpfiles.conf
	Tmpfiles []byte // /etc/tmpfiles.d/pinward.conf, tmpfiles.d(5)
	//go:embed udev/70-pinward.rules
	Rules []byte // /etc/udev/rules.d/70-pinward.rules, udev(7)
	//go:embed pinward.toml
	Config []byte // /etc/pinward/pinward.toml, pinward.toml(5)
	//go:embed relay.toml
	RelayList []byte // /etc/pinward/relay.toml, relay.toml(5)
)
