package otp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"pinward/daemon/outbox"
	"pinward/store"
)

// Try is one way that a send went: its first step, and each further one that its route came to.
type Try struct {
	ID      string // "VL" and 32 hex digits: the send's own for its first step
	At      time.Time
	Channel outbox.Channel
	Status  outbox.State // where the step stands; Queued before it is handed over
}

// Tries lists the ways that the sends of v went, oldest first.
func Tries(tx *store.Tx, v Verification) ([]Try, error) {
	var out []Try
	for _, s := range v.Sends {
		m, ok, err := outbox.Get(tx, s.Message)
		if err != nil {
			return nil, fmt.Errorf("read message of send: %w", err)
		}
		first := Try{ID: s.ID, At: s.At, Channel: outbox.SMS, Status: outbox.Queued}
		if s.Channel == ChannelCall || ok && len(m.Route) > 0 && m.Route[0].Channel == outbox.Call {
			first.Channel = outbox.Call
		}
		if ok && len(m.Attempts) == 0 {
			first.Status = m.State
		}
		all, step := []Try{first}, -1
		if ok && len(m.Attempts) > 0 {
			all = nil
			for _, a := range m.Attempts {
				if a.Step == step { // once more by the same way
					all[len(all)-1].Status = a.Outcome
					continue
				}
				step = a.Step
				try := Try{ID: s.ID, At: s.At, Channel: channelOf(m, step), Status: a.Outcome}
				if len(all) > 0 {
					try.ID, try.At = tryID(s.ID, step), a.At
				}
				all = append(all, try)
			}
		}
		out = append(out, all...)
	}
	return out, nil
}

// tryID is the id of a further step of a send; nothing is kept for it.
func tryID(send string, step int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s step %d", send, step))
	return "VL" + hex.EncodeToString(sum[:16])
}
