package intake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"time"

	"pinward/store"
)

// PeerReport is how one peer does, for `pinward hl7 peers`. It holds no value of a message.
type PeerReport struct {
	Listener string `json:"listener"`
	Peer     string `json:"peer"`
	Mode     string `json:"mode"`
	Paused   bool   `json:"paused,omitempty"`
	// Back are the states that it is told of.
	Back []string `json:"back,omitempty"`
	PeerState
}

// PeerState is what is counted of a peer, over restarts: what the last minute before a crash brought
// may be missing. The store's own record of each message is not.
type PeerState struct {
	Counts
	Last     time.Time         `json:"last,omitzero"`     // message
	LastType string            `json:"last_type"`         // MSH-9 of it
	Error    time.Time         `json:"error,omitzero"`    // last AE, AR or failure
	ErrorWhy string            `json:"error_why"`         // of that, in words
	Reasons  map[string]uint64 `json:"reasons,omitempty"` // why not more was done, and how often
}

// maxReasons bounds the reasons that are counted apart; the rest are "other".
const maxReasons = 100

// varying is what is another for each message that is held off for the same reason; counted apart, one night of them would fill the
// list.
var varying = regexp.MustCompile(`,? (by|retry after) [0-9][0-9a-zµ.]*`)

func (s *PeerState) because(why string, n uint64) {
	why = varying.ReplaceAllString(why, "")
	if s.Reasons == nil {
		s.Reasons = map[string]uint64{}
	}
	if _, known := s.Reasons[why]; !known && len(s.Reasons) >= maxReasons {
		why = "other"
	}
	s.Reasons[why] += n
}

func (s *PeerState) add(o PeerState) {
	s.Counts.add(o.Counts)
	if o.Last.After(s.Last) {
		s.Last, s.LastType = o.Last, o.LastType
	}
	if o.Error.After(s.Error) {
		s.Error, s.ErrorWhy = o.Error, o.ErrorWhy
	}
	for why, n := range o.Reasons {
		s.because(why, n)
	}
}

// peerStates keeps what was counted.
var peerStates = store.NewTable[PeerState]("intake.peers",
	store.Bookkeeping("counts by peer; each message has a record of its own"))

// tally counts by peer what is not kept yet.
type tally struct {
	mu sync.Mutex
	by map[string]*PeerState // under mu
}

func (t *tally) count(peer string, change func(*PeerState)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = map[string]*PeerState{}
	}
	if t.by[peer] == nil {
		t.by[peer] = &PeerState{}
	}
	change(t.by[peer])
}

func stateKey(listener, peer string) []byte {
	return fmt.Appendf(nil, "%d:%s|%s", len(listener), listener, peer)
}

// Keep puts what was counted since the last Keep into the store. What if we crash here: a minute's
// counts are missing, and no message.
func (in *Intake) Keep(ctx context.Context) error {
	in.tally.mu.Lock()
	news := in.tally.by
	in.tally.by = nil
	in.tally.mu.Unlock()
	if len(news) == 0 {
		return nil
	}
	err := in.store.Update(ctx, store.Actor{Kind: "daemon", ID: "intake"}, func(tx *store.Tx) error {
		for peer, n := range news {
			key := stateKey(in.listener.Name, peer)
			s, _, err := peerStates.Get(tx, key)
			if err != nil {
				return err
			}
			s.Reasons = maps.Clone(s.Reasons)
			s.add(*n)
			if err := peerStates.Put(tx, key, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		// Counted again with what comes next.
		for peer, n := range news {
			in.tally.count(peer, func(s *PeerState) { s.add(*n) })
		}
		return fmt.Errorf("keep counts of peers: %w", err)
	}
	return nil
}

// Peers names the listener's peers.
func (in *Intake) Peers() (names []string) {
	for _, s := range in.listener.senders(Policy{}) {
		names = append(names, s.Name)
	}
	return names
}

// Report tells how the listener's peers do.
func (in *Intake) Report(tx *store.Tx) ([]PeerReport, error) {
	p, err := PolicyOf(tx)
	if err != nil {
		return nil, err
	}
	mode, err := in.listener.modeOf(tx)
	if err != nil {
		return nil, err
	}
	var list []PeerReport
	for _, s := range in.listener.senders(p) {
		r := PeerReport{Listener: in.listener.Name, Peer: s.Name, Mode: mode.String(), Paused: s.Paused, Back: s.Back}
		kept, _, err := peerStates.Get(tx, stateKey(in.listener.Name, s.Name))
		if err != nil {
			return nil, fmt.Errorf("read counts of peers: %w", err)
		}
		r.PeerState = kept
		r.Reasons = maps.Clone(kept.Reasons)
		in.tally.count(s.Name, func(news *PeerState) { r.PeerState.add(*news) })
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b PeerReport) int { return cmp.Compare(a.Peer, b.Peer) })
	return list, nil
}

// strangers counts messages of nobody that we know, by address.
type strangers struct {
	mu sync.Mutex
	by map[netip.Addr]uint64 // under mu
}

// maxStrangers bounds the addresses; the rest share the zero address.
const maxStrangers = 1024

func (s *strangers) count(a netip.Addr) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[netip.Addr]uint64{}
	}
	if _, known := s.by[a]; !known && len(s.by) >= maxStrangers {
		a = netip.Addr{}
	}
	s.by[a]++
	return s.by[a]
}
