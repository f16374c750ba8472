package daemon

import (
	"context"
	"fmt"
	"time"

	"pinward/daemon/alarm"
)

const (
	// closedPatience is how long a box may be closed before somebody is told: a start takes a moment, and an
	// operator who has just restarted it is at hand.
	closedPatience = 2 * time.Minute
	// closedRepeat is when it is told again.
	closedRepeat = time.Hour
)

// watchClosed tells by mail and webhooks that the box is closed: its policy, and so who is on call, cannot be
// read then, and its modems are still. To whom stands in pinward.toml. It returns when ctx ends.
func (b *box) watchClosed(ctx context.Context, o outlets) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	var told time.Time
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			st := b.state.Load()
			switch {
			case st.Name != Sealed:
				if !told.IsZero() && st.Name == Open {
					b.tellClosed(ctx, o, "box.opened", *st, since)
				}
				told, since = time.Time{}, time.Time{}
				continue
			case since.IsZero():
				since = st.Since
			}
			if now.Sub(since) < closedPatience || !told.IsZero() && now.Sub(told) < closedRepeat {
				continue
			}
			told = now
			b.tellClosed(ctx, o, "box.closed", *st, since)
		}
	}
}

// tellClosed is one round, to everybody. One that fails is told to the log: there is no store to keep it in.
func (b *box) tellClosed(ctx context.Context, o outlets, what string, st State, since time.Time) {
	text := fmt.Sprintf("box %s is %s since %s: no codes and no texts leave it. On the box run: pinward status", o.box, st.Name, since.UTC().Format("2006-01-02 15:04 UTC"))
	if what == "box.opened" {
		text = fmt.Sprintf("box %s is open again", o.box)
	}
	id := fmt.Sprintf("%s-%s-%d", o.box, what, time.Now().UnixMilli())
	if o.mail != nil {
		for i, to := range o.mail.To {
			p := post{ID: fmt.Sprintf("%s-%d", id, i), To: to, Subject: clipped("[" + o.box + "] " + text), Body: text + "\n", At: time.Now()}
			if _, err := o.mail.send(ctx, o.out, p); err != nil {
				b.log.Error("tell that the box is closed", "by", alarm.Mail, "error", err)
			}
		}
	}
	for _, w := range o.hooks {
		body := encodeWebhook(webhookBody{Type: what, Timestamp: time.Now().UTC(), Data: webhookAlarm{Box: o.box, Text: text, Severity: alarm.Critical, Cause: st.Cause, Since: since.UTC()}})
		if _, err := w.post(ctx, o.out, id, body); err != nil {
			b.log.Error("tell that the box is closed", "by", w.Name, "error", err)
		}
	}
}
