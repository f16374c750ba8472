package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/alarm"
	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/store"
)

const (
	// alarmEvery is how often the tree is judged for alarms. After a start nothing is an alarm until every
	// modem has been ready once, or alarmGrace is over: they take a while to find their networks.
	alarmEvery = 5 * time.Second
	alarmGrace = 3 * time.Minute
)

// alarms starts the loops that raise alarms and have them leave by mail and webhook.
func (h *house) alarms(ctx context.Context, b *box, out Dial) {
	h.rest.Go(func() { h.judgeAlarms(ctx, b) })
	for _, by := range []alarm.Outlet{alarm.Mail, alarm.Webhook} {
		h.rest.Go(func() { b.outlets(out).run(ctx, h.store, by) })
	}
}

// judgeAlarms finds what is wrong, and tells whom it is time to tell. It judges a tree of its own: since
// when a cause has stood must not depend on who looks at the page.
func (h *house) judgeAlarms(ctx context.Context, b *box) {
	pulse := b.pulses.add("alarms")
	defer pulse.end()
	turn := time.NewTicker(beatEvery)
	defer turn.Stop()
	tick := time.NewTicker(alarmEvery)
	defer tick.Stop()
	var last health.Node
	settled := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-turn.C:
			pulse.beat()
		case now := <-tick.C:
			h.sweepMaintenance(ctx)
			last = health.Judge(h.check(b), last, now)
			settled = settled || now.Sub(h.since) >= alarmGrace || h.allReady()
			if err := h.store.Update(ctx, self, func(tx *store.Tx) error { return h.tell(tx, b.cfg.Box.ID, last, settled) }); err != nil && ctx.Err() == nil {
				h.log.Error("judge alarms", "error", err)
			}
			if err := b.keepNote(ctx, h.store); err != nil && ctx.Err() == nil {
				h.log.Error("keep note of the site", "error", err)
			}
		}
	}
}

// tell is one round: what is raised or over, what is due of the plan, and who is told.
func (h *house) tell(tx *store.Tx, box string, tree health.Node, settled bool) error {
	found := findings(tree)
	if settled {
		if err := alarm.Judge(tx, found); err != nil {
			return err
		}
	}
	beat, err := alarm.Routine(tx, wellness(box, tree))
	if err != nil {
		return err
	}
	if beat {
		h.log.Info("heartbeat", "box", box, "health", tree.Worst().String(), "causes", len(tree.Causes()))
	}
	return alarm.Advance(tx, found, h.inMaintenance() != nil)
}

func (h *house) allReady() bool {
	return !slices.ContainsFunc(h.senders, func(s *sender) bool { return !s.modem.Status().Ready })
}

// wellness is the box in one line, for the heartbeat.
func wellness(box string, tree health.Node) string {
	if n := len(tree.Causes()); n > 0 {
		return fmt.Sprintf("%s is up, %d things are wrong, the worst is a %s.", box, n, tree.Worst())
	}
	return box + " is up and well."
}

// findings are the root causes of the tree as this room of alarms knows them.
func findings(tree health.Node) []alarm.Finding {
	var out []alarm.Finding
	for _, c := range tree.Causes() {
		f := alarm.Finding{Path: strings.Join(c.Path, "/"), Severity: alarm.Warning, Cause: c.Cause, Since: c.Since}
		if len(c.Path) > 1 { // all stand on the store: that says nothing
			f.Path = strings.Join(c.Path[1:], "/")
		}
		if c.State == health.Fail {
			f.Severity = alarm.Critical
		}
		if f.Path != maintenanceNode {
			out = append(out, f)
		}
	}
	return out
}

// checkAlarms warns when alarms, their weekly test or the heartbeat do not reach those they are for.
func (h *house) checkAlarms() health.Check {
	return health.Check{Name: alarm.TestPath, Ask: func() (health.State, string) {
		words := ""
		if err := h.store.View(context.Background(), func(tx *store.Tx) (err error) {
			words, err = alarm.Trouble(tx)
			return err
		}); err != nil {
			return health.Unknown, "their records cannot be read"
		}
		if words != "" {
			return health.Warn, words
		}
		return health.OK, ""
	}}
}

// checkOnCall warns when nobody would be told of an alarm, whatever it is. The demo's owner looks at it himself.
func (h *house) checkOnCall(b *box) health.Check {
	return health.Check{Name: "on call", Ask: func() (health.State, string) {
		if b.opts.Owner != "" {
			return health.OK, ""
		}
		words := ""
		if err := h.store.View(context.Background(), func(tx *store.Tx) (err error) {
			words, err = alarm.Unreached(tx, len(h.senders))
			return err
		}); err != nil {
			return health.Unknown, "the policy of alarms cannot be read"
		}
		if words != "" {
			return health.Warn, words
		}
		return health.OK, ""
	}}
}

// checkSite warns when texts cannot say from whom they are, or whom to call.
func (h *house) checkSite() health.Check {
	return health.Check{Name: "site", Ask: func() (health.State, string) {
		var site contact.Site
		if err := h.store.View(context.Background(), func(tx *store.Tx) (err error) {
			site, err = contact.SiteOf(tx)
			return err
		}); err != nil {
			return health.Unknown, "the site cannot be read"
		}
		var missing []string
		if site.Brand == "" {
			missing = append(missing, "brand")
		}
		if site.HelpPhone == "" {
			missing = append(missing, "help_phone")
		}
		if len(missing) > 0 {
			return health.Warn, "the site has no " + strings.Join(missing, " and no ") + ": texts do not say from whom they are, or whom to call; set it in pinward config, part site"
		}
		return health.OK, ""
	}}
}

// openAlarms are the alarms that are not over, for status.
func openAlarms(tx *store.Tx) ([]admin.Alarm, error) {
	all, err := alarm.Open(tx)
	var out []admin.Alarm
	for _, a := range all {
		out = append(out, admin.Alarm{ID: a.ID, Severity: string(a.Severity), Path: a.Path, Cause: a.Cause, Since: a.Since, Seen: a.Seen, SeenBy: a.SeenBy})
	}
	return out, err
}

// maintenanceNode is the node of health that says that the box is in maintenance: no cause of an alarm.
const maintenanceNode = "maintenance"
