package notice

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/text"
	"pinward/store"
)

// question is what a number was asked last.
type question struct {
	Notice string    `json:"notice"`
	At     time.Time `json:"at"`
}

// answerLife is how long YES and NO answer a question, and CANCEL a reminder.
const answerLife = 7 * 24 * time.Hour

var questions = store.NewTable[question]("notice.questions", store.Blinded(0),
	store.Bookkeeping("what a number was asked last; sending and answering are entries"))

func questionKey(tx *store.Tx, p contact.Phone) []byte { return tx.Blind("notice.question", p.E164()) }

// ask notes a text that asks for an answer.
func ask(tx *store.Tx, n Notice, t text.Template) error {
	if len(t.Replies) == 0 {
		return nil
	}
	if err := questions.Put(tx, questionKey(tx, n.To), question{Notice: n.ID, At: tx.Now()}); err != nil {
		return fmt.Errorf("note question: %w", err)
	}
	return nil
}

// Words that people write for yes, for no, and about an appointment that they
// do not want, after consent.Fold.
var (
	yesWords    = []string{"YES", "Y", "YEP", "YEAH", "OK", "OKAY", "CONFIRM", "CONFIRMED", "C", "1", "SI", "S", "CONFIRMO", "CONFIRMAR"}
	noWords     = []string{"NO", "N", "NOPE", "2"}
	cancelWords = []string{"CANCEL", "CANCELED", "CANCELLED", "CANCELLING", "RESCHEDULE", "REBOOK", "CANCELAR", "CANCELO", "CANCELE", "REPROGRAMAR", "ANULAR"}
)

// Incoming takes a text as the answer to the last question, or as a word about
// the appointment that the last text was about. It returns false for anything
// else.
func Incoming(tx *store.Tx, in consent.In) (handled bool, err error) {
	if in.From.IsZero() {
		return false, nil
	}
	folded := consent.Fold(in.Body)
	switch {
	case slices.Contains(yesWords, folded):
		return answer(tx, in, "yes")
	case slices.Contains(noWords, folded):
		return answer(tx, in, "no")
	case slices.ContainsFunc(strings.Fields(folded), func(w string) bool { return slices.Contains(cancelWords, w) }):
		return unwanted(tx, in)
	}
	return false, nil
}

func answer(tx *store.Tx, in consent.In, what string) (bool, error) {
	q, ok, err := questions.Get(tx, questionKey(tx, in.From))
	if err != nil {
		return false, fmt.Errorf("read question: %w", err)
	}
	if !ok || tx.Now().Sub(q.At) > answerLife {
		return false, nil
	}
	n, err := load(tx, q.Notice)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	before := n.Answer
	n.Answer, n.Answered = what, tx.Now()
	if err := save(tx, n); err != nil {
		return false, err
	}
	if err := record(tx, n, ActionAnswer, store.OK, attr("answer", what), attr("before", before)); err != nil {
		return false, err
	}
	if what == "no" && before != "no" {
		// Whoever does not come has to be rebooked, by a person.
		if _, err := consent.Open(tx, consent.WorkItem{Kind: consent.ItemDeclined, Phone: in.From, Ref: n.ID}); err != nil {
			return false, err
		}
	}
	return true, nil
}

// unwanted leaves "I need to cancel" to a person, and tells the sender that
// only a call cancels for sure.
func unwanted(tx *store.Tx, in consent.In) (bool, error) {
	last, ok, err := consent.LastText(tx, in.From, answerLife)
	if err != nil || !ok || last.Kind != string(Kind) {
		return false, err
	}
	if _, err := consent.OpenFor(tx, in, consent.WorkItem{Kind: consent.ItemCancel, Ref: last.Ref}); err != nil {
		return false, err
	}
	return true, consent.TellUnread(tx, in, last.Lang)
}

// sweepAtOnce bounds one transaction of Sweep.
const sweepAtOnce = 500

// heldAgain is after how long a notice that a hold keeps is looked at again.
const heldAgain = 24 * time.Hour

// Sweep deletes notices that nobody looks up any more. held tells that a hold covers some of a time: what is of then is looked at again
// a day later.
func Sweep(tx *store.Tx, held func(from, to time.Time) bool) error {
	purged, looked := 0, 0
	err := due.Each(tx, store.Range{}, func(key []byte, _ struct{}) error {
		if looked++; looked > sweepAtOnce || len(key) != 24 || time.Unix(0, int64(binary.BigEndian.Uint64(key))).After(tx.Now()) {
			return store.Stop
		}
		if err := due.Delete(tx, key); err != nil {
			return err
		}
		gone, err := purge(tx, key[8:], held)
		if gone {
			purged++
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("sweep notices: %w", err)
	}
	if purged == 0 {
		return nil
	}
	return tx.Record(store.Entry{Action: ActionPurge, Outcome: store.OK, Attrs: []store.Attr{attr("count", fmt.Sprint(purged))}})
}

// purge deletes one notice, unless it was moved to a later time meanwhile.
func purge(tx *store.Tx, id []byte, held func(from, to time.Time) bool) (bool, error) {
	n, ok, err := notices.Get(tx, id)
	if err != nil || !ok || n.Expires.Add(keep).After(tx.Now()) {
		return false, err
	}
	if held(n.Created, n.Expires) {
		return false, dueOn(tx, tx.Now().Add(heldAgain), id)
	}
	if err := free(tx, n); err != nil {
		return false, err
	}
	if !n.Subject.IsZero() {
		if err := bySubject.Delete(tx, append(subjectPrefix(tx, n.Subject), id...)); err != nil {
			return false, err
		}
	}
	return true, notices.Delete(tx, id)
}

func idOf(key []byte) string { return "SM" + hex.EncodeToString(key) }

// SweepQuestions forgets questions that nobody can answer any more. It looks at no more than n, beginning at cursor (nil is the
// beginning), and returns where to go on.
func SweepQuestions(tx *store.Tx, cursor []byte, n int) (next []byte, err error) {
	keys, next, err := questions.Collect(tx, cursor, n, n, func(_ []byte, q question) (bool, error) {
		return tx.Now().Sub(q.At) > answerLife, nil
	})
	for _, key := range keys {
		if err := questions.Delete(tx, key); err != nil {
			return nil, fmt.Errorf("forget questions: %w", err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("forget questions: %w", err)
	}
	return next, nil
}
