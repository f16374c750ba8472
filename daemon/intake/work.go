package intake

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/hl7"
	"pinward/store"
)

// work is one message being carried out in its transaction.
type work struct {
	*reading
	tx     *store.Tx
	done   []string
	told   bool  // a text about the appointment goes now; no reminder is needed at once
	vip    *bool // of the message's person, once known
	opened bool  // a breaker opened: told in the log when it is durable
	places int   // patients whose ward and class were kept
}

// effects is what each Effect does.
var effects = map[Effect]func(*work) error{
	UpdateContact: (*work).updateContact,
	KnowContact:   (*work).knowContact,
	MarkDead:      (*work).markDead,
	MergeContact:  (*work).mergeContacts,
	RemoveContact: (*work).removeContact,
	BookVisit:     (*work).bookVisit,
	EndVisit:      (*work).endVisit,
	SendNotice:    (*work).sendNotice,
	StartVerify:   (*work).startVerify,
	KeepPlace:     (*work).keepPlaces,
	Suppress:      func(*work) error { return nil }, // suppressed asks for it
}

// run carries the message out. An error is trouble of our own, and nothing happened; what policy
// refuses is explained by w.why.
func (w *work) run() error {
	if at, ok := w.tx.Restored(); ok && !w.at.IsZero() && w.at.Before(at) {
		w.because("the event is older than the restore of this box, which no operator has lifted yet")
		return nil
	}
	if w.wrong != nil {
		return nil
	}
	if err := w.nameVisit(); err != nil {
		return err
	}
	do := []Effect{KnowContact} // whoever only asks for a code is no master of the person's data
	if w.rule != nil {
		do = w.rule.Do
	}
	for _, e := range do {
		if err := effects[e](w); err != nil {
			return fmt.Errorf("%s: %w", e, err)
		}
	}
	for _, r := range w.requests {
		if err := w.carryOut(r); err != nil {
			return fmt.Errorf("request: %w", err)
		}
	}
	return nil
}

func (w *work) did(format string, args ...any) { w.done = append(w.done, fmt.Sprintf(format, args...)) }

func (w *work) because(format string, args ...any) {
	w.why = append(w.why, fmt.Sprintf(format, args...))
}

// maxSaid is how long what is told of one message may be: an entry holds no longer text, and one that cannot be
// written would undo the message, which its engine would bring for ever.
const maxSaid = 2000

// said puts what was done, or why not more, into words, and no more of them than an entry holds.
func said(list []string) string {
	var b strings.Builder
	for i, s := range list {
		if b.Len()+len(s) > maxSaid {
			fmt.Fprintf(&b, "; and %d more", len(list)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(s)
	}
	return b.String()
}

// refused explains a refusal, which its verb has recorded in the transaction. It gives back any other
// error. The texts of refusals are constants of their rooms.
func (w *work) refused(what string, err error) error {
	if err == nil || !notice.Refusal(err) && !otp.Refusal(err) && !consent.Refused(err) {
		return err
	}
	w.because("%s refused: %s", what, err.Error())
	return nil
}

func (w *work) outcome() outcome {
	out := outcome{
		At: w.tx.Now(), Type: w.kind, Ack: hl7.AA, Wrong: w.wrong, Did: said(w.done), AckID: newAckID(),
	}
	if w.wrong != nil {
		out.Ack = w.wrong.AckCode()
		out.Did, out.Why = "", w.wrong.Error()
		return out
	}
	out.Why = said(w.why)
	switch {
	case w.rule != nil:
		out.Rule = w.rule.Name
	case len(w.requests) > 0:
		out.Rule = "request"
	}
	return out
}

// group names what notices are about. It holds no identifier and keeps within notice's bounds.
func (w *work) group(what, id string) string {
	return what + "/" + hex.EncodeToString(w.tx.Blind("intake.group", id))
}

func (w *work) updateContact() error {
	u := w.person.update
	if u.ID.IsZero() {
		return nil // an SIU may come without a patient
	}
	var before contact.Subject
	if u.Phones != nil || w.person.proxies != nil {
		var err error
		if before, _, err = contact.Find(w.tx, u.ID); err != nil {
			return err
		}
		if w.vip = u.VIP; w.vip == nil {
			w.vip = &before.VIP
		}
		numbers := w.person.numbers(u.Phones, before.Phones)
		u.Phones = &numbers
	}
	c, err := contact.Upsert(w.tx, u)
	if err != nil {
		return err
	}
	if c.Stale || c.Partly {
		w.vip = nil // not by what it says: something newer may have said otherwise
	}
	switch {
	case c.Stale:
		w.because("contact: the event is older than what is known, or its id was merged away")
	case c.Created:
		w.did("contact created")
	case len(c.Fields) > 0:
		w.did("contact updated (%s)", strings.Join(c.Fields, ", "))
	}
	if c.Partly && !c.Stale {
		w.because("contact: some of the event is older than what is known")
	}
	if !c.Stale && w.apart == "" {
		for _, p := range w.person.noVoice {
			if err := contact.Flag(w.tx, p, contact.Flags{NoVoice: new(true)}, w.source); err != nil {
				return err
			}
		}
	}
	return w.follow(u, c, before)
}

// numbers puts together what the message says of somebody's numbers, and what it leaves as it was: those
// at home where PID-14 alone speaks, those of proxies where it names no next of kin.
func (p person) numbers(said *[]contact.Number, before []contact.Number) []contact.Number {
	var own, proxies []contact.Number
	for _, n := range before {
		switch {
		case n.Proxy != "":
			proxies = append(proxies, n)
		case said == nil, !p.homes && n.Use != "WPN" && !n.Business:
			own = append(own, n)
		}
	}
	if said != nil {
		own = append(own, *said...)
	}
	if p.proxies != nil {
		proxies = *p.proxies
	}
	return append(own, proxies...)
}

// follow does what a changed contact asks for.
func (w *work) follow(u contact.SubjectUpdate, c contact.Change, before contact.Subject) error {
	if c.Died {
		return w.silence("the patient died", u.ID)
	}
	if c.Revived {
		if err := w.revive(u.ID); err != nil {
			return err
		}
	}
	for _, p := range c.Dropped {
		if err := w.cancelCodes(u.ID, p); err != nil {
			return err
		}
		if err := w.tellFormer(before, p); err != nil {
			return err
		}
	}
	if u.VIP != nil && *u.VIP && slices.Contains(c.Fields, "vip") {
		n, err := notice.CancelSubject(w.tx, u.ID, "the patient is marked as VIP")
		if n > 0 {
			w.did("%d texts cancelled", n)
		}
		return err
	}
	if c.NumberChanged && c.Old.IsZero() && !c.New.IsZero() {
		return w.remindAll(u.ID, false)
	}
	return nil
}

func (w *work) knowContact() error {
	if w.person.id.IsZero() {
		return nil
	}
	_, known, err := contact.Find(w.tx, w.person.id)
	if err != nil {
		return err
	}
	if !known {
		w.person.update.Hearsay = true
		return w.updateContact()
	}
	if err := contact.ToldBy(w.tx, w.person.id, w.source); err != nil {
		return err
	}
	return w.markDead()
}

func (w *work) markDead() error {
	dead := w.person.update.Dead
	if dead == nil {
		return nil
	}
	before, _, err := contact.Find(w.tx, w.person.id)
	if err != nil {
		return err
	}
	died, err := contact.MarkDead(w.tx, w.person.id, w.at, *dead)
	switch {
	case err != nil:
		return err
	case died:
		return w.silence("the patient died", w.person.id)
	case before.Dead == nil || *dead:
		return nil
	}
	if after, _, err := contact.Find(w.tx, w.person.id); err != nil || after.Dead != nil {
		return err // by an older event
	}
	return w.revive(w.person.id)
}

// revive brings back the reminders of somebody who was taken for dead.
func (w *work) revive(id contact.SubjectID) error {
	w.did("the word of the patient's death was taken back")
	return w.remindAll(id, true)
}

// silence cancels all that waits for a person, under the ids given and the one that they were merged
// into: texts at once, and codes for the numbers that are known.
func (w *work) silence(why string, ids ...contact.SubjectID) error {
	s, known, err := contact.Find(w.tx, ids[0])
	if err != nil {
		return err
	}
	if known && !slices.Contains(ids, s.ID) {
		ids = append(ids, s.ID)
	}
	n := 0
	for _, id := range ids {
		more, err := notice.CancelSubject(w.tx, id, why)
		if err != nil {
			return err
		}
		n += more
		for _, number := range s.Phones {
			if err := w.cancelCodes(id, number.Phone); err != nil {
				return err
			}
		}
	}
	// What was scheduled before an earlier merge is under an id that this message need not name; the
	// appointments have come over.
	list, err := contact.AppointmentsOf(w.tx, ids[0])
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.Status != contact.Booked || !a.Start.After(w.tx.Now()) {
			continue
		}
		more, err := notice.CancelGroup(w.tx, a.Key, why)
		if err != nil {
			return err
		}
		n += more
	}
	w.did("%s: %d texts cancelled", why, n)
	return nil
}

// cancelCodes ends what is pending for a number that is no longer this person's. Others may share it.
func (w *work) cancelCodes(id contact.SubjectID, p contact.Phone) error {
	pending, err := otp.PendingOf(w.tx, p)
	if err != nil {
		return err
	}
	for _, v := range pending {
		if v.Subject != id {
			continue
		}
		if _, err := otp.Cancel(w.tx, v.ID); err != nil && !errors.Is(err, otp.ErrNotFound) {
			return err
		}
		w.did("verification cancelled")
	}
	return nil
}

// tellFormer tells the old number that it was taken off, where it had been proven: it was an
// authenticator, and whoever changed it need not be the patient (NIST SP 800-63B 4.6).
func (w *work) tellFormer(before contact.Subject, old contact.Phone) error {
	proven := slices.ContainsFunc(before.Phones, func(n contact.Number) bool { return n.Phone == old && !n.Verified.IsZero() })
	if !proven || before.Confidential || before.Dead != nil {
		return nil
	}
	_, _, err := notice.Send(w.tx, notice.Request{
		Template: "number.changed", Lang: before.Language, To: old, System: true, Mode: w.mode, From: w.from,
		Group: w.group("number", before.ID.Key()), Key: old.E164(),
	})
	if err == nil {
		w.did("former number told")
	}
	return w.refused("word to the former number", err)
}
