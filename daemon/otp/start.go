package otp

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// StartRequest asks for a verification. The zero Mode is Shadow: a door that
// forgets it sends nothing.
type StartRequest struct {
	Service    string            // name or SID
	To         contact.Phone     // already read by the site's plan
	Subject    contact.SubjectID // whom it is about, if known
	OnBehalfOf string            // the person for whom a machine speaks
	Order      string            // as outbox.Message has it
	Place      string            // as outbox.Message has it
	Locale     string            // BCP 47 tag; "" = the subject's language, then the site's
	Channel    string            // ChannelSMS, ChannelCall or ChannelAuto; "" = auto
	Reference  string            // the action that the code is bound to; at most MaxReference bytes
	Request    string            // the id by which whoever asks finds it again (FindRequest)
	Amount     int64             // cents, and who is paid: for services that name them in the text
	Payee      string

	EndUserAddress string       // address of the person's browser, only where the caller knows it
	Client         string       // id of the client whose budget and turn it takes; "" = the actor
	Staff          bool         // the caller is authenticated staff
	Mode           contact.Mode // the strictest of what client and listener allow
	From           string       // as outbox.Message has it
	Unasked        bool         // nobody waits for it (a feed's idea): a STOP holds it back
	Fresh          bool         // a resend carries a new code even if the service does not say so
	CustomCode     string       // a code that the client brings; see Service.CustomCodes
	// Life is how long the code shall live, 0 as the service says. More than the service's life counts
	// as that, less than MinLife as MinLife. A resend does not change it.
	Life time.Duration
}

// MaxReference bounds the reference of a verification, in bytes.
const MaxReference = 256

// Start begins a verification and puts its message into the outbox, or sends
// the code of the one that is going on for this service, number and reference
// again, unless that is about somebody else: people share phones, and one's code
// proves nothing about the other. Then both go on, and a check that names the
// number alone means the last. In this order: the service's own conditions, consent and blocks,
// limits, admission; then record, message and entry, all in tx.
//
// Refusals (see Refusal) are recorded in tx and must be committed. They leave
// no budget used up but the one that was full.
func Start(tx *store.Tx, req StartRequest) (Verification, error) {
	v, err := start(tx, req)
	if Refusal(err) {
		if e := recordRefusedStart(tx, req, v, err); e != nil {
			return Verification{}, e
		}
	}
	return v, err
}

func recordRefusedStart(tx *store.Tx, req StartRequest, v Verification, err error) error {
	attrs := []store.Attr{
		attr("service", clip(req.Service)), attr("phone", req.To.E164()), attr("channel", clip(req.Channel)),
		attr("on_behalf_of", clip(req.OnBehalfOf)), attr("cause", cause(err)),
	}
	if req.Order != "" {
		attrs = append(attrs, attr("order", req.Order))
	}
	return tx.Record(store.Entry{Action: ActionStart, Outcome: store.Refused, Object: v.ID, Subject: req.Subject.Key(), Attrs: attrs})
}

// clip keeps what a client may choose freely within an entry's bounds.
func clip(s string) string {
	if len(s) > MaxReference {
		return strings.ToValidUTF8(s[:MaxReference], "")
	}
	return s
}

// start returns the verification that is going on along with a refusal to send
// once more.
func start(tx *store.Tx, req StartRequest) (Verification, error) {
	s, err := FindService(tx, req.Service)
	if err != nil {
		return Verification{}, err
	}
	if s.Retired {
		return Verification{}, ErrUnknownService
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return Verification{}, err
	}
	if req.Client == "" {
		req.Client = tx.Actor().ID
	}
	if req.Channel == "" {
		req.Channel = ChannelAuto
	}
	route, err := s.route(req.Channel)
	if err != nil {
		return Verification{}, err
	}
	subject, err := conditions(tx, s, req)
	if err != nil {
		return Verification{}, err
	}
	if route, err = s.textable(tx, req, route); err != nil {
		return Verification{}, err
	}
	if route, err = callable(tx, route, req.To, subject); err != nil {
		return Verification{}, err
	}
	if req.Locale, err = locale(tx, s, req.Locale, subject.Language, site); err != nil {
		return Verification{}, err
	}
	if err := mayGo(tx, req, s, route); err != nil {
		return Verification{}, err
	}

	l, err := limit.Of(tx)
	if err != nil {
		return Verification{}, err
	}
	p := policy{service: s, site: site, limits: l, route: route}
	v, err := findCurrent(tx, s.Name, req.To, req.Reference)
	if err == nil && v.State != MaxChecks {
		v, err = sameOrOwn(tx, v, req)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return first(tx, p, req)
	case err != nil:
		return Verification{}, err
	case v.State == MaxChecks:
		return v, ErrMaxChecks // whomever it is about: it is the number that is being guessed at
	case v.Expires.Sub(tx.Now()) < tooLate(v):
		// What is left of its life is no use to anybody who has yet to read the
		// text: let it end, and begin another.
		if err := expire(tx, v); err != nil {
			return Verification{}, err
		}
		return first(tx, p, req)
	}
	return again(tx, p, req, v)
}

// tooLate is the rest of a life within which a text is not sent any more.
func tooLate(v Verification) time.Duration {
	return min(30*time.Second, v.Expires.Sub(v.Created)/10)
}

// life is how long the code of a start lives.
func (s Service) life(asked time.Duration) time.Duration {
	if asked <= 0 {
		return s.Life
	}
	return min(max(asked, MinLife), s.Life)
}

// route is the way of a message on a channel.
func (s Service) route(channel string) ([]outbox.Step, error) {
	var out []outbox.Step
	switch channel {
	case ChannelAuto:
		for _, step := range s.Route {
			if step.Channel == outbox.Call && s.Desk {
				continue // at a desk a call is made only on a click
			}
			out = append(out, step)
		}
	case ChannelSMS:
		for _, step := range s.Route {
			if step.Channel == outbox.SMS {
				out = append(out, step)
			}
		}
	case ChannelCall:
		for _, step := range s.Route {
			if step.Channel == outbox.Call {
				out = append(out, step)
				break
			}
		}
	}
	if len(out) == 0 {
		return nil, ErrChannel
	}
	return out, nil
}

// textable sends what would go by text to a landline by voice at once: a text to one is lost, or is read out to whoever lifts the
// receiver. A text that was asked for is refused where a person, a feed or the numbering plan says so; what sends alone have shown may be
// wrong, and whoever asks may know better. At a desk it is refused as well, for a call is made there only on a click.
func (s Service) textable(tx *store.Tx, req StartRequest, route []outbox.Step) ([]outbox.Step, error) {
	if route[0].Channel == outbox.Call {
		return route, nil
	}
	line, source, err := contact.LineOf(tx, req.To, req.Subject)
	switch {
	case err != nil:
		return nil, err
	case line != contact.LineLandline, req.Channel == ChannelSMS && source == contact.SourceNetwork:
		return route, nil
	case req.Channel == ChannelSMS, s.Desk:
		return nil, ErrLandline
	}
	if calls, err := s.route(ChannelCall); err == nil {
		return calls, nil
	}
	return nil, ErrLandline // the service makes no calls
}

// callable leaves the calls out of a route to a number that is not to be called, or for a person who wants none.
func callable(tx *store.Tx, route []outbox.Step, to contact.Phone, subject contact.Subject) ([]outbox.Step, error) {
	isCall := func(s outbox.Step) bool { return s.Channel == outbox.Call }
	if !slices.ContainsFunc(route, isCall) {
		return route, nil
	}
	may, err := contact.MayCall(tx, to)
	if err != nil {
		return nil, err
	}
	if may && !subject.NoVoice {
		return route, nil
	}
	if route = slices.DeleteFunc(slices.Clone(route), isCall); len(route) == 0 {
		return nil, ErrNoCalls
	}
	return route, nil
}

// conditions are what the service itself asks of a start.
func conditions(tx *store.Tx, s Service, req StartRequest) (contact.Subject, error) {
	switch {
	case s.Staff && !req.Staff:
		return contact.Subject{}, ErrStaffOnly
	case s.Reference && req.Reference == "":
		return contact.Subject{}, ErrReferenceNeeded
	case len(req.Reference) > MaxReference || !utf8.ValidString(req.Reference), len(req.Request) > MaxReference:
		return contact.Subject{}, ErrReference
	case s.Amount != (req.Amount > 0 && req.Payee != ""):
		return contact.Subject{}, ErrAmount
	case req.CustomCode != "" && (!s.CustomCodes || req.Reference != "" || !isCode(req.CustomCode)):
		return contact.Subject{}, ErrCustomCode
	}
	if req.Subject.IsZero() {
		if s.Bound {
			return contact.Subject{}, ErrSubjectNeeded
		}
		return contact.Subject{}, nil
	}
	subject, known, err := contact.Find(tx, req.Subject)
	if err != nil {
		return contact.Subject{}, err
	}
	if s.Bound {
		if !known {
			return contact.Subject{}, ErrSubjectNeeded
		}
		if !bound(subject, req.To, tx.Now()) {
			return contact.Subject{}, ErrNumberNotBound
		}
	}
	return subject, nil
}

// bound reports whether the number has been the subject's for a day, or was
// proven since it became so. A changed number is a new authenticator (NIST SP
// 800-63B 4.1.2): whoever changed it must not release a result with it at once.
func bound(s contact.Subject, to contact.Phone, now time.Time) bool {
	for _, n := range s.Phones {
		if n.Phone != to {
			continue
		}
		if now.Sub(n.Since) >= BoundAfter {
			return true
		}
		if !n.Verified.IsZero() && !n.Verified.Before(n.Since) {
			return true
		}
	}
	return false
}

// locale picks the language of the text: the one asked for must exist, the
// others are tried.
func locale(tx *store.Tx, s Service, asked, subject string, site contact.Site) (string, error) {
	for _, l := range []string{asked, subject, site.Language()} {
		if l == "" {
			continue
		}
		t, err := text.Find(tx, s.Template, l)
		if err != nil {
			return "", fmt.Errorf("find text of %s: %w", s.Name, err)
		}
		if base(t.Lang) == base(l) {
			return t.Lang, nil
		}
		if l == asked {
			return "", ErrLocale
		}
	}
	return "en", nil
}

// base is the language of a tag without region and script.
func base(tag string) string {
	tag, _, _ = strings.Cut(strings.ReplaceAll(tag, "_", "-"), "-")
	return strings.ToLower(tag)
}

// mayGo asks consent and blocks. A number that stopped codes may still be
// called.
func mayGo(tx *store.Tx, req StartRequest, s Service, route []outbox.Step) error {
	if err := consent.AllowedSubject(tx, req.Subject, text.Code); err != nil {
		return err
	}
	err := consent.Allowed(tx, req.To, text.Code, !req.Unasked)
	if errors.Is(err, consent.ErrOptedOutOfCodes) && !slices.ContainsFunc(route, func(s outbox.Step) bool { return s.Channel != outbox.Call }) {
		err = nil
	}
	if err != nil {
		return err
	}
	return notBlocked(tx, triple(s, req.To, req.Staff))
}

// policy is what holds for one start, read once.
type policy struct {
	service Service
	site    contact.Site
	limits  limit.Limits
	route   []outbox.Step
}

// first begins a new verification.
func first(tx *store.Tx, p policy, req StartRequest) (Verification, error) {
	s := p.service
	now := tx.Now()
	v := Verification{
		ID: newVerificationID(now), Service: s.Name, ServiceSID: s.SID, To: req.To, Subject: req.Subject,
		OnBehalfOf: req.OnBehalfOf, Order: req.Order, Reference: req.Reference, Request: req.Request, Locale: req.Locale, Channel: req.Channel,
		Amount: req.Amount, Payee: req.Payee, State: Pending, Client: req.Client, Staff: req.Staff, Custom: req.CustomCode, Mode: req.Mode, Place: req.Place,
		Salt: make([]byte, 16), Epoch: tx.CodeEpoch(),
		Created: now, Expires: now.Add(s.life(req.Life)), Updated: now,
	}
	rand.Read(v.Salt)
	if err := renders(tx, v, s, p.site); err != nil {
		return Verification{}, err
	}
	m := message(tx, v, p.route, s)
	m.From = req.From
	if err := takeSend(tx, req, p.limits, m, false); err != nil {
		return Verification{}, err
	}
	if err := put(tx, &v, m); err != nil {
		return Verification{}, err
	}
	if err := begin(tx, v); err != nil {
		return Verification{}, err
	}
	return v, record(tx, v, ActionStart, store.OK, sendAttrs(v)...)
}
