package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"pinward/packaging/release"
)

// applyOptions are what a person gives up or adds at an update.
type applyOptions struct {
	previous                        string
	noRollback, noBackup, downgrade bool
}

// apply installs the version in a bundle, in this order: judge the bundle, have the way back ready, back up, note in the
// journal, install, see it come up. Nothing is changed before the journal says so.
func (u *updater) apply(ctx context.Context, file string, o applyOptions) error {
	if err := os.MkdirAll(u.dir, 0o700); err != nil {
		return fmt.Errorf("make folder of updates: %w", err)
	}
	is, err := u.installed(ctx)
	if err != nil {
		return err
	}
	j, err := u.loadJournal()
	if err != nil {
		return err
	}
	if !j.Ended && j.From != "" {
		is.version = j.From // what is installed may be half of either
	}
	to, err := u.stage(file, is)
	if err != nil {
		return err
	}
	if !j.Ended && to.version != j.To {
		return fmt.Errorf("the update to %s was cut off: run pinward update rollback, or apply its bundle again", j.To)
	}
	order, err := release.Compare(to.version, is.version)
	switch {
	case err != nil:
		return err
	case order == 0:
		return fmt.Errorf("version %s is installed already", is.version)
	case order < 0 && !o.downgrade:
		return fmt.Errorf("the bundle's version %s is older than the installed one, %s: --downgrade installs it all the same", to.version, is.version)
	}
	if err := u.readyToReturn(is, o); err != nil {
		return err
	}
	before, err := u.standing(ctx)
	if err != nil && !o.noBackup {
		return fmt.Errorf("%w; a daemon that does not run is repaired with --no-backup", err)
	}
	res := outcome{Was: is.version, Wanted: to.version}
	if res.Backup, err = u.backUp(ctx, before, o); err != nil {
		return err
	}
	earlier := j.From
	if !j.Ended {
		earlier = j.Before
	}
	if err := u.keep(journal{From: is.version, To: to.version, Before: earlier}); err != nil {
		return err
	}
	return u.install(ctx, is, to, before, earlier, res)
}

// readyToReturn sees that the installed version's package is kept.
func (u *updater) readyToReturn(is installed, o applyOptions) error {
	if exists(u.keptPath(is)) || o.noRollback {
		return nil
	}
	if o.previous == "" {
		return fmt.Errorf("the package of version %s is not kept here, so there would be no way back: give its bundle by --previous, or say --no-rollback", is.version)
	}
	prev, err := u.stage(o.previous, is)
	if err == nil && prev.version != is.version {
		err = fmt.Errorf("--previous is version %s, and %s is installed", prev.version, is.version)
	}
	return err
}

// backUp has the daemon make its backup, into its own folder. A box that has no keys yet, or none any more, has nothing
// to lose.
func (u *updater) backUp(ctx context.Context, before standing, o applyOptions) (file string, err error) {
	if o.noBackup || before.State == "empty" || before.State == "decommissioned" {
		return "", nil
	}
	fmt.Fprintln(u.say, "backup    ...")
	var made struct{ File string }
	if err := u.c.get(ctx, http.MethodPost, "/backup/run", struct{}{}, &made); err != nil {
		return "", fmt.Errorf("no backup, so nothing was installed (--no-backup goes on without): %w", err)
	}
	fmt.Fprintln(u.say, "backup    "+made.File)
	return made.File, nil
}

// install installs, and goes back where what was installed does not come up. Then rollback leads to the version that it led to
// before, earlier, and not to the one that has just failed.
func (u *updater) install(ctx context.Context, is, to installed, before standing, earlier string, res outcome) error {
	fmt.Fprintf(u.say, "install   %s %s over %s\n", to.name, to.version, is.version)
	failed := u.put(ctx, to)
	if failed == nil {
		failed = u.comesUp(ctx, to.version, before)
	}
	if failed == nil {
		res.Now = to.version
		u.prune(is, to)
		return u.end(journal{From: is.version, To: to.version, Ended: true}, res)
	}
	fmt.Fprintln(u.say, "FAILED    "+failed.Error())
	if !exists(u.keptPath(is)) {
		return fmt.Errorf("version %s does not come up, and there is no package to go back to: %w", to.version, failed)
	}
	fmt.Fprintf(u.say, "back      to %s\n", is.version)
	if err := u.goBack(ctx, is, before); err != nil {
		return fmt.Errorf("version %s does not come up (%w), and going back to %s failed: %w", to.version, failed, is.version, err)
	}
	res.Now, res.RolledBack = is.version, failed.Error()
	os.Remove(u.keptPath(to)) // what stays costs space alone
	if err := u.end(journal{From: earlier, To: is.version, Ended: true}, res); err != nil {
		return err
	}
	return exit(1)
}

// goBack installs the kept package, and sees the daemon come up with it. Where the disk has no room for it either, the package
// manager may have left the former version as it was: that is asked of the daemon.
func (u *updater) goBack(ctx context.Context, is installed, before standing) error {
	ctx = context.WithoutCancel(ctx) // ^C in the middle of it would leave the box without a daemon
	failed := u.put(ctx, is)
	if now, err := u.installed(ctx); failed != nil && (err != nil || now != is || !u.configured(ctx, is)) {
		return errors.Join(failed, err)
	}
	return u.comesUp(ctx, is.version, before)
}

func (u *updater) end(j journal, res outcome) error {
	if err := u.keep(j); err != nil {
		return err
	}
	if u.c.json {
		return printJSON(res)
	}
	if res.RolledBack != "" {
		fmt.Fprintf(u.say, "Version %s is back, and works as before. Version %s did not come up: %s\n", res.Now, res.Wanted, res.RolledBack)
		return nil
	}
	fmt.Fprintf(u.say, "Version %s is installed, and works. pinward update rollback goes back to %s.\n", res.Now, res.Was)
	return nil
}

// rollback puts the version before the last update back; run again, it undoes itself.
func (u *updater) rollback(ctx context.Context) error {
	j, err := u.loadJournal()
	if err != nil {
		return err
	}
	is, err := u.installed(ctx)
	if err != nil {
		return err
	}
	if j.From == "" {
		return errors.New("no update was made here: there is nothing to go back to")
	}
	back := is
	back.version = j.From
	if !exists(u.keptPath(back)) {
		return fmt.Errorf("the package of version %s is not kept here", back.version)
	}
	before, err := u.standing(ctx)
	if err != nil {
		before = standing{} // what it goes back from may be what does not run
	}
	fmt.Fprintf(u.say, "back      from %s to %s\n", j.To, back.version)
	if err := u.goBack(ctx, back, before); err != nil {
		return fmt.Errorf("go back to %s: %w", back.version, err)
	}
	return u.end(journal{From: j.To, To: back.version, Ended: true}, outcome{Was: j.To, Wanted: back.version, Now: back.version})
}

// prune removes kept packages of versions that are neither installed nor the one to go back to.
func (u *updater) prune(keep ...installed) {
	names := map[string]bool{}
	for _, k := range keep {
		names[u.keptPath(k)] = true
	}
	for _, format := range []string{release.Deb, release.RPM} {
		all, _ := filepath.Glob(filepath.Join(u.dir, "pinward*."+format)) // the pattern is sound
		for _, path := range all {
			if !names[path] {
				os.Remove(path) // what stays costs space alone
			}
		}
	}
}

// standing is how the daemon is.
type standing struct {
	State, Cause, Version, Unseal string
	Since                         time.Time
	Health                        node
}

func (u *updater) standing(ctx context.Context) (s standing, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	return s, u.c.get(ctx, http.MethodGet, "/status", nil, &s)
}

// comesUp waits until the daemon is ready (systemd says active only then), of the wanted version, and as well as it was
// before, and has stood so for a while.
func (u *updater) comesUp(ctx context.Context, version string, before standing) error {
	fmt.Fprintf(u.say, "wait      for version %s to be ready and well\n", version)
	until := time.Now().Add(u.patience)
	first, last := u.restarts(ctx), 0
	var since time.Time
	for {
		if last = u.restarts(ctx); last < first {
			first = 0 // it counts anew from a start that somebody ordered
		}
		err := u.active(ctx) // while it is not nobody answers at its socket, which systemd holds
		if err == nil {
			var now standing
			if now, err = u.standing(ctx); err == nil {
				err = asWell(now, version, before)
			}
		}
		switch {
		case err != nil:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= u.steady:
			return nil
		}
		if err != nil && (time.Now().After(until) || last-first >= restartsMost) {
			return err
		}
		select {
		case <-time.After(min(time.Second, u.steady/4)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (u *updater) active(ctx context.Context) error {
	if state, err := u.run(ctx, "systemctl", "is-active", "pinward.service"); err != nil || strings.TrimSpace(state) != "active" {
		return fmt.Errorf("pinward.service is not active: %w", errors.Join(errors.New(state), err))
	}
	return nil
}

// restartsMost is how often systemd may have started the new daemon again before nobody waits for it any longer.
const restartsMost = 3

// restarts is how often systemd has started the daemon again by itself.
func (u *updater) restarts(ctx context.Context) int {
	out, err := u.run(ctx, "systemctl", "show", "-P", "NRestarts", "pinward.service")
	if err != nil {
		return 0 // then only patience ends the wait
	}
	n, _ := strconv.Atoi(strings.TrimSpace(out)) // what is no number is none
	return n
}

// asWell says what keeps the daemon from being as well as it was.
func asWell(now standing, version string, before standing) error {
	if now.Version != version {
		return fmt.Errorf("the daemon that answers is of version %s", now.Version)
	}
	// A box that asks for a passphrase waits for its operator after every start.
	waits := now.State == "sealed" && now.Unseal != "tpm"
	if before.State == "open" && now.State != "open" && !waits {
		return fmt.Errorf("the box was open and is %s: %s", now.State, now.Cause)
	}
	if now.Health.worst() == "fail" && before.Health.worst() != "fail" && before.State != "" && !waits {
		b, err := json.Marshal(now.Health)
		return errors.Join(fmt.Errorf("it is less well than before: %s", b), err)
	}
	return nil
}
