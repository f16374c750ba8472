package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"pinward/hl7"
	"pinward/store"
)

// Verdict is what a message would do, and why. It holds no value of the message but its control ID.
type Verdict struct {
	ID    string `json:"id"`   // MSH-10
	Type  string `json:"type"` // MSH-9, "ADT^A04"
	Peer  string `json:"peer"` // whose it would be by its names, "" nobody's: address and certificate are not known here
	Ack   string `json:"ack"`  // "" for an acknowledgment, which is never answered
	Where string `json:"where,omitempty"`
	Rule  string `json:"rule"`
	Did   string `json:"did"` // what would be done, in words
	Why   string `json:"why"` // why not more would be done
}

// errLint undoes the transaction of Lint.
var errLint = errors.New("lint message: nothing is kept")

// Lint carries a message out and undoes it: what it would do now, to what the box knows now. A message
// that came before is looked at as if it were new. Nothing is kept and nothing is sent.
func (in *Intake) Lint(ctx context.Context, by store.Actor, payload []byte) (Verdict, error) {
	o := hl7.Options{MaxBytes: in.listener.MaxBytes}
	m, wrong := o.Parse(payload)
	code, event, _ := m.Type()
	v := Verdict{ID: clip(m.ControlID()), Type: clip(safe(code) + "^" + safe(event))}
	if m.IsAck() {
		v.Why = "an acknowledgment is never answered"
		return v, nil
	}
	in.Refresh() // a policy that was changed a moment ago is what a person lints by
	g, err := in.standOn(ctx)
	if err != nil {
		return v, err
	}
	var who *sender
	for _, s := range g.senders {
		if m.Len() == 0 || s.names(m) {
			who = s
			break
		}
	}
	if who == nil {
		v.Ack, v.Why = string(hl7.AR), "no peer sends by these names (MSH-3 to MSH-6)"
		return v, nil
	}
	v.Peer = who.Name
	if o.Charset = who.Charset; o.Charset != "" {
		m, wrong = o.Parse(payload)
	}
	rd := in.read(g, who, m, payload, wrong)
	err = in.store.Update(ctx, by, func(tx *store.Tx) error {
		w := &work{tx: tx, reading: rd}
		err := w.run()
		if busy := (*busyError)(nil); errors.As(err, &busy) {
			v.Why = busy.Error() + ": the connection would be closed, and the engine would send again"
			return errLint
		}
		if err != nil {
			return err
		}
		out := w.outcome()
		v.Ack, v.Rule, v.Did, v.Why = string(out.Ack), out.Rule, out.Did, out.Why
		if out.Wrong != nil {
			v.Where = out.Wrong.Location()
		}
		return errLint
	})
	if !errors.Is(err, errLint) {
		return v, fmt.Errorf("lint message: %w", errors.Join(err, errors.New("its transaction did not end as it should")))
	}
	return v, nil
}

// Split takes a file of messages apart: frames, or one message after the other, each from its MSH on. What
// stands before the first is nothing.
func Split(file []byte) [][]byte {
	var list [][]byte
	file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf")) // as editors put before a text
	start := -1
	for i := 0; i+4 <= len(file); i++ {
		n := bytes.Index(file[i:], []byte("MSH"))
		if n < 0 {
			break
		}
		if i += n; i+4 > len(file) || i > 0 && bytes.IndexByte([]byte("\r\n\x0b"), file[i-1]) < 0 || !graphic(file[i+3]) {
			continue
		}
		if start >= 0 {
			list = append(list, bare(file[start:i]))
		}
		start = i
	}
	if start >= 0 {
		list = append(list, bare(file[start:]))
	}
	return list
}

// graphic tells whether c can be the field separator behind MSH.
func graphic(c byte) bool {
	return c > ' ' && c < 0x7f && !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z')
}

// bare takes off what belongs to a frame.
func bare(b []byte) []byte { return bytes.Trim(b, "\x0b\x1c\r\n \x00") }
