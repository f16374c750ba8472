package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pinward/daemon/api"
	"pinward/daemon/health"
	"pinward/daemon/record"
	"pinward/store"
	"pinward/store/audit"
)

// WitnessTarget is one [[witness]]: who keeps the signed heads of the audit. An attacker who controls
// it can keep heads from being kept elsewhere, which health tells, and learns how many entries there
// are, and nothing else. A witness that pulls (pinward audit witness) stands here by its name alone.
type WitnessTarget struct {
	// Name tells witnesses apart. That of one that pulls is the name of its API client.
	Name string `toml:"name"`
	// Kind is file, syslog or pull.
	Kind string `toml:"kind"`
	// File is where a witness of kind file appends a line for each head, such as on a share.
	File string `toml:"file"`
	// Socket is the log server of kind syslog on this machine: a Unix datagram socket.
	Socket string `toml:"socket"`
	// Relay is the log server of kind syslog elsewhere, by its name on the relay's list.
	Relay string `toml:"relay"`
	// TLS is the server's name in its certificate; empty means plain TCP. CA is the PEM file of who
	// signed it; empty means the system's.
	TLS string `toml:"tls"`
	CA  string `toml:"ca"`
	// OffBox says that what the file or the local log server gets is kept on another machine, where
	// root on this box cannot change it. Of a relay or one that pulls it is always so.
	OffBox bool `toml:"off_box"`
}

func (w WitnessTarget) check() error {
	var ways []string
	for _, way := range []string{w.File, w.Socket, w.Relay} {
		if way != "" {
			ways = append(ways, way)
		}
	}
	switch {
	case w.Name == "" || len(w.Name) > 64:
		return errors.New("name must be set, of at most 64 bytes")
	case !slices.Contains([]string{"file", "syslog", "pull"}, w.Kind):
		return fmt.Errorf("kind: %q is none of file, syslog, pull", w.Kind)
	case w.Kind == "file" && (len(ways) != 1 || !filepath.IsAbs(w.File)):
		return errors.New("kind file needs file, an absolute path, and no socket or relay")
	case w.Kind == "syslog" && (len(ways) != 1 || w.File != ""):
		return errors.New("kind syslog needs either socket or relay")
	case w.Kind == "pull" && len(ways) != 0:
		return errors.New("kind pull comes by itself: give only its name")
	case w.Socket != "" && !filepath.IsAbs(w.Socket):
		return errors.New("socket must be an absolute path")
	case (w.TLS != "" || w.CA != "") && w.Relay == "":
		return errors.New("tls and ca are for a relay")
	case w.CA != "" && w.TLS == "":
		return errors.New("ca needs tls, the server's name")
	}
	return nil
}

func (w WitnessTarget) offBox() bool { return w.OffBox || w.Relay != "" || w.Kind == "pull" }

// give is how a head gets to the witness, out being the way to those elsewhere; nil for one that pulls.
func (w WitnessTarget) give(out Dial) func(context.Context, string) error {
	switch {
	case w.Kind == "file":
		return record.FileWitness(w.File)
	case w.Socket != "":
		return record.SyslogWitness(func(ctx context.Context) (net.Conn, error) {
			return DialLocal(ctx, "unixgram", w.Socket)
		})
	case w.Relay != "":
		return record.SyslogWitness(w.dial(out))
	}
	return nil
}

// dial connects to a log server elsewhere.
func (w WitnessTarget) dial(out Dial) func(context.Context) (net.Conn, error) {
	return dialTLS(out, w.Relay, peerTLS{Name: w.TLS, CA: w.CA})
}

// witness starts one loop for each witness that is given its heads, and forgets those that are not
// named any more.
func (h *house) witness(ctx context.Context, list []WitnessTarget, out Dial) {
	err := h.store.Update(ctx, self, func(tx *store.Tx) error {
		return record.Forget(tx, func(name string) bool {
			return slices.ContainsFunc(list, func(w WitnessTarget) bool { return w.Name == name })
		})
	})
	if err != nil {
		h.log.Error("forget witnesses", "error", err)
	}
	for _, w := range list {
		if give := w.give(out); give != nil {
			h.rest.Go(func() {
				record.Feed(ctx, h.store, self, record.Witness{Name: w.Name, OffBox: w.offBox(), Give: give}, h.log)
			})
		}
	}
	h.named = list
}

// witnessLate is how long a witness may be without the latest head before health warns; one that pulls
// may come once an hour.
const witnessLate = 2 * time.Hour

// forked is the way out of two histories: README, "Recover".
const forked = "; if this box was set back to a snapshot, or another box runs from a copy of it, stop one of the two and see README, Recover"

// checkWitnesses warns when a witness that was named has not got a head for long.
func (h *house) checkWitnesses() health.Check {
	return health.Check{Name: "witnesses", Ask: func() (health.State, string) {
		var list []record.WitnessStatus
		err := h.store.View(context.Background(), func(tx *store.Tx) (err error) {
			list, err = record.Witnesses(tx)
			return err
		})
		if err != nil {
			return health.Unknown, "the receipts of the witnesses cannot be read"
		}
		var late []string
		for _, st := range list { // whoever tells of another history is no matter of two hours
			if strings.Contains(st.Trouble, audit.ErrOtherHistory.Error()) {
				return health.Warn, st.Name + ": " + st.Trouble + forked
			}
		}
		for _, w := range h.named {
			i := slices.IndexFunc(list, func(s record.WitnessStatus) bool { return s.Name == w.Name })
			last := h.since
			if i >= 0 {
				last = later(list[i].At, last)
			}
			if (i < 0 || list[i].Behind > 0) && time.Since(last) > witnessLate {
				late = append(late, w.Name)
			}
		}
		if len(late) > 0 {
			return health.Warn, "no head for two hours: " + strings.Join(late, ", ")
		}
		return health.OK, ""
	}}
}

// witnesses tells how each witness stands; one that was named and never got a head is behind by all
// entries.
func (h *house) witnesses(tx *store.Tx, entries uint64) ([]record.WitnessStatus, error) {
	list, err := record.Witnesses(tx)
	for _, w := range h.named {
		if !slices.ContainsFunc(list, func(s record.WitnessStatus) bool { return s.Name == w.Name }) {
			list = append(list, record.WitnessStatus{Name: w.Name, OffBox: w.offBox(), Behind: entries})
		}
	}
	return list, err
}

// index keeps the search index up. One that stops makes searches slow and nothing else: it is begun
// again.
func (h *house) index(ctx context.Context) {
	for ctx.Err() == nil {
		if err := record.Index(ctx, h.store, self, api.AboutOf); err != nil && ctx.Err() == nil {
			h.log.Error("index audit", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Minute):
		}
	}
}
