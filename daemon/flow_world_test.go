package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/modem"
	"pinward/modem/modemsim"
	"pinward/store"
	"pinward/store/storetest"
)

// flow is a house with in-process modems, in a bubble where time is ours: what one message meets on
// its way from a verb to a handset and back.
type flow struct {
	*house
	t       *testing.T
	box     *box
	network *modemsim.Network
	modems  []*modemsim.Modem
	ports   map[string]*modemsim.Modem // what stands behind each port
	keys    store.Keys
}

const patient = "+16175551270"

// inFlow runs a test in a bubble with so many modems, alternating between two carriers.
func inFlow(t *testing.T, modems int, test func(*flow)) {
	t.Helper()
	inFlowOf(t, make([]flowModem, modems), test)
}

// flowModem is what one modem of a flow has that others do not.
type flowModem struct {
	sim    modemsim.ModemOptions
	port   ModemPort
	record outbox.SIM
	faults modemsim.Faults
	locked bool // it waits for a person
}

// inFlowOf is inFlow with modems that are not as they come.
func inFlowOf(t *testing.T, modems []flowModem, test func(*flow)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &flow{t: t, keys: storetest.NewKeys(t)}
		var err error
		if f.network, err = modemsim.NewNetwork(modemsim.NetworkOptions{Seed: 1}); err != nil {
			t.Fatal(err)
		}
		cfg := Defaults()
		cfg.Box = Box{ID: "test", State: dir}
		f.ports = map[string]*modemsim.Modem{}
		for i, one := range modems {
			name := fmt.Sprintf("m%d", i+1)
			one.sim.Name, one.sim.Carrier = name, []string{"north", "south"}[i%2]
			m, err := f.network.AddModem(one.sim)
			if err != nil {
				t.Fatal(err)
			}
			f.must(m.SetFaults(one.faults))
			f.modems = append(f.modems, m)
			f.ports[name] = m
			one.port.Name, one.port.Device = name, "/"+name
			cfg.Modems = append(cfg.Modems, one.port)
		}
		f.box = &box{cfg: cfg, strict: true, log: slog.New(slog.DiscardHandler), fatal: make(chan error, 1),
			sealed: newSealedLog(cfg.Box.State, slog.New(slog.DiscardHandler))}
		f.box.openPort = func(_ context.Context, p ModemPort) (io.ReadWriteCloser, error) { return f.ports[p.Name].Pipe() }
		defer func() { // also after a Fatal, or the bubble would report its goroutines instead of the failure
			if f.house != nil {
				f.close()
			}
			f.must(f.network.Close())
		}()
		f.open()
		f.must(f.store.Update(t.Context(), self, func(tx *store.Tx) error {
			for i, m := range f.modems {
				sim := modems[i].record
				sim.ICCID, sim.Permission.Reference, sim.PerMinute, sim.PerDay, sim.PortOutLock = m.ICCID(), "test", -1, -1, true
				if err := outbox.SetSIM(tx, sim); err != nil {
					return err
				}
			}
			return contact.SetSite(tx, contact.Site{Name: "Test", Brand: "Test", Zone: "America/New_York", Area: "617", Authority: "T", HelpPhone: "617-555-1000", Mode: contact.Live})
		}))
		if !slices.ContainsFunc(modems, func(m flowModem) bool { return m.locked }) {
			f.waitReady()
		}
		test(f)
	})
}

// swapPort plugs another modem in; nothing may run meanwhile.
func (f *flow) swapPort(port string, m *modemsim.Modem) { f.ports[port] = m }

func (f *flow) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *flow) open() {
	f.t.Helper()
	h, err := f.box.openHouse(f.t.Context(), f.keys, nil)
	f.must(err)
	f.house = h
}

func (f *flow) close() {
	f.t.Helper()
	h := f.house
	f.house = nil
	f.must(h.close(context.Background()))
	select {
	case err := <-f.box.fatal:
		f.t.Fatal(err)
	default:
	}
}

// waitReady waits until every modem that is plugged in can send.
func (f *flow) waitReady() {
	f.t.Helper()
	for range 600 {
		ready := 0
		for _, s := range f.senders {
			if s.modem.Status().Ready {
				ready++
			}
		}
		if ready == len(f.senders) {
			synctest.Wait()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, s := range f.senders {
		f.t.Logf("%s: %+v", s.port.Name, s.modem.Status())
	}
	f.t.Fatal("modems did not get ready within a minute")
}

// start sends a code to the patient.
func (f *flow) start() (v otp.Verification, err error) {
	f.t.Helper()
	var refused error
	err = f.store.Accept(f.t.Context(), store.Actor{Kind: "client", ID: "AC"}, func(tx *store.Tx) error {
		to, err := contact.ParsePhone(patient, contact.Plan{})
		if err != nil {
			return err
		}
		v, err = otp.Start(tx, otp.StartRequest{Service: "portal-login", To: to, Channel: otp.ChannelAuto, Client: "AC", Mode: contact.Live})
		if otp.Refusal(err) {
			refused = err
			return nil
		}
		return err
	})
	return v, errors.Join(err, refused)
}

func (f *flow) check(id, code string) bool {
	f.t.Helper()
	var valid bool
	f.must(f.store.Update(f.t.Context(), store.Actor{Kind: "client", ID: "AC"}, func(tx *store.Tx) (err error) {
		_, valid, err = otp.Check(tx, otp.CheckRequest{ID: id, Code: code})
		return err
	}))
	return valid
}

// message is the last one that was made for a verification.
func (f *flow) message(v otp.Verification) (m outbox.Message) {
	f.t.Helper()
	f.must(f.store.View(f.t.Context(), func(tx *store.Tx) error {
		all, err := outbox.ByRef(tx, v.ID)
		if err == nil && len(all) > 0 {
			m = all[len(all)-1]
		}
		return err
	}))
	return m
}

// texts waits until the patient's handset shows so many texts.
func (f *flow) texts(n int, within time.Duration) []modemsim.Message {
	f.t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(100 * time.Millisecond) {
		if got := f.network.Handset(patient).Messages(); len(got) >= n {
			return got
		}
		if time.Now().After(end) {
			f.t.Fatalf("the handset shows %d texts after %v, want %d", len(f.network.Handset(patient).Messages()), within, n)
		}
	}
}

var codeIn = regexp.MustCompile(`\b[0-9]{6}\b`)

func code(m modemsim.Message) string { return codeIn.FindString(m.Text) }

// state waits until the verification's message is in a state.
func (f *flow) state(v otp.Verification, want outbox.State, within time.Duration) outbox.Message {
	f.t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(100 * time.Millisecond) {
		m := f.message(v)
		if m.State == want {
			return m
		}
		if time.Now().After(end) {
			f.t.Fatalf("message is %s after %v, want %s: %s", m.State, within, want, m.Cause)
		}
	}
}

func modemText(from, body string, ref uint16, part, parts int) modem.Text {
	return modem.Text{From: from, Body: body, Ref: ref, Part: part, Parts: parts, Hash: sha256.Sum256(fmt.Appendf(nil, "%s %d %d", body, ref, part))}
}
