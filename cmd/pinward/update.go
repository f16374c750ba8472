package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pinward/packaging/release"
)

// updater replaces the packages of this machine by those of a bundle, and puts the former ones back where the new ones
// do not come up. It runs as root beside the daemon, because a daemon that replaced itself could not tell what became
// of it.
type updater struct {
	c *client
	// dir keeps the packages of the installed version and of the one before, and the journal. Root's alone.
	dir string
	// keys is the file of the pinned update keys, a file of the package.
	keys string
	// run runs a program of the system and gives what it printed.
	run func(ctx context.Context, name string, args ...string) (string, error)
	// patience is how long the daemon may take to come up and to be as well as it was; it has come up when it stood
	// for steady.
	patience, steady time.Duration
	say              io.Writer // where each step is told
	root             bool      // it may install
}

func newUpdater(c *client) *updater {
	return &updater{
		c: c, dir: "/var/lib/pinward-update", keys: "/usr/share/pinward/update-keys",
		run: runProgram, patience: 3 * time.Minute, steady: 10 * time.Second, say: os.Stdout, root: os.Geteuid() == 0,
	}
}

// runProgram keeps the end of what a program said for the error.
func runProgram(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	b, err := cmd.CombinedOutput()
	out := strings.TrimSpace(string(b))
	if err != nil {
		return out, fmt.Errorf("%s: %w: %s", name, err, out[max(0, len(out)-2000):])
	}
	return out, nil
}

// outcome is what `pinward update apply` and `rollback` print with --json.
type outcome struct {
	Was    string `json:"was"`
	Wanted string `json:"wanted"`
	Now    string `json:"now"`
	Backup string `json:"backup,omitempty"` // the file of the backup that was made first
	// RolledBack says that the new version did not come up, and why.
	RolledBack string `json:"rolled_back,omitempty"`
}

func (u *updater) command() *cobra.Command {
	cmd := &cobra.Command{Use: "update", Short: "Install a version from a signed bundle, and go back where it does not come up"}
	root := func(do func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			if !u.root {
				return errors.New("only root installs packages")
			}
			if u.c.json {
				u.say = io.Discard
			}
			return do(cmd, args)
		}
	}
	check := &cobra.Command{
		Use: "check FILE", Short: "Read a bundle whole: who signed it, what is in it, whether it fits this machine", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return u.check(cmd.Context(), args[0]) },
	}
	var o applyOptions
	apply := &cobra.Command{
		Use: "apply FILE", Short: "Back up, install the version in a bundle, see it come up, or go back", Args: cobra.ExactArgs(1),
		Long: "Apply installs the package for this machine from a bundle that a pinned key signed\n" +
			"(/usr/share/pinward/update-keys). It has the daemon make a backup first (see [backup] in pinward.toml), keeps\n" +
			"the installed version's package, installs the new one, and waits until the daemon is ready, of the new version,\n" +
			"and as well as it was. Where it is not, the former package is put back by itself, and apply exits 1.\n" +
			"The ports stay open meanwhile: clients wait for some seconds, and are not refused.\n\n" +
			"An older version is refused without --downgrade. To go back, the installed version's package is needed: apply\n" +
			"keeps it from now on; the first time give the bundle of the installed version by --previous.",
		RunE: root(func(cmd *cobra.Command, args []string) error { return u.apply(cmd.Context(), args[0], o) }),
	}
	f := apply.Flags()
	f.StringVar(&o.previous, "previous", "", "the bundle `FILE` of the installed version, where its package is not kept yet")
	f.BoolVar(&o.noRollback, "no-rollback", false, "install although the former package is not at hand, and there is no way back")
	f.BoolVar(&o.noBackup, "no-backup", false, "install without a backup made first")
	f.BoolVar(&o.downgrade, "downgrade", false, "install an older version")
	rollback := &cobra.Command{
		Use: "rollback", Short: "Put the version before the last update back", Args: cobra.NoArgs,
		RunE: root(func(cmd *cobra.Command, _ []string) error { return u.rollback(cmd.Context()) }),
	}
	for _, one := range []*cobra.Command{apply, rollback} {
		one.Flags().DurationVar(&u.steady, "steady", u.steady, "how long the daemon has to stand, well, before it counts as come up")
	}
	cmd.AddCommand(check, apply, rollback)
	return cmd
}

// read judges a bundle whole, under the pinned keys.
func (u *updater) read(file string, take func(release.Manifest, release.Package) (io.Writer, error)) (release.Manifest, error) {
	text, err := os.ReadFile(u.keys)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return release.Manifest{}, fmt.Errorf("read update keys: %w", err)
	}
	keys, err := release.ParseKeys(string(text))
	if err != nil {
		return release.Manifest{}, fmt.Errorf("%s: %w", u.keys, err)
	}
	f, err := os.Open(file)
	if err != nil {
		return release.Manifest{}, fmt.Errorf("open bundle: %w", err)
	}
	defer f.Close()
	return release.Read(f, keys, take)
}

func (u *updater) check(ctx context.Context, file string) error {
	m, err := u.read(file, nil)
	if err != nil {
		return err
	}
	is, err := u.installed(ctx)
	if err != nil {
		return err
	}
	p, fits := m.Find(is.name, is.arch, is.format)
	order, err := release.Compare(m.Version, is.version)
	if err != nil {
		return err
	}
	verdict := map[int]string{-1: "older", 0: "installed", 1: "newer"}[order]
	if !fits {
		verdict = "none for this machine"
	}
	if u.c.json {
		err = printJSON(map[string]any{"version": m.Version, "made": m.Made, "installed": is.version, "verdict": verdict, "file": p.File, "kept": exists(u.keptPath(is))})
	} else {
		fmt.Printf("The bundle is whole, and signed by a key that is pinned here: version %s, made %s.\n", m.Version, m.Made.Format(time.DateOnly))
		for _, p := range m.Packages {
			fmt.Printf("  %-34s %9d bytes\n", p.File, p.Size)
		}
		fmt.Printf("installed %s %s (%s, %s): %s\n", is.name, is.version, is.arch, is.format, map[string]string{
			"older": "the bundle is older: apply needs --downgrade", "installed": "it is this version already", "newer": "the bundle is newer",
			"none for this machine": "the bundle holds no package for it"}[verdict])
		if !exists(u.keptPath(is)) {
			fmt.Println("Its package is not kept yet: give the bundle of the installed version by --previous, for the way back.")
		}
	}
	if err == nil && !fits {
		return exit(1)
	}
	return err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// stage puts the package for this machine into the updater's folder. Its name there is that of a kept package, which it
// gets only once the whole bundle was found to be good.
func (u *updater) stage(file string, is installed) (installed, error) {
	part := filepath.Join(u.dir, ".staged")
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return installed{}, fmt.Errorf("stage package: %w", err)
	}
	defer os.Remove(part)
	found := false
	m, err := u.read(file, func(_ release.Manifest, p release.Package) (io.Writer, error) {
		if p.Name != is.name || p.Arch != is.arch || p.Format != is.format {
			return nil, nil
		}
		found = true
		return f, nil
	})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return installed{}, err
	}
	if !found {
		return installed{}, fmt.Errorf("the bundle holds no package of %s for %s as %s", is.name, is.arch, is.format)
	}
	is.version = m.Version
	if err := os.Rename(part, u.keptPath(is)); err != nil {
		return installed{}, fmt.Errorf("stage package: %w", err)
	}
	return is, nil
}

// keptPath is where the package of a version is kept.
func (u *updater) keptPath(is installed) string {
	return filepath.Join(u.dir, is.name+"-"+is.version+"-"+is.arch+"."+is.format)
}

// journal is the updater's memory: what the last update replaced, and whether it ended. If we crash in between, the
// packages are as the package manager left them, and `rollback` or the same `apply` again ends it.
type journal struct {
	From, To string    // versions
	Before   string    // while it is under way: the version that rollback led to before it, "" for none
	Ended    bool      // false: the update is under way, or was cut off
	At       time.Time // of the last change
}

func (u *updater) journalPath() string { return filepath.Join(u.dir, "journal.json") }

func (u *updater) loadJournal() (j journal, err error) {
	b, err := os.ReadFile(u.journalPath())
	if errors.Is(err, os.ErrNotExist) {
		return journal{Ended: true}, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &j)
	}
	if err != nil {
		return j, fmt.Errorf("read update journal: %w", err)
	}
	return j, nil
}

// keep writes the journal beside its file and syncs.
func (u *updater) keep(j journal) error {
	j.At = time.Now().UTC()
	b, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("encode update journal: %w", err)
	}
	f, err := os.CreateTemp(u.dir, ".journal-")
	if err != nil {
		return fmt.Errorf("keep update journal: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), u.journalPath())
	}
	if err != nil {
		return fmt.Errorf("keep update journal: %w", err)
	}
	return nil
}
