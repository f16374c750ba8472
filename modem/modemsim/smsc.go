package modemsim

import (
	"encoding/json"
	"sort"
	"time"
)

// transit is a message that the service centre has accepted and that has not
// come to its end: one part from a modem, or one part of a handset's reply.
type transit struct {
	ID       uint64    `json:"id"`
	Modem    string    `json:"modem,omitempty"` // that sent it; "" for a handset
	From     string    `json:"from"`
	Submit   submit    `json:"submit"`
	Accepted time.Time `json:"accepted"`
	Expires  time.Time `json:"expires"`
	// Failed: the temporary failure was already reported.
	Failed bool `json:"failed,omitempty"`
	// GiveUp is the TP-ST with which it ends undelivered; 0: it does not.
	GiveUp byte `json:"give_up,omitempty"`
	// noted is its line in the journal.
	noted *Part
	// tried: its first attempt was made; before it, it is on its way.
	tried bool
	next  *entry
}

// to is the key of the handset, or the number of the modem, that it goes to.
func (t *transit) to() string { return dialled(t.Submit.To) }

// The RP causes and TP failure causes that this service centre gives, as +CMS ERROR.
const (
	cmsOutOfOrder       = 38 // what a prepaid SIM without credit gets, among others
	cmsTemporaryFailure = 41
	cmsDuplicate        = 197 // TP-FCS 0xC5: TP-RD, and the same is still here
)

// accept takes a part from modem m, keeps it, and returns 0, or the +CMS ERROR
// code of a refusal. If the process dies after it, the part is delivered by the next.
func (n *Network) accept(m *Modem, s submit, delay time.Duration) int {
	if s.RejectDuplicates {
		for _, t := range n.transits {
			if t.Modem == m.opts.Name && t.Submit.MR == s.MR && t.to() == dialled(s.To) {
				return cmsDuplicate
			}
		}
	}
	if !n.carry(transit{Modem: m.opts.Name, From: m.opts.Number, Submit: s, GiveUp: byte(m.faults.GiveUp), noted: n.note(m, s, FateWaiting)}, delay) {
		return cmsTemporaryFailure
	}
	return 0
}

// carry takes up t, of which the caller has said who sends what.
func (n *Network) carry(t transit, delay time.Duration) bool {
	s, now := t.Submit, time.Now()
	life := s.Validity
	if life == 0 {
		life = defaultValidity
	}
	t.ID, t.Accepted, t.Expires = n.nextID(), now, now.Add(life)
	if !n.save(key("transit", t.ID), t) {
		return false
	}
	n.transits[t.ID] = &t
	t.next = n.agenda.after(delay, func() { n.attempt(&t) })
	return true
}

func (n *Network) loadTransit(b json.RawMessage) error {
	t := &transit{}
	if err := json.Unmarshal(b, t); err != nil {
		return err
	}
	n.seen(t.ID)
	n.transits[t.ID] = t
	t.next = n.agenda.after(0, func() {
		if h := n.handsets[t.to()]; h != nil && h.has(t) {
			n.settle(t, statusReceived)
			return
		}
		n.attempt(t)
	})
	return nil
}

// attempt tries to deliver t now; what cannot be delivered waits for its
// destination to change, or for the end of its validity.
func (n *Network) attempt(t *transit) {
	t.next.cancel()
	t.tried = true
	wait := time.Until(t.Expires)
	if t.GiveUp != 0 {
		n.settle(t, t.GiveUp)
		return
	}
	if wait <= 0 {
		n.settle(t, statusExpired)
		return
	}
	if m := n.modemByNumber(t.to()); m != nil {
		if m.receive(t) {
			n.settle(t, statusReceived)
			return
		}
	} else {
		h := n.handset(t.to())
		switch {
		case h.state.On && !h.state.Full:
			h.take(t)
			n.settle(t, statusReceived)
			return
		case h.state.On && !t.Failed:
			t.Failed = true
			n.save(key("transit", t.ID), t)
			n.reportBack(t, statusMemoryFull)
		}
	}
	t.next = n.agenda.after(wait, func() { n.attempt(t) })
}

// settle ends t, and reports if that was asked for.
func (n *Network) settle(t *transit, status byte) {
	t.next.cancel()
	t.noted.end(status)
	n.reportBack(t, status)
	delete(n.transits, t.ID)
	n.forget(key("transit", t.ID))
}

// retry attempts what waits for the destination number, oldest first.
func (n *Network) retry(number string) {
	var waiting []*transit
	for _, t := range n.transits {
		if t.tried && t.to() == number {
			waiting = append(waiting, t)
		}
	}
	sort.Slice(waiting, func(i, j int) bool { return waiting[i].ID < waiting[j].ID })
	for _, t := range waiting {
		n.attempt(t)
	}
}

// reportBack gives the sending modem an SMS-STATUS-REPORT, if TP-SRR asked for
// it and the handset's network gives any.
func (n *Network) reportBack(t *transit, status byte) {
	m := n.modem(t.Modem)
	if m == nil || !t.Submit.StatusReport {
		return
	}
	if h := n.handsets[t.to()]; h != nil && h.state.NoReceipts {
		return
	}
	m.reported(report{MR: t.Submit.MR, To: t.Submit.To, SCTS: t.Accepted, Discharge: time.Now(), Status: status})
}
