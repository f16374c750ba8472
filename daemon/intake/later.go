package intake

import (
	"fmt"
	"time"

	"pinward/store"
)

// cause is the message that a text is of, by what its outcome is kept under. The key itself is not kept:
// its parts are blinded anew when the index is rotated.
type cause struct {
	Peer    string `json:"peer"`
	Control string `json:"control"` // MSH-10
	Print   []byte `json:"print"`   // its fingerprint
}

// became says in the explanation of its message what became of a text that was held. A message that is
// forgotten, or one that was held before this was kept, is not looked for.
func (h held) became(tx *store.Tx, what string) error {
	if len(h.Cause.Print) == 0 {
		return nil
	}
	key := append(weekKey(weekOf(h.At)), controlKey(tx, h.Cause.Peer, h.Cause.Control)...)
	key = append(key, tx.Blind("intake.message", string(h.Cause.Print))...)
	out, known, err := seen.Get(tx, key)
	if err != nil {
		return fmt.Errorf("tell of held text: %w", err)
	}
	if !known || len(out.Later) > maxSaid {
		return nil
	}
	if out.Later != "" {
		out.Later += "; "
	}
	out.Later += fmt.Sprintf("%s %s (%s)", clip(h.Text.Template), what, tx.Now().UTC().Format(time.RFC3339))
	if err := seen.Put(tx, key, out); err != nil {
		return fmt.Errorf("tell of held text: %w", err)
	}
	return nil
}
