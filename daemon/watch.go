package daemon

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pinward/daemon/api"
	"pinward/daemon/health"
	"pinward/daemon/record"
	"pinward/store"
)

// figures of the whole are made here, one line each; package api shows them as /metrics, and
// packaging/monitoring holds the board and the alerts that are made of them.

// scrape collects figures.
type scrape []api.Figure

// gauge adds one; labels are pairs of key and value.
func (s *scrape) gauge(name, help string, v float64, labels ...string) {
	*s = append(*s, api.Figure{Name: name, Help: help, Value: v, Labels: pairs(labels)})
}

func (s *scrape) count(name, help string, v uint64, labels ...string) {
	*s = append(*s, api.Figure{Name: name, Help: help, Value: float64(v), Count: true, Labels: pairs(labels)})
}

func pairs(labels []string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(labels); i += 2 {
		m[labels[i]] = labels[i+1]
	}
	return m
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// watch makes the figures of an open box.
func (b *box) watch() []api.Figure {
	h := b.house.Load()
	if h == nil {
		return nil
	}
	var s scrape
	b.watchProcess(&s)
	b.watchTree(&s)
	h.watchStore(&s)
	h.watchHL7(&s)
	b.watchMLLP(&s)
	h.watchCursors(&s)
	return s
}

// watchProcess tells of the daemon and the machine under it.
func (b *box) watchProcess(s *scrape) {
	s.gauge("pinward_state", "Always 1; the label is empty, sealed or open.", 1, "state", b.state.Load().Name)
	if fed := b.fed.Load(); fed != 0 {
		s.gauge("pinward_watchdog_last_seconds", "How long ago every loop last showed life.", time.Since(time.Unix(0, fed)).Seconds())
	}
	for place, at := range b.inForce().expiry() {
		s.gauge("pinward_cert_expiry_seconds", "How long the certificate file holds; negative once it has run out.", time.Until(at).Seconds(), "certificate", place)
	}
	if synchronised, known := clockSynchronised(); known {
		s.gauge("pinward_clock_synchronized", "1 if a time server keeps the clock; absent where the sandbox hides it.", truth(synchronised))
	}
	var st unix.Statfs_t
	if unix.Statfs(b.cfg.Box.State, &st) == nil {
		s.gauge("pinward_state_free_bytes", "Free space where the store is.", float64(st.Bavail)*float64(st.Bsize))
		s.gauge("pinward_state_size_bytes", "Size of the file system where the store is.", float64(st.Blocks)*float64(st.Bsize))
	}
}

// timesyncd leaves this file when it has set the clock (systemd-timesyncd(8)).
const timesyncd = "/run/systemd/timesync/synchronized"

// clockSynchronised asks the kernel, which the sandbox forbids (ProtectClock=), then systemd-timesyncd.
func clockSynchronised() (yes, known bool) {
	var t unix.Timex
	if state, err := unix.Adjtimex(&t); err == nil {
		return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, true
	}
	if _, err := os.Stat(timesyncd); err == nil {
		return true, true
	}
	return false, false
}

// watchTree shows each node of health: its name is a word of the program or of the configuration.
func (b *box) watchTree(s *scrape) {
	var walk func(above string, n health.Node)
	walk = func(above string, n health.Node) {
		path := strings.TrimPrefix(above+"/"+n.Name, "/")
		s.gauge("pinward_health_state", "0 ok, 1 unknown, 2 warn, 3 fail, of each part of the box.", float64(n.State), "node", path)
		for _, c := range n.Children {
			walk(path, c)
		}
	}
	walk("", b.Health())
}

// watchStore tells of the store, the audit in it and the keys that sign it.
func (h *house) watchStore(s *scrape) {
	st := h.store.Stats()
	s.gauge("pinward_store_bytes", "Size of the live file; it grows in steps.", float64(st.Size))
	if _, least, err := h.store.Room(); err == nil || errors.Is(err, store.ErrFull) {
		s.gauge("pinward_state_least_free_bytes", "Free space below which nothing new is accepted.", float64(least))
	}
	s.gauge("pinward_audit_unsigned_entries", "Entries that no signed head covers yet.", float64(st.Entries-min(st.Headed, st.Entries)))
	s.count("pinward_store_damaged_reads_total", "Reads that met a damaged value.", st.Rotten)
	s.gauge("pinward_store_damaged_segments", "Frozen months that cannot be read.", float64(len(st.Damaged)))
	s.gauge("pinward_clock_trusted", "0 while the clock stands before the last entry of the audit.", truth(time.Until(st.LastEntry) < clockBehind))
	for kind, n := range h.store.Tally() {
		s.count("pinward_audit_actions_total", "Entries of the audit by action and outcome.", n, "action", string(kind.Action), "outcome", kind.Outcome.String())
	}
	a := h.store.Anchors()
	s.gauge("pinward_tpm_ok", "1 while the keys sign heads and the counter answers.", truth(a.Trouble == nil && h.store.Unsigned() == nil))
	if a.Counted {
		s.gauge("pinward_audit_anchor_age_seconds", "How long ago the TPM's counter was last bound to the log.", time.Since(a.At).Seconds())
	}
}

// watchHL7 tells of the messages of each listener.
func (h *house) watchHL7(s *scrape) {
	for name, in := range h.intake {
		for ack, n := range in.Acks() {
			s.count("pinward_hl7_messages_total", "HL7 messages by the acknowledgment that they earned.", n, "listener", name, "ack", ack)
		}
		c := in.Counts()
		s.count("pinward_hl7_duplicates_total", "HL7 messages that came again.", c.Duplicates, "listener", name)
		s.count("pinward_hl7_failed_total", "HL7 messages that were not taken: trouble of our own closed the connection.", c.Failed, "listener", name)
		s.count("pinward_hl7_acted_total", "HL7 messages that matched a rule.", c.Acted, "listener", name)
	}
}

// watchMLLP tells of senders whose frames or connections are not right, by address: some reader would lose a message
// over each. What did not happen has no line.
func (b *box) watchMLLP(s *scrape) {
	for _, port := range b.ports {
		for addr, n := range port.CountsByPeer() {
			for _, defect := range []struct {
				name string
				n    uint64
			}{
				{"junk", n.Junk}, {"filler", n.Filler}, {"doubled_start", n.DoubledStart}, {"doubled_end", n.DoubledEnd}, {"form_feed", n.FormFeed},
				{"line_feed", n.LineFeed}, {"empty", n.Empty}, {"cut", n.Cut}, {"too_large", n.TooLarge}, {"no_room", n.NoRoom}, {"no_mllp", n.Alien},
				{"refused", n.Refused}, {"handshake", n.Handshakes}, {"unwritten", n.Unwritten}, {"late", n.Late},
			} {
				if defect.n > 0 {
					s.count("pinward_mllp_defects_total", "Frames put right and connections that went wrong, by sender.", defect.n,
						"listener", port.Name, "address", addr.String(), "defect", defect.name)
				}
			}
		}
	}
}

// watchCursors tells of those who follow the audit: how much each has not got, and for how long.
func (h *house) watchCursors(s *scrape) {
	const help, lag = "Entries of the audit that a follower has not got.", "How long the first of these has waited."
	err := h.store.View(context.Background(), func(tx *store.Tx) error {
		follower := func(name string, st record.FollowerStatus) {
			s.gauge("pinward_cursor_backlog", help, float64(st.Backlog), "cursor", name)
			waited := 0.0
			if st.Backlog > 0 && !st.Oldest.IsZero() {
				waited = max(0, tx.Now().Sub(st.Oldest).Seconds())
			}
			s.gauge("pinward_cursor_lag_seconds", lag, waited, "cursor", name)
		}
		if h.repository != nil {
			st, err := record.StatusOf(tx, record.RepositoryCursor)
			if err != nil {
				return err
			}
			follower(record.RepositoryCursor, st)
		}
		for _, e := range h.engines {
			st, err := record.StatusOf(tx, record.EnginePrefix+e.peer)
			if err != nil {
				return err
			}
			follower(record.EnginePrefix+e.peer, st)
		}
		list, err := h.witnesses(tx, h.store.Stats().Entries)
		for _, w := range list {
			s.gauge("pinward_cursor_backlog", help, float64(w.Behind), "cursor", "witness/"+w.Name)
			s.gauge("pinward_cursor_lag_seconds", lag, float64(w.Lag), "cursor", "witness/"+w.Name)
		}
		return err
	})
	if err != nil {
		h.log.Error("read figures of followers", "error", err)
	}
}
