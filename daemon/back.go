package daemon

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"pinward/daemon/health"
	"pinward/daemon/intake"
	"pinward/daemon/record"
	"pinward/hl7/mllp"
	"pinward/store"
)

// engine is the way back to one HL7 peer: a kept connection, by which a cursor over the audit tells it
// what became of its requests.
type engine struct {
	peer   string
	place  string // on the relay's list
	client *mllp.Client
}

// tellEngines starts a follower for each peer that the configuration names a place for, and forgets
// those of peers that have none any more.
func (h *house) tellEngines(ctx context.Context, b *box, out Dial) {
	for _, l := range b.cfg.HL7 {
		for _, p := range l.Peers {
			if p.Back == "" {
				continue
			}
			e := &engine{peer: p.Name, place: p.Back, client: &mllp.Client{Dial: dialBack(out, p, b.creds[l.Name])}}
			h.engines = append(h.engines, e)
			run := record.Engine{Peer: p.Name, Store: h.store, By: self, Send: e.client.Send, Wants: wants(p.Name), Log: h.log}
			h.rest.Go(func() {
				defer e.client.Close()
				run.Run(ctx)
			})
		}
	}
	err := h.store.Update(ctx, self, func(tx *store.Tx) error {
		return record.ForgetFollowers(tx, record.EnginePrefix, func(name string) bool {
			return slices.ContainsFunc(h.engines, func(e *engine) bool { return record.EnginePrefix+e.peer == name })
		})
	})
	if err != nil {
		h.log.Error("forget ways back", "error", err)
	}
}

// wants reads which states a peer is told of.
func wants(peer string) func(*store.Tx) ([]string, error) {
	return func(tx *store.Tx) ([]string, error) {
		p, err := intake.PolicyOf(tx)
		return p.Peers[peer].Back, err
	}
}

// dialBack connects to a peer's own port, with the certificates of the listener that it sends to.
func dialBack(out Dial, p HL7Peer, creds *mllp.Credentials) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		c, err := out(ctx, p.Back)
		if err != nil || p.BackTLS == "" {
			return c, err
		}
		t := tls.Client(c, creds.Client(p.BackTLS))
		if err := t.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, fmt.Errorf("begin TLS with %s: %w", p.Name, err)
		}
		return t, nil
	}
}

// dialEnginesAnew closes the connections, for they were made with certificates that may be believed no
// more. What is under way gets its answer first.
func (h *house) dialEnginesAnew() {
	for _, e := range h.engines {
		h.rest.Go(func() { _ = e.client.Close() })
	}
}

// backLine is how the way back to a peer does.
type backLine struct {
	Place string `json:"place"` // on the relay's list; "" where the configuration names none
	record.EngineStatus
}

// back tells of the way back to a peer, nil where it is told of nothing.
func (h *house) back(tx *store.Tx, p intake.PeerReport) (*backLine, error) {
	i := slices.IndexFunc(h.engines, func(e *engine) bool { return e.peer == p.Peer })
	if len(p.Back) == 0 && i < 0 {
		return nil, nil
	}
	st, err := record.StatusOfEngine(tx, p.Peer)
	if err != nil {
		return nil, err
	}
	line := &backLine{EngineStatus: st}
	if i >= 0 {
		line.Place = h.engines[i].place
	} else {
		line.Trouble = noPlace
	}
	return line, nil
}

const noPlace = "pinward.toml names no place for it: back of its [[hl7.peer]]"

// backLate is how long an engine may take nothing before health warns: one that restarts is no news.
const backLate = 10 * time.Minute

// checkBack warns of engines that do not take what they asked for.
func (h *house) checkBack() health.Check {
	return health.Check{Name: "hl7 back", Ask: func() (health.State, string) {
		var list []string
		err := h.store.View(context.Background(), func(tx *store.Tx) error {
			p, err := intake.PolicyOf(tx)
			if err != nil {
				return err
			}
			for _, in := range h.intake {
				for _, name := range in.Peers() {
					why, err := h.late(tx, name, p.Peers[name].Back)
					if err != nil {
						return err
					}
					if why != "" {
						list = append(list, why)
					}
				}
			}
			return nil
		})
		switch {
		case err != nil:
			return health.Unknown, "the ways back cannot be read"
		case len(list) > 0:
			slices.Sort(list)
			return health.Warn, strings.Join(list, "; ")
		}
		return health.OK, ""
	}}
}

// late tells why a peer has not what it asked for, "" if it has.
func (h *house) late(tx *store.Tx, peer string, asks []string) (string, error) {
	switch known := slices.ContainsFunc(h.engines, func(e *engine) bool { return e.peer == peer }); {
	case !known && len(asks) > 0:
		return peer + ": " + noPlace, nil
	case !known:
		return "", nil
	}
	st, err := record.StatusOfEngine(tx, peer)
	if err != nil || st.Since.IsZero() || tx.Now().Sub(st.Since) < backLate {
		return "", err
	}
	return fmt.Sprintf("%s takes no status since %s, %d entries wait: see pinward hl7 peers", peer, st.Since.UTC().Format(time.RFC3339), st.Backlog), nil
}
