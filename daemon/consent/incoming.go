package consent

import (
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/text"
	"pinward/store"
)

// In is one whole text that came in.
type In struct {
	From contact.Phone // zero for short codes and words as senders: never answered
	Body string
	SIM  string    // ICCID of the SIM that it came to
	At   time.Time // when it was read from the modem
}

// codeAnswer is how long a STOP counts as the answer to a code.
const codeAnswer = 24 * time.Hour

// Incoming reads what a text says about consent and does it. It returns false
// for a text about something else.
func Incoming(tx *store.Tx, in In) (handled bool, err error) {
	if in.From.IsZero() {
		return false, nil
	}
	m, lang := read(in.Body)
	last, answered, err := LastText(tx, in.From, codeAnswer)
	if err != nil {
		return false, err
	}
	if lang == "" {
		lang = last.Lang
	}
	switch m {
	case stop, cancel:
		return true, stopTexts(tx, in, lang, last, answered, m)
	case start:
		return true, startTexts(tx, in, lang)
	case yes:
		// After our confirmation of a STOP, YES takes it back; any other YES is
		// an answer for the notices.
		if !answered || last.Kind != string(Kind) {
			return false, nil
		}
		if c, err := Of(tx, in.From); err != nil || (c.Texts != Out && c.Codes != Out) {
			return false, err
		}
		return true, startTexts(tx, in, lang)
	case help:
		return true, helped(tx, in, lang)
	case wrong:
		return true, wrongNumber(tx, in, last)
	case doubtful:
		return true, doubt(tx, in, lang, last)
	}
	return false, nil
}

// stopTexts carries out a STOP, and says so once: a second one in a row is
// recorded and not answered.
func stopTexts(tx *store.Tx, in In, lang string, last Last, answered bool, m meaning) error {
	changed, err := change(tx, in.From, text.Care, Out, SourceSMS, lang)
	if err != nil {
		return err
	}
	if _, err := change(tx, in.From, text.Marketing, Out, SourceSMS, lang); err != nil {
		return err
	}
	confirm := templateStopped
	if last.Class == text.Code {
		codes, err := change(tx, in.From, text.Code, Out, SourceSMS, lang)
		if err != nil {
			return err
		}
		changed = changed || codes
		confirm = templateStoppedCodes
	}
	if err := entry(tx, ActionStop, in,
		attr("codes", yesNo(confirm == templateStoppedCodes)), attr("repeated", yesNo(!changed)), attr("answers", last.Ref)); err != nil {
		return err
	}
	if m == cancel && answered && last.Kind == kindNotice {
		// CANCEL is a carrier's stop word, and what people answer to a reminder:
		// it is both until a person has asked.
		if _, err := Open(tx, WorkItem{Kind: ItemCancel, Phone: in.From, Ref: last.Ref}); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return reply(tx, in, confirm, lang)
}

// kindNotice is the outbox kind of notices, whose room is above this one.
const kindNotice = "notice"

func startTexts(tx *store.Tx, in In, lang string) error {
	changed := false
	for _, class := range []text.Class{text.Care, text.Code} {
		c, err := change(tx, in.From, class, OptedIn, SourceSMS, lang)
		if err != nil {
			return err
		}
		changed = changed || c
	}
	if err := entry(tx, ActionStart, in, attr("repeated", yesNo(!changed))); err != nil {
		return err
	}
	if !changed {
		return nil
	}
	return reply(tx, in, templateStarted, lang)
}

func helped(tx *store.Tx, in In, lang string) error {
	if err := entry(tx, ActionHelp, in); err != nil {
		return err
	}
	return reply(tx, in, templateHelp, lang)
}

// wrongNumber stops everything to the number at once, and asks nothing of who
// holds it.
func wrongNumber(tx *store.Tx, in In, last Last) error {
	flagged := true
	if err := contact.Flag(tx, in.From, contact.Flags{WrongNumber: &flagged}, "patient"); err != nil {
		return err
	}
	if err := entry(tx, ActionWrong, in, attr("answers", last.Ref)); err != nil {
		return err
	}
	_, err := OpenFor(tx, in, WorkItem{Kind: ItemWrongNumber, Ref: last.Ref})
	return err
}

// doubt stops texts, for a wish not to get them must not be missed, and leaves
// the rest to a person. What was written may be an emergency ("it does not
// stop bleeding"), so the one answer says also that nobody reads it.
func doubt(tx *store.Tx, in In, lang string, last Last) error {
	changed, err := change(tx, in.From, text.Care, Out, SourceSMS, lang)
	if err != nil {
		return err
	}
	if err := entry(tx, ActionDoubtful, in, attr("repeated", yesNo(!changed)), attr("answers", last.Ref)); err != nil {
		return err
	}
	if _, err := OpenFor(tx, in, WorkItem{Kind: ItemDoubtfulStop, Ref: last.Ref}); err != nil {
		return err
	}
	if !changed {
		return TellUnread(tx, in, lang)
	}
	return reply(tx, in, templateDoubtful, lang)
}

// OpenFor opens a work item about a text, whose body is kept for the person who
// settles it.
func OpenFor(tx *store.Tx, in In, w WorkItem) (WorkItem, error) {
	key, err := keepBody(tx, in)
	if err != nil {
		return WorkItem{}, err
	}
	w.Phone, w.Body = in.From, key
	return Open(tx, w)
}

// Unread takes a text that no room knew what to do with: its body is kept
// sealed for BodyLife, and the sender is told, once a day, that nobody reads
// texts here.
func Unread(tx *store.Tx, in In) error {
	if in.From.IsZero() {
		return nil
	}
	if _, err := keepBody(tx, in); err != nil {
		return err
	}
	if err := entry(tx, ActionUnread, in); err != nil {
		return err
	}
	last, _, err := LastText(tx, in.From, 30*24*time.Hour)
	if err != nil {
		return err
	}
	return TellUnread(tx, in, last.Lang)
}

// entry records what a text did; never what it said.
func entry(tx *store.Tx, action store.Action, in In, attrs ...store.Attr) error {
	return tx.Record(store.Entry{Action: action, Outcome: store.OK, Attrs: append([]store.Attr{
		attr("phone", in.From.E164()), attr("sim", in.SIM),
	}, attrs...)})
}

func attr(key, value string) store.Attr { return store.Attr{Key: key, Value: value} }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
