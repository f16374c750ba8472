package modem

import (
	"context"
	"strings"
	"time"

	"pinward/modem/line"
)

// ringGap is the silence after which a RING is another call; modems repeat RING every 3 to 5 seconds.
const ringGap = 8 * time.Second

// ringState follows one incoming call: it becomes one event, with the number if +CLIP tells it within clipWait.
type ringState struct {
	last time.Time
	told bool // the event of this call was given
}

// clipWait is how long after RING a +CLIP is waited for.
const clipWait = 2 * time.Second

// watch takes the unsolicited codes in their order until the line ends. It gives no command itself and so never waits for one.
func (s *session) watch() {
	defer s.wg.Done()
	clip := time.NewTimer(time.Hour)
	clip.Stop()
	defer clip.Stop()
	for {
		select {
		case u, ok := <-s.l.URCs():
			if !ok {
				return
			}
			s.heard(u, clip)
		case <-clip.C:
			s.tellRing("")
		case done := <-s.caught:
			for len(s.l.URCs()) > 0 {
				if u, ok := <-s.l.URCs(); ok {
					s.heard(u, clip)
				}
			}
			done()
		case done := <-s.m.resets:
			select {
			case s.ordered <- done:
				s.l.Abort()
				signal(s.kick)
			default:
				done <- nil // one is under way
			}
		}
	}
}

// catchUp waits until watch has acted on all that the modem said until now. An answer goes to whoever asked, by another way than what
// came unasked before it.
func (s *session) catchUp() {
	ctx, done := context.WithCancel(s.ctx)
	defer done()
	select {
	case s.caught <- done:
		<-ctx.Done()
	case <-s.l.Ended():
	case <-ctx.Done():
	}
}

// heard acts on one code. What it does not know is a vendor's remark: nothing to do.
func (s *session) heard(u line.URC, clip *time.Timer) {
	name, rest, _ := strings.Cut(u.Line, ":")
	call := s.currentCall()
	if call != nil {
		call.hear(u.Line)
	}
	switch name {
	case "+CDS":
		s.direct(u.PDU)
	case "+CMT":
		// CNMI asks for storage; a modem that gives a text directly nevertheless has no copy of it.
		s.direct(u.PDU)
	case "+CMTI", "+CDSI":
		if f := fields(rest); f[0] != "" {
			s.mu.Lock()
			s.mems = append(s.mems, f[0])
			s.mu.Unlock()
		}
		signal(s.look)
	case "^SMMEMFULL", "+SMS FULL", "+QIND":
		if name != "+QIND" || strings.Contains(rest, "smsfull") {
			s.m.update(func(st *Status) { st.StorageFull = true })
		}
		signal(s.look)
	case "+CPIN", "+QUSIM", "^SIMST", "#QSS":
		// Nothing is sent before it is known which SIM it is: two parts of a text by two SIMs are no text (reference 9).
		s.m.update(func(st *Status) {
			switch st.Phase {
			case PhaseReady, PhaseQuarantined, PhaseRegistering:
				st.set(PhaseStarting, "the SIM is looked at", AlarmNone)
			}
		})
		signal(s.sim)
	case "+CUSD":
		select { // the last one counts
		case <-s.ussd:
		default:
		}
		s.ussd <- rest
	case "+CREG", "+CGREG", "+CEREG":
		signal(s.regs)
	case "RDY", "^BOOT", "*ATREADY":
		s.boots()
	case "RING", "+CRING":
		if time.Since(s.ring.last) > ringGap {
			s.ring.told = false
			clip.Reset(clipWait)
			if call == nil { // +CHUP would end ours; the call itself sees to the other one
				s.hangUp()
			}
		}
		s.ring.last = time.Now()
	case "+CLIP":
		clip.Stop()
		s.tellRing(fields(rest)[0])
	}
}

// boots: the modem has started. In mid-session its settings are gone, and with them what became of a running send: unknown. The
// starts that we ordered, and the one after power-on, are not counted.
func (s *session) boots() {
	if p := s.m.Status().Phase; p != PhaseStarting && p != PhaseDown {
		s.m.rebooted()
	}
	s.starts.Add(1)
	signal(s.rebooted)
	s.l.Abort()
}

// rebooted counts a start that nobody ordered.
func (m *Modem) rebooted() {
	m.update(func(st *Status) {
		st.Reboots++
		m.days.reboots.add(time.Now())
	})
}

// hangUp ends an incoming call, in a goroutine of its own because the line may be busy with a send; there is one at a time.
func (s *session) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hanging != nil {
		return
	}
	done := make(chan struct{})
	s.hanging = done
	s.wg.Go(func() {
		// A failure needs nothing here: a dirty line is seen by serve, and a call that rings on is heard again.
		_, _ = s.l.Do(s.ctx, line.Cmd{Text: "+CHUP", Class: line.HangUp}, s.m.o.Timing.Step)
		s.mu.Lock()
		s.hanging = nil
		s.mu.Unlock()
		close(done)
	})
}

// rested waits until no hang-up is on its way: of a call that rang before ours, it would end ours. Once ours is the modem's current
// call, none begins any more.
func (s *session) rested() {
	s.catchUp()
	s.mu.Lock()
	done := s.hanging
	s.mu.Unlock()
	if done != nil {
		<-done // at the latest with the session, as the commands that a dial gives next
	}
}

func (s *session) tellRing(from string) {
	if s.ring.told {
		return
	}
	s.ring.told = true
	s.m.update(func(st *Status) { st.Rings++ })
	s.m.offer(Event{Ring: &Ring{From: from}, Done: func(error) {}})
}

// direct hands on a PDU of which the modem keeps no copy.
func (s *session) direct(pdu string) {
	in, err := decode(pdu)
	if err != nil {
		s.m.o.Log.Warn("unreadable PDU from the modem dropped", "modem", s.m.o.Name)
		s.m.update(func(st *Status) { st.Dropped++ })
		return
	}
	s.m.offer(Event{Report: in.report, Text: in.text, Done: func(error) {}})
}

// offer puts an event that exists nowhere else into the channel, or counts it as lost.
func (m *Modem) offer(e Event) {
	select {
	case m.events <- e:
	default:
		m.o.Log.Warn("event lost: nobody takes events", "modem", m.o.Name)
		m.update(func(st *Status) { st.Dropped++ })
	}
}
