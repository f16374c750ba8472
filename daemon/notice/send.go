package notice

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// Request asks for a notice. The zero Mode is Shadow: a door that forgets it
// sends nothing.
type Request struct {
	Template string
	Lang     string            // "" = the subject's language, then the site's
	To       contact.Phone     // zero = the subject's number, looked up again when the text goes
	Subject  contact.SubjectID // whom it is about, if known
	Slots    text.Values       // what Template.Fill made of the client's values

	At      time.Time // not before; zero = now
	Expires time.Time // when it is pointless; zero = a day after At
	Urgent  bool      // goes in quiet hours too: a link to a visit that begins
	Hours   Hours     // of its kind; zero = all day

	// Group names what the notice is about, as an appointment; Key which notice
	// about it. A second notice with both is the same notice. Both may hold
	// identifiers: they are kept sealed and blinded.
	Group, Key string
	// Once keeps the key taken when the notice is canceled: whoever asks again with it does not get
	// another. A door that repeats what was revoked would text after all.
	Once bool

	Call       bool   // tell it by a call, to a mobile too, which says only that there is a message; refused where none is possible
	Bulk       bool   // lane bulk: campaigns
	Client     string // "" = the actor
	OnBehalfOf string
	Order      string // as outbox.Message has it
	Place      string // as outbox.Message has it
	Staff      bool
	Requested  bool // the person asked for this very text
	System     bool // allows templates of class system, which no STOP holds back; never set for a client
	Mode       contact.Mode
	From       string // as outbox.Message has it

	// Door is what the door that asks keeps beside the notice, sealed with it and gone with it.
	Door json.RawMessage
}

// Bounds of a request.
const (
	MaxKey  = 512                  // bytes of Group and of Key
	MaxWait = 400 * 24 * time.Hour // how far ahead At may lie
)

// perNumber keeps a feed gone wild from one person: no one needs more texts
// than this from one hospital in a day. It counts texts when they go, for what
// is booked ahead is no burden today; one that finds it used up is held until
// there is room.
var perNumber = limit.Budget{Name: "notice.number.day", Max: 12, Window: 24 * time.Hour, Reserve: 4}

// perNumberAsked bounds what a feed gone wild can lay up for one person: far
// more than anybody's appointments with all their reminders.
var perNumberAsked = limit.Budget{Name: "notice.number.asked", Max: 1000, Window: 24 * time.Hour, Reserve: 100}

// cancellation is the template of the text that perNumber never holds: who does
// not get it comes for nothing. The one about a day's appointments begins with it.
const cancellation = "appointment.cancelled"

func (n Notice) cancels() bool { return strings.HasPrefix(n.Template, cancellation) }

// Send queues a notice; already says that the key's notice was there before and
// nothing was done. Refusals (see Refusal) are recorded in tx and must be
// committed.
func Send(tx *store.Tx, req Request) (n Notice, already bool, err error) {
	n, already, err = send(tx, req)
	if !Refusal(err) {
		return n, already, err
	}
	attrs := []store.Attr{
		attr("template", clip(req.Template)), attr("phone", n.To.E164()), attr("on_behalf_of", clip(req.OnBehalfOf)),
		attr("cause", cause(err)),
	}
	if req.Order != "" {
		attrs = append(attrs, attr("order", req.Order))
	}
	e := tx.Record(store.Entry{Action: ActionSend, Outcome: store.Refused, Subject: req.Subject.Key(), Attrs: attrs})
	if e != nil {
		return Notice{}, false, e
	}
	return Notice{}, false, err
}

func clip(s string) string {
	if len(s) > 256 {
		return strings.ToValidUTF8(s[:256], "")
	}
	return s
}

// send returns what is known of the notice along with a refusal.
func send(tx *store.Tx, req Request) (Notice, bool, error) {
	if len(req.Group) > MaxKey || len(req.Key) > MaxKey {
		return Notice{}, false, errors.New("send notice: business key is too long")
	}
	if req.Key != "" && req.Group == "" {
		req.Group = req.Key
	}
	if req.Group != "" {
		n, err := FindKey(tx, req.Group, req.Key)
		if err == nil || !errors.Is(err, ErrNotFound) {
			return n, err == nil, err
		}
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return Notice{}, false, err
	}
	n, t, err := draft(tx, req, site)
	if err != nil {
		return n, false, err
	}
	if err := mayGo(tx, n); err != nil {
		return n, false, err
	}
	if _, err := render(t, n, site); err != nil {
		return n, false, err
	}
	due, err := n.due(tx.Now(), site)
	if err != nil {
		return n, false, err
	}
	if !n.cancels() {
		if err := limit.Take(tx, perNumberAsked.For(n.Staff), n.To.E164()); err != nil {
			return n, false, err
		}
	}
	if n, err = put(tx, n, t, due); err != nil {
		return n, false, err
	}
	if err := begin(tx, n); err != nil {
		return Notice{}, false, err
	}
	return n, false, record(tx, n, ActionSend, store.OK, attr("phone", n.To.E164()), attr("lang", n.Lang),
		attr("message", n.Message), attr("mode", n.Mode.String()), attr("on_behalf_of", clip(n.OnBehalfOf)),
		attr("at", n.At.Format(time.RFC3339)))
}

// draft makes the notice of a request: its template, number and times.
func draft(tx *store.Tx, req Request, site contact.Site) (Notice, text.Template, error) {
	n := Notice{
		ID: "SM" + tx.RisingID(), Template: req.Template, To: req.To, Subject: req.Subject, Slots: maps.Clone(req.Slots),
		At: req.At, Expires: req.Expires, Urgent: req.Urgent, Hours: req.Hours, Group: req.Group, Key: req.Key, Lane: outbox.Notice,
		Client: req.Client, OnBehalfOf: req.OnBehalfOf, Staff: req.Staff, Requested: req.Requested, Mode: req.Mode, From: req.From, Order: req.Order, Place: req.Place,
		Once: req.Once, Call: req.Call, Door: req.Door, Created: tx.Now(),
	}
	if n.Slots == nil {
		n.Slots = text.Slots{}
	}
	if n.From != "" { // it may have been held, and its source's mode be another by now
		var err error
		if n.Mode, err = contact.ModeOf(tx, n.From, n.Mode, tx.Now()); err != nil {
			return n, text.Template{}, err
		}
	}
	if n.Client == "" {
		n.Client = tx.Actor().ID
	}
	if req.Bulk {
		n.Lane = outbox.Bulk
	}
	if n.At.Before(tx.Now()) {
		n.At = tx.Now()
	}
	if n.Expires.IsZero() {
		n.Expires = n.At.Add(24 * time.Hour)
	}
	if n.At.Sub(tx.Now()) > MaxWait {
		return n, text.Template{}, errors.New("send notice: it lies too far ahead")
	}
	if err := address(tx, &n, req.Lang, site); err != nil {
		return n, text.Template{}, err
	}
	t, err := text.Find(tx, n.Template, n.Lang)
	if errors.Is(err, text.ErrNoTemplate) {
		return n, text.Template{}, ErrUnknownTemplate
	}
	if err != nil {
		return n, text.Template{}, err
	}
	if t.Class == text.Code || (t.Class == text.System && !req.System) {
		return n, text.Template{}, ErrUnknownTemplate
	}
	n.Lang, n.Class = t.Lang, t.Class
	if n.Voice && t.Class != text.Care && !n.Call {
		n.Voice = false // an answer to a text goes where that came from
	}
	return n, t, n.mayBeSpoken(t)
}

// address finds number and language where the request leaves them to the
// subject.
func address(tx *store.Tx, n *Notice, lang string, site contact.Site) error {
	n.Lang = lang
	if !n.Subject.IsZero() {
		s, known, err := contact.Find(tx, n.Subject)
		if err != nil {
			return err
		}
		if known && n.Lang == "" {
			n.Lang = s.Language
		}
		if known && n.To.IsZero() {
			if err := consent.AllowedSubject(tx, n.Subject, text.Care); err != nil {
				return err
			}
		}
	}
	if n.Lang == "" {
		n.Lang = site.Language()
	}
	if n.To.IsZero() {
		n.Follow = true
		return n.follow(tx)
	}
	line, _, err := contact.LineOf(tx, n.To, n.Subject)
	n.Voice = n.Call || line == contact.LineLandline
	return err
}

// mayGo asks consent, at Send and again when the text is rendered.
func mayGo(tx *store.Tx, n Notice) error {
	if err := consent.AllowedSubject(tx, n.Subject, n.Class); err != nil {
		return err
	}
	if n.Voice {
		if err := n.callable(tx); err != nil {
			return err
		}
		if err := consent.Allowed(tx, n.To, consent.ByVoice, false); err != nil {
			return err
		}
	}
	err := consent.Allowed(tx, n.To, n.Class, n.Requested)
	if errors.Is(err, consent.ErrOptedOut) && n.Requested && n.Class == text.Care {
		return nil // the person asked for it after the STOP
	}
	return err
}

// enqueue gives the notice's message to the outbox, for the first moment that
// the quiet hours allow.
func enqueue(tx *store.Tx, n Notice, t text.Template, site contact.Site) (Notice, error) {
	due, err := n.due(tx.Now(), site)
	if err != nil {
		return n, err
	}
	return put(tx, n, t, due)
}

// due is the first moment from n.At on that the quiet hours and its own allow, or
// ErrPointless.
func (n Notice) due(now time.Time, site contact.Site) (time.Time, error) {
	at := n.At
	for range rounds {
		next := n.mayGoAt(at, site)
		if !next.Before(n.Expires) || !now.Before(n.Expires) {
			break
		}
		if next.Equal(at) {
			return at, nil
		}
		at = next
	}
	return time.Time{}, ErrPointless
}

// rounds is how often hours that do not agree are asked: they do within two days, or never.
const rounds = 8

// mayGoAt is at, or a later moment where one of the hours does not allow it; then the others are to be asked of that.
func (n Notice) mayGoAt(at time.Time, site contact.Site) time.Time {
	if n.Voice {
		at = site.Daytime(at) // the urgent ones too: a telephone at home wakes everybody
	}
	if until, quiet := site.Quiet(at); quiet && !n.Urgent && n.Class != text.System {
		at = until
	}
	return n.Hours.Next(at, site.Location())
}

func put(tx *store.Tx, n Notice, t text.Template, due time.Time) (Notice, error) {
	by, redials, after := outbox.SMS, 0, time.Duration(0)
	if n.Voice {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return n, err
		}
		by = outbox.Call
		redials, after = site.Redials()
	}
	m, err := outbox.Put(tx, outbox.Message{
		Kind: Kind, Ref: n.ID, Held: true, Lane: n.Lane, To: n.To, Client: n.Client, Staff: n.Staff,
		Route: []outbox.Step{{Channel: by}}, Due: due, Expires: n.Expires,
		Repeat: t.Repeatable, Mode: n.Mode, From: n.From, Order: n.Order, Place: n.Place, Redials: max(0, redials-n.Tried), RedialAfter: after,
	})
	if err != nil {
		return n, fmt.Errorf("queue notice: %w", err)
	}
	n.Message = m.ID
	return n, nil
}

// render fills the template; the slots that are ours come from the site of
// this moment.
func render(t text.Template, n Notice, site contact.Site) (string, error) {
	values := maps.Clone(n.Slots)
	if values == nil {
		values = text.Values{}
	}
	values.SetBrand(site.Brand)
	if _, ok := values[string(text.Phone)]; !ok {
		values.SetPhone(site.HelpPhone)
	}
	return text.Render(t, values, site.Location())
}
