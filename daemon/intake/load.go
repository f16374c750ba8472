package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/text"
	"pinward/hl7"
	"pinward/store"
)

// LoadReport is what a first load found, in messages.
type LoadReport struct {
	Messages int `json:"messages"`
	Loaded   int `json:"loaded"`
	Older    int `json:"older"`   // than what is known of the person
	Skipped  int `json:"skipped"` // of types that say nothing of a contact
	Wrong    int `json:"wrong"`   // would earn AE or AR

	Usable     int `json:"usable"`      // of those loaded: has a number that may be texted, and does not object
	Landline   int `json:"landline"`    // has only numbers that take no text
	NoNumber   int `json:"no_number"`   // has none
	Shared     int `json:"shared"`      // the number to text is another person's too
	NoLanguage int `json:"no_language"` // none is known
	NoConsent  int `json:"no_consent"`  // does not want texts, or answered STOP
}

// ActionLoad is recorded of each part of a first load; each contact has its own entry.
const ActionLoad store.Action = "hl7.load"

// Load takes what messages of the peer say of contacts, and nothing else: no appointment, no text, no word
// to a former number. It is one transaction; callers bring at most MaxLoad at once.
func (in *Intake) Load(ctx context.Context, by store.Actor, messages [][]byte) (LoadReport, error) {
	if len(messages) > MaxLoad {
		return LoadReport{}, fmt.Errorf("load contacts: more than %d messages at once", MaxLoad)
	}
	in.Refresh()
	g, err := in.standOn(ctx)
	if err != nil {
		return LoadReport{}, err
	}
	var readings []*reading
	report := LoadReport{Messages: len(messages)}
	for _, payload := range messages {
		rd, err := in.readContact(g, payload)
		switch {
		case errors.Is(err, errNoContact):
			report.Skipped++
		case err != nil:
			report.Wrong++
		default:
			readings = append(readings, rd)
		}
	}
	err = in.store.Update(ctx, by, func(tx *store.Tx) error {
		for _, rd := range readings {
			if err := report.load(tx, rd); err != nil {
				return err
			}
		}
		return tx.Record(store.Entry{Action: ActionLoad, Outcome: store.OK, Object: in.listener.Name, Attrs: []store.Attr{
			{Key: "messages", Value: strconv.Itoa(report.Messages)}, {Key: "loaded", Value: strconv.Itoa(report.Loaded)},
			{Key: "wrong", Value: strconv.Itoa(report.Wrong)},
		}})
	})
	if err != nil {
		return LoadReport{}, fmt.Errorf("load contacts: %w", err)
	}
	return report, nil
}

// MaxLoad bounds one transaction of Load.
const MaxLoad = 200

var errNoContact = errors.New("read contact: the message has none")

// readContact reads a message whose rule keeps contacts.
func (in *Intake) readContact(g *ground, payload []byte) (*reading, error) {
	o := hl7.Options{MaxBytes: in.listener.MaxBytes}
	m, wrong := o.Parse(payload)
	who := g.senders[0]
	if i := slices.IndexFunc(g.senders, func(s *sender) bool { return s.names(m) }); i >= 0 {
		who = g.senders[i]
	}
	if o.Charset = who.Charset; o.Charset != "" {
		m, wrong = o.Parse(payload)
	}
	if wrong != nil {
		return nil, wrong
	}
	rd := in.read(g, who, m, payload, nil)
	switch {
	// What is for training is of no use in a list of real people.
	case m.ProcessingID() != "" && m.ProcessingID() != "P":
		return nil, errNoContact
	case rd.wrong != nil:
		return nil, rd.wrong
	case !rd.rule.does(UpdateContact) || rd.person.id.IsZero():
		return nil, errNoContact
	}
	return rd, nil
}

func (r *LoadReport) load(tx *store.Tx, rd *reading) error {
	u := rd.person.update
	c, err := contact.Upsert(tx, u)
	if err != nil {
		return err
	}
	if c.Stale {
		r.Older++
		return nil
	}
	r.Loaded++
	for _, p := range rd.person.noVoice {
		if err := contact.Flag(tx, p, contact.Flags{NoVoice: new(true)}, rd.source); err != nil {
			return err
		}
	}
	return r.count(tx, u.ID)
}

func (r *LoadReport) count(tx *store.Tx, id contact.SubjectID) error {
	s, _, err := contact.Find(tx, id)
	if err != nil {
		return err
	}
	if s.Language == "" {
		r.NoLanguage++
	}
	to, ok, err := contact.Textable(tx, id)
	if err != nil {
		return err
	}
	err = consent.AllowedSubject(tx, id, text.Care)
	if err == nil && ok {
		err = consent.Allowed(tx, to, text.Care, false)
	}
	switch {
	case consent.Refused(err):
		r.NoConsent++
		return nil
	case err != nil:
		return err
	case ok:
		r.Usable++
	case len(s.Phones) > 0:
		r.Landline++
	default:
		r.NoNumber++
	}
	if !ok {
		return nil
	}
	holders, err := contact.SubjectsOf(tx, to)
	if len(holders) > 1 {
		r.Shared++
	}
	return err
}
