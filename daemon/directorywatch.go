package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/directory"
	"pinward/daemon/health"
	"pinward/store"
)

const (
	// watchDirectoryEvery is how often it is looked whom to ask for again.
	watchDirectoryEvery = time.Minute
	// probeDirectoryEvery is after how long a directory that nobody needed is asked all the same; one that does not answer is
	// asked each minute.
	probeDirectoryEvery = 5 * time.Minute
	// directoryGrace is how long a directory may be silent before health names it.
	directoryGrace = time.Minute
)

// watchDirectory asks the directory again for everybody who is logged in by it: who may no longer is logged out, and other
// groups give other roles. While it does not answer nobody is logged out: sessions live to their own end.
func (h *house) watchDirectory(ctx context.Context, b *box) {
	tick := time.NewTicker(watchDirectoryEvery)
	defer tick.Stop()
	w := directoryWatch{store: h.store, log: b.log, checked: map[string]time.Time{}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := w.round(ctx, b.directory.Load()); err != nil && ctx.Err() == nil {
			b.log.Error("ask the directory again", "error", err)
		}
	}
}

// directoryWatch is owned by the loop.
type directoryWatch struct {
	store   *store.Store
	log     *slog.Logger
	checked map[string]time.Time // by id: when the directory last answered for somebody who is logged in
	silent  bool                 // as it was last told to the log
}

// round asks for each whose time has come; d is nil where no directory is connected any more. It is no error of ours when it
// does not answer.
func (w *directoryWatch) round(ctx context.Context, d *hospitalDirectory) error {
	var people []access.User
	if err := w.store.View(ctx, func(tx *store.Tx) (err error) {
		people, err = access.SessionsOfDirectory(tx)
		return err
	}); err != nil {
		return err
	}
	if d == nil {
		return w.disconnected(ctx, people)
	}
	if err := w.askAgain(ctx, d, people); err != nil {
		return err
	}
	if _, why := d.client.Status(); why != nil && d.unasked() >= watchDirectoryEvery-time.Second || d.unasked() >= probeDirectoryEvery-time.Second {
		_ = d.client.Probe(ctx) // what comes of it is the client's status
	}
	_, why := d.client.Status()
	if silent := why != nil; silent != w.silent && ctx.Err() == nil {
		w.silent = silent
		if silent {
			w.log.Warn("the directory does not answer: only local accounts can log in", "error", why)
		} else {
			w.log.Info("the directory answers again")
		}
	}
	return nil
}

// unasked is how long ago a server last answered, or should have.
func (d *hospitalDirectory) unasked() time.Duration { return time.Since(d.client.Probed()) }

// disconnected logs everybody of the directory out after it was taken out of the configuration: nobody can ask any more
// whether they may stay.
func (w *directoryWatch) disconnected(ctx context.Context, people []access.User) error {
	w.checked, w.silent = map[string]time.Time{}, false
	for _, u := range people {
		gone := access.Person{Barred: "the directory is not connected any more"}
		if err := w.store.Update(ctx, self, func(tx *store.Tx) error { return access.Recheck(tx, nil, u.Directory, gone, true) }); err != nil {
			return err
		}
	}
	return nil
}

func (w *directoryWatch) askAgain(ctx context.Context, d *hospitalDirectory, people []access.User) error {
	here := map[string]time.Time{}
	for _, u := range people {
		if at, ok := w.checked[u.Directory]; ok {
			here[u.Directory] = at
		}
	}
	w.checked = here // who has gone is forgotten
	for _, u := range people {
		if at, ok := w.checked[u.Directory]; ok && time.Since(at) < d.target.recheck() {
			continue
		}
		p, err := d.findID(ctx, u.Directory)
		found := !errors.Is(err, directory.ErrNoPerson)
		if err != nil && found {
			if errors.Is(err, directory.ErrUnusable) {
				continue // a setting that is wrong must not log the whole hospital out
			}
			return nil // it does not answer, or others wait for it: in a minute again
		}
		if err := w.store.Update(ctx, self, func(tx *store.Tx) error {
			return access.Recheck(tx, d.rules, u.Directory, personOf(p), found)
		}); err != nil {
			return err
		}
		w.checked[u.Directory] = time.Now()
	}
	return nil
}

// checkDirectory warns when the directory does not answer: local accounts go on, so it is no failure of the box.
func (b *box) checkDirectory() health.Check {
	return health.Check{Name: "directory", Ask: func() (health.State, string) {
		d := b.directory.Load()
		if d == nil {
			return health.OK, ""
		}
		since, why := d.client.Status()
		if why == nil || time.Since(since) < directoryGrace && !errors.Is(why, directory.ErrRefused) {
			return health.OK, ""
		}
		return health.Warn, fmt.Sprintf("only local accounts can log in: %v", why)
	}}
}
