package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/alarm"
	"pinward/daemon/api"
	"pinward/daemon/consent"
	"pinward/daemon/console"
	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/daemon/intake"
	"pinward/daemon/limit"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/record"
	"pinward/modem"
	"pinward/store"
)

// house is what stands behind the doors once the box is open: the store, the loops that work on it,
// and the handlers that the doors call.
type house struct {
	store   *store.Store
	keys    store.Keys
	since   time.Time // when it was opened
	named   []WitnessTarget
	log     *slog.Logger
	api     http.Handler
	console http.Handler
	intake  map[string]*intake.Intake // by listener
	fits    map[string]fitted         // by modem, as they were when the house was opened
	engines []*engine                 // the ways back to HL7 peers
	senders []*sender
	speech  *atomic.Pointer[recordings] // the box's
	// repository is fed the events of the audit, as atna says; nil where there is none.
	repository *record.Repository
	atna       ATNATarget
	planned    atomic.Pointer[maintenance] // the last one that was begun; its time may have come
	stopSend   context.CancelFunc          // ends the senders first ...
	stopRest   context.CancelFunc          // ... then the modems, the inbox and the sweeper
	sending    sync.WaitGroup
	rest       sync.WaitGroup
}

// sources render each kind of message at the last moment.
var sources = outbox.Sources{otp.Kind: otp.Render, notice.Kind: notice.Render, consent.Kind: consent.Render, kindSelfTest: renderTest, alarm.MessageKind: alarm.Render}

// openHouse opens the store, settles what a crash left behind, and starts the loops.
func (b *box) openHouse(ctx context.Context, keys store.Keys, accept *store.Acceptance) (*house, error) {
	h, err := b.openStore(ctx, keys, accept)
	if err != nil {
		return nil, err
	}
	h.furnish(b)
	return h, nil
}

// openStore opens the store and settles what a crash left behind; nothing works on it yet.
// accept takes a store that is older than the TPM's counter, where the operator says so.
func (b *box) openStore(ctx context.Context, keys store.Keys, accept *store.Acceptance) (*house, error) {
	if err := claimFormat(b.cfg.Box.State); err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, b.storePath(), store.Options{
		Origin: "pinward/" + b.cfg.Box.ID, Keys: counting(keys), Log: b.log, AcceptRollback: accept, Strict: b.strict, Keep: b.cfg.Box.keep(),
		Existing: exists(b.statePath()), // set-up saves it after the store is made
	})
	if err != nil {
		return nil, err
	}
	h := &house{store: s, keys: keys, log: b.log, since: time.Now(), speech: &b.speech, fits: map[string]fitted{}}
	if err := b.sealed.bind(ctx, s); err != nil {
		b.log.Error("bind events of a closed box", "error", err) // no reason to stay closed
	}
	h.listeners(b)
	if err := h.settle(ctx, b.cfg); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return h, nil
}

// furnish makes the handlers behind the doors and starts the loops.
func (h *house) furnish(b *box) {
	h.buildDoors(b)
	h.start(b)
}

// settle runs before anything else does: a hand-over that a crash cut off becomes unknown by the
// same code as in normal running, and no sender counts as ready before it says so.
func (h *house) settle(ctx context.Context, c Config) error {
	return h.store.Update(ctx, self, func(tx *store.Tx) error {
		if err := outbox.ResetSenders(tx); err != nil {
			return fmt.Errorf("reset senders: %w", err)
		}
		if n, err := outbox.Recover(tx); err != nil {
			return fmt.Errorf("recover outbox: %w", err)
		} else if n > 0 {
			h.log.Info("hand-overs cut off by the last stop are unknown now", "messages", n)
		}
		if err := h.resumeMaintenance(tx); err != nil {
			return err
		}
		if err := h.afterRestore(tx); err != nil {
			return fmt.Errorf("settle restore: %w", err)
		}
		if err := otp.Install(tx); err != nil {
			return fmt.Errorf("install shipped services: %w", err)
		}
		for _, in := range h.intake {
			if err := in.Begin(tx); err != nil {
				return err
			}
		}
		if err := intake.EndOthers(tx, func(name string) bool { return h.intake[name] != nil }); err != nil {
			return err
		}
		for _, p := range c.Modems {
			var err error
			if h.fits[p.Name], err = fittedOf(tx, p.Name); err != nil {
				return err
			}
		}
		attrs := []store.Attr{{Key: "box", Value: c.Box.ID}}
		return tx.Record(store.Entry{Action: "daemon.start", Outcome: store.OK, Attrs: attrs})
	})
}

// afterRestore ends what was under way in the backup that this box was made of, until an operator
// lifts the restore: nothing of then is acted on.
func (h *house) afterRestore(tx *store.Tx) error {
	at, ok := tx.Restored()
	if !ok {
		return nil
	}
	messages, err := outbox.AfterRestore(tx, at)
	if err != nil {
		return err
	}
	codes, err := otp.AfterRestore(tx, at)
	if err != nil {
		return err
	}
	h.log.Warn("restored from a backup: sending is held until an operator lifts it", "verifications", codes, "messages", messages)
	return nil
}

func (h *house) buildDoors(b *box) {
	h.api = api.New(api.Options{Store: h.store, Box: b.watch, Figures: h.figures, Backup: h.backupFigures, Maintenance: func() bool { return h.inMaintenance() != nil }, Health: b.Health, Log: b.log, Version: b.opts.Version})
	h.console = console.New(console.Options{Store: h.store, Health: b.Health, Planned: h.plannedUntil, Passwords: b.passwords, Directory: b.directoryNow, Log: b.log})
}

// listeners makes what handles the messages of each HL7 listener.
func (h *house) listeners(b *box) {
	h.intake = map[string]*intake.Intake{}
	for _, l := range b.cfg.HL7 {
		in := l.intake(b.log)
		in.TwoPersons = b.opts.Owner == "" // the demo has one person
		h.intake[l.Name] = intake.New(intake.Options{Store: h.store, Log: b.log, Listener: in})
	}
}

// start gives each modem its loops: one that runs it, one that gives it messages, one that takes in
// what it reports.
func (h *house) start(b *box) {
	send, stopSend := context.WithCancel(context.Background())
	rest, stopRest := context.WithCancel(context.Background())
	h.stopSend, h.stopRest = stopSend, stopRest
	for _, p := range b.cfg.Modems {
		m := b.newModem(h, p)
		s := &sender{port: p, modem: m, wiring: &b.wiring, fit: h.fits[p.Name], store: h.store, sources: sources, speech: h.speech, log: b.log, pulse: b.pulses.add("sender " + p.Name)}
		h.senders = append(h.senders, s)
		h.rest.Go(func() {
			if err := m.Run(rest); err != nil && rest.Err() == nil {
				b.fail(fmt.Errorf("run modem %s: %w", p.Name, err))
			}
		})
		h.rest.Go(func() { inbox{name: p.Name, store: h.store, log: b.log, own: h.own}.run(rest, m) })
		h.sending.Go(func() {
			if err := s.run(send); err != nil {
				b.log.Error("end sender", "modem", p.Name, "error", err)
			}
		})
	}
	h.rest.Go(func() { h.askBalances(rest) })
	h.rest.Go(func() { h.sweep(rest, b.pulses.add("sweeper")) })
	h.rest.Go(func() { h.askWriter(rest, b.pulses.add("store")) })
	h.rest.Go(func() { h.retain(rest) })
	out := RelayDial(b.cfg.Relay.Socket)
	h.witness(rest, b.cfg.Witnesses, out)
	h.tellEngines(rest, b, out)
	h.feedRepository(rest, b.cfg, out)
	h.rest.Go(func() { h.index(rest) })
	h.alarms(rest, b, out)
	h.rest.Go(func() { h.watchDirectory(rest, b) })
	h.rest.Go(func() {
		select {
		case <-h.store.Failed():
			b.fail(fmt.Errorf("store failed: %w", h.store.Err()))
		case <-rest.Done():
		}
	})
}

// close ends the house in order: what is on air gets a moment, nothing new is taken, everything
// that is known is kept, then the store signs its last head.
func (h *house) close(ctx context.Context) error {
	h.stopSend()
	if err := wait(ctx, &h.sending); err != nil {
		return fmt.Errorf("end senders: %w", err)
	}
	h.stopRest()
	if err := wait(ctx, &h.rest); err != nil {
		return fmt.Errorf("end modems: %w", err)
	}
	h.keepCounts(ctx)
	for _, in := range h.intake {
		in.Close()
	}
	stopped := h.store.Update(ctx, self, func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: "daemon.stop", Outcome: store.OK})
	})
	return errors.Join(stopped, h.store.Close())
}

// wait waits for goroutines to end, as long as ctx allows: a stop that hangs must not keep the next
// start from happening. The process ends right after, and what it leaves is what a crash leaves.
func wait(ctx context.Context, wg *sync.WaitGroup) error {
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sweep is a verb that ends what is over. Each is a transaction of its own, so that one that fails
// holds no other up.
type sweep struct {
	name  string
	every time.Duration
	sweep func(*store.Tx) error
}

var sweeps = []sweep{
	{"verifications", time.Second, unheld(otp.Sweep)},
	{"outbox", time.Second, outbox.Expire},
	{"consent", time.Minute, consent.Sweep},
	{"notices", time.Minute, unheld(notice.Sweep)},
	{"self-tests", time.Second, sweepTests},
	{"old self-tests", time.Hour, forgetTests},
	{"acceptance", time.Second, sweepAcceptance},
	{"intake", time.Minute, intake.Sweep},
	{"api", time.Minute, api.Sweep},
	{"sessions", time.Minute, access.Sweep},
	{"alarms", time.Hour, alarm.Sweep},
	{"rehearsal", time.Second, func(tx *store.Tx) error { return outbox.Rehearse(tx, sources) }},
}

// sweepLimits forgets counters that have run out, a few at a time, round and round.
func sweepLimits() func(*store.Tx) error {
	var at []byte
	return func(tx *store.Tx) (err error) {
		at, err = limit.Sweep(tx, at, 256)
		return err
	}
}

func (h *house) sweep(ctx context.Context, p *pulse) {
	defer p.end()
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	sweeps := append(sweeps[:len(sweeps):len(sweeps)], sweep{"limits", 10 * time.Second, sweepLimits()}, sweep{"numbers", time.Minute, sweepNumbers()},
		sweep{"inbox", time.Minute, ownNumber(h.own).sweep}, sweep{"due self-tests", time.Minute, h.testDue})
	last := make([]time.Time, len(sweeps))
	var kept time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			p.beat()
			if now.Sub(kept) >= time.Minute {
				kept = now
				h.keepCounts(ctx)
			}
			for i, sw := range sweeps {
				if now.Sub(last[i]) < sw.every {
					continue
				}
				last[i] = now
				if err := h.store.Update(ctx, self, sw.sweep); err != nil && ctx.Err() == nil {
					h.log.Error("sweep", "what", sw.name, "error", err)
				}
			}
		}
	}
}

// askWriter lets p beat as long as what was handed to the store's writer gets through.
func (h *house) askWriter(ctx context.Context, p *pulse) {
	defer p.end()
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.store.Settled()
			p.beat()
		}
	}
}

// check is what hangs on the keys: the store, and on it the modems.
func (h *house) check(b *box) health.Check {
	return health.Check{Name: "store", Children: []health.Check{h.checkDisk(), b.checkBackup(h), h.checkModems(), h.checkLanes(), h.checkCalls(), h.checkAnchors(), h.checkWitnesses(), h.checkHolders(), h.checkClock(), h.checkRepository(), h.checkHL7(), h.checkBack(), h.checkAlarms(), b.checkDirectory(), b.checkCertificates(), h.checkOnCall(b), h.checkSite(), h.checkMaintenance()}, Ask: func() (health.State, string) {
		if h.store.Err() != nil {
			return health.Fail, "the store stopped; the process is about to end"
		}
		if n := h.store.Stats().Rotten; n > 0 {
			return health.Warn, fmt.Sprintf("%d reads met damaged values: the disk may be failing; make a backup, then restore it on another", n)
		}
		return health.OK, ""
	}}
}

// brief is a modem's status without the numbers of its SIM.
func brief(st modem.Status) modem.Status {
	st.Number, st.IMSI = "", ""
	st.IMEI, st.ICCID = admin.Masked(st.IMEI), admin.Masked(st.ICCID)
	return st
}

// describe adds what only an open box has to its status.
func (h *house) describe(b *box, s *admin.Status) {
	s.Signer = h.store.Fingerprint()
	s.Entries = h.store.Stats().Entries
	if a := h.store.Anchors(); a.Counted {
		s.Counter, s.Anchored = a.Counter, a.At
	}
	s.Modems = map[string]modem.Status{}
	for _, sender := range h.senders {
		s.Modems[sender.port.Name] = brief(sender.modem.Status())
	}
	err := h.store.View(context.Background(), func(tx *store.Tx) error {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		s.Mode = site.Mode.String()
		if s.Witnesses, err = h.witnesses(tx, s.Entries); err != nil {
			return err
		}
		if s.Repository, err = h.repositoryStatus(tx); err != nil {
			return err
		}
		if s.Backup, err = b.backupStatus(tx); err != nil {
			return err
		}
		if s.Setup, err = setupProgress(tx); err != nil {
			return err
		}
		if s.Setup != nil {
			s.Next = "run: pinward setup --continue"
		}
		s.Accepts = outbox.Accepting(tx) == nil && h.accepts() && h.inMaintenance() == nil
		if m, err := h.describeMaintenance(tx); err != nil {
			return err
		} else if m.On {
			s.Maintenance = &m
		}
		if s.Alarms, err = openAlarms(tx); err != nil {
			return err
		}
		lanes, err := outbox.Depth(tx)
		s.Queue = map[string]int{}
		for _, l := range lanes {
			s.Queue[l.Lane.String()] = l.Due
		}
		return err
	})
	if err != nil {
		h.log.Error("read status", "error", err)
	}
}
