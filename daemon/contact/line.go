package contact

import (
	"fmt"
	"strings"
	"time"

	"pinward/store"
)

// SourceNetwork is who says of a line what sends have shown.
const SourceNetwork = "network"

// What sends show of a line is a guess, and numbers move between lines: it counts for learnedFor, and takes missedTexts codes
// whose text did not come while a call to the same number was heard.
const (
	learnedFor  = 90 * 24 * time.Hour
	missedTexts = 2
)

// typeRank says whose word on a line counts for more.
func typeRank(source string) int {
	switch {
	case source == "":
		return 0
	case source == SourceNetwork:
		return 1
	case strings.HasPrefix(source, "hl7"):
		return 2
	}
	return 3
}

func (c Contact) takesType(t LineType, source string) bool {
	if t == c.Type && typeRank(source) <= typeRank(c.TypeSource) {
		return false // nothing new
	}
	return typeRank(source) >= typeRank(c.TypeSource)
}

// line is what is known of the line beside the numbering plan, and who said so.
func (c Contact) line(now time.Time) (LineType, string) {
	if c.TypeSource == SourceNetwork && now.Sub(c.TypeSince) >= learnedFor {
		return LineUnknown, ""
	}
	return c.Type, c.TypeSource
}

// lineAt is the type of a person's number: what was said of the number itself goes before what their record says.
func (n Number) lineAt(c Contact, now time.Time) LineType {
	if t, _ := c.line(now); t != LineUnknown {
		return t
	}
	return n.line()
}

// LineOf tells what kind of line a number is, as far as anybody knows, and who said so ("plan" is the numbering plan). Of id, which
// may be nobody, the record is asked as well.
func LineOf(tx *store.Tx, p Phone, id SubjectID) (LineType, string, error) {
	c, err := Of(tx, p)
	if err != nil {
		return LineUnknown, "", err
	}
	if t, source := c.line(tx.Now()); t != LineUnknown {
		return t, source, nil
	}
	if !id.IsZero() {
		s, _, err := Find(tx, id)
		if err != nil {
			return LineUnknown, "", err
		}
		for _, n := range s.Phones {
			if n.Phone == p && n.line() != p.Line() {
				return n.line(), n.Source, nil
			}
		}
	}
	if t := p.Line(); t != LineUnknown {
		return t, "plan", nil
	}
	return LineUnknown, "", nil
}

// Callable returns the number to call about a subject of whom no number takes texts: a landline, where calls are wanted. It is false
// when there is none, or the person is dead, removed, or wants neither texts nor calls by the hospital's record.
func Callable(tx *store.Tx, id SubjectID) (Phone, bool, error) {
	s, ok, err := Find(tx, id)
	if err != nil || !ok || s.Dead != nil || s.NoTexts || s.NoVoice {
		return Phone{}, false, err
	}
	p, err := s.best(func(n Number) (bool, error) {
		if !n.textable() { // a fax hears nobody, and behind an extension a switchboard answers
			return false, nil
		}
		c, err := Of(tx, n.Phone)
		if err != nil || c.WrongNumber || n.lineAt(c, tx.Now()) != LineLandline {
			return false, err
		}
		return MayCall(tx, n.Phone)
	})
	return p, !p.IsZero(), err
}

// TextMissed notes that a number whose call was heard had not received the text before it. Twice in a row, and it counts as a landline
// until something else is known: the next code goes by voice at once.
func TextMissed(tx *store.Tx, p Phone) error {
	t, err := trailOf(tx, p)
	if err != nil {
		return err
	}
	if t.Missed++; t.Missed < missedTexts {
		return keepTrail(tx, p, t)
	}
	t.Missed = 0
	if err := keepTrail(tx, p, t); err != nil {
		return err
	}
	return Flag(tx, p, Flags{Type: new(LineLandline)}, SourceNetwork)
}

// TextArrived notes that a text reached a number: whatever was missed before, it takes texts.
func TextArrived(tx *store.Tx, p Phone) error {
	t, err := trailOf(tx, p)
	if err != nil {
		return err
	}
	if t.Missed > 0 {
		t.Missed = 0
		if err := keepTrail(tx, p, t); err != nil {
			return err
		}
	}
	c, err := Of(tx, p)
	if err != nil || c.Type != LineLandline || c.TypeSource != SourceNetwork {
		return err
	}
	return Flag(tx, p, Flags{Type: new(LineUnknown)}, SourceNetwork)
}

func trailOf(tx *store.Tx, p Phone) (trace, error) {
	t, _, err := trail.Get(tx, p.blind(tx))
	if err != nil {
		return trace{}, fmt.Errorf("read contact trail: %w", err)
	}
	return t, nil
}

func keepTrail(tx *store.Tx, p Phone, t trace) error {
	if err := trail.Put(tx, p.blind(tx), t); err != nil {
		return fmt.Errorf("keep contact trail: %w", err)
	}
	return nil
}
