package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"pinward/daemon/alarm"
	"pinward/store"
)

// outlets are the ways off this box but for the modems.
type outlets struct {
	box   string
	out   Dial
	mail  *MailTarget // nil where there is none
	hooks []WebhookTarget
	log   *slog.Logger
}

func (b *box) outlets(out Dial) outlets {
	return outlets{box: b.cfg.Box.ID, out: out, mail: b.cfg.Mail, hooks: b.cfg.Webhooks, log: b.log}
}

// outletEvery is how often it is looked for what is due for another try.
const outletEvery = 5 * time.Second

// run carries out what is due by one outlet until ctx ends: all that is due at once, so that a server that
// hangs holds up nobody but the next round of its own kind.
//
// If we crash here, what was under way is due again: a mail may come twice, and a webhook's second request
// has the first one's id.
func (o outlets) run(ctx context.Context, s *store.Store, by alarm.Outlet) {
	changed, stop := s.Watch(alarm.Changed)
	defer stop()
	tick := time.NewTicker(outletEvery)
	defer tick.Stop()
	for {
		var due []alarm.Delivery
		if err := s.View(ctx, func(tx *store.Tx) (err error) {
			due, err = alarm.Waiting(tx, by)
			return err
		}); err != nil && ctx.Err() == nil {
			o.log.Error("look for alarms to tell", "by", by, "error", err)
		}
		var sending sync.WaitGroup
		for _, d := range due {
			sending.Go(func() { o.deliver(ctx, s, d) })
		}
		sending.Wait()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick.C:
		}
	}
}

// deliver does one delivery, and keeps what became of it.
func (o outlets) deliver(ctx context.Context, s *store.Store, d alarm.Delivery) {
	final, err := o.carry(ctx, d)
	cause := ""
	if err != nil {
		if ctx.Err() != nil {
			return // the daemon stops: it is due again after the start
		}
		cause = err.Error()
	}
	if err := s.Update(ctx, self, func(tx *store.Tx) error { return alarm.Settle(tx, d, cause, final) }); err != nil && ctx.Err() == nil {
		o.log.Error("settle telling of an alarm", "by", d.By, "error", err)
	}
}

func (o outlets) carry(ctx context.Context, d alarm.Delivery) (final bool, err error) {
	if d.By == alarm.Mail {
		if o.mail == nil {
			return true, fmt.Errorf("there is no [mail] in pinward.toml")
		}
		return o.mail.send(ctx, o.out, o.letter(d))
	}
	i := slices.IndexFunc(o.hooks, func(w WebhookTarget) bool { return w.Name == d.To })
	if i < 0 {
		return true, fmt.Errorf("there is no [[webhook]] of this name in pinward.toml")
	}
	return o.hooks[i].post(ctx, o.out, o.box+"-"+d.ID, o.notice(d))
}

// letter is a delivery as a mail.
func (o outlets) letter(d alarm.Delivery) post {
	p := post{ID: o.box + "-" + d.ID, To: d.Address, Subject: clipped("[" + o.box + "] " + d.Text), At: d.At}
	a := d.Alarm
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nbox: %s\n", d.Text, o.box)
	if a.Kind == alarm.Real {
		fmt.Fprintf(&b, "alarm: %d\nwhere: %s\nhow bad: %s\nsince: %s\ncause: %s\n", a.ID, a.Path, a.Severity, a.Since.Format(time.RFC1123Z), a.Cause)
		if a.SeenBy != "" {
			fmt.Fprintf(&b, "acknowledged by: %s, %s\n", a.SeenBy, a.Seen.Format(time.RFC1123Z))
		} else if d.Event == alarm.Raised {
			fmt.Fprintf(&b, "\nTo acknowledge it run: pinward alarm ack %d\nor use the page Alarms, or answer the text with ACK %d.\n", a.ID, a.ID)
		}
	}
	p.Body = b.String()
	return p
}

// clipped keeps a subject short enough for one line.
func clipped(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 120 {
		return string(r[:117]) + "..."
	}
	return s
}

// webhookBody is what a webhook gets.
type webhookBody struct {
	Type      string       `json:"type"` // alarm.raised, alarm.reminded, alarm.acknowledged, alarm.cleared, alarm.test, alarm.heartbeat, box.closed
	Timestamp time.Time    `json:"timestamp"`
	Data      webhookAlarm `json:"data"`
}

type webhookAlarm struct {
	Box            string         `json:"box"`
	Text           string         `json:"text"`
	ID             uint64         `json:"id,omitempty"`
	Path           string         `json:"path,omitempty"`
	Severity       alarm.Severity `json:"severity,omitempty"`
	Cause          string         `json:"cause,omitempty"`
	Since          time.Time      `json:"since,omitzero"`
	AcknowledgedBy string         `json:"acknowledged_by,omitempty"`
}

// notice is a delivery as a webhook's body.
func (o outlets) notice(d alarm.Delivery) []byte {
	a := d.Alarm
	return encodeWebhook(webhookBody{Type: "alarm." + string(d.Event), Timestamp: d.At.UTC(), Data: webhookAlarm{
		Box: o.box, Text: d.Text, ID: a.ID, Path: a.Path, Severity: a.Severity, Cause: a.Cause, Since: a.Since.UTC(), AcknowledgedBy: a.SeenBy,
	}})
}

// encodeWebhook is a body as JSON. What it is made of can always be encoded.
func encodeWebhook(b webhookBody) []byte {
	text, err := json.Marshal(b)
	if err != nil {
		panic("encode webhook: " + err.Error())
	}
	return text
}
