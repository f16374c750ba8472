package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/modem/modemsim"
	"pinward/store"
	"pinward/store/storetest"
)

// promptPause is what a modem needs besides the network's time for a part: the driver rests between prompt and PDU (modem
// reference 5.1).
const promptPause = 100 * time.Millisecond

// inLoad runs a test in a bubble with so many modems, whose parts take 2 to 6 s, and so many texts of a campaign that wait.
func inLoad(t *testing.T, modems, campaign int, test func(*flow)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &flow{t: t, keys: storetest.NewKeys(t), ports: map[string]*modemsim.Modem{}}
		var err error
		f.network, err = modemsim.NewNetwork(modemsim.NetworkOptions{Seed: 1, Journal: true})
		f.must(err)
		cfg := Defaults()
		cfg.Box = Box{ID: "load", State: dir}
		for i := range modems {
			name := fmt.Sprintf("m%d", i+1)
			m, err := f.network.AddModem(modemsim.ModemOptions{Name: name})
			f.must(err)
			m.SetLatency(2700*time.Millisecond + time.Duration(i%8)*300*time.Millisecond) // and a quarter either way
			f.modems = append(f.modems, m)
			f.ports[name] = m
			cfg.Modems = append(cfg.Modems, ModemPort{Name: name, Device: "/" + name})
		}
		log := slog.New(slog.DiscardHandler)
		f.box = &box{cfg: cfg, log: log, fatal: make(chan error, 1), sealed: newSealedLog(dir, log)}
		f.box.openPort = func(_ context.Context, p ModemPort) (io.ReadWriteCloser, error) { return f.ports[p.Name].Pipe() }
		sources[soakKind] = func(*store.Tx, outbox.Message) (outbox.Rendered, error) {
			return outbox.Rendered{Text: "Test: your clinic has news for you", Report: true, Parts: 1}, nil
		}
		defer delete(sources, soakKind)
		f.open()
		f.must(f.store.Update(t.Context(), self, func(tx *store.Tx) error {
			l := limit.Default()
			l.Client.Max, l.Client.Reserve, l.Prefix.Max, l.Prefix.Reserve = 0, 0, 0, 0
			if err := limit.Set(tx, l); err != nil {
				return err
			}
			for _, m := range f.modems {
				if err := outbox.SetSIM(tx, outbox.SIM{ICCID: m.ICCID(), Permission: outbox.Permission{Reference: "test"}, PerMinute: -1, PerDay: -1}); err != nil {
					return err
				}
			}
			return contact.SetSite(tx, contact.Site{Name: "Test", Brand: "Test", Zone: "America/New_York", Area: "617", Authority: "T", HelpPhone: "617-555-1000", Mode: contact.Live})
		}))
		f.waitReady()
		f.campaign(campaign)
		test(f)
		f.close()
		f.must(f.network.Close())
	})
}

// campaign queues texts to so many numbers.
func (f *flow) campaign(n int) {
	f.t.Helper()
	for from := 0; from < n; from += 1000 {
		f.must(f.store.Update(f.t.Context(), self, func(tx *store.Tx) error {
			for i := from; i < min(n, from+1000); i++ {
				to, err := contact.ParsePhone(fmt.Sprintf("+1%d555%04d", []int{212, 312, 415, 503, 602, 702, 801, 901, 919, 954, 972, 989, 213, 214, 215}[i/8000], 1000+i%8000), contact.Plan{})
				if err != nil {
					return err
				}
				m := outbox.Message{Kind: soakKind, Lane: outbox.Bulk, To: to, Client: "campaign", Route: []outbox.Step{{Channel: outbox.SMS}},
					Expires: tx.Now().Add(30 * 24 * time.Hour), Mode: contact.Live}
				if _, err := outbox.Put(tx, m); err != nil {
					return err
				}
			}
			return tx.Record(store.Entry{Action: "soak.put", Outcome: store.OK})
		}))
	}
}

// size is the load's short form, or its long form beside a long soak.
func size(short, long int) int {
	if *soakFor >= time.Minute {
		return long
	}
	return short
}

// 64 modems whose parts take 2 to 6 s, of which one in a hundred fails, are kept busy: what they have on air, and the rest before each
// PDU, is 99 % of their time. The time is the bubble's, so that the machine's load does not count.
func TestModemsAreKeptBusy(t *testing.T) {
	const modems = 64
	span := time.Duration(size(10, 600)) * time.Second
	inLoad(t, modems, int(span/time.Second)*modems/2+modems*10, func(f *flow) {
		rng := rand.New(rand.NewPCG(1, 1))
		time.Sleep(8 * time.Second)
		from := time.Now()
		for range int(span / time.Second) {
			for _, m := range f.modems { // a part takes four seconds or so: one in a hundred
				if rng.IntN(400) == 0 {
					errs := []string{"+CMS ERROR: 38", "+CMS ERROR: 42", "+CMS ERROR: 500", "+CMS ERROR: 332"}
					f.must(m.SetFaults(modemsim.Faults{SendErrors: errs[rng.IntN(4):][:1], SentAnyway: true}))
				}
			}
			time.Sleep(time.Second)
		}
		to := time.Now()
		var busy time.Duration
		parts := 0
		for _, p := range f.network.Parts() {
			began, ended := p.Began.Add(-promptPause), p.At
			if began.Before(from) {
				began = from
			}
			if ended.After(to) {
				ended = to
			}
			if ended.After(began) {
				busy += ended.Sub(began)
				parts++
			}
		}
		for _, m := range f.modems { // what is on air now is not in the journal yet
			if began, on := m.OnAir(); on && began.After(from) {
				busy += to.Sub(began) + promptPause
			}
		}
		var mem runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&mem)
		share := busy.Seconds() / (span.Seconds() * modems)
		t.Logf("%d modems, %d parts in %v: %.2f %% of what they could carry; heap %d MB with the simulator's", modems, parts, span, 100*share, mem.HeapAlloc>>20)
		if share < 0.99 {
			t.Errorf("the modems were kept busy for %.2f %% of the time", 100*share)
		}
	})
}

// A code behind a campaign waits for at most the part on air: it is the next that the first modem which becomes free sends.
func TestCodeBehindACampaignWaitsForThePartOnAir(t *testing.T) {
	inLoad(t, 2, size(1_000, 100_000), func(f *flow) {
		s := &soak{flow: f, rng: rand.New(rand.NewPCG(2, 2))}
		accepted := map[string]time.Time{}
		codes := size(8, 50)
		for n := range codes {
			time.Sleep(10*time.Second + time.Duration(s.rng.IntN(5000))*time.Millisecond)
			to, err := contact.ParsePhone(s.number(n), contact.Plan{})
			f.must(err)
			accepted[to.E164()] = time.Now()
			before := len(s.all)
			s.acceptCode(to)
			if len(s.all) == before {
				t.Fatal("the code was not accepted")
			}
		}
		time.Sleep(time.Minute)
		parts := f.network.Parts()
		var longest time.Duration
		seen := map[string]bool{}
		for _, p := range parts {
			at, code := accepted[p.To]
			if !code || seen[p.To] {
				continue
			}
			seen[p.To] = true
			free := time.Time{} // when the first of the parts on air came to its end
			for _, q := range parts {
				if q.Began.Before(at) && q.At.After(at) && (free.IsZero() || q.At.Before(free)) {
					free = q.At
				}
			}
			if free.IsZero() {
				free = at
			}
			longest = max(longest, p.Began.Sub(at))
			if late := p.Began.Sub(free) - promptPause; late > 50*time.Millisecond {
				t.Errorf("a code went %v after the part on air had ended", late)
			}
		}
		if len(seen) != codes {
			t.Errorf("%d of %d codes went out", len(seen), codes)
		}
		t.Logf("behind %d texts a code waited %v at the most", size(1_000, 100_000), longest)
	})
}
