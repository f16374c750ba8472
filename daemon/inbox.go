package daemon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"pinward/daemon/alarm"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/intake"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/hl7"
	"pinward/modem"
	"pinward/store"
)

// Actions that the inbox records.
const (
	actCall     store.Action = "call.incoming"
	actText     store.Action = "text.received"
	actOwn      store.Action = "text.own" // from a SIM of the box, and no self-test
	actUnusable store.Action = "text.unusable"
)

// partWait is how long the parts of a longer text may come apart; then what is there is read, so
// that a STOP in it is not lost to a part that never comes.
const partWait = 10 * time.Minute

// seenFor is how long a text is remembered, so that the copy a modem gives twice counts once.
const seenFor = 7 * 24 * time.Hour

// incoming is a text, or the parts of it that are there. It is sealed like all else and goes when
// the text has been read.
type incoming struct {
	From  string
	SIM   string
	First time.Time
	Parts []string
	Have  []bool
}

// seen marks a text that was taken in, by its hash.
type seen struct{ At time.Time }

var (
	waiting = store.NewTable[incoming]("inbox.parts", store.Blinded(0), store.Queue(), store.Bookkeeping("parts of a text until the whole is read; the reading is the entry"))
	hashes  = store.NewTable[seen]("inbox.seen", store.Blinded(0), store.Bookkeeping("hashes of texts already read")) // key: blinded hash
)

// inbox takes in what the modems report. What comes in is acknowledged to the modem after it is
// kept: the SIM's copy is deleted only then, and a text that comes twice is read once.
type inbox struct {
	name  string // of the modem
	store *store.Store
	log   *slog.Logger
	own   ownNumber
}

// ownNumber tells whether a number is that of a SIM of the box.
type ownNumber func(*store.Tx, contact.Phone) (bool, error)

// run takes in the events of one modem until ctx ends and what has come by then is kept.
func (in inbox) run(ctx context.Context, m *modem.Modem) {
	for {
		select {
		case ev := <-m.Events():
			in.handle(ctx, m, ev)
		case <-ctx.Done():
			for {
				select {
				case ev := <-m.Events():
					in.handle(context.WithoutCancel(ctx), m, ev)
				default:
					return
				}
			}
		}
	}
}

func (in inbox) handle(ctx context.Context, m *modem.Modem, ev modem.Event) {
	err := in.take(ctx, m.Status().ICCID, ev)
	if err != nil && ctx.Err() == nil {
		in.log.Error("take in modem event", "error", err)
	}
	if ev.Done != nil {
		ev.Done(err)
	}
}

func (in inbox) take(ctx context.Context, sim string, ev modem.Event) error {
	switch {
	case ev.Report != nil:
		return in.report(ctx, sim, *ev.Report)
	case ev.Text != nil:
		return in.text(ctx, sim, *ev.Text)
	case ev.Ring != nil:
		return in.ring(ctx, sim, *ev.Ring)
	case ev.Swap != nil:
		return in.store.Update(ctx, self, func(tx *store.Tx) error { return swapped(tx, in.name, *ev.Swap) })
	}
	return nil
}

// ring counts a call to one of our SIMs. The modem has hung up already, and who called is nobody's
// business: a patient who rings the number that texted them asked for nothing to be kept.
func (in inbox) ring(ctx context.Context, sim string, r modem.Ring) error {
	return in.store.Update(ctx, self, func(tx *store.Tx) error {
		if err := note(tx, actCall, store.OK, sim); err != nil {
			return err
		}
		return rang(tx, sim, r)
	})
}

func (in inbox) report(ctx context.Context, sim string, r modem.Report) error {
	to, err := contact.FromNetwork(r.To, contact.Plan{})
	if err != nil {
		return nil // a receipt for a number that is none is nobody's receipt
	}
	return in.store.Update(ctx, self, func(tx *store.Tx) error {
		rc := outbox.Receipt{SIM: sim, Ref: r.Ref, To: to, Status: r.Status, At: r.Discharge}
		if rc.Arrived() {
			if err := contact.TextArrived(tx, to); err != nil {
				return err
			}
		}
		return outbox.Receive(tx, rc)
	})
}

// text keeps one part, and reads the text once it is whole. One transaction: if we crash before it
// is durable the SIM still holds the part; if after, the hash makes the second copy harmless.
func (in inbox) text(ctx context.Context, sim string, t modem.Text) error {
	return in.store.Update(ctx, self, func(tx *store.Tx) error {
		hash := tx.Blind("inbox.seen", string(t.Hash[:])) // in clear it would prove a guess at number and text
		if _, known, err := hashes.Get(tx, hash); err != nil || known {
			return err
		}
		if err := hashes.Put(tx, hash, seen{At: tx.Now()}); err != nil {
			return err
		}
		if t.Parts <= 1 {
			return in.own.read(tx, incoming{From: t.From, SIM: sim, First: tx.Now(), Parts: []string{t.Body}})
		}
		key := partsKey(tx, sim, t)
		whole, ok, err := waiting.Get(tx, key)
		if err != nil {
			return err
		}
		if !ok {
			whole = incoming{From: t.From, SIM: sim, First: tx.Now(), Parts: make([]string, t.Parts), Have: make([]bool, t.Parts)}
		}
		if t.Part < 1 || t.Part > len(whole.Parts) || t.Parts != len(whole.Parts) {
			return errors.Join(note(tx, actUnusable, store.Failed, sim), waiting.Delete(tx, key))
		}
		whole.Parts[t.Part-1], whole.Have[t.Part-1] = t.Body, true
		for _, have := range whole.Have {
			if !have {
				return waiting.Put(tx, key, whole)
			}
		}
		if err := waiting.Delete(tx, key); err != nil {
			return err
		}
		return in.own.read(tx, whole)
	})
}

// partsKey tells the parts of one text from those of another: the reference alone wraps (23.040
// 9.2.3.24.1), so the sender and the number of parts belong to it.
func partsKey(tx *store.Tx, sim string, t modem.Text) []byte {
	key := tx.Blind("inbox.parts", sim+"|"+t.From)
	key = binary.BigEndian.AppendUint16(key, t.Ref)
	return append(key, byte(t.Parts))
}

// read offers a text to alarm, consent, otp and notice, in that order; the first that knows what to do
// with it ends the round. A self-test is nobody's to read, nor is anything else that a SIM of the box
// wrote: an answer to it would be answered in turn. An alphanumeric sender or a short code is no patient: it is counted, and
// nothing answers it.
func (own ownNumber) read(tx *store.Tx, in incoming) error {
	site, err := contact.SiteOf(tx)
	if err != nil {
		return err
	}
	from, err := contact.FromNetwork(in.From, site.Plan())
	if err != nil {
		return note(tx, actUnusable, store.Refused, in.SIM)
	}
	body := ""
	for _, p := range in.Parts {
		body += p
	}
	if ours, err := testArrived(tx, body); ours || err != nil {
		return err
	}
	if ours, err := own(tx, from); err != nil {
		return err
	} else if ours {
		return note(tx, actOwn, store.OK, in.SIM)
	}
	if err := note(tx, actText, store.OK, in.SIM); err != nil {
		return err
	}
	if ours, err := alarm.Reply(tx, from, body); ours || err != nil {
		return err
	}
	before, err := consent.Of(tx, from)
	if err != nil {
		return err
	}
	text := consent.In{From: from, Body: body, SIM: in.SIM, At: tx.Now()}
	for _, offer := range []func(*store.Tx, consent.In) (bool, error){consent.Incoming, otp.Incoming, notice.Incoming} {
		handled, err := offer(tx, text)
		if err != nil {
			return err
		}
		if handled {
			return errors.Join(tellEHR(tx, before), heard(tx, in, from))
		}
	}
	return consent.Unread(tx, text)
}

// tellEHR has the engines told that ask for it where a text changed what its sender wants.
func tellEHR(tx *store.Tx, before consent.Consent) error {
	now, err := consent.Of(tx, before.Phone)
	switch {
	case err != nil || now.Texts == before.Texts:
		return err
	case now.Texts == consent.Out:
		return intake.TellWish(tx, now.Phone, hl7.WishOut)
	case before.Texts == consent.Out:
		return intake.TellWish(tx, now.Phone, hl7.WishIn)
	}
	return nil
}

func note(tx *store.Tx, a store.Action, o store.Outcome, sim string) error {
	return tx.Record(store.Entry{Action: a, Outcome: o, Attrs: []store.Attr{{Key: "sim", Value: sim}}})
}

// sweep reads texts whose missing parts will not come, and forgets old hashes.
func (own ownNumber) sweep(tx *store.Tx) error {
	if err := waiting.Each(tx, store.Range{}, func(key []byte, in incoming) error {
		if tx.Now().Sub(in.First) < partWait {
			return nil
		}
		if err := waiting.Delete(tx, key); err != nil {
			return err
		}
		return own.read(tx, in)
	}); err != nil {
		return fmt.Errorf("sweep incoming parts: %w", err)
	}
	left := 256 // in small steps, so that no transaction grows long
	return hashes.Each(tx, store.Range{}, func(key []byte, s seen) error {
		if tx.Now().Sub(s.At) < seenFor {
			return nil
		}
		if left--; left < 0 {
			return store.Stop
		}
		return hashes.Delete(tx, key)
	})
}
