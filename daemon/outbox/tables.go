package outbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// record is a message as it is kept. Every change of it leaves an entry. A new field belongs into
// pack.go as well.
type record struct {
	Message
	Born     time.Time `json:"born"`               // when its life began: Created, or the first Due if later
	Turn     uint64    `json:"turn,omitempty"`     // fair turn within lane OTP, kept over retries
	Failures int       `json:"failures,omitempty"` // times that it could not be rendered
	Parts    int       `json:"parts,omitempty"`    // SMS that its text needs, as the last rendering told; 0 is one
	Ended    time.Time `json:"ended,omitzero"`     // when its present final state was reached, or one before it; save owns it

	picky bool // not kept: it was filed for one SIM before all others, or to be kept from one
}

// class says which senders a waiting message may go to. Messages of one class wait in one line, so a
// line that nobody can serve holds no other up, and looking for the next one reads one message a
// line, however long the lines are.
type class struct {
	Channel      Channel `json:"channel"`
	SIM          string  `json:"sim,omitempty"`           // this one and no other
	Essential    bool    `json:"essential,omitempty"`     // goes by any SIM, whatever it may carry
	Prefer       string  `json:"prefer,omitempty"`        // SIM that wrote to this number last
	AvoidCarrier string  `json:"avoid_carrier,omitempty"` // the step asks for another carrier than this
	AvoidSIM     string  `json:"avoid_sim,omitempty"`     // it just failed there
	Shun         string  `json:"shun,omitempty"`          // SIMs suspected of filtering there, each with a space behind it
	ShunCarrier  string  `json:"shun_carrier,omitempty"`  // and their carrier
	Parts        int     `json:"parts,omitempty"`         // SMS that each of them needs, if more than one
	Shadow       bool    `json:"shadow,omitempty"`        // waits for Rehearse, never for a sender
}

func (c class) parts() int { return max(1, c.Parts) }

// line is the waiting line of one class in one lane; it exists while somebody waits in it.
type line struct {
	Class class `json:"class"`
	Count int   `json:"count"`
}

// place is where a message waits.
type place struct {
	Key  []byte `json:"key"`  // in ready
	Line []byte `json:"line"` // in lines
}

// hand tells which attempt a key in handed stands for.
type hand struct {
	ID      string `json:"id"`
	Attempt int    `json:"attempt"`
}

var (
	messages = store.NewTable[record]("outbox.messages", store.Queue(), store.Schema(1), store.Packed(recordFields))

	refs = store.NewTable[struct{}]("outbox.refs", store.Blinded(0),
		store.Bookkeeping("index of messages by what they were made for"))
	ready = store.NewTable[struct{}]("outbox.ready", store.Blinded(1),
		store.Bookkeeping("index of due messages by lane, class and turn"))
	lines = store.NewTable[line]("outbox.lines", store.Blinded(1),
		store.Bookkeeping("which classes of messages wait, and how many of each"))
	places = store.NewTable[place]("outbox.places",
		store.Bookkeeping("where in the index a due message stands"))
	timers = store.NewTable[struct{}]("outbox.timers",
		store.Bookkeeping("index of messages by when to look at them next; what then changes is an entry"))
	turns = store.NewTable[uint64]("outbox.turns", store.Blinded(0),
		store.Bookkeeping("fair turns of the clients in lane otp"))
	handed = store.NewTable[hand]("outbox.handed", store.Blinded(0),
		store.Bookkeeping("index of attempts by SIM and number, to match receipts; the hand-over is an entry"))
)

// Actions of this room's entries. Object is the message id.
const (
	ActionSending     store.Action = "message.sending" // handed to a sender
	ActionSent        store.Action = "message.sent"
	ActionNotSent     store.Action = "message.notsent" // one attempt failed, and nothing left the modem
	ActionPart        store.Action = "message.part"    // receipt of one of several parts
	ActionDelivered   store.Action = "message.delivered"
	ActionUndelivered store.Action = "message.undelivered"
	ActionRefused     store.Action = "message.refused"
	ActionUnknown     store.Action = "message.unknown"
	ActionExpired     store.Action = "message.expired"
	ActionCanceled    store.Action = "message.canceled"
	ActionStep        store.Action = "message.step"       // the route went on
	ActionUnreadable  store.Action = "message.unreadable" // its record is damaged; it was taken out of the line
	ActionPause       store.Action = "outbox.pause"
	ActionResume      store.Action = "outbox.resume"
)

func load(tx *store.Tx, id string) (*record, error) {
	if id == "" {
		return nil, ErrNotFound
	}
	r, ok, err := messages.Get(tx, []byte(id))
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	if !ok {
		return nil, ErrNotFound
	}
	return &r, nil
}

// save keeps a record and sets its next timer. Its callers leave the entry.
func save(tx *store.Tx, r *record) error {
	switch {
	case !r.State.Final():
		r.Ended = time.Time{}
	case r.Ended.IsZero():
		r.Ended = tx.Now()
	}
	if err := messages.Put(tx, []byte(r.ID), *r); err != nil {
		return fmt.Errorf("keep message: %w", err)
	}
	tx.Signal(Changed)
	return setTimer(tx, r)
}

// note leaves an entry about a message.
func note(tx *store.Tx, r *record, action store.Action, outcome store.Outcome, attrs ...store.Attr) error {
	all := []store.Attr{{Key: "kind", Value: string(r.Kind)}, {Key: "lane", Value: r.Lane.String()}}
	if r.Ref != "" {
		all = append(all, store.Attr{Key: "ref", Value: r.Ref})
	}
	for _, a := range attrs {
		if a.Value != "" {
			all = append(all, a)
		}
	}
	if r.Order != "" {
		all = append(all, store.Attr{Key: "order", Value: r.Order})
	}
	err := tx.Record(store.Entry{Action: action, Outcome: outcome, Object: r.ID, Attrs: all})
	if err != nil {
		return fmt.Errorf("record %s: %w", action, err)
	}
	return nil
}

func attr(key string, value any) store.Attr { return store.Attr{Key: key, Value: fmt.Sprint(value)} }

func instant(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(max(0, t.UnixNano())))
}

// readyKey orders the messages of one line: in lane OTP staff, then turns; then who was due first.
func readyKey(lineKey []byte, r *record) []byte {
	staff := byte(1)
	if r.Lane != OTP || r.Staff {
		staff = 0
	}
	k := append(bytes.Clone(lineKey), staff)
	k = binary.BigEndian.AppendUint64(k, r.Turn)
	k = append(k, instant(r.Due)...)
	return append(k, r.ID...)
}

// What readyKey puts after the line's key, and where.
const (
	lineKeySize = 1 + 16
	dueAt       = lineKeySize + 1 + 8
	idAt        = dueAt + 8
)

func keyDue(key []byte) time.Time { return keyTime(key[dueAt:idAt]) }

func keyTime(b []byte) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(b))).UTC() }

func lineKey(tx *store.Tx, l Lane, c class) []byte {
	name := fmt.Sprintf("%s|%q|%t|%q|%q|%q|%q|%q|%d|%t", c.Channel, c.SIM, c.Essential, c.Prefer,
		c.AvoidCarrier, c.AvoidSIM, c.Shun, c.ShunCarrier, c.Parts, c.Shadow)
	return append([]byte{byte(l)}, tx.Blind("outbox.line", name)...)
}

// file puts a due message into its line. avoid is the SIM where it failed just now, or "".
func file(tx *store.Tx, r *record, avoid string) error {
	live, _, err := allowed(tx, r)
	if err != nil {
		return err
	}
	c, err := classify(tx, r, avoid, live)
	if err != nil {
		return err
	}
	return enter(tx, r, c)
}

// enter is file where the class is known.
func enter(tx *store.Tx, r *record, c class) error {
	r.picky = c.Prefer != "" || c.AvoidSIM != "" || c.Shun != ""
	if err := takeTurn(tx, r); err != nil {
		return err
	}
	lk := lineKey(tx, r.Lane, c)
	l, _, err := lines.Get(tx, lk)
	if err != nil {
		return fmt.Errorf("read line: %w", err)
	}
	l.Class, l.Count = c, l.Count+1
	if err := lines.Put(tx, lk, l); err != nil {
		return fmt.Errorf("keep line: %w", err)
	}
	p := place{Key: readyKey(lk, r), Line: lk}
	if err := ready.Put(tx, p.Key, struct{}{}); err != nil {
		return fmt.Errorf("file message: %w", err)
	}
	if err := places.Put(tx, []byte(r.ID), p); err != nil {
		return fmt.Errorf("keep place: %w", err)
	}
	tx.Signal(Due)
	return nil
}

// unfile takes a message out of its line, if it is in one.
func unfile(tx *store.Tx, id string) error {
	p, ok, err := places.Get(tx, []byte(id))
	if err != nil {
		return fmt.Errorf("read place: %w", err)
	}
	if !ok {
		return nil
	}
	return leave(tx, id, p)
}

func leave(tx *store.Tx, id string, p place) error {
	if err := ready.Delete(tx, p.Key); err != nil {
		return fmt.Errorf("take message out of line: %w", err)
	}
	if err := places.Delete(tx, []byte(id)); err != nil {
		return fmt.Errorf("forget place: %w", err)
	}
	l, ok, err := lines.Get(tx, p.Line)
	if err != nil {
		return fmt.Errorf("read line: %w", err)
	}
	if l.Count--; !ok || l.Count <= 0 {
		err = lines.Delete(tx, p.Line)
	} else {
		err = lines.Put(tx, p.Line, l)
	}
	if err != nil {
		return fmt.Errorf("keep line: %w", err)
	}
	return nil
}

// classify says who may take the message's present step.
func classify(tx *store.Tx, r *record, avoid string, live bool) (class, error) {
	c := r.stepClass(r.Step)
	if avoid != "" {
		c.AvoidSIM = avoid
	}
	if !live {
		return class{Channel: c.Channel, Shadow: true}, nil
	}
	known, err := contact.Of(tx, r.To)
	if err != nil {
		return class{}, fmt.Errorf("look up contact: %w", err)
	}
	if known.LastSIM != c.AvoidSIM {
		c.Prefer = known.LastSIM
	}
	return c, keepClear(tx, r, &c)
}

// shuns tells whether the sender's SIM is suspected of filtering where the class goes.
func (c class) shuns(m *member) bool { return slices.Contains(strings.Fields(c.Shun), m.SIM) }

// allowed tells whether the modes let the message out, and if not, why.
func allowed(tx *store.Tx, r *record) (bool, string, error) {
	site, err := contact.SiteOf(tx)
	if err != nil {
		return false, "", fmt.Errorf("look up site: %w", err)
	}
	mode, err := r.mode(tx, site)
	if err != nil {
		return false, "", fmt.Errorf("look up mode: %w", err)
	}
	switch mode {
	case contact.Live:
		return true, "", nil
	case contact.Pilot:
		// What only one SIM may take and is essential is a self-test: no patient's number.
		return site.IsPilot(r.To, r.Place) || r.SIM != "" && r.Essential, "not a pilot number, nor a pilot clinic", nil
	}
	return false, "shadow mode", nil
}

// mode is how far the message goes by now.
func (r *record) mode(tx *store.Tx, site contact.Site) (contact.Mode, error) {
	due := r.Due
	if due.IsZero() {
		due = tx.Now() // it is not put yet
	}
	bySite, err := site.ModeOf(tx, due)
	if err != nil || r.From == "" {
		return contact.Strictest(r.Mode, bySite), err
	}
	mode, err := contact.ModeOf(tx, r.From, r.Mode, due)
	if r.Lane == OTP {
		mode = contact.Strictest(mode, r.Mode)
	}
	return contact.Strictest(mode, bySite), err
}

// last is the latest attempt, or nil.
func (r *record) last() *Attempt {
	if len(r.Attempts) == 0 {
		return nil
	}
	return &r.Attempts[len(r.Attempts)-1]
}

// turnKeys are those of the turn that lane OTP has come to, and of the client's last. Staff has turns
// of its own: as it passes all others by, its turns would make the present one run ahead of them.
func turnKeys(tx *store.Tx, r *record) (now, mine []byte) {
	group := "public"
	if r.Staff {
		group = "staff"
	}
	return []byte(group), tx.Blind("outbox.turn."+group, r.Client)
}

// takeTurn gives a message its turn when it first joins a line of lane OTP: one behind the last of
// its client, and never before the present turn. So a client that asks for thousands stands behind
// one that asks for one, and nobody saves up turns by staying away.
func takeTurn(tx *store.Tx, r *record) error {
	if r.Lane != OTP || r.Turn != 0 {
		return nil
	}
	nowKey, key := turnKeys(tx, r)
	mine, _, err := turns.Get(tx, key)
	if err != nil {
		return fmt.Errorf("read turn: %w", err)
	}
	now, _, err := turns.Get(tx, nowKey)
	if err != nil {
		return fmt.Errorf("read turn: %w", err)
	}
	r.Turn = max(now, mine) + 1
	if err := turns.Put(tx, key, r.Turn); err != nil {
		return fmt.Errorf("keep turn: %w", err)
	}
	return nil
}

// passTurn moves the lane's turn on to that of a message that was taken.
func passTurn(tx *store.Tx, r *record) error {
	if r.Lane != OTP {
		return nil
	}
	key, _ := turnKeys(tx, r)
	now, _, err := turns.Get(tx, key)
	if err != nil {
		return fmt.Errorf("read turn: %w", err)
	}
	if r.Turn <= now {
		return nil
	}
	if err := turns.Put(tx, key, r.Turn); err != nil {
		return fmt.Errorf("keep turn: %w", err)
	}
	return nil
}
