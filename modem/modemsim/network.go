package modemsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"time"
)

// DefaultLatency is the time from the end of a PDU to +CMGS where none is set;
// with its jitter a part takes less than 0.3 s.
const DefaultLatency = 200 * time.Millisecond

// defaultValidity is what the service centre takes where TP-VP is absent.
const defaultValidity = 72 * time.Hour

// NetworkOptions says what a network is like. The zero value works.
type NetworkOptions struct {
	// Dir keeps handsets, texts, SIM storage and what is under way, sealed,
	// through the death of the process; one process at a time. "" keeps all in memory.
	Dir string
	// Latency is the time that the network takes for one part; each part
	// varies by a quarter. 0 means DefaultLatency, negative none.
	Latency time.Duration
	// Jitter is how late sound may come to a modem in a call before the callee hears a hole; 0 means 200 ms.
	Jitter time.Duration
	// Seed makes what varies repeatable: equal seeds and equal input give equal output.
	Seed uint64
	// Journal keeps what became of each part, for Parts. It grows for as long as the network runs.
	Journal bool
	// Log gets what happens, without numbers, texts and AT arguments; nil for none.
	Log *slog.Logger
}

// Network is the simulated world: carriers, their service centre, modems and
// handsets. Its methods and those of its modems and handsets may be used
// from several goroutines.
type Network struct {
	opts NetworkOptions
	log  *slog.Logger
	// The commands of 27.005 and 27.007, and of vendors; made once, never changed.
	common, vendor map[string]handler

	mu       sync.Mutex // the world's lock; all below, and all inside modems and handsets
	agenda   *agenda
	keep     *keep
	loaded   map[string]json.RawMessage // kept before this run, of modems not yet added
	modems   []*Modem
	handsets map[string]*Handset
	transits map[uint64]*transit
	journal  []*Part
	wavs     map[uint64][]byte // what was recorded, compressed; the newest maxRecordings
	lastID   uint64
	lastTTY  int           // number of the newest ttyUSB of a tree
	swaps    int           // SIMs made up by SwapSIM
	changed  chan struct{} // closed and replaced when something that handsets show changes
	broken   error         // the first failure to keep state
	closed   bool

	sessions sync.WaitGroup // reader and writer of each open session
}

// NewNetwork makes a network and, with Dir, takes up what was kept there:
// texts that were under way are delivered, validity periods go on.
func NewNetwork(o NetworkOptions) (*Network, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	keep, values, err := openKeep(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open network state: %w", err)
	}
	n := &Network{
		opts: o, log: o.Log, common: commonCommands(), vendor: vendorCommands(), keep: keep, loaded: values,
		handsets: map[string]*Handset{},
		transits: map[uint64]*transit{}, wavs: map[uint64][]byte{},
		changed: make(chan struct{}),
	}
	n.agenda = newAgenda(&n.mu)
	n.mu.Lock()
	err = n.load()
	n.mu.Unlock()
	if err != nil {
		n.agenda.stop()
		return nil, errors.Join(fmt.Errorf("load network state: %w", err), keep.close())
	}
	return n, nil
}

// load takes up all but the modems' own state. Names hold their kind before the
// first slash and sort in the order of their making.
func (n *Network) load() error {
	names := make([]string, 0, len(n.loaded))
	for name := range n.loaded {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		kind, _, _ := strings.Cut(name, "/")
		var err error
		switch kind {
		case "handset":
			err = n.loadHandset(n.loaded[name])
		case "message":
			err = n.loadMessage(n.loaded[name])
		case "part":
			err = n.loadPart(n.loaded[name])
		case "call":
			err = n.loadCall(n.loaded[name])
		case "transit":
			err = n.loadTransit(n.loaded[name])
		case "wav":
			err = n.loadRecording(n.loaded[name])
		default:
			continue
		}
		if err != nil {
			return fmt.Errorf("decode kept %s: %w", kind, err)
		}
		delete(n.loaded, name)
	}
	for _, h := range n.handsets {
		sort.SliceStable(h.messages, func(i, j int) bool { return h.messages[i].M.At.Before(h.messages[j].M.At) })
	}
	return nil
}

// save keeps value under name. A failure is logged once and leaves the network
// refusing new messages: what it cannot keep it must not accept.
func (n *Network) save(name string, value any) bool {
	return n.kept(n.keep.put(name, value))
}

// forget drops name.
func (n *Network) forget(name string) { n.kept(n.keep.drop(name)) }

func (n *Network) kept(err error) bool {
	if err != nil && n.broken == nil {
		n.broken = err
		n.log.Error("state cannot be kept; the network refuses messages", "err", err)
	}
	return n.broken == nil
}

// nextID numbers what is kept; it grows over restarts.
func (n *Network) nextID() uint64 {
	n.lastID++
	return n.lastID
}

// seen keeps lastID above what was loaded.
func (n *Network) seen(id uint64) { n.lastID = max(n.lastID, id) }

// key names a kept value so that names sort as they were made.
func key(kind string, id uint64) string { return fmt.Sprintf("%s/%020d", kind, id) }

// show wakes those who wait for handsets to change.
func (n *Network) show() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// Modems lists the modems in the order in which they were added.
func (n *Network) Modems() []*Modem {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*Modem(nil), n.modems...)
}

// Modem finds a modem by name; nil if there is none.
func (n *Network) Modem(name string) *Modem {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.modem(name)
}

func (n *Network) modem(name string) *Modem {
	for _, m := range n.modems {
		if m.opts.Name == name {
			return m
		}
	}
	return nil
}

func (n *Network) modemByNumber(number string) *Modem {
	for _, m := range n.modems {
		if m.opts.Number == number {
			return m
		}
	}
	return nil
}

// Close ends all sessions, removes the links of PTYs, and waits for every
// goroutine. What was under way is taken up by the next network on the same Dir.
func (n *Network) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	var errs []error
	for _, m := range n.modems {
		errs = append(errs, m.shut())
	}
	n.mu.Unlock()
	n.agenda.stop()
	n.sessions.Wait()
	return errors.Join(append(errs, n.keep.close())...)
}

// varied returns d changed by up to a quarter either way.
func varied(rng *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d*3/4 + time.Duration(rng.Int64N(int64(d)/2+1))
}

// dialled turns a number as it stands in a TPDU or ATD into the key of a
// handset: national and prefixed forms of the North American plan become +1...,
// short codes stay.
func dialled(number string) string {
	switch {
	case strings.HasPrefix(number, "+"):
		return number
	case strings.HasPrefix(number, "011") && len(number) > 10:
		return "+" + number[3:]
	case strings.HasPrefix(number, "00") && len(number) > 9:
		return "+" + number[2:]
	case len(number) == 10:
		return "+1" + number
	case len(number) > 10:
		return "+" + number
	}
	return number
}
