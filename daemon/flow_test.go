package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
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
		for i := range modems {
			name := fmt.Sprintf("m%d", i+1)
			carrier := []string{"north", "south"}[i%2]
			m, err := f.network.AddModem(modemsim.ModemOptions{Name: name, Carrier: carrier})
			if err != nil {
				t.Fatal(err)
			}
			f.modems = append(f.modems, m)
			f.ports[name] = m
			cfg.Modems = append(cfg.Modems, ModemPort{Name: name, Device: "/" + name})
		}
		f.box = &box{cfg: cfg, log: slog.New(slog.DiscardHandler), fatal: make(chan error, 1),
			sealed: newSealedLog(cfg.Box.State, slog.New(slog.DiscardHandler))}
		f.box.openPort = func(_ context.Context, p ModemPort) (io.ReadWriteCloser, error) { return f.ports[p.Name].Pipe() }
		f.open()
		f.must(f.store.Update(t.Context(), self, func(tx *store.Tx) error {
			for _, m := range f.modems {
				sim := outbox.SIM{ICCID: m.ICCID(), Permission: outbox.Permission{Reference: "test"}, PerMinute: -1, PerDay: -1, PortOutLock: true}
				if err := outbox.SetSIM(tx, sim); err != nil {
					return err
				}
			}
			return contact.SetSite(tx, contact.Site{Name: "Test", Brand: "Test", Zone: "America/New_York", Area: "617", Authority: "T", HelpPhone: "617-555-1000", Mode: contact.Live})
		}))
		f.waitReady()
		test(f)
		f.close()
		f.must(f.network.Close())
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
	f.must(f.house.close(context.Background()))
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

func TestFlowCodeArrivesAndIsChecked(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		v, err := f.start()
		f.must(err)
		got := f.texts(1, 5*time.Second)[0]
		if !strings.HasPrefix(got.Text, "Test") || code(got) == "" {
			t.Fatal("the text does not begin with the brand, or holds no code")
		}
		if got.Validity != modemsim.Duration(5*time.Minute) {
			t.Errorf("TP-VP is %v s, want the life of the code", got.Validity)
		}
		f.state(v, outbox.Delivered, 10*time.Second)
		if f.check(v.ID, code(got)) != true {
			t.Error("the code of the text was not accepted")
		}
	})
}

// A status report that overtakes +CMGS belongs to the message all the same.
func TestFlowReportBeforeCMGS(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{ReportEarly: true}))
		v, err := f.start()
		f.must(err)
		f.state(v, outbox.Delivered, 10*time.Second)
	})
}

// A modem that takes the PDU and then says nothing leaves the outcome unknown: the same code goes out
// by the other one.
func TestFlowSilentModemSameCodeByAnother(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		for _, m := range f.modems {
			f.must(m.SetFaults(modemsim.Faults{RebootAt: modemsim.AtPDU}))
		}
		_, err := f.start()
		f.must(err)
		all := f.texts(1, 4*time.Minute)
		if code(all[len(all)-1]) == "" {
			t.Fatal("no code arrived")
		}
		if len(all) > 1 && code(all[0]) != code(all[1]) {
			t.Error("two different codes went out for one start")
		}
	})
}

// A modem that vanishes in the middle of a PDU comes back and is used again.
func TestFlowUnplugMidPDU(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{UnplugAt: modemsim.AtPDU, UnplugFor: modemsim.Duration(3 * time.Second)}))
		v, err := f.start()
		f.must(err)
		got := f.texts(1, 4*time.Minute)
		if !f.check(v.ID, code(got[len(got)-1])) {
			t.Error("the code that arrived in the end was not accepted")
		}
	})
}

// Without a modem that could send, nothing is accepted.
func TestFlowNoModemNoStart(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{Unplugged: true}))
		for range 100 {
			if !f.senders[0].modem.Status().Ready {
				break
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		_, err := f.start()
		busy, ok := errors.AsType[*outbox.Busy](err)
		if !ok {
			t.Fatalf("start without a modem: %v, want Busy", err)
		}
		if busy.RetryAfter < time.Second {
			t.Errorf("retry after %v", busy.RetryAfter)
		}
	})
}

// What was on air when the daemon stopped is unknown, and a code is sent again after the next start:
// the same code.
func TestFlowStopWhileOnAir(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{SwallowPDU: 1}))
		v, err := f.start()
		f.must(err)
		f.state(v, outbox.Sending, 10*time.Second)
		time.Sleep(time.Second)
		began := time.Now()
		f.close()
		if took := time.Since(began); took > stopLimit {
			t.Errorf("the stop took %v", took)
		}
		f.modems[0].Reboot()
		f.open()
		f.waitReady()
		got := f.texts(1, 2*time.Minute)
		if !f.check(v.ID, code(got[0])) {
			t.Error("the code that was sent again is another")
		}
	})
}

// A long STOP in several parts, of which one never comes, is read after a while all the same.
func TestFlowLongTextWithMissingPart(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		in := inbox{store: f.store, log: f.log, own: f.own}
		f.must(in.text(t.Context(), "sim", modemText(patient, "STOP texting me", 7, 1, 2)))
		time.Sleep(partWait + 2*time.Minute)
		if n := len(f.texts(1, time.Minute)); n != 1 {
			t.Fatalf("%d answers", n)
		}
	})
}

// A text that a modem gives twice is read once.
func TestFlowSameTextTwice(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.network.Handset(patient).Reply("HELP", f.modems[0].Name()))
		f.texts(1, 2*time.Minute)
		in := inbox{store: f.store, log: f.log, own: f.own}
		m := modemText(patient, "HELP", 0, 1, 1)
		for range 2 {
			f.must(in.text(t.Context(), "sim", m))
		}
		time.Sleep(2 * time.Minute)
		if n := len(f.network.Handset(patient).Messages()); n > 2 {
			t.Errorf("%d answers to two texts", n)
		}
	})
}

func modemText(from, body string, ref uint16, part, parts int) modem.Text {
	return modem.Text{From: from, Body: body, Ref: ref, Part: part, Parts: parts, Hash: sha256.Sum256(fmt.Appendf(nil, "%s %d %d", body, ref, part))}
}

// A modem that swallows a PDU and says nothing may hold its line for five minutes, but not the code:
// the other modem sends it within seconds.
func TestFlowSwallowedCodeGoesByAnother(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{SwallowPDU: 1}))
		f.must(f.modems[1].SetFaults(modemsim.Faults{SwallowPDU: 1}))
		v, err := f.start()
		f.must(err)
		f.state(v, outbox.Sending, 10*time.Second)
		// The modem that was idle takes it without fault.
		for _, m := range f.modems {
			if m.Faults().SwallowPDU > 0 {
				f.must(m.SetFaults(modemsim.Faults{}))
			}
		}
		got := f.texts(1, codePatience+5*time.Second)
		if !f.check(v.ID, code(got[0])) {
			t.Error("the code that arrived was not accepted")
		}
	})
}

// With one modem alone the line is given up after a while, and the same code goes out after all.
func TestFlowSwallowedCodeOneModem(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{SwallowPDU: 1}))
		v, err := f.start()
		f.must(err)
		got := f.texts(1, onAirPatience+60*time.Second)
		if !f.check(v.ID, code(got[0])) {
			t.Error("the code that arrived was not accepted")
		}
	})
}
