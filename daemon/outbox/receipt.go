package outbox

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// Receipt is an SMS-STATUS-REPORT as a sender got it (23.040 9.2.2.3).
type Receipt struct {
	SIM    string        // ICCID of the SIM that it came to
	Ref    byte          // TP-MR
	To     contact.Phone // TP-RA
	Status byte          // TP-ST
	At     time.Time     // when it came, or TP-DT; told in the entry only: a network's clock decides nothing here
}

// early is a receipt that came before its +CMGS.
type early struct {
	Ref    byte      `json:"ref"`
	Status byte      `json:"status"`
	At     time.Time `json:"at"`
	// Double says that it may be the second of an older text, so that it is no proof for a hand-over
	// whose own reference never came.
	Double bool `json:"double,omitempty"`
}

var earlies = store.NewTable[[]early]("outbox.early",
	store.Bookkeeping("receipts that came before their hand-over was settled; what they change then is an entry"))

const (
	earlyMost   = 16               // receipts kept for one hand-over
	matchMost   = 32               // attempts that one receipt is held against
	receiptLate = 10 * time.Minute // after a message's end, in which its receipt is still in time
)

// final reads TP-ST (23.040 9.2.3.15): done is a transaction completed, failed a permanent error or
// one that the service centre gave up on; neither is one that it still tries, or a reserved value.
func (rc Receipt) final() (done, failed bool) {
	return rc.Status < 0x20, rc.Status >= 0x40 && rc.Status < 0x80
}

// Arrived tells whether the text is on the handset.
func (rc Receipt) Arrived() bool {
	done, _ := rc.final()
	return done
}

// Receive takes a receipt in. It is matched by SIM, recipient, reference and time, because TP-MR is
// one octet that wraps, and some modems always give 0. One that came early is kept until its
// hand-over is settled; one that came twice, late, or for something we did not send does no harm.
func Receive(tx *store.Tx, rc Receipt) error {
	if done, failed := rc.final(); !done && !failed {
		return nil
	}
	y := look(tx)
	m, err := y.match(rc)
	switch {
	case err != nil:
		return err
	case m.part >= 0:
		return y.credit(m.open, m.attempt, m.part, rc)
	case m.onAir != nil:
		return y.keepEarly(m, rc)
	case m.unknown != nil && !m.double:
		return y.creditUnknown(m.unknown, m.unknownAttempt, rc)
	}
	return nil
}

// match is what a receipt may be for.
type match struct {
	open          *record // has sent a part of that reference, whose receipt is due
	attempt, part int     // part is -1 if there is none

	onAir        *record // is being handed over, so its references are not known yet
	onAirAttempt int

	unknown        *record // its references never came
	unknownAttempt int

	double bool // it may be the second receipt of a part that has one
}

// match looks through the attempts of that SIM at that number. Of several open parts with the same
// reference it takes the oldest that is in its time, because networks answer in order and crediting
// a newer one would end its route without cause; only then the newest of those that are late.
func (y *yard) match(rc Receipt) (match, error) {
	m := match{part: -1}
	n := 0
	// Newest first.
	err := handed.Each(y.tx, store.Range{Prefix: handedPrefix(y.tx, rc.SIM, rc.To), Reverse: true}, func(_ []byte, h hand) error {
		if n++; n > matchMost {
			return store.Stop
		}
		r, err := load(y.tx, h.ID)
		if errors.Is(err, ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Attempt >= len(r.Attempts) {
			return nil
		}
		a := r.Attempts[h.Attempt]
		if y.now.Sub(a.At) > ReceiptsFor {
			return store.Stop
		}
		if r.Route[a.Step].Channel != SMS {
			return nil // no receipt is a call's
		}
		timely := y.now.Before(r.Expires.Add(receiptLate))
		switch a.Outcome {
		case Sending:
			m.onAir, m.onAirAttempt = r, h.Attempt
		case Unknown:
			if len(a.Parts) < a.Planned && timely {
				m.unknown, m.unknownAttempt = r, h.Attempt
			}
		}
		for i, p := range a.Parts {
			switch {
			case p.Ref != rc.Ref:
			case p.State != Sent:
				m.double = true
			case a.Outcome == NotSent || a.Outcome == Refused:
			case m.part < 0 || timely:
				m.open, m.attempt, m.part = r, h.Attempt, i
			}
		}
		return nil
	})
	if err != nil {
		return m, fmt.Errorf("match receipt: %w", err)
	}
	return m, nil
}

func handedPrefix(tx *store.Tx, sim string, to contact.Phone) []byte {
	return tx.Blind("outbox.handed", sim+"|"+to.E164())
}

func handedKey(tx *store.Tx, r *record, attempt int) []byte {
	a := r.Attempts[attempt]
	k := append(handedPrefix(tx, a.SIM, r.To), instant(a.At)...)
	return append(append(k, r.ID...), byte(attempt))
}

func earlyKey(id string, attempt int) []byte { return append([]byte(id), byte(attempt)) }

func (y *yard) keepEarly(m match, rc Receipt) error {
	key := earlyKey(m.onAir.ID, m.onAirAttempt)
	kept, _, err := earlies.Get(y.tx, key)
	if err != nil {
		return fmt.Errorf("read early receipts: %w", err)
	}
	if len(kept) >= earlyMost {
		return nil
	}
	kept = append(kept, early{Ref: rc.Ref, Status: rc.Status, At: rc.At, Double: m.double})
	if err := earlies.Put(y.tx, key, kept); err != nil {
		return fmt.Errorf("keep early receipt: %w", err)
	}
	return nil
}

// early takes in the receipts that came before the hand-over was settled.
func (y *yard) early(r *record, attempt int) error {
	key := earlyKey(r.ID, attempt)
	kept, ok, err := earlies.Get(y.tx, key)
	if err != nil {
		return fmt.Errorf("read early receipts: %w", err)
	}
	if !ok {
		return nil
	}
	if err := earlies.Delete(y.tx, key); err != nil {
		return fmt.Errorf("forget early receipts: %w", err)
	}
	for _, e := range kept {
		rc := Receipt{SIM: r.Attempts[attempt].SIM, Ref: e.Ref, To: r.To, Status: e.Status, At: e.At}
		if err := y.creditEarly(r, attempt, rc, e.Double); err != nil {
			return err
		}
	}
	return nil
}

func (y *yard) creditEarly(r *record, attempt int, rc Receipt, double bool) error {
	a := r.Attempts[attempt]
	if a.Outcome == NotSent || a.Outcome == Refused {
		return nil
	}
	for i, p := range a.Parts {
		if p.Ref == rc.Ref && p.State == Sent {
			return y.credit(r, attempt, i, rc)
		}
	}
	if a.Outcome == Unknown && !double {
		return y.creditUnknown(r, attempt, rc)
	}
	return nil
}

// creditUnknown resolves a hand-over whose outcome was unknown: the network has the text after all.
func (y *yard) creditUnknown(r *record, attempt int, rc Receipt) error {
	a := &r.Attempts[attempt]
	if len(a.Parts) >= a.Planned {
		return nil
	}
	a.Parts = append(a.Parts, Part{Ref: rc.Ref, State: Sent})
	return y.credit(r, attempt, len(a.Parts)-1, rc)
}

// credit keeps what became of a part, and what follows for its attempt and its message.
func (y *yard) credit(r *record, attempt, part int, rc Receipt) error {
	if err := y.answered(r, attempt); err != nil {
		return err
	}
	a := &r.Attempts[attempt]
	done, _ := rc.final()
	a.Parts[part].State, a.Parts[part].Code, a.Parts[part].At = Undelivered, int(rc.Status), y.now
	if done {
		a.Parts[part].State = Delivered
	}
	whole := 0
	for _, p := range a.Parts {
		if p.State == Delivered {
			whole++
		}
	}
	attrs := append(a.attrs(attempt), attr("part", part+1), attr("status", fmt.Sprintf("%#02x", rc.Status)))
	if !rc.At.IsZero() {
		attrs = append(attrs, attr("at", rc.At.UTC().Format(time.RFC3339)))
	}
	switch {
	case !done:
		a.Outcome = Undelivered
		return y.undelivered(r, attempt, attrs)
	case whole < a.Planned:
		if err := save(y.tx, r); err != nil {
			return err
		}
		return note(y.tx, r, ActionPart, store.OK, attrs...)
	}
	a.Outcome = Delivered
	if err := unfile(y.tx, r.ID); err != nil {
		return err
	}
	r.State, r.Cause = Delivered, ""
	if err := save(y.tx, r); err != nil {
		return err
	}
	return note(y.tx, r, ActionDelivered, store.OK, attrs...)
}

// undelivered lets the route go on at once, if that was its latest attempt.
func (y *yard) undelivered(r *record, attempt int, attrs []store.Attr) error {
	latest := (r.State == Sent || r.State == Unknown) &&
		!slices.ContainsFunc(r.Attempts[attempt+1:], func(a Attempt) bool { return a.Outcome != NotSent })
	step, ahead := 0, false
	if latest && !r.Stopped && y.now.Before(r.Expires) {
		var err error
		if step, ahead, err = y.stepAhead(r, "", false); err != nil {
			return err
		}
	}
	attrs = append(attrs, attr("final", latest && !ahead))
	if err := note(y.tx, r, ActionUndelivered, store.Failed, attrs...); err != nil {
		return err
	}
	if ahead {
		return y.moveOn(r, step, false, "undelivered")
	}
	if latest {
		r.State, r.Cause = Undelivered, "the network gave it up"
	}
	return save(y.tx, r)
}
