package modem

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pinward/modem/modemsim"
	"pinward/modem/port"
)

var (
	soakFor  = flag.Duration("soak", 6*time.Second, "how long TestSoak plays bad days, by the clock on the wall; 10m is the long form")
	soakSeed = flag.Uint64("soakseed", 1, "the first day that TestSoak plays")
)

// Random faults from the whole list on several modems, day after day: every message ends in exactly one state, and in the right
// one; none is misaddressed, and a body reaches only its own number. A failure names its day: -soakseed N plays it first.
func TestSoak(t *testing.T) {
	start := time.Now()
	days, total := 0, tally{}
	for seed := *soakSeed; time.Since(start) < *soakFor; seed++ {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { total.add(soakDay(t, seed)) })
		})
		if !ok {
			return
		}
		days++
	}
	if days == 0 || total.sent == 0 || total.unknown == 0 || total.refused == 0 {
		t.Fatalf("%d days were too good: %+v", days, total)
	}
	t.Logf("%d days: %+v", days, total)
}

// tally counts how letters ended.
type tally struct{ letters, sent, unknown, refused, notSent, attempts, resets, reboots int }

func (a *tally) add(b tally) {
	a.letters += b.letters
	a.sent += b.sent
	a.unknown += b.unknown
	a.refused += b.refused
	a.notSent += b.notSent
	a.attempts += b.attempts
	a.resets += b.resets
	a.reboots += b.reboots
}

// letter is one message with what became of it, as an outbox would keep it.
type letter struct {
	to, text string
	again    bool // a code: sent again when its fate is unknown

	mu       sync.Mutex
	state    string
	ends     int // how often it came to an end: once
	attempts int
	unknowns int // attempts whose parts may all have arrived
}

func (l *letter) end(state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = state
	l.ends++
}

// maxAttempts is how often a letter is given to a modem.
const maxAttempts = 25

// soak is one day.
type soak struct {
	t       *testing.T
	net     *modemsim.Network
	sims    []*modemsim.Modem
	modems  []*Modem
	letters []*letter
	queue   chan *letter
	replies sync.Map // texts from handsets
	refs    []byte   // concatenation reference, a counter for each modem

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// soakDay plays about an hour and says how its letters ended.
func soakDay(t *testing.T, seed uint64) tally {
	rng := rand.New(rand.NewPCG(seed, 2))
	network, err := modemsim.NewNetwork(modemsim.NetworkOptions{Seed: seed, Latency: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	d := &soak{t: t, net: network, queue: make(chan *letter, 1000)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	for i := range 4 {
		sim, err := network.AddModem(modemsim.ModemOptions{Name: fmt.Sprintf("m%d", i), Profile: allProfiles[rng.IntN(len(allProfiles))]})
		if err != nil {
			t.Fatal(err)
		}
		m := New(func(context.Context) (io.ReadWriteCloser, error) {
			c, err := sim.Pipe()
			if err != nil {
				return nil, fmt.Errorf("%w: %w", port.ErrUnplugged, err)
			}
			return usb{c}, nil
		}, Options{Name: sim.Name(), Log: slog.New(slog.DiscardHandler)})
		d.sims, d.modems = append(d.sims, sim), append(d.modems, m)
		d.refs = append(d.refs, 0)
	}
	for i, m := range d.modems {
		d.wg.Go(func() {
			if err := m.Run(d.ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		d.wg.Go(func() { d.listen(m) })
		d.wg.Go(func() { d.work(i) })
	}
	defer func() {
		d.cancel()
		d.wg.Wait()
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	}()
	d.write(rng)
	for end := time.Now().Add(40 * time.Minute); time.Now().Before(end); {
		d.mischief(rng)
		time.Sleep(time.Duration(1+rng.IntN(10)) * time.Second)
	}
	d.peace()
	return d.judge()
}

// write makes the day's letters and puts them into the queue over its first half.
func (d *soak) write(rng *rand.Rand) {
	for i := range 300 {
		to := fmt.Sprintf("+1617555%04d", 1000+rng.IntN(25))
		text := fmt.Sprintf("letter %d for %s: %06d", i, to, rng.IntN(1e6))
		switch rng.IntN(6) {
		case 0:
			text += strings.Repeat(" and so on", 20) // several parts
		case 1:
			text += " на здоровье" // UCS-2
		}
		d.letters = append(d.letters, &letter{to: to, text: text, again: rng.IntN(2) == 0})
	}
	d.wg.Go(func() {
		for _, l := range d.letters {
			d.queue <- l
			if !d.pause(5 * time.Second) {
				return
			}
		}
	})
}

func (d *soak) pause(t time.Duration) bool {
	select {
	case <-time.After(t):
		return true
	case <-d.ctx.Done():
		return false
	}
}

// work is a sender: a modem's loop.
func (d *soak) work(i int) {
	m := d.modems[i]
	for {
		if !m.Status().Ready {
			if !d.pause(time.Second) {
				return
			}
			continue
		}
		select {
		case l := <-d.queue:
			d.send(i, l)
		case <-m.Changed():
		case <-d.ctx.Done():
			return
		}
	}
}

func (d *soak) send(i int, l *letter) {
	d.refs[i]++
	parts, err := Encode(SMS{To: l.to, Text: l.text, Report: true, ConcatRef: d.refs[i]})
	if err != nil {
		d.t.Errorf("encode: %v", err)
		return
	}
	relent := time.AfterFunc(45*time.Second, d.modems[i].GiveUp)
	defer relent.Stop()
	l.attempts++
	for n, p := range parts {
		_, err := d.modems[i].Send(d.ctx, p)
		switch {
		case err == nil:
			continue
		case d.ctx.Err() != nil:
			return
		case errors.Is(err, ErrRefused):
			l.end("refused")
		case errors.Is(err, ErrNotSent):
			d.retry(l, "not sent")
		default:
			if n == len(parts)-1 {
				l.unknowns++ // all parts may have arrived
			}
			if !l.again {
				l.end("unknown")
				return
			}
			d.retry(l, "unknown")
		}
		return
	}
	l.end("sent")
}

func (d *soak) retry(l *letter, otherwise string) {
	if l.attempts >= maxAttempts {
		l.end(otherwise)
		return
	}
	d.wg.Go(func() {
		if d.pause(time.Second) {
			d.queue <- l
		}
	})
}

// listen takes the events of a modem: only what handsets wrote may come in.
func (d *soak) listen(m *Modem) {
	for {
		select {
		case e := <-m.Events():
			if e.Text != nil && !e.Text.Unreadable {
				if _, known := d.replies.Load(e.Text.Body); !known {
					d.t.Errorf("a text came in that nobody wrote")
				}
			}
			e.Done(nil)
		case <-d.ctx.Done():
			return
		}
	}
}

// mischief does one thing to the world.
func (d *soak) mischief(rng *rand.Rand) {
	i := rng.IntN(len(d.sims))
	sim, m := d.sims[i], d.modems[i]
	handset := d.net.Handset(fmt.Sprintf("+1617555%04d", 1000+rng.IntN(25)))
	switch rng.IntN(20) {
	case 0:
		sim.Reboot()
	case 1:
		on := rng.IntN(3) > 0
		full := rng.IntN(5) == 0
		if err := handset.Set(modemsim.HandsetChange{On: &on, Full: &full}); err != nil {
			d.t.Error(err)
		}
	case 2:
		text := fmt.Sprintf("reply %d", rng.IntN(1e9))
		d.replies.Store(text, true)
		_ = handset.Reply(text, sim.Name()) // it may be switched off
	case 3:
		_ = handset.Call(sim.Name()) // likewise
	case 4:
		if rng.IntN(6) == 0 {
			if err := sim.SwapSIM(modemsim.SIM{}); err != nil {
				d.t.Error(err)
			}
		}
	case 5:
		d.wg.Go(func() {
			ctx, cancel := context.WithTimeout(d.ctx, time.Minute)
			defer cancel()
			_ = m.Reset(ctx) // there may be no modem just now
		})
	case 6:
		d.wg.Go(func() { _, _ = m.Balance(d.ctx) })
	default:
		f := mischiefs[rng.IntN(len(mischiefs))](rng)
		if err := sim.SetFaults(f); err != nil {
			d.t.Error(err)
		}
		lasts := time.Duration(1+rng.IntN(120)) * time.Second
		d.wg.Go(func() {
			if d.pause(lasts) {
				_ = sim.SetFaults(modemsim.Faults{}) // they are valid
			}
		})
	}
}

// peace ends all trouble and waits until every letter has come to an end, and what the network has has arrived.
func (d *soak) peace() {
	on, full := true, false
	deadline := time.Now().Add(6 * time.Hour)
	for {
		for _, sim := range d.sims { // again: a fault may have been set to end later
			if err := sim.SetFaults(modemsim.Faults{}); err != nil {
				d.t.Error(err)
			}
		}
		for _, h := range d.net.Handsets() {
			if err := h.Set(modemsim.HandsetChange{On: &on, Full: &full}); err != nil {
				d.t.Error(err)
			}
		}
		open := 0
		for _, l := range d.letters {
			l.mu.Lock()
			if l.ends == 0 {
				open++
			}
			l.mu.Unlock()
		}
		if open == 0 {
			break
		}
		if time.Now().After(deadline) {
			for _, m := range d.modems {
				d.t.Log(m.Status(), m.Status().Alarms.List())
			}
			d.t.Errorf("%d letters have no end", open)
			return
		}
		time.Sleep(time.Minute)
	}
	time.Sleep(10 * time.Minute)
	for _, m := range d.modems {
		if st := m.Status(); !st.Ready && st.Phase != PhaseQuarantined {
			d.t.Errorf("a modem did not come back: %v", st)
		}
	}
}

// judge holds the states against what the handsets show.
func (d *soak) judge() tally {
	shown := map[string]int{}
	for _, h := range d.net.Handsets() {
		for _, msg := range h.Messages() {
			shown[h.Number()+"\n"+msg.Text]++
		}
	}
	var sum tally
	for i, l := range d.letters {
		n := shown[l.to+"\n"+l.text]
		delete(shown, l.to+"\n"+l.text)
		least, most := 0, l.unknowns
		sum.letters++
		sum.attempts += l.attempts
		switch l.state {
		case "sent":
			least, most = 1, l.unknowns+1
			sum.sent++
		case "unknown":
			sum.unknown++
		case "refused":
			sum.refused++
		case "not sent":
			sum.notSent++
		}
		if l.ends != 1 || n < least || n > most {
			d.t.Errorf("letter %d: %q, ended %d times; arrived %d times after %d attempts, %d of them unknown", i, l.state, l.ends, n,
				l.attempts, l.unknowns)
		}
	}
	if len(shown) > 0 {
		d.t.Errorf("%d texts arrived that were not written so, or not to that number", len(shown))
	}
	for _, m := range d.modems {
		st := m.Status()
		sum.resets += st.Resets
		sum.reboots += st.Reboots
	}
	return sum
}
