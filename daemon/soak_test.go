package daemon

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/modem/modemsim"
	"pinward/store"
	"pinward/store/storetest"
)

var (
	soakFor  = flag.Duration("soak", 3*time.Second, "how long TestSoak plays bad days, by the clock on the wall; 10m is the long form")
	soakSeed = flag.Uint64("soakseed", 1, "the first day that TestSoak plays")
)

// soakKind is the kind of the soak's own texts: each body names its recipient by a mark that no other has.
const soakKind outbox.Kind = "soak"

// Six modems of all kinds, random faults from the whole list, random loads, hour after hour, through the real store, outbox, senders
// and inbox: every accepted message ends in one final state, and in the right one; none is misaddressed; what the judge's methods
// say. A failure names its day: -soakseed N plays it first.
func TestSoak(t *testing.T) {
	began := time.Now()
	var sum soakTally
	for seed := *soakSeed; time.Since(began) < *soakFor; seed++ {
		dir := t.TempDir()
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { sum.add(soakDay(t, dir, seed)) })
		})
		if !ok {
			t.Fatalf("day %d failed: -soakseed %d", seed, seed)
		}
	}
	if sum.states[outbox.Delivered] == 0 || sum.failed == 0 || sum.texts == 0 || sum.codes == 0 {
		t.Errorf("the days were too good: %+v", sum)
	}
	t.Logf("%+v", sum)
}

// soak is one day.
type soak struct {
	*flow
	rng   *rand.Rand
	all   []*soaked
	texts map[string]string   // by the message's Ref; the source reads it, and it is written before the message is put
	sims  map[string]soakCaps // by ICCID
	know  int                 // goroutines while all is well
}

// soakCaps are what a SIM may be given, in parts; -1 for any number.
type soakCaps struct{ minute, day int }

// soaked is one message that was accepted.
type soaked struct {
	id, ref string
	to      string
	mark    string // in its text; "" for a code
	repeat  bool
	code    bool
	states  []outbox.State // seen, in order, without repetition
	message outbox.Message
}

func soakDay(t *testing.T, dir string, seed uint64) soakTally {
	s := &soak{rng: rand.New(rand.NewPCG(seed, 7)), texts: map[string]string{}, sims: map[string]soakCaps{}}
	s.flow = soakHouse(t, dir, seed)
	s.record()
	s.waitReady()
	s.know = runtime.NumGoroutine()
	sources[soakKind] = func(_ *store.Tx, m outbox.Message) (outbox.Rendered, error) {
		return outbox.Rendered{Text: s.texts[m.Ref], Report: true, Parts: parts(s.texts[m.Ref])}, nil
	}
	defer delete(sources, soakKind)
	most := size(75, 150) // messages
	end := time.Now().Add(time.Duration(size(15, 30)) * time.Minute)
	for n := 0; time.Now().Before(end); {
		for range s.rng.IntN(3) {
			if n < most {
				n++
				s.accept(n)
			}
		}
		for range 1 + s.rng.IntN(2) {
			s.mischief()
		}
		time.Sleep(time.Duration(1+s.rng.IntN(20)) * time.Second)
		s.look()
	}
	s.peace()
	sum := s.judge()
	s.close()
	s.must(s.network.Close())
	return sum
}

// parts is what a body of the soak needs; its long ones alone are longer than one part.
func parts(text string) int {
	if len(text) < 140 {
		return 1
	}
	return 2
}

func soakHouse(t *testing.T, dir string, seed uint64) *flow {
	t.Helper()
	f := &flow{t: t, keys: storetest.NewKeys(t), ports: map[string]*modemsim.Modem{}}
	var err error
	f.network, err = modemsim.NewNetwork(modemsim.NetworkOptions{Seed: seed, Journal: true, Latency: 3 * time.Second})
	f.must(err)
	cfg := Defaults()
	cfg.Box = Box{ID: "soak", State: dir}
	for i, profile := range []string{"generic", "ec25", "sim7600", "e173", "le910", "ec25"} {
		name := fmt.Sprintf("m%d", i+1)
		m, err := f.network.AddModem(modemsim.ModemOptions{Name: name, Profile: profile, Carrier: []string{"north", "south", "east"}[i%3]})
		f.must(err)
		f.modems = append(f.modems, m)
		f.ports[name] = m
		cfg.Modems = append(cfg.Modems, ModemPort{Name: name, Device: "/" + name})
	}
	log := slog.New(slog.DiscardHandler)
	f.box = &box{cfg: cfg, log: log, fatal: make(chan error, 1), sealed: newSealedLog(dir, log)}
	f.box.openPort = func(_ context.Context, p ModemPort) (io.ReadWriteCloser, error) { return f.ports[p.Name].Pipe() }
	f.open()
	return f
}

// record puts the site, the limits and the SIMs on record.
func (s *soak) record() {
	s.must(s.store.Update(s.t.Context(), self, func(tx *store.Tx) error {
		l := limit.Default()
		l.Client.Max, l.Client.Reserve, l.Prefix.Max, l.Prefix.Reserve = 0, 0, 0, 0
		if err := limit.Set(tx, l); err != nil {
			return err
		}
		return contact.SetSite(tx, contact.Site{Name: "Test", Brand: "Test", Zone: "America/New_York", Area: "617", Authority: "T", HelpPhone: "617-555-1000", Mode: contact.Live})
	}))
	for i, m := range s.modems {
		s.permit(m, []soakCaps{{-1, -1}, {10, -1}, {6, 24}}[i%3])
	}
}

// permit puts the SIM of a modem on record.
func (s *soak) permit(m *modemsim.Modem, caps soakCaps) {
	s.sims[m.ICCID()] = caps
	s.must(s.store.Update(s.t.Context(), self, func(tx *store.Tx) error {
		return outbox.SetSIM(tx, outbox.SIM{ICCID: m.ICCID(), Permission: outbox.Permission{Reference: "test"}, PerMinute: caps.minute, PerDay: caps.day})
	}))
}

// number is one that the day uses once.
func (s *soak) number(n int) string {
	return fmt.Sprintf("+1%s555%04d", []string{"617", "857", "781"}[n%3], 3500+n)
}

// accept has the house accept the day's n-th message: a code, or a text with a mark of its own.
func (s *soak) accept(n int) {
	to, err := contact.ParsePhone(s.number(n), contact.Plan{})
	s.must(err)
	if s.rng.IntN(3) == 0 {
		s.acceptCode(to)
		return
	}
	m := &soaked{ref: fmt.Sprintf("soak-%d", n), to: to.E164(), mark: fmt.Sprintf("<%d>", n), repeat: s.rng.IntN(3) == 0}
	text := m.mark + " is for you alone"
	switch s.rng.IntN(5) {
	case 0:
		text += strings.Repeat(", and so on", 15) // two parts
	case 1:
		text += " только вам" // UCS-2
	}
	s.texts[m.ref] = text
	s.must(s.store.Update(s.t.Context(), self, func(tx *store.Tx) error {
		put, err := outbox.Put(tx, outbox.Message{
			Kind: soakKind, Ref: m.ref, Lane: []outbox.Lane{outbox.Notice, outbox.Bulk}[s.rng.IntN(2)], To: to, Client: fmt.Sprint("c", s.rng.IntN(3)),
			Route: []outbox.Step{{Channel: outbox.SMS}}, Repeat: m.repeat, Mode: contact.Live,
			Due: tx.Now().Add(time.Duration(s.rng.IntN(600)) * time.Second), Expires: tx.Now().Add(time.Duration(11+s.rng.IntN(15)) * time.Minute),
		})
		m.id = put.ID
		if err != nil {
			return err
		}
		return tx.Record(store.Entry{Action: "soak.put", Outcome: store.OK, Object: put.ID})
	}))
	s.all = append(s.all, m)
}

func (s *soak) acceptCode(to contact.Phone) {
	var v otp.Verification
	refused := false
	s.must(s.store.Accept(s.t.Context(), store.Actor{Kind: "client", ID: "AC"}, func(tx *store.Tx) (err error) {
		v, err = otp.Start(tx, otp.StartRequest{Service: "patient-signup", To: to, Channel: otp.ChannelAuto, Client: "AC", Mode: contact.Live})
		if refused = otp.Refusal(err); refused {
			return nil // too busy: nothing was accepted
		}
		return err
	}))
	if refused {
		return
	}
	m := s.message(v)
	s.all = append(s.all, &soaked{id: m.ID, ref: v.ID, to: to.E164(), code: true, repeat: true})
}

// look notes the state of each message, and stops a few that wait.
func (s *soak) look() {
	s.must(s.store.View(s.t.Context(), func(tx *store.Tx) error {
		for _, m := range s.all {
			now, ok, err := outbox.Get(tx, m.id)
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("message %s is gone", m.id)
			}
			m.message = now
			if n := len(m.states); n == 0 || m.states[n-1] != now.State {
				m.states = append(m.states, now.State)
			}
		}
		return nil
	}))
}

// open counts the messages that have no end.
func (s *soak) unfinished() (n int) {
	s.look()
	for _, m := range s.all {
		if !m.message.State.Final() {
			n++
		}
	}
	return n
}

// peace ends all trouble, and waits until every message has come to an end and what the network has has arrived.
func (s *soak) peace() {
	deadline := time.Now().Add(4 * time.Hour)
	for quiet := 0; quiet < 8; quiet++ {
		for _, m := range s.modems {
			s.must(m.SetFaults(modemsim.Faults{})) // again: a fault may have been set to end later
		}
		for _, h := range s.network.Handsets() {
			s.must(h.Set(modemsim.HandsetChange{On: new(true), Full: new(false), NoReceipts: new(false)}))
		}
		if s.unfinished() > 0 {
			quiet = 0
		}
		if time.Now().After(deadline) {
			for _, sender := range s.senders {
				s.t.Log(sender.modem.Status(), sender.modem.Status().Alarms.List())
			}
			break // the judge names them
		}
		time.Sleep(time.Minute)
	}
	synctest.Wait()
}
