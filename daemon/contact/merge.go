package contact

import (
	"errors"
	"fmt"
	"time"

	"pinward/store"
)

// ErrSameSubject says that a merge names one person twice.
var ErrSameSubject = errors.New("survivor and loser are the same subject")

// Merge retires loser in favour of survivor (A40; A34). What forbids is united, the strictest wins;
// the loser's numbers are not used any more, its appointments become the survivor's. Neither has to
// be known yet: messages come in any order. The same merge again changes nothing.
//
// The change is the loser's: Dropped are numbers for which texts may wait. It is Stale when a newer
// merge went another way.
func Merge(tx *store.Tx, into, loser SubjectID, at time.Time) (Change, error) {
	if !into.usable() || !loser.usable() {
		return Change{}, fmt.Errorf("merge subjects: %w", ErrNoSubject)
	}
	if into == loser {
		return Change{}, fmt.Errorf("merge subjects: %w", ErrSameSubject)
	}
	at = eventTime(tx, at)
	lost, _, err := load(tx, loser)
	if err != nil {
		return Change{}, err
	}
	lost.ID = loser
	if lost.MergedInto != nil && (*lost.MergedInto == into || at.Before(lost.MergedAsOf)) {
		return Change{Stale: *lost.MergedInto != into}, nil
	}
	s, _, err := survivor(tx, into)
	if err != nil {
		return Change{}, err
	}
	if s.ID == loser {
		// The trail of the survivor ends at the loser: the hospital merged the other way round before
		// and now corrects it. The newer merge holds, and the survivor is taken off the trail, so
		// that no ring comes about.
		if at.Before(lost.MergedAsOf) {
			return Change{Stale: true}, nil
		}
		if s, _, err = load(tx, into); err != nil {
			return Change{}, err
		}
		s.MergedInto = nil
	}
	if lost.MergedInto != nil && *lost.MergedInto == s.ID {
		return Change{}, nil // the survivor was itself merged meanwhile, and loser went with it
	}

	old := lost
	lost.Phones, lost.MergedInto, lost.MergedAsOf = nil, &s.ID, at
	var c Change
	if err := c.numbers(tx, old, lost); err != nil {
		return Change{}, err
	}
	if err := keep(tx, old, lost); err != nil {
		return Change{}, err
	}

	was := s
	s.NoTexts, s.Unwanted, s.Protected = s.NoTexts || old.NoTexts, s.Unwanted || old.Unwanted, s.Protected || old.Protected
	s.NoVoice = s.NoVoice || old.NoVoice
	s.VIP = s.VIP || old.VIP
	s.Confidential = s.Confidential || old.Confidential
	if s.Dead == nil && old.Dead != nil {
		s.Dead, s.DeadAsOf = old.Dead, old.DeadAsOf
		c.Died = true
	}
	s.MergedAsOf = at
	if err := keep(tx, was, s); err != nil {
		return Change{}, err
	}
	if err := moveAppointments(tx, loser, s.ID); err != nil {
		return Change{}, err
	}
	return c, record(tx, store.Entry{Action: ActionSubjectMerge, Subject: s.ID.Key(), Attrs: []store.Attr{
		{Key: "loser", Value: loser.Key()},
		phonesAttr("phones_unused", old.Phones),
	}})
}
