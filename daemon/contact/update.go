package contact

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/store"
)

// ErrNoSubject says that an update, a merge or a removal names nobody, or somebody by more than 256
// bytes.
var ErrNoSubject = errors.New("no subject named")

// maxPhones is how many numbers one person may have; what a feed repeats beyond is left out.
const maxPhones = 16

// eventTime is the instant that an event counts as. One from the future, from a sender whose clock
// is ahead, counts as of now: else it would make everything after it stale.
func eventTime(tx *store.Tx, at time.Time) time.Time {
	if now := tx.Now(); at.IsZero() || at.After(now) {
		return now
	}
	return at.UTC()
}

// Upsert applies what an event says of a person. Events may come in any order: what is older than what is
// known of the same thing changes nothing, and an event of which nothing is newer is Stale; word of a death counts on its own clock. An id
// that was merged away is Stale too, for the numbers of the loser are not used any more.
//
// What changed is one entry; if nothing did, but the event is newer, the entry says that.
func Upsert(tx *store.Tx, u SubjectUpdate) (Change, error) {
	if !u.ID.usable() {
		return Change{}, fmt.Errorf("update subject: %w", ErrNoSubject)
	}
	at := eventTime(tx, u.At)
	old, found, err := load(tx, u.ID)
	if err != nil {
		return Change{}, err
	}
	if found && old.MergedInto != nil {
		c := Change{Stale: true}
		if u.Dead != nil && *u.Dead {
			c.Died, err = MarkDead(tx, u.ID, at, true)
		}
		return c, err
	}

	s := old
	s.ID = u.ID
	late := found && at.Before(old.AsOf)
	c := Change{Created: !found, Stale: late}
	if !late || old.Removed == nil {
		told := old.told()
		c.Fields = s.apply(u, told.hear(at), tx.Now())
		c.Stale, c.Partly = late && !told.heard, told.missed
		if !late {
			if !c.Created || !u.Hearsay {
				s.AsOf = at
			}
			if s.Removed != nil {
				s.Removed = nil
				c.Fields = append(c.Fields, "restored")
			}
		}
		s.Earlier = told.before(s.AsOf)
	}
	s.Feeds = toldBy(s.Feeds, u.Source)
	if u.Dead != nil {
		c.Died = s.setDead(*u.Dead, at, tx.Now())
		c.Revived = old.Dead != nil && s.Dead == nil
	}
	if found && len(c.Fields) == 0 && s.AsOf.Equal(old.AsOf) && slices.EqualFunc(s.Earlier, old.Earlier, earlier.equal) && s.DeadAsOf.Equal(old.DeadAsOf) &&
		len(s.Feeds) == len(old.Feeds) && (old.Dead == nil) == (s.Dead == nil) { // a feed may take a death back within the second of its word
		return c, nil
	}
	if err := c.numbers(tx, old, s); err != nil {
		return Change{}, err
	}
	if err := keep(tx, old, s); err != nil {
		return Change{}, err
	}
	return c, c.record(tx, u.Source, old, s)
}

// apply copies what was said, and is to be heard, into s and names what changed.
func (s *Subject) apply(u SubjectUpdate, t *told, now time.Time) (changed []string) {
	if hears(t, tellsPhones, u.Phones) {
		phones := merged(s.Phones, *u.Phones, u.Source, now)
		if !slices.EqualFunc(s.Phones, phones, sameNumber) {
			changed = append(changed, "phones")
		}
		s.Phones = phones
	}
	changed = set(changed, t, tellsLanguage, "language", &s.Language, u.Language)
	changed = set(changed, t, tellsBorn, "born", &s.BornYear, u.BornYear)
	changed = s.applyWishes(u, t, changed)
	changed = set(changed, t, tellsNoVoice, "no_voice", &s.NoVoice, u.NoVoice)
	changed = set(changed, t, tellsVIP, "vip", &s.VIP, u.VIP)
	changed = set(changed, t, tellsConfidential, "confidential", &s.Confidential, u.Confidential)
	changed = set(changed, t, tellsWard, "ward", &s.Ward, u.Ward)
	changed = set(changed, t, tellsClass, "class", &s.Class, u.Class)
	return changed
}

// applyWishes keeps why no texts are wanted, and with it whether.
func (s *Subject) applyWishes(u SubjectUpdate, t *told, changed []string) []string {
	if u.NoTexts == nil && u.Protected == nil {
		return changed
	}
	why := set(nil, t, tellsUnwanted, "unwanted", &s.Unwanted, u.NoTexts)
	why = set(why, t, tellsProtected, "protected", &s.Protected, u.Protected)
	if none := s.Unwanted || s.Protected; none != s.NoTexts {
		s.NoTexts = none
		return append(changed, "no_texts")
	}
	return append(changed, why...)
}

func set[T comparable](changed []string, t *told, what int, name string, to, from *T) []string {
	if !hears(t, what, from) || *from == *to {
		return changed
	}
	*to = *from
	return append(changed, name)
}

// merged is the new list of numbers. One that was there before keeps its history; one that comes
// back after having been away begins anew, unverified: another may have held it meanwhile.
func merged(old, said []Number, source string, now time.Time) []Number {
	var list []Number
	for _, n := range said {
		if n.Phone.IsZero() || slices.ContainsFunc(list, func(m Number) bool { return m.Phone == n.Phone }) {
			continue
		}
		if len(list) == maxPhones {
			break
		}
		n.Since, n.Verified = now, time.Time{}
		if n.Source == "" {
			n.Source = source
		}
		if i := slices.IndexFunc(old, func(m Number) bool { return m.Phone == n.Phone }); i >= 0 {
			n.Since, n.Verified = old[i].Since, old[i].Verified
			if n.Type == LineUnknown && n.Equipment != "CP" && n.Use != "PRS" { // a feed may say anew that it is mobile
				n.Type = old[i].Type
			}
		}
		list = append(list, n)
	}
	return list
}

// sameNumber leaves history and source out: that another feed says the same is no change.
func sameNumber(a, b Number) bool {
	return a.Phone == b.Phone && a.Use == b.Use && a.Equipment == b.Equipment && a.Rank == b.Rank && a.Type == b.Type &&
		a.Extension == b.Extension && a.Proxy == b.Proxy && a.Business == b.Business
}

// setDead applies word of a death by its own clock: a later message that is silent about it does not
// revive anybody, an older one that denies it neither. It reports whether the subject died by it.
func (s *Subject) setDead(dead bool, at, now time.Time) bool {
	if at.Before(s.DeadAsOf) {
		return false
	}
	s.DeadAsOf = at
	switch {
	case dead && s.Dead == nil:
		s.Dead = &now
		return true
	case !dead:
		s.Dead = nil
	}
	return false
}

// numbers fills in which number is texted now and which are gone.
func (c *Change) numbers(tx *store.Tx, old, s Subject) (err error) {
	if c.Old, err = old.best(reachable(tx)); err != nil {
		return err
	}
	if c.New, err = s.best(reachable(tx)); err != nil {
		return err
	}
	c.NumberChanged = c.Old != c.New
	c.Dropped = dropped(old.Phones, s.Phones)
	return nil
}

func (c Change) record(tx *store.Tx, source string, old, s Subject) error {
	e := store.Entry{Action: ActionSubjectUpdate, Subject: s.ID.Key(), Attrs: []store.Attr{
		{Key: "source", Value: source},
		{Key: "changed", Value: strings.Join(c.Fields, ",")},
	}}
	if c.Created {
		e.Action = ActionSubjectCreate
	}
	if slices.Contains(c.Fields, "phones") {
		e.Attrs = append(e.Attrs, phonesAttr("phones", s.Phones), phonesAttr("phones_before", old.Phones))
	}
	if err := record(tx, e); err != nil {
		return err
	}
	if (old.Dead == nil) == (s.Dead == nil) {
		return nil
	}
	return recordDead(tx, s)
}

func recordDead(tx *store.Tx, s Subject) error {
	value := "yes"
	if s.Dead == nil {
		value = "no"
	}
	return record(tx, store.Entry{Action: ActionSubjectDead, Subject: s.ID.Key(),
		Attrs: []store.Attr{{Key: "dead", Value: value}}})
}

// MarkDead keeps that a person died, or that this was a mistake, and reports whether they were
// living until now. Somebody unknown is kept as dead, so that whatever comes late is suppressed.
func MarkDead(tx *store.Tx, id SubjectID, at time.Time, dead bool) (died bool, err error) {
	if !id.usable() {
		return false, fmt.Errorf("mark dead: %w", ErrNoSubject)
	}
	at = eventTime(tx, at)
	s, found, err := survivor(tx, id)
	if err != nil || !found && !dead {
		return false, err
	}
	old := s
	died = s.setDead(dead, at, tx.Now())
	if s.DeadAsOf.Equal(old.DeadAsOf) && (s.Dead == nil) == (old.Dead == nil) {
		return false, nil
	}
	if err := keep(tx, old, s); err != nil {
		return false, err
	}
	return died, recordDead(tx, s)
}

// survivor is Find that also gives removed subjects, and an empty one for an id never heard of.
func survivor(tx *store.Tx, id SubjectID) (Subject, bool, error) {
	s, ok, err := load(tx, id)
	for n := 0; err == nil && ok && s.MergedInto != nil; n++ {
		if n == maxMerges {
			return Subject{}, false, fmt.Errorf("find subject: merged more than %d times", maxMerges)
		}
		id = *s.MergedInto
		s, ok, err = load(tx, id)
	}
	if err == nil && !ok {
		s = Subject{ID: id}
	}
	return s, ok, err
}

// Remove keeps that the hospital deleted a person (A23, A29). Their numbers are forgotten; the id
// stays, so that an older event does not bring them back.
func Remove(tx *store.Tx, id SubjectID, at time.Time) (Change, error) {
	if !id.usable() {
		return Change{}, fmt.Errorf("remove subject: %w", ErrNoSubject)
	}
	at = eventTime(tx, at)
	old, found, err := load(tx, id)
	if err != nil {
		return Change{}, err
	}
	if found && (at.Before(old.AsOf) || old.Removed != nil || old.MergedInto != nil) {
		return Change{Stale: true}, nil
	}
	s := Subject{ID: id, AsOf: at, Removed: &at, Dead: old.Dead, DeadAsOf: old.DeadAsOf}
	var c Change
	if err := c.numbers(tx, old, s); err != nil {
		return Change{}, err
	}
	if err := keep(tx, old, s); err != nil {
		return Change{}, err
	}
	return c, record(tx, store.Entry{Action: ActionSubjectRemove, Subject: id.Key(),
		Attrs: []store.Attr{phonesAttr("phones_before", old.Phones)}})
}

// Proven keeps that the person just proved to hold p: the number is verified now, and whoever called
// it a wrong number is outdated. A number that is not the subject's is left alone; binding it is a
// decision of its own.
func Proven(tx *store.Tx, id SubjectID, p Phone) error {
	s, ok, err := Find(tx, id)
	if err != nil || !ok {
		return err
	}
	i := slices.IndexFunc(s.Phones, func(n Number) bool { return n.Phone == p })
	if i < 0 {
		return nil
	}
	old := s
	s.Phones = slices.Clone(s.Phones)
	s.Phones[i].Verified = tx.Now()
	if err := keep(tx, old, s); err != nil {
		return err
	}
	if err := Flag(tx, p, Flags{WrongNumber: new(bool)}, "verification"); err != nil {
		return err
	}
	return record(tx, store.Entry{Action: ActionSubjectVerify, Subject: s.ID.Key(),
		Attrs: []store.Attr{{Key: "phone", Value: p.E164()}}})
}
