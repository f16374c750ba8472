package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"pinward/daemon/access"
	"pinward/daemon/health"
	"pinward/hl7/mllp"
	"pinward/modem"
	"pinward/modem/port"
	"pinward/store"
	"pinward/tpm"
)

// Options is what the program brings besides the configuration.
type Options struct {
	// Keys replaces the TPM's. Only cmd/demo brings any; pinwardd has no way to.
	Keys store.Keys
	// Owner, when set, is the user that the control socket takes its caller for, without a login.
	// Only cmd/demo sets it.
	Owner string
	// PasswordWork is how many iterations the hash of a password takes; 0 is access's own figure. Only tests set it.
	PasswordWork int
	// Reload, when it delivers, makes the daemon read its configuration, certificates and recordings again.
	Reload <-chan os.Signal
	// Config reads the configuration again for that; nil keeps the one in force.
	Config func() (Config, error)
	// Version is shown by status and in metrics.
	Version string
	Log     *slog.Logger
	// Level, where the program brings one, is that of Log, and can be changed while it runs.
	Level *slog.LevelVar
}

// loginQueue is how many may wait for their password to be hashed.
const loginQueue = 16

// stopLimit is how long an ordered stop may take; the unit kills after it.
const stopLimit = 9 * time.Second

// box is the appliance while it runs: its doors are open in every state, and house is what stands
// behind them once the keys are there.
type box struct {
	cfg    Config
	opts   Options
	log    *slog.Logger
	pulses pulses
	// openPort is openPort; a test brings modems in process.
	openPort func(context.Context, ModemPort) (io.ReadWriteCloser, error)
	strict   bool // store.Options.Strict, in tests
	wiring   wiring
	speech   atomic.Pointer[recordings] // nil where no folder of recordings is configured
	certs    *certificates
	creds    map[string]*mllp.Credentials // of the MLLP ports that have TLS, by listener
	ports    []*mllp.Server               // of MLLP; openMLLP owns it
	began    time.Time

	// passwords hashes for every door, one at a time: a flood of logins takes one core at most.
	passwords *access.Passwords

	// directory is the hospital's as it is connected now; nil where none is.
	directory atomic.Pointer[hospitalDirectory]

	decided chan struct{} // closed when the start has found out how the box stands

	noted  atomic.Pointer[siteNote] // the note of the site as it was last written
	house  atomic.Pointer[house]    // nil while empty or sealed
	state  atomic.Pointer[State]
	sealed *sealedLog
	ticket ticket
	given  gathered   // shares of the recovery kit that wait for another
	fatal  chan error // the first error that ends the process; buffered

	turning turn        // held while the state changes: opening, commissioning
	device  *tpm.Device // guarded by turning; nil until the TPM is first asked

	pause    time.Duration             // guarded by turning: of the last planned try
	again    atomic.Pointer[time.Time] // when the TPM is asked again; nil if it is not
	retrying sync.WaitGroup

	backing  sync.Mutex // held while a backup is made by itself, or checked
	rotation *rotation  // guarded by turning; nil unless one is under way

	lately atomic.Pointer[string] // what came of the last reload, for the status line; nil is nothing to tell

	logging logging

	fed atomic.Int64 // when every loop last showed life, Unix ns; 0 before the first time

	judging sync.Mutex
	judged  health.Node // guarded by judging: the last answer
}

// Run is the daemon: it opens the doors, opens the store if the keys can be had, serves until ctx
// ends or something fatal happens, and stops in order. It returns nil after an ordered stop.
//
// A box whose keys are not there yet, or cannot be unsealed, is no error: it serves a page that
// says what to do, and waits for the operator.
func Run(ctx context.Context, c Config, o Options) error {
	setMemory()
	b := &box{
		cfg: c, opts: o, log: o.Log, began: time.Now(), fatal: make(chan error, 1), decided: make(chan struct{}),
		creds: map[string]*mllp.Credentials{}, openPort: openPort, passwords: access.NewPasswords(loginQueue), sealed: newSealedLog(c.Box.State, o.Log),
	}
	if o.PasswordWork > 0 {
		b.passwords = access.NewQuickPasswords(loginQueue, o.PasswordWork)
	}
	b.logging.level = o.Level
	b.state.Store(&State{Name: Starting, Since: b.began})
	b.loadSpeech()
	b.connectDirectory(c.Directory)
	lock, err := lockState(c.Box.State)
	if err != nil {
		return err
	}
	defer lock.Close()
	doors, err := b.openDoors()
	if err != nil {
		return err
	}
	doors.serve()
	err = b.work(ctx, doors)
	b.notify(daemon.SdNotifyStopping)
	return errors.Join(err, b.stop(doors))
}

// work brings the box up and waits for the end.
func (b *box) work(ctx context.Context, doors *doors) error {
	b.bringUp(ctx)
	close(b.decided)
	b.notify(daemon.SdNotifyReady + "\n" + b.statusLine())
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	telling, stop := context.WithCancel(ctx)
	b.retrying.Go(func() { b.watchClosed(telling, b.outlets(RelayDial(b.cfg.Relay.Socket))) })
	main := b.pulses.add("main")
	b.retrying.Go(func() { b.keepWatch(telling, b.watchdog()) })
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-b.fatal:
			return err
		case err := <-doors.failed:
			return err
		case <-b.opts.Reload:
			b.reload(doors)
		case <-tick.C:
			main.beat()
			b.endLogLevel(ctx)
			b.sealed.refused(false)
			b.tryAgain(ctx)
		}
	}
}

// stop ends the box from the outside in: no new requests, then no new messages, then the store.
func (b *box) stop(doors *doors) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	err := doors.close(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		b.log.Warn("requests under way were cut off by the stop")
		err = nil
	}
	b.retrying.Wait() // its context is done
	b.turning.Lock()
	defer b.turning.Unlock()
	b.sealed.refused(true)
	if h := b.house.Swap(nil); h != nil {
		err = errors.Join(err, h.close(ctx))
	}
	if b.device != nil {
		err = errors.Join(err, b.device.Close())
	}
	return errors.Join(err, doors.closeControl(ctx))
}

// fail ends the process with its reason; only the first one counts.
func (b *box) fail(err error) {
	select {
	case b.fatal <- err:
	default:
	}
}

// notify tells systemd, where there is one.
func (b *box) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		b.log.Warn("notify systemd", "error", err)
	}
}

// Health is the tree of what depends on what, asked now. It is kept so that a node whose state has
// not changed keeps its Since.
func (b *box) Health() health.Node {
	keys := health.Check{Name: "keys", Ask: func() (health.State, string) {
		if st := b.state.Load(); st != nil && st.Name != Open {
			return health.Fail, st.String()
		}
		return health.OK, ""
	}}
	if h := b.house.Load(); h != nil {
		keys.Children = append(keys.Children, h.check(b))
	}
	b.judging.Lock()
	defer b.judging.Unlock()
	b.judged = health.Judge(health.Check{Name: "pinward", Children: []health.Check{keys}}, b.judged, time.Now())
	return b.judged
}

// promptPatience is how long a modem may take to ask for a PDU (27.005 3.5.1; other drivers wait 5 to
// 10 s).
const promptPatience = 5 * time.Second

// openPort opens a modem's serial port.
func openPort(ctx context.Context, p ModemPort) (io.ReadWriteCloser, error) {
	return port.Open(ctx, p.Device, port.Options{})
}

// newModem makes a modem behind its port, in which the last accepted SIM is expected, or the first one met;
// nothing is opened before it runs.
func (b *box) newModem(h *house, p ModemPort) *modem.Modem {
	return modem.New(func(ctx context.Context) (io.ReadWriteCloser, error) {
		return b.openModem(ctx, p)
	}, modem.Options{
		Name: p.Name, PIN: credential(p.PIN), PINs: h.pinLog(p.Name), ICCID: h.fits[p.Name].SIM,
		BalanceCode: h.balanceCode, Settings: p.Settings, Log: b.log,
		Audio: func(ctx context.Context) (io.ReadWriteCloser, error) { return b.openAudio(ctx, p) },
		// Without a prompt nothing has left, and another modem may take the code: wait no longer than is usual.
		Timing: modem.Timing{Prompt: promptPatience},
	})
}
