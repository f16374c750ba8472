package daemon

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/outbox"
	"pinward/hl7"
	"pinward/modem/modemsim"
	"pinward/store"
	"pinward/store/storetest"
)

// watched is a flow with its doors, as systemd sees it: what it hears is kept.
type watched struct {
	*flow
	doors *doors
	lines map[string]*lineListener // by door
	hears systemd
	stuck *stuckLog
}

// systemd keeps what it is told.
type systemd struct {
	mu      sync.Mutex
	fed     int
	hanging string // what was last said to hang
}

func (s *systemd) tell(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(state, "WATCHDOG=1") {
		s.fed++
	}
	if _, after, ok := strings.Cut(state, "STATUS=hangs: "); ok {
		s.hanging, _, _ = strings.Cut(after, ";")
	}
}

// since is what it was told since it was last asked.
func (s *systemd) since() (fed int, hanging string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fed, hanging = s.fed, s.hanging
	s.fed, s.hanging = 0, ""
	return fed, hanging
}

// lineListener gives connections that never leave the process, so that time may be ours.
type lineListener struct {
	conns chan net.Conn
	wake  chan struct{} // the deadline was changed
	until atomic.Pointer[time.Time]
	ended chan struct{}
}

func newLineListener() *lineListener {
	return &lineListener{conns: make(chan net.Conn, 1), wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

func (l *lineListener) SetDeadline(t time.Time) error {
	l.until.Store(&t)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

func (l *lineListener) Accept() (net.Conn, error) {
	for {
		timer := time.NewTimer(time.Until(*l.until.Load()))
		select {
		case c := <-l.conns:
			return c, nil
		case <-l.wake:
		case <-timer.C:
			return nil, os.ErrDeadlineExceeded
		case <-l.ended:
			return nil, net.ErrClosed
		}
	}
}

func (l *lineListener) Close() error   { close(l.ended); return nil }
func (l *lineListener) Addr() net.Addr { return &net.UnixAddr{Net: "test"} }

// stuckLog is a log whose reader stands still at one message: who writes it hangs, as behind a journal that hangs.
type stuckLog struct {
	slog.Handler
	at   string
	goOn chan struct{}
}

func (l *stuckLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *stuckLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == l.at {
		<-l.goOn
	}
	return nil
}

// inWatch runs a test with a box that feeds a watchdog of 30 s, the unit's.
func inWatch(t *testing.T, modems []flowModem, keys func(store.Keys) store.Keys, test func(*watched)) {
	t.Helper()
	certs := testCertificates()
	inFlowOf(t, modems, func(f *flow) {
		w := &watched{flow: f, lines: map[string]*lineListener{}, stuck: &stuckLog{Handler: slog.DiscardHandler, goOn: make(chan struct{})}}
		f.close()
		f.box.log = slog.New(w.stuck)
		if keys != nil {
			f.keys = keys(f.keys)
		}
		f.open()
		f.waitReady()
		w.open(certs)
		ctx, cancel := context.WithCancel(context.Background())
		f.box.retrying.Go(func() { f.box.keepWatch(ctx, watchdog{15 * time.Second, 30 * time.Second, w.hears.tell}) })
		test(w)
		cancel()
		f.box.retrying.Wait()
		ending, stop := context.WithTimeout(context.Background(), stopLimit)
		defer stop()
		f.must(w.doors.close(ending))
		f.must(w.doors.closeControl(ending))
	})
}

// open opens the doors on listeners in process.
func (w *watched) open(certs []tls.Certificate) {
	b := w.box
	b.state.Store(&State{Name: Open})
	b.decided = make(chan struct{})
	close(b.decided)
	b.certs = &certificates{}
	b.certs.pair.Store(&certs[0])
	b.cfg.HL7 = []HL7Listener{{Name: "mllp"}}
	passed := map[string][]net.Listener{}
	for _, name := range []string{nameHTTPS, nameControl, "mllp"} {
		w.lines[name] = newLineListener()
		passed[name] = []net.Listener{w.lines[name]}
	}
	w.doors = &doors{failed: make(chan error, 3)}
	w.must(b.openHTTPS(passed, w.doors))
	w.must(b.openControl(passed, w.doors))
	w.must(b.openMLLP(passed, w.doors))
	w.doors.serve()
}

// fedFor lets time go by, in which the watchdog is fed at each of its times and nothing is said to hang.
func (w *watched) fedFor(d time.Duration) {
	w.t.Helper()
	w.hears.since()
	time.Sleep(d)
	synctest.Wait()
	if fed, hanging := w.hears.since(); fed < int(d/(15*time.Second)) || hanging != "" {
		w.t.Fatalf("in %v it was fed %d times; said to hang: %q", d, fed, hanging)
	}
}

// TestWatchdogSeesAHungSender: a call may take its minutes, in which the sender counts as alive; a hand-over
// that has outlived every limit hangs, and systemd hears which.
func TestWatchdogSeesAHungSender(t *testing.T) {
	inWatch(t, calling(), nil, func(w *watched) {
		w.withSpeech()
		w.fedFor(2 * time.Minute)
		w.stuck.at = "call made"
		v := w.call("portal-login")
		w.state(v, outbox.Sending, time.Minute)
		w.fedFor(callAtMost - 30*time.Second)
		w.hears.since()
		time.Sleep(2 * time.Minute)
		if _, hanging := w.hears.since(); hanging != "sender m1" {
			t.Errorf("said to hang: %q", hanging)
		}
		time.Sleep(time.Minute)
		if fed, _ := w.hears.since(); fed > 0 {
			t.Error("the watchdog is fed although a sender hangs")
		}
		close(w.stuck.goOn)
		time.Sleep(time.Minute)
		w.fedFor(time.Minute)
	})
}

// TestWatchdogSeesOneHungLoop: whichever loop hangs, the watchdog is not fed any more, and systemd has heard its
// name. Once the loop goes on the watchdog is fed again.
func TestWatchdogSeesOneHungLoop(t *testing.T) {
	t.Parallel()
	for loop, hang := range map[string]func(*testing.T, *live) (goOn func()){
		"store": func(t *testing.T, l *live) func() {
			goOn, ended := make(chan struct{}), make(chan error, 1)
			go func() {
				ended <- l.house.store.Update(context.Background(), self, func(*store.Tx) error { <-goOn; return nil })
			}()
			return func() { close(goOn); must(t, <-ended) }
		},
		nameHTTPS: func(_ *testing.T, l *live) func() {
			l.doors.https.mu.Lock() // which its accepting takes for each connection
			return l.doors.https.mu.Unlock
		},
		nameControl: func(_ *testing.T, l *live) func() {
			l.doors.control.mu.Lock()
			return l.doors.control.mu.Unlock
		},
		"mllp": func(t *testing.T, l *live) func() {
			c, err := net.Dial("tcp", l.mllp) // from an address that may not connect
			must(t, err)
			return func() { close(l.refuse); c.Close() }
		},
	} {
		t.Run(loop, func(t *testing.T) {
			t.Parallel()
			var hears systemd
			l := liveBox(t)
			ctx, cancel := context.WithCancel(t.Context())
			var watching sync.WaitGroup
			watching.Go(func() { l.box.keepWatch(ctx, watchdog{200 * time.Millisecond, 5 * time.Second, hears.tell}) })
			defer watching.Wait()
			defer cancel()
			fed := func() {
				t.Helper()
				hears.since()
				soon(t, "the watchdog is fed", func() bool { n, _ := hears.since(); return n > 0 })
			}
			fed()
			goOn := hang(t, l)
			hanging := ""
			soon(t, loop+" is said to hang", func() bool {
				if _, now := hears.since(); now != "" {
					hanging = now
				}
				return slices.Contains(strings.Split(hanging, ", "), loop)
			})
			hears.since()
			time.Sleep(time.Second)
			if n, _ := hears.since(); n > 0 {
				t.Errorf("it is fed although %q hangs", hanging)
			}
			goOn()
			fed()
		})
	}
}

// live is a box without modems, open in real time, with its doors on loopback.
type live struct {
	box    *box
	house  *house
	doors  *doors
	mllp   string        // address
	refuse chan struct{} // until it is closed, refusing an MLLP connection does not end
}

func liveBox(t *testing.T) *live {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	cfg := Defaults()
	cfg.Box = Box{ID: "test", State: t.TempDir()}
	cfg.Control.Socket = filepath.Join(t.TempDir(), "control")
	cfg.HTTPS.Listen.HostPort = "127.0.0.1:0"
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	cfg.HL7 = []HL7Listener{{Name: "mllp", Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}
	b := &box{cfg: cfg, strict: true, log: log, fatal: make(chan error, 1), decided: make(chan struct{}), sealed: newSealedLog(cfg.Box.State, log), certs: &certificates{}}
	b.state.Store(&State{Name: Open})
	b.certs.pair.Store(&testCertificates()[0])
	close(b.decided)
	h, err := b.openHouse(t.Context(), storetest.NewKeys(t), nil)
	must(t, err)
	b.house.Store(h)
	d := &doors{failed: make(chan error, 3)}
	must(t, b.openHTTPS(nil, d))
	must(t, b.openControl(nil, d))
	must(t, b.openMLLP(map[string][]net.Listener{"mllp": {free}}, d))
	l := &live{box: b, house: h, doors: d, mllp: free.Addr().String(), refuse: make(chan struct{})}
	d.mllp[0].Refused = func(hl7.Peer, error) { <-l.refuse }
	d.serve()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
		defer cancel()
		must(t, d.close(ctx))
		must(t, h.close(ctx))
		must(t, d.closeControl(ctx))
	})
	return l
}

// soon waits for what is to happen; nothing is expected to take that long.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func testCertificates() []tls.Certificate {
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS()
	defer pair.Close()
	return pair.TLS.Certificates
}

// slowKeys is a TPM that takes ten minutes for a signature or a look at its counter.
type slowKeys struct{ store.Keys }

func (k slowKeys) SignHead(ctx context.Context, note []byte) ([]byte, error) {
	time.Sleep(10 * time.Minute)
	return k.Keys.SignHead(ctx, note)
}

func (k slowKeys) Anchor(ctx context.Context, note [32]byte) ([]byte, error) {
	time.Sleep(10 * time.Minute)
	return k.Keys.Anchor(ctx, note)
}

// TestWatchdogIsFedWhateverModemsAndTPMDo: a modem that answers nothing, one that takes a part and says nothing for 300 s, a
// SIM that is gone, no network and a TPM that takes ten minutes are no reason to restart.
func TestWatchdogIsFedWhateverModemsAndTPMDo(t *testing.T) {
	faults := []modemsim.Faults{
		{SwallowPDU: 1}, // and no answer for 300 s
		{Silence: -1}, {Stuck: true}, {Unplugged: true}, {SIMRemoved: true}, {Barred: true}, {Registration: 2},
	}
	inWatch(t, make([]flowModem, len(faults)), func(k store.Keys) store.Keys { return slowKeys{k} }, func(w *watched) {
		for i := len(faults) - 1; i > 0; i-- {
			w.must(w.modems[i].SetFaults(faults[i]))
		}
		w.until("only one can send", 5*time.Minute, func() bool {
			ready := 0
			for i := range faults {
				if w.standing(i).Ready {
					ready++
				}
			}
			return ready <= 2 // that a SIM is barred shows when it sends
		})
		w.must(w.modems[0].SetFaults(faults[0]))
		v, err := w.start()
		w.must(err)
		w.fedFor(8 * time.Minute)
		if m := w.message(v); len(m.Attempts) == 0 {
			t.Errorf("nothing was handed over: %+v", m.State)
		}
		for _, m := range w.modems {
			w.must(m.SetFaults(modemsim.Faults{}))
		}
	})
}

// TestPulsesEndWithTheirLoops: a box that is closed and lives on, such as one that was decommissioned, has no
// loops of a house that it could take for hung.
func TestPulsesEndWithTheirLoops(t *testing.T) {
	inWatch(t, make([]flowModem, 1), nil, func(w *watched) {
		if err := w.house.close(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.house = nil
		for name := range w.box.pulses.ages() {
			if !slices.Contains([]string{nameHTTPS, nameControl, "mllp"}, name) {
				t.Errorf("the pulse of %s goes on", name)
			}
		}
		w.fedFor(5 * time.Minute)
	})
}
