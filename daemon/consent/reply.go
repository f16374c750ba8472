package consent

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// Kind is the outbox kind of this room's answers.
const Kind outbox.Kind = "consent"

// Names of the answers' templates.
const (
	templateStopped      = "optout.confirm"
	templateStoppedCodes = "optout.codes"
	templateDoubtful     = "optout.doubtful" // says as well that nobody reads texts
	templateStarted      = "optin.confirm"
	templateHelp         = "help"
	templateUnread       = "unread"
)

const (
	// BodyLife is how long the body of a text that came in is kept.
	BodyLife = 24 * time.Hour
	// replyLife is how long an answer is worth sending.
	replyLife = time.Hour
	// maxAlike texts of the same words are answered in replySpan: two machines
	// must not talk to each other for ever. Whoever changes a choice is told so
	// each time; that nobody reads texts is said once in replySpan.
	maxAlike  = 10
	replySpan = 24 * time.Hour
	// maxHeard bounds the texts remembered of one number.
	maxHeard = 100
)

// answer is what a message of this room says; its key is the message's Ref.
type answer struct {
	Template string        `json:"template"`
	Lang     string        `json:"lang"`
	To       contact.Phone `json:"to"`
	At       time.Time     `json:"at"`
}

// replied is what a number was answered of late.
type replied struct {
	Heard  []heard   `json:"heard"`  // texts answered within replySpan, oldest first
	Unread time.Time `json:"unread"` // the last "not read"
}

// heard is one text that was answered: no text, only what tells two apart.
type heard struct {
	At   time.Time `json:"at"`
	Text []byte    `json:"text"` // blinded, after Fold
}

// body is a text that came in.
type body struct {
	From contact.Phone `json:"from"`
	Text string        `json:"text"`
	At   time.Time     `json:"at"`
}

var (
	answers = store.NewTable[answer]("consent.answers",
		store.Bookkeeping("which answer a queued message is; both ends of it are entries"))
	replies = store.NewTable[replied]("consent.replied", store.Blinded(0),
		store.Bookkeeping("how many answers a number got of late"))
	bodies = store.NewTable[body]("consent.bodies", store.Queue()) // key: instant and 8 random bytes
)

// reply queues an answer, unless the same text was answered too often of late.
func reply(tx *store.Tx, in In, template, lang string) error {
	key := numberKey(tx, in.From)
	r, _, err := replies.Get(tx, key)
	if err != nil {
		return fmt.Errorf("read answers: %w", err)
	}
	now, said := tx.Now(), tx.Blind("consent.heard", Fold(in.Body))
	r.Heard = slices.DeleteFunc(r.Heard, func(h heard) bool { return now.Sub(h.At) >= replySpan })
	alike := 0
	for _, h := range r.Heard {
		if bytes.Equal(h.Text, said) {
			alike++
		}
	}
	if alike >= maxAlike {
		return nil
	}
	r.Heard = append(r.Heard[max(len(r.Heard)-maxHeard+1, 0):], heard{now, said})
	if template == templateUnread || template == templateDoubtful {
		r.Unread = now
	}
	if err := replies.Put(tx, key, r); err != nil {
		return fmt.Errorf("write answers: %w", err)
	}
	return queue(tx, in.From, template, lang)
}

// TellUnread answers that nobody reads texts here, and whom to call: once a day.
// The language "" is the site's.
func TellUnread(tx *store.Tx, in In, lang string) error {
	r, _, err := replies.Get(tx, numberKey(tx, in.From))
	if err != nil {
		return fmt.Errorf("read answers: %w", err)
	}
	if !r.Unread.IsZero() && tx.Now().Sub(r.Unread) < replySpan {
		return nil
	}
	return reply(tx, in, templateUnread, lang)
}

func queue(tx *store.Tx, to contact.Phone, template, lang string) error {
	if lang == "" {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		lang = site.Language()
	}
	key := instantKey(tx)
	a := answer{Template: template, Lang: lang, To: to, At: tx.Now()}
	if err := answers.Put(tx, key, a); err != nil {
		return fmt.Errorf("queue answer: %w", err)
	}
	// Mode Live: an answer follows the site alone, whose mode the outbox adds.
	_, err := outbox.Put(tx, outbox.Message{
		Kind: Kind, Ref: hex.EncodeToString(key), Lane: outbox.Notice, To: to, Client: string(Kind),
		Route: []outbox.Step{{Channel: outbox.SMS}}, Due: tx.Now(), Expires: tx.Now().Add(replyLife), Mode: contact.Live,
		Essential: true,
	})
	if err != nil {
		return fmt.Errorf("queue answer: %w", err)
	}
	return nil
}

// Render is the outbox.Source of this room's answers.
func Render(tx *store.Tx, m outbox.Message) (outbox.Rendered, error) {
	key, err := hex.DecodeString(m.Ref)
	if err != nil || len(key) == 0 {
		return outbox.Rendered{}, outbox.ErrGone
	}
	a, ok, err := answers.Get(tx, key)
	if err != nil {
		return outbox.Rendered{}, fmt.Errorf("read answer: %w", err)
	}
	if !ok {
		return outbox.Rendered{}, outbox.ErrGone
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return outbox.Rendered{}, err
	}
	t, err := text.Find(tx, a.Template, a.Lang)
	if err != nil {
		return outbox.Rendered{}, fmt.Errorf("find text of answer: %w", err)
	}
	v := text.Values{}
	v.SetBrand(site.Brand)
	v.SetPhone(site.HelpPhone)
	out, err := text.Render(t, v, site.Location())
	if err != nil {
		return outbox.Rendered{}, fmt.Errorf("render answer: %w", err)
	}
	if err := NoteText(tx, a.To, Last{Kind: string(Kind), Class: text.System, Ref: m.Ref, Lang: a.Lang}); err != nil {
		return outbox.Rendered{}, err
	}
	return outbox.Rendered{Text: out, Validity: m.Expires.Sub(tx.Now())}, nil
}

// ErrNoBody says that the text is wiped, or never was kept.
var ErrNoBody = errors.New("text is wiped")

// Body returns the text of a work item while it is kept.
func Body(tx *store.Tx, w WorkItem) (string, error) {
	key, err := hex.DecodeString(w.Body)
	if err != nil || len(key) == 0 {
		return "", ErrNoBody
	}
	b, ok, err := bodies.Get(tx, key)
	if err != nil {
		return "", fmt.Errorf("read text: %w", err)
	}
	if !ok || tx.Now().Sub(b.At) >= BodyLife {
		return "", ErrNoBody
	}
	return b.Text, nil
}

func keepBody(tx *store.Tx, in In) (string, error) {
	key := instantKey(tx)
	if err := bodies.Put(tx, key, body{From: in.From, Text: in.Body, At: tx.Now()}); err != nil {
		return "", fmt.Errorf("keep text: %w", err)
	}
	return hex.EncodeToString(key), nil
}

// sweepAtOnce bounds one transaction of Sweep.
const sweepAtOnce = 500

// Sweep wipes bodies after BodyLife and answers after their time.
func Sweep(tx *store.Tx) error {
	wiped, err := sweepOld(tx, bodies, BodyLife)
	if err != nil {
		return fmt.Errorf("wipe texts: %w", err)
	}
	if wiped > 0 {
		err := tx.Record(store.Entry{Action: ActionWiped, Outcome: store.OK, Attrs: []store.Attr{attr("count", fmt.Sprint(wiped))}})
		if err != nil {
			return err
		}
	}
	if _, err := sweepOld(tx, answers, 24*time.Hour); err != nil {
		return fmt.Errorf("forget answers: %w", err)
	}
	return nil
}

// sweepOld deletes what was put under an instantKey longer ago than life.
func sweepOld[T any](tx *store.Tx, t *store.Table[T], life time.Duration) (n int, err error) {
	before := uint64(tx.Now().Add(-life).UnixNano())
	err = t.Each(tx, store.Range{}, func(key []byte, _ T) error {
		if n >= sweepAtOnce || len(key) < 8 || binary.BigEndian.Uint64(key) > before {
			return store.Stop
		}
		n++
		return t.Delete(tx, key)
	})
	return n, err
}

// instantKey orders records by when they were made.
func instantKey(tx *store.Tx) []byte {
	key := binary.BigEndian.AppendUint64(nil, uint64(tx.Now().UnixNano()))
	var end [8]byte
	rand.Read(end[:])
	return append(key, end[:]...)
}
