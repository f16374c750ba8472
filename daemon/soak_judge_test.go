package daemon

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"pinward/daemon/outbox"
	"pinward/modem/modemsim"
	"pinward/store"
	"pinward/store/audit"
)

// soakTally counts how the messages of days ended.
type soakTally struct {
	days, texts, codes, attempts, failed, parts int
	states                                      map[outbox.State]int
}

func (a *soakTally) add(b soakTally) {
	a.days += b.days
	a.texts += b.texts
	a.codes += b.codes
	a.attempts += b.attempts
	a.failed += b.failed
	a.parts += b.parts
	if a.states == nil {
		a.states = map[outbox.State]int{}
	}
	for s, n := range b.states {
		a.states[s] += n
	}
}

// air is what the network knows of one message.
type air struct {
	taken                    int // hand-overs of which the network, or a modem that lied, took the first part
	delivered, failed, shown int // first parts; texts on its handset
	codes                    map[string]bool
}

var mark = regexp.MustCompile(`^<[0-9]+>`)

// judge holds what the house says against what the network knows.
func (s *soak) judge() soakTally {
	s.look()
	known := s.heard()
	sum := soakTally{days: 1, states: map[outbox.State]int{}}
	for _, m := range s.all {
		for _, at := range m.message.Attempts {
			sum.attempts++
			if at.Outcome != outbox.Delivered && at.Outcome != outbox.Sent {
				sum.failed++
			}
		}
		sum.states[m.message.State]++
		if m.code {
			sum.codes++
		} else {
			sum.texts++
		}
		if fault := m.wrong(known[m.to]); fault != "" {
			s.t.Errorf("%s\n%s", fault, m.history(known[m.to]))
		}
	}
	sum.parts = len(s.network.Parts())
	s.budgets()
	for _, m := range s.modems {
		if left := m.State().Stored; len(left) > 0 {
			s.t.Errorf("%s, %s: its storage is not empty: %v", m.Name(), m.State().Profile, left)
		}
	}
	s.verifies()
	if n := runtime.NumGoroutine(); n > s.know+2*len(s.modems) {
		s.t.Errorf("%d goroutines, %d at the start", n, s.know)
	}
	return sum
}

// heard sorts what was on the air and what handsets show by number. Every part must be for whom its text names.
func (s *soak) heard() map[string]*air {
	known := map[string]*air{}
	for _, m := range s.all {
		known[m.to] = &air{codes: map[string]bool{}}
	}
	owner := map[string]string{}
	for _, m := range s.all {
		if m.mark != "" {
			owner[m.mark] = m.to
		}
	}
	ours := func(to, text string) bool { // a text of this message, and not an answer to what its handset wrote
		id := mark.FindString(text)
		if id != "" && owner[id] != to {
			s.t.Errorf("a text went to another number than its own")
		}
		return id != "" || codeIn.MatchString(text)
	}
	for _, p := range s.network.Parts() {
		a := known[p.To]
		if p.Seq != 1 || !ours(p.To, p.Text) {
			continue
		}
		if a == nil {
			s.t.Errorf("a text went to a number that nobody asked for")
			continue
		}
		a.taken++
		switch p.Fate {
		case modemsim.FateDelivered:
			a.delivered++
		case modemsim.FateExpired, modemsim.FateGivenUp:
			a.failed++
		case modemsim.FateWaiting:
			s.t.Errorf("a part still waits at the service centre")
		}
	}
	for _, p := range s.network.Parts() {
		if a := known[p.To]; a != nil && p.Seq > 1 && (p.Fate == modemsim.FateExpired || p.Fate == modemsim.FateGivenUp) {
			a.failed++
		}
	}
	for _, h := range s.network.Handsets() {
		for _, text := range h.Messages() {
			if a := known[h.Number()]; ours(h.Number(), text.Text) && a != nil {
				a.shown++
				if mark.FindString(text.Text) == "" {
					a.codes[codeIn.FindString(text.Text)] = true
				}
			}
		}
	}
	return known
}

// changes are the states that may follow a final one: a receipt, or an answer, that comes late.
var changes = map[outbox.State][]outbox.State{
	outbox.Sent:        {outbox.Delivered, outbox.Undelivered},
	outbox.Unknown:     {outbox.Sent, outbox.Delivered, outbox.Undelivered},
	outbox.Undelivered: {outbox.Delivered},
	outbox.Canceled:    {outbox.Sent, outbox.Delivered},
	outbox.Expired:     {outbox.Sent, outbox.Delivered},
	outbox.Refused:     {outbox.Sent, outbox.Delivered},
}

// wrong is the truth table: what of the message's end the network does not bear out; "" is nothing.
func (m *soaked) wrong(a *air) string {
	count := map[outbox.State]int{}
	clean := 0 // attempts that say that nothing left the modem
	for _, at := range m.message.Attempts {
		count[at.Outcome]++
		if at.Outcome == outbox.NotSent || at.Outcome == outbox.Refused && len(at.Parts) == 0 {
			clean++
		}
	}
	out := count[outbox.Sent] + count[outbox.Delivered] + count[outbox.Undelivered]
	state, route := m.message.State, len(m.message.Route) > 1
	for i := 1; i < len(m.states); i++ {
		if from := m.states[i-1]; from.Final() && !m.code && !slices.Contains(changes[from], m.states[i]) {
			return fmt.Sprintf("it went from %s to %s", from, m.states[i])
		}
	}
	switch {
	case !state.Final():
		return "it has no end"
	case a.taken > len(m.message.Attempts)-clean:
		return "a hand-over that is said not to have happened did"
	case a.taken < out:
		return "a hand-over that is said to have happened did not"
	case a.shown > a.taken:
		return "it arrived more often than it was sent"
	case len(a.codes) > 1:
		return "two codes went out for one verification"
	case !m.repeat && (out+count[outbox.Unknown] > 1 || a.taken > 1):
		return "a text that must not be repeated went out twice"
	}
	switch {
	case state == outbox.Delivered && a.delivered == 0,
		state == outbox.Undelivered && a.failed == 0,
		state == outbox.Sent && out == 0,
		state == outbox.Unknown && count[outbox.Unknown] == 0,
		state == outbox.Unknown && out > 0 && !route,
		state == outbox.Refused && out > 0 && !route,
		state == outbox.Expired && out > 0 && !route,
		state == outbox.Canceled && out > 0 && !route:
		return "its state is " + string(state) + ", and the network knows better"
	}
	return ""
}

// history tells a message without number and text.
func (m *soaked) history(a *air) string {
	var b strings.Builder
	fmt.Fprintf(&b, "message %s: code %v, repeat %v, states %v, stopped %v, cause %q, due %s, expires %s; on air %d times, %d delivered, %d failed, shown %d",
		m.id, m.code, m.repeat, m.states, m.message.Stopped, m.message.Cause, m.message.Due.Format(time.TimeOnly), m.message.Expires.Format(time.TimeOnly),
		a.taken, a.delivered, a.failed, a.shown)
	for i, at := range m.message.Attempts {
		fmt.Fprintf(&b, "\n  attempt %d: %s to %s by %s, %s, parts %v of %d, code %d, cause %q", i+1, at.At.Format(time.TimeOnly),
			at.Settled.Format(time.TimeOnly), at.Sender, at.Outcome, at.Parts, at.Planned, at.Code, at.Cause)
	}
	return b.String()
}

// budgets holds every stretch of a minute against what each SIM may be given in one, and every stretch of a day, half of it for
// codes alone. A text of several parts has all of them within it.
func (s *soak) budgets() {
	type given struct {
		at    time.Time
		lane  outbox.Lane
		parts int
	}
	bySIM := map[string][]given{}
	cursor := ""
	s.must(s.store.View(s.t.Context(), func(tx *store.Tx) error {
		for {
			page, next, err := outbox.List(tx, outbox.Filter{Limit: 1000}, cursor)
			if err != nil {
				return err
			}
			for _, m := range page {
				for _, at := range m.Attempts {
					if at.Outcome != outbox.NotSent { // that is given back
						bySIM[at.SIM] = append(bySIM[at.SIM], given{at.At, m.Lane, at.Planned})
					}
				}
			}
			if cursor = next; cursor == "" {
				return nil
			}
		}
	}))
	for sim, list := range bySIM {
		caps, known := s.sims[sim]
		if !known {
			s.t.Errorf("a SIM was used that was never in a modem")
		}
		slices.SortFunc(list, func(a, b given) int { return a.at.Compare(b.at) })
		for _, c := range []struct {
			most int
			in   time.Duration
		}{{caps.minute, time.Minute}, {caps.day, 24 * time.Hour}} {
			for i := 0; i < len(list) && c.most > 0; i++ {
				n, other := 0, 0
				for j := i; j < len(list) && list[j].at.Sub(list[i].at) < c.in; j++ {
					if n += list[j].parts; list[j].lane != outbox.OTP {
						other += list[j].parts
					}
				}
				if n > c.most || other > max(1, c.most/2) {
					s.t.Errorf("a SIM was given %d parts in %s, %d of them no codes, and may have %d", n, c.in, other, c.most)
				}
			}
		}
	}
}

// verifies exports the audit and verifies it as an auditor does, and looks that each message has its entries.
func (s *soak) verifies() {
	var b bytes.Buffer
	s.must(s.store.Export(context.Background(), &b))
	dir := filepath.Join(s.box.cfg.Box.State, "bundle")
	s.must(audit.Unpack(&b, dir))
	if r, err := audit.Verify(context.Background(), dir, audit.VerifyOptions{Signer: s.store.Fingerprint()}); err != nil || !r.Pinned {
		s.t.Errorf("the audit does not verify: %v, states %v", err, slices.Collect(maps.Keys(s.sims)))
	}
}
