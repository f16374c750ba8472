package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pinward/packaging/release"
)

// installed is what the package manager says of our package.
type installed struct {
	name, version, arch, format string
}

// goArch names architectures as Go does, by what RPM calls them; Debian uses the same names as Go.
var goArch = map[string]string{"x86_64": "amd64", "aarch64": "arm64"}

// installed asks dpkg, then RPM, which of our packages is here. A package that dpkg left half configured counts: an
// update repairs it.
func (u *updater) installed(ctx context.Context) (installed, error) {
	for _, name := range []string{release.Product, release.Product + "-fips"} {
		if out, err := u.run(ctx, "dpkg-query", "-W", "-f", "${db:Status-Status} ${Version} ${Architecture}", name); err == nil {
			if f := strings.Fields(out); len(f) == 3 && f[0] != "not-installed" && f[0] != "config-files" {
				return installed{name, f[1], f[2], release.Deb}, nil
			}
		}
		if out, err := u.run(ctx, "rpm", "-q", "--qf", "%{VERSION} %{ARCH}", name); err == nil {
			if f := strings.Fields(out); len(f) == 2 && goArch[f[1]] != "" {
				return installed{name, f[0], goArch[f[1]], release.RPM}, nil
			}
		}
	}
	return installed{}, errors.New("pinward was not installed by a package here; a tarball is updated by hand (see the README)")
}

// put installs a kept package over what is there, whichever is newer, and asks whether it is what is there then. The
// files that the hospital changed stay as they are.
func (u *updater) put(ctx context.Context, want installed) error {
	ctx = context.WithoutCancel(ctx) // a package manager that is killed leaves half of each
	var err error
	if want.format == release.Deb {
		_, err = u.run(ctx, "dpkg", "--force-confdef", "--force-confold", "-i", u.keptPath(want))
	} else {
		_, err = u.run(ctx, "rpm", "-U", "--oldpackage", "--replacepkgs", u.keptPath(want))
	}
	if err != nil {
		return err
	}
	is, err := u.installed(ctx)
	if err == nil && is.version != want.version {
		err = fmt.Errorf("the package says that it is version %s, the bundle's list says %s", is.version, want.version)
	}
	return err
}

// configured tells whether the package manager has no more to do on the package: files and scripts are all of one version.
func (u *updater) configured(ctx context.Context, is installed) bool {
	if is.format == release.RPM {
		return true // RPM exchanges a package whole, or not at all
	}
	out, err := u.run(ctx, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}", is.name)
	return err == nil && strings.TrimSpace(out) == "ii"
}
