// Command bundle makes the update bundle of a release out of its packages, and the key that signs it. It is the
// maintainers' tool and in no package; what a bundle is, packaging/release knows.
//
//	go run ./packaging/bundle -new-key KEYFILE        # once; prints the line for packaging/update-keys
//	go run ./packaging/bundle -key KEYFILE -o pinward-1.2.0.bundle out/packages/*.deb out/packages/*.rpm
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"pinward/packaging/release"
)

func main() {
	newKey := flag.String("new-key", "", "make a key, write its secret half to this new `file` and print the other")
	key := flag.String("key", "", "sign with the secret half in this `file`")
	out := flag.String("o", "", "write the bundle to this new `file`")
	flag.Parse()
	var err error
	switch {
	case *newKey != "":
		err = makeKey(*newKey, os.Stdout)
	case *key == "" || *out == "" || flag.NArg() == 0:
		err = errors.New("give -key, -o and the packages, or -new-key")
	default:
		err = write(*out, *key, flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

// makeKey never overwrites: a key that boxes have pinned would be lost.
func makeKey(file string, w io.Writer) error {
	secret, public, err := note.GenerateKey(nil, release.KeyName)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("keep key: %w", err)
	}
	_, err = fmt.Fprintln(f, secret)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("keep key: %w", err)
	}
	_, err = fmt.Fprintln(w, public)
	return err
}

// Names of packages as packaging/package gives them.
var (
	debName = regexp.MustCompile(`^(pinward(?:-fips)?)_([0-9.]+)_([a-z0-9]+)\.deb$`)
	rpmName = regexp.MustCompile(`^(pinward(?:-fips)?)-([0-9.]+)-1\.([a-z0-9_]+)\.rpm$`)
)

// goArch names architectures of RPM as Go does.
var goArch = map[string]string{"x86_64": "amd64", "aarch64": "arm64"}

func write(out, keyFile string, paths []string) error {
	secret, err := os.ReadFile(keyFile)
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(secret)))
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	m, at := release.Manifest{Made: made()}, map[string]string{}
	for _, path := range paths {
		p, version, err := describe(path)
		if err != nil {
			return err
		}
		if m.Version != "" && m.Version != version {
			return fmt.Errorf("%s is of version %s, the others of %s", p.File, version, m.Version)
		}
		m.Version, at[p.File] = version, path
		m.Packages = append(m.Packages, p)
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	err = release.Write(f, m, signer, func(file string) (io.ReadCloser, error) { return os.Open(at[file]) })
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(out))
	}
	return nil
}

// made is the time of the release, so that the same commit makes the same bundle.
func made() time.Time {
	if n, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(n, 0)
	}
	return time.Now()
}

func describe(path string) (p release.Package, version string, err error) {
	p.File = filepath.Base(path)
	if m := debName.FindStringSubmatch(p.File); m != nil {
		p.Name, version, p.Arch, p.Format = m[1], m[2], m[3], release.Deb
	} else if m := rpmName.FindStringSubmatch(p.File); m != nil {
		p.Name, version, p.Arch, p.Format = m[1], m[2], goArch[m[3]], release.RPM
	} else {
		return p, "", fmt.Errorf("%s is not named as packaging/package names packages", p.File)
	}
	f, err := os.Open(path)
	if err != nil {
		return p, "", fmt.Errorf("read package: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if p.Size, err = io.Copy(sum, f); err != nil {
		return p, "", fmt.Errorf("read package: %w", err)
	}
	p.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return p, version, nil
}
