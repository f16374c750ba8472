package record

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"pinward/hl7"
	"pinward/store"
)

// Engine is an HL7 peer that asked what becomes of its requests and of the texts about its patients, or what these say of texts. It
// follows the log: each entry that bears an order of its own becomes an ORU^R01, in the order of the log,
// one at a time, and the next goes when it has answered. A crash, a cut or a late answer brings the same
// message again, under the same MSH-10: it gets each at least once.
type Engine struct {
	Peer  string
	Store *store.Store
	By    store.Actor
	// Wants gives the classes of states that it asks for now, as hl7.Status.Class.
	Wants func(*store.Tx) ([]string, error)
	// Send gives it a message and returns its acknowledgment, as mllp.Client.Send does. The text of its
	// error is kept and shown, and must hold nothing of the message.
	Send func(ctx context.Context, message []byte) (*hl7.Message, error)
	Log  *slog.Logger

	// Of the goroutine in Run: the entry that was refused for now, and how often.
	refused uint64
	tries   int
}

// engines is what each engine took.
var engines = store.NewTable[engineCounts]("record.engines",
	store.Bookkeeping("how many statuses each engine took; one that it refuses is an entry"))

type engineCounts struct {
	Sent      uint64    `json:"sent"`                // statuses that it took
	Refused   uint64    `json:"refused"`             // that it refused for good, and that do not go again
	Last      time.Time `json:"last,omitzero"`       // when it last took one
	Refusal   time.Time `json:"refusal,omitzero"`    // when it last refused one
	RefusedBy string    `json:"refused_by,omitzero"` // with what: "AE 101"
}

// EngineStatus is how the way back to an engine does.
type EngineStatus struct {
	engineCounts
	FollowerStatus
}

// EnginePrefix is what the names of the engines' followers begin with; the peer's name follows.
const EnginePrefix = "hl7/"

// StatusOfEngine tells how the way back to a peer does.
func StatusOfEngine(tx *store.Tx, peer string) (st EngineStatus, err error) {
	if st.engineCounts, _, err = engines.Get(tx, []byte(peer)); err != nil {
		return st, fmt.Errorf("read engine: %w", err)
	}
	st.FollowerStatus, err = StatusOf(tx, EnginePrefix+peer)
	return st, err
}

// ActionBackRefused is the entry of a status that an engine refused for good. Its object is our id of
// the request.
const ActionBackRefused store.Action = "hl7.back.refused"

// Run tells the engine until ctx ends. One that is new is told of what happens from now on.
func (e *Engine) Run(ctx context.Context) {
	name := EnginePrefix + e.Peer
	if err := e.Store.Update(ctx, e.By, func(tx *store.Tx) error { return Begin(tx, name) }); err != nil {
		if ctx.Err() == nil {
			e.Log.Error("begin way back", "peer", e.Peer, "error", err)
		}
		return
	}
	Deliver(ctx, e.Store, e.By, name, e.give, e.Log)
}

func (e *Engine) give(ctx context.Context, records []store.Record) (int, error) {
	var wants []string
	if err := e.Store.View(ctx, func(tx *store.Tx) (err error) { wants, err = e.Wants(tx); return err }); err != nil {
		return 0, err
	}
	for i, r := range records {
		s, ok := statusIn(r)
		if !ok || s.Order.Peer != e.Peer || !slices.Contains(wants, s.Class()) {
			continue
		}
		if err := e.tell(ctx, r.Seq, s); err != nil {
			return i, err
		}
	}
	return len(records), nil
}

// tell sends one status. What if we crash behind Send: the entry comes again, and becomes the same bytes.
func (e *Engine) tell(ctx context.Context, seq uint64, s hl7.Status) error {
	ack, err := e.Send(ctx, hl7.ORU(s))
	if err != nil {
		return err
	}
	code, _, _ := ack.Acknowledgment()
	answer := string(code)
	if n := ack.AckError(); n != 0 {
		answer += " " + strconv.Itoa(int(n))
	}
	if !code.Accepted() && e.again(seq, code, ack.AckError()) {
		return fmt.Errorf("the engine refused a status for now: %s", answer)
	}
	return e.Store.Update(context.WithoutCancel(ctx), e.By, func(tx *store.Tx) error {
		c, _, err := engines.Get(tx, []byte(e.Peer))
		if err != nil {
			return fmt.Errorf("read engine: %w", err)
		}
		if code.Accepted() {
			c.Sent, c.Last = c.Sent+1, tx.Now()
		} else {
			c.Refused, c.Refusal, c.RefusedBy = c.Refused+1, tx.Now(), answer
			err := tx.Record(store.Entry{Action: ActionBackRefused, Outcome: store.Failed, Object: s.Filler, Attrs: []store.Attr{
				{Key: "peer", Value: e.Peer}, {Key: "delivery", Value: string(s.Delivery)}, {Key: "wish", Value: string(s.Wish)}, {Key: "answer", Value: answer},
				{Key: "control", Value: s.ControlID},
			}})
			if err != nil {
				return err
			}
		}
		if err := engines.Put(tx, []byte(e.Peer), c); err != nil {
			return fmt.Errorf("keep engine: %w", err)
		}
		return Advance(tx, EnginePrefix+e.Peer, seq+1)
	})
}

// maxRefusals is how often a status is refused for now before it counts as refused for good: with the
// growing pauses between, some minutes.
const maxRefusals = 8

// again tells whether a status that was refused goes again. AE and CE are about the content, which will
// not change; so is AR for what it never takes (type, event, processing id, version). Any other AR is
// about the moment: it is overloaded, or shutting down (HL7 v2.5.1 section 2.9.2.2).
func (e *Engine) again(seq uint64, code hl7.AckCode, reason hl7.Code) bool {
	if code != hl7.AR && code != hl7.CR {
		return false
	}
	switch reason {
	case hl7.CodeMessageType, hl7.CodeEvent, hl7.CodeProcessingID, hl7.CodeVersion:
		return false
	}
	if e.refused != seq {
		e.refused, e.tries = seq, 0
	}
	e.tries++
	return e.tries < maxRefusals
}

// statusIn reads what an entry says of an order.
func statusIn(r store.Record) (hl7.Status, bool) {
	text := Attr(r.Entry, "order")
	if text == "" {
		return hl7.Status{}, false
	}
	d, why := deliveryIn(r.Entry)
	var wish hl7.Wish
	if r.Entry.Action == "hl7.wish" {
		wish = hl7.Wish(Attr(r.Entry, "wish"))
	}
	if d == "" && wish == "" {
		return hl7.Status{}, false
	}
	order, err := hl7.DecodeOrder(text)
	if err != nil {
		return hl7.Status{}, false // no door of this version wrote it
	}
	filler := r.Entry.Object
	if strings.HasPrefix(string(r.Entry.Action), "message.") {
		filler = Attr(r.Entry, "ref")
	}
	return hl7.Status{Order: order, ControlID: controlID(r), Filler: filler, At: r.Time.UTC(), Delivery: d, Why: why, Wish: wish}, true
}

// deliveryIn is what an entry says of a delivery; "" is nothing that anybody asks for. What only one of
// several attempts came to (final=false) decides nothing.
func deliveryIn(e store.Entry) (d hl7.Delivery, why string) {
	cause := Attr(e, "cause")
	switch e.Action {
	case "message.sent":
		return hl7.DeliverySent, ""
	case "message.delivered":
		return hl7.DeliveryDelivered, ""
	case "message.canceled":
		if Attr(e, "rehearsed") == "true" { // by shadow or pilot; else another message follows, or the request's own entry has said it
			return hl7.DeliveryCanceled, cause
		}
		return "", ""
	case "message.expired":
		return hl7.DeliveryExpired, cause
	case "message.unreadable":
		return hl7.DeliveryFailed, "its record is damaged"
	case "message.undelivered", "message.refused", "message.unknown":
		if Attr(e, "final") == "false" {
			return "", ""
		}
		if e.Action == "message.unknown" {
			return hl7.DeliveryUnknown, cause
		}
		return hl7.DeliveryFailed, cause
	case "notice.send", "verification.start", "verification.resend":
		if e.Outcome == store.Refused {
			return hl7.DeliveryRefused, cause
		}
		return hl7.DeliveryQueued, ""
	case "hl7.request", "hl7.drop", "notice.drop":
		return hl7.DeliveryRefused, cause
	case "verification.deny":
		return hl7.DeliveryCanceled, cause
	case "notice.cancel", "verification.cancel":
		if e.Outcome != store.OK {
			return "", ""
		}
		return hl7.DeliveryCanceled, cause
	}
	return "", ""
}

// controlID is MSH-10 of the status that an entry becomes: the same at each try, and another for each
// entry of this box and of one that was restored from its backup.
func controlID(r store.Record) string {
	return "P" + strings.ToUpper(strconv.FormatUint(r.Seq, 36)+"T"+strconv.FormatInt(r.Time.Unix(), 36))
}
