// Package release is the form of an update bundle: one file, carried to a hospital's box that no internet reaches, with
// the packages of one version and a list of them that the maintainers signed.
//
// A bundle is a tar archive. Its first entry is the list, JSON in a signed note (C2SP signed-note, Ed25519), then come the
// packages in the order of the list. The package knows how to write and to judge a bundle; who installs what, and what
// becomes of the daemon meanwhile, it does not know.
package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// KeyName is the name of every key that may sign a bundle, so that a key of another purpose cannot.
const KeyName = "pinward-update"

// Product stands in every list.
const Product = "pinward"

// formatVersion numbers the form of a bundle.
const formatVersion = 1

// Formats of packages.
const (
	Deb = "deb"
	RPM = "rpm"
)

// Manifest is what a bundle says of itself. All of it is signed.
type Manifest struct {
	Format   int       `json:"format"`
	Product  string    `json:"product"`
	Version  string    `json:"version"` // numbers and dots: "1.4.0"
	Made     time.Time `json:"made"`
	Packages []Package `json:"packages"` // in the order in which they follow
}

// Package is one package in a bundle.
type Package struct {
	Name   string `json:"name"`   // pinward or pinward-fips
	Arch   string `json:"arch"`   // as Go names it: amd64, arm64
	Format string `json:"format"` // Deb or RPM
	File   string `json:"file"`   // a plain name
	Size   int64  `json:"size"`   // bytes
	SHA256 string `json:"sha256"` // hexadecimal
}

var (
	versionForm = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9}){1,3}$`)
	fileForm    = regexp.MustCompile(`^[a-z0-9][A-Za-z0-9._+~-]{0,120}$`)
	archForm    = regexp.MustCompile(`^[a-z0-9]{2,16}$`)
)

// check holds a list to its form. What it lets pass may be used as a file's name.
func (m Manifest) check() error {
	switch {
	case m.Format != formatVersion:
		return fmt.Errorf("form %d of a bundle is not known to this version", m.Format)
	case m.Product != Product:
		return errors.New("it is a bundle of another product")
	case !versionForm.MatchString(m.Version):
		return errors.New("its version is no version")
	case len(m.Packages) == 0:
		return errors.New("it holds no packages")
	}
	seen := map[string]bool{}
	for _, p := range m.Packages {
		sum, err := hex.DecodeString(p.SHA256)
		what := p.Name + "/" + p.Arch + "/" + p.Format
		if p.Name != Product && p.Name != Product+"-fips" || !archForm.MatchString(p.Arch) || p.Format != Deb && p.Format != RPM ||
			!fileForm.MatchString(p.File) || p.Size <= 0 || err != nil || len(sum) != sha256.Size {
			return errors.New("its list of packages is malformed")
		}
		if seen[what] || seen[p.File] {
			return fmt.Errorf("%s is in it twice", p.File)
		}
		seen[what], seen[p.File] = true, true
	}
	return nil
}

// Find gives the package for a machine.
func (m Manifest) Find(name, arch, format string) (Package, bool) {
	for _, p := range m.Packages {
		if p.Name == name && p.Arch == arch && p.Format == format {
			return p, true
		}
	}
	return Package{}, false
}

// Compare orders two versions by their numbers: -1, 0 or 1; a missing number is 0. What is no version is an error: a
// guess would be a downgrade that nobody asked for.
func Compare(a, b string) (int, error) {
	if !versionForm.MatchString(a) || !versionForm.MatchString(b) {
		return 0, fmt.Errorf("compare versions %q and %q: they are not numbers and dots", a, b)
	}
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if x, y := part(as, i), part(bs, i); x != y {
			if x < y {
				return -1, nil
			}
			return 1, nil
		}
	}
	return 0, nil
}

func part(of []string, i int) int {
	if i >= len(of) {
		return 0
	}
	n, _ := strconv.Atoi(of[i]) // its form was checked
	return n
}

// ErrNoKey says that no key is pinned, so that no bundle can be judged.
var ErrNoKey = errors.New("no update key is pinned on this machine")

// ParseKeys reads pinned keys: one verifier key of a note in a line ("pinward-update+hash+key"), comments with "#".
func ParseKeys(text string) (note.Verifiers, error) {
	var keys []note.Verifier
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := note.NewVerifier(line)
		if err == nil && v.Name() != KeyName {
			err = fmt.Errorf("its name is not %s", KeyName)
		}
		if err != nil {
			return nil, fmt.Errorf("update key in line %d: %w", i+1, err)
		}
		keys = append(keys, v)
	}
	if len(keys) == 0 {
		return nil, ErrNoKey
	}
	return note.VerifierList(keys...), nil
}

// encode is the list as it is signed.
func (m Manifest) encode() (string, error) {
	if err := m.check(); err != nil {
		return "", err
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode list: %w", err)
	}
	return string(b) + "\n", nil
}
