package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/health"
	"pinward/store"
	"pinward/tpm"
)

// doctor looks at what only the daemon can see, for `pinward doctor`. It texts nobody, and changes nothing
// but a file that it measures the disk with.
func (b *box) doctor(ctx context.Context) []admin.Finding {
	list := []admin.Finding{b.examineState()}
	list = append(list, examineSync(b.cfg.Box.State))
	list = append(list, b.examineServed())
	list = append(list, b.examineRelay(ctx, RelayDial(b.cfg.Relay.Socket))...)
	list = append(list, b.examineDirectory(ctx)...)
	h := b.house.Load()
	if h == nil {
		return list
	}
	list = append(list, b.examineKeys(ctx, h)...)
	list = append(list, h.examineFleet(ctx)...)
	for _, c := range b.Health().Causes() {
		if slices.Contains(c.Path, "modems") && len(c.Path) > 4 { // told by examineFleet, one by one
			continue
		}
		list = append(list, admin.Finding{Area: "health", Name: strings.Join(c.Path[1:], "/"), State: c.State, What: c.Cause + ", since " + c.Since.Local().Format(time.DateTime),
			Next: fmt.Sprintf("/usr/share/doc/pinward/runbook.md, the row %q", c.Path[len(c.Path)-1])})
	}
	return list
}

func (b *box) examineState() admin.Finding {
	st := b.state.Load()
	f := admin.Finding{Area: "daemon", Name: "state", State: health.Fail, What: st.String(), Next: st.Next}
	if st.Name == Open {
		f.State, f.What = health.OK, "open since "+st.Since.Local().Format(time.DateTime)+", version "+b.opts.Version
	}
	return f
}

// Limits of a commit on the disk: an accepted start waits for one.
const (
	syncSlow  = 20 * time.Millisecond
	syncFails = 100 * time.Millisecond
	syncs     = 24
)

// examineSync measures how long the disk takes to make 4 KB durable.
func examineSync(folder string) admin.Finding {
	f := admin.Finding{Area: "disk", Name: "fsync"}
	median, worst, err := measureSync(folder)
	f.What = fmt.Sprintf("4 KB are durable after %s, at worst %s", median.Round(10*time.Microsecond), worst.Round(10*time.Microsecond))
	switch {
	case err != nil:
		f.State, f.What, f.Next = health.Fail, "the disk does not take a write", "look at the free space, and at the kernel's messages: journalctl -k -p warning"
	case median > syncFails:
		f.State, f.Next = health.Fail, "put the state folder on an SSD with power-loss protection: each code waits for this"
	case median > syncSlow:
		f.State, f.Next = health.Warn, "a faster disk answers portals sooner: SSD, not SD card or spinning disk"
	}
	return f
}

func measureSync(folder string) (median, worst time.Duration, err error) {
	f, err := os.CreateTemp(folder, ".doctor-")
	if err != nil {
		return 0, 0, fmt.Errorf("measure disk: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []time.Duration
	block := make([]byte, 4096)
	for i := range syncs {
		began := time.Now()
		if _, err = f.WriteAt(block, int64(i*len(block))); err == nil {
			err = f.Sync()
		}
		if err != nil {
			return 0, 0, fmt.Errorf("measure disk: %w", err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)-1], nil
}

// examineServed looks whether the certificate that is served is the one of the file: one that was put there
// and not read is found on the day when the old one runs out.
func (b *box) examineServed() admin.Finding {
	f := admin.Finding{Area: "certificate", Name: "https served"}
	served := b.certs.pair.Load()
	now := b.inForce()
	var disk certificates
	switch err := disk.load(now.HTTPS); {
	case err != nil:
		f.State, f.What, f.Next = health.Fail, "the files cannot be loaded now: the next restart would fail", "see pinward doctor as root: certificate https"
	case !bytes.Equal(disk.pair.Load().Certificate[0], served.Certificate[0]):
		f.State, f.What, f.Next = health.Warn, "the certificate in the file is another than the one that is served", "run: systemctl reload pinward"
	default:
		f.What = "is the one of the file"
		if at := now.expiry()["https"]; !at.IsZero() {
			f.What += ", until " + at.UTC().Format(time.DateOnly)
		}
	}
	return f
}

// examineRelay dials every name that the configuration dials, and hangs up.
func (b *box) examineRelay(ctx context.Context, dial Dial) []admin.Finding {
	now := b.cfg
	now.Directory = b.directoryTarget() // a reload may have brought another
	wanted := now.dialled()
	list := make([]admin.Finding, len(wanted))
	var dialling sync.WaitGroup
	for i, name := range names(wanted) {
		dialling.Go(func() {
			began := time.Now()
			c, err := dial(ctx, name)
			if err == nil {
				c.Close()
			}
			list[i] = judgeDial(name, wanted[name], time.Since(began), err)
		})
	}
	dialling.Wait()
	return list
}

// relaySays is what the relay's reasons mean, and what to do.
var relaySays = map[string][2]string{
	"unknown-name": {"the relay's list has no such name", "add it to [dial] in /etc/pinward/relay.toml, then: systemctl restart pinward-relay"},
	"no-such-host": {"the relay cannot resolve its name", "look at the name in /etc/pinward/relay.toml, and whether pinward-relay.service may reach the name servers"},
	"refused":      {"the machine answers, and nothing listens on that port", "ask who runs it; look at the port in /etc/pinward/relay.toml"},
	"timed-out": {"no answer at all: the address list of pinward-relay.service drops it, or a firewall, or the machine is off",
		"run as root: pinward doctor, which holds the list against the address"},
	"unreachable": {"no way there", "look at the network of this machine and at the address in /etc/pinward/relay.toml"},
}

func judgeDial(name, purpose string, took time.Duration, err error) admin.Finding {
	f := admin.Finding{Area: "relay", Name: name, State: health.Fail}
	switch {
	case err == nil:
		f.State, f.What = health.OK, fmt.Sprintf("reachable in %s, for %s", took.Round(time.Millisecond), purpose)
		return f
	case errors.Is(err, ErrRelay):
		reason := err.Error()[strings.LastIndex(err.Error(), " ")+1:]
		if says, ok := relaySays[reason]; ok {
			f.What, f.Next = says[0], says[1]
		} else {
			f.What, f.Next = "the relay refuses", "run: journalctl -u pinward-relay -n 20"
		}
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission):
		f.What, f.Next = "the relay does not run, or its socket is not the daemon's", "run: systemctl enable --now pinward-relay.socket"
	default:
		f.What, f.Next = "the relay does not answer", "run: journalctl -u pinward-relay -n 20"
	}
	f.What += ", for " + purpose
	return f
}

// examineKeys tells how chip and keys stand.
func (b *box) examineKeys(ctx context.Context, h *house) (list []admin.Finding) {
	st, err := tpm.LoadState(b.statePath())
	if errors.Is(err, os.ErrNotExist) { // the demo's keys are in no TPM
		return nil
	}
	if err != nil {
		return []admin.Finding{{Area: "tpm", Name: "keys", State: health.Fail, What: "the sealed keys cannot be read", Next: "restore " + b.statePath() + " from the backup before the next restart"}}
	}
	k := b.keyState(st, h.store)
	info, err := b.askChip(ctx)
	chip := admin.Finding{Area: "tpm", Name: "chip"}
	if err != nil {
		chip.State, chip.What, chip.Next = health.Warn, err.Error(), "run: pinward key status"
	} else {
		k.TPM = &info
		chip.What = fmt.Sprintf("%s %s answers; failed authorisations %d of %d", info.Manufacturer, info.Model, info.LockoutCounter, info.MaxTries)
		if info.InLockout {
			chip.State, chip.Next = health.Warn, "run: pinward key lockout-reset"
		}
	}
	keys := admin.Finding{Area: "tpm", Name: "keys", What: fmt.Sprintf("unsealed by %s, sealed to %d boot measurements; Secure Boot %s", k.Mode, len(k.PCRs), k.SecureBoot)}
	list = append(list, chip, keys)
	for _, w := range keyWarnings(k, time.Now()) {
		what, next, _ := strings.Cut(w, ": ")
		list = append(list, admin.Finding{Area: "tpm", Name: "attention", State: health.Warn, What: what, Next: next})
	}
	return list
}

// examineFleet tells of each modem its SIM, network and service centre, and what is wrong with it.
func (h *house) examineFleet(ctx context.Context) (list []admin.Finding) {
	var all []admin.Modem
	if err := h.store.View(ctx, func(tx *store.Tx) (err error) {
		all, err = h.fleet(tx)
		return err
	}); err != nil {
		return []admin.Finding{{Area: "modem", State: health.Unknown, What: "the records of the modems cannot be read"}}
	}
	for _, m := range all {
		for _, t := range m.Troubles {
			list = append(list, admin.Finding{Area: "modem", Name: m.Name, State: t.State, What: t.Name + ": " + t.Cause, Next: t.Next})
		}
		if !m.Ready {
			continue
		}
		centre := "the service centre is known"
		if st := h.sender(m.Name).modem.Status(); st.SMSC == "" {
			list = append(list, admin.Finding{Area: "modem", Name: m.Name, State: health.Fail, What: "the SIM holds no service centre (SMSC): it cannot send", Next: "ask the carrier for its number and put the SIM into a telephone to set it"})
			centre = "no service centre"
		}
		signal := "signal unknown"
		switch {
		case m.Signal != 0 && m.Signal < -105:
			list = append(list, admin.Finding{Area: "modem", Name: m.Name, State: health.Warn, What: fmt.Sprintf("weak signal, %d dBm", m.Signal), Next: "move the antenna to a window, or use one with a longer cable"})
			fallthrough
		case m.Signal != 0:
			signal = fmt.Sprintf("%d dBm", m.Signal)
		}
		list = append(list, admin.Finding{Area: "modem", Name: m.Name, State: health.OK,
			What: fmt.Sprintf("%s %s, SIM %s, %s with %s, %s, %s", m.Vendor, m.Model, m.SIM, m.Register, m.Operator, signal, centre)})
	}
	return list
}
