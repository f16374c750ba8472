package intake

import (
	"errors"
	"slices"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/text"
	"pinward/hl7"
)

// merge is one retired id and who it belongs to.
type merge struct{ into, loser contact.SubjectID }

// maxMerges bounds what one message writes.
const maxMerges = 32

// readMerges reads the pairs of PID and MRG (ADT_A39, ADT_A30): each MRG belongs to the PID before it,
// and each of its identifiers is a loser, for some senders put two into one.
func (rd *reading) readMerges() error {
	var into contact.SubjectID
	for s := range rd.m.Segments() {
		switch s.Name() {
		case "PID":
			id, _, ok := rd.identify(s.Field(3))
			if !ok {
				return missing("PID", 3, "no identifier of a person")
			}
			for _, half := range []string{id.MRN, id.Authority} {
				if err := checkLength(half, "PID", 3); err != nil {
					return err
				}
			}
			into = id
		case "MRG":
			if into.IsZero() {
				return &hl7.Error{Code: hl7.CodeSegmentSequence, Segment: "MRG", Seq: 1, Reason: "no PID before it"}
			}
			if err := rd.readLosers(into, s); err != nil {
				return err
			}
		}
	}
	if len(rd.merges) == 0 {
		return missing("MRG", 1, "nobody to merge")
	}
	return nil
}

func (rd *reading) readLosers(into contact.SubjectID, mrg hl7.Segment) error {
	for rep := range mrg.Field(1).Reps() {
		cx := rep.CX()
		if cx.ID == "" || otherIDs[cx.Type] {
			continue
		}
		loser := rd.subject(cx)
		for _, half := range []string{loser.MRN, loser.Authority} {
			if err := checkLength(half, "MRG", 1); err != nil {
				return err
			}
		}
		if len(rd.merges) == maxMerges {
			return &hl7.Error{Code: hl7.CodeInternal, Segment: "MRG", Reason: "more merges than one message may hold"}
		}
		rd.merges = append(rd.merges, merge{into, loser})
	}
	return nil
}

// mergeContacts retires the losers. Texts that wait for one follow to the survivor's number, which is
// looked up when they go; codes for the loser's numbers are cancelled.
func (w *work) mergeContacts() error {
	for _, m := range w.merges {
		lost, _, err := contact.Find(w.tx, m.loser)
		if err != nil {
			return err
		}
		c, err := contact.Merge(w.tx, m.into, m.loser, w.at)
		if errors.Is(err, contact.ErrSameSubject) {
			w.because("survivor and loser are the same")
			continue
		}
		if err != nil {
			return err
		}
		if c.Stale {
			w.because("merge: a newer one went another way")
			continue
		}
		w.did("merged")
		for _, p := range c.Dropped {
			if err := w.cancelCodes(m.loser, p); err != nil {
				return err
			}
			if err := w.uniteOptOut(m.into, lost, p); err != nil {
				return err
			}
		}
		if c.Died {
			if err := w.silence("the patient died", m.into, m.loser); err != nil {
				return err
			}
			continue
		}
		// Appointments came over that the loser had no number to be reminded of.
		if err := w.remindAll(m.into, false); err != nil {
			return err
		}
	}
	return w.markDead()
}

// uniteOptOut holds a STOP that came from a number of the loser against the survivor's: it is the same person who
// wanted no texts. A START from there takes it back. One from whoever stood for the loser is that person's own.
func (w *work) uniteOptOut(into contact.SubjectID, lost contact.Subject, from contact.Phone) error {
	if slices.ContainsFunc(lost.Phones, func(n contact.Number) bool { return n.Phone == from && n.Proxy != "" }) {
		return nil
	}
	said, err := consent.Of(w.tx, from)
	if err != nil || said.Texts != consent.Out {
		return err
	}
	s, known, err := contact.Find(w.tx, into)
	if err != nil || !known {
		return err
	}
	for _, n := range s.Phones {
		now, err := consent.Of(w.tx, n.Phone)
		if err != nil {
			return err
		}
		if n.Proxy != "" || now.Texts == consent.Out {
			continue
		}
		if err := consent.Set(w.tx, n.Phone, text.Care, consent.Out, consent.SourceHL7); err != nil {
			return err
		}
		w.did("the loser's opt-out holds for the survivor's number")
	}
	return nil
}

// removeContact forgets a person's numbers and cancels all that waits.
func (w *work) removeContact() error {
	c, err := contact.Remove(w.tx, w.person.id, w.at)
	if err != nil {
		return err
	}
	if c.Stale {
		w.because("removal: the event is older than what is known")
		return nil
	}
	w.did("contact removed")
	if _, err := notice.CancelSubject(w.tx, w.person.id, "the record was deleted"); err != nil {
		return err
	}
	for _, p := range c.Dropped {
		if err := w.cancelCodes(w.person.id, p); err != nil {
			return err
		}
	}
	return nil
}
