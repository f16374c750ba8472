package daemon

import (
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// TestConfiguredModeOfWhatWaits: a mode that is changed in pinward.toml holds from the start on, for what waits of the listener as well, and what
// waits of one that is there no more is held.
func TestConfiguredModeOfWhatWaits(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		for _, mode := range []contact.Mode{contact.Pilot, contact.Shadow, contact.Pilot} {
			f.close()
			f.box.cfg.HL7 = []HL7Listener{{Name: "mllp", Mode: mode.String()}}
			f.open()
			f.must(f.store.View(t.Context(), func(tx *store.Tx) error {
				got, err := contact.ModeOf(tx, contact.OfListener("mllp"), contact.Live, time.Now().Add(time.Hour))
				if got != mode {
					t.Errorf("configured as %s, and what waits goes in mode %s", mode, got)
				}
				return err
			}))
			time.Sleep(time.Minute)
		}
		f.close()
		f.box.cfg.HL7 = []HL7Listener{{Name: "renamed", Mode: "live"}}
		f.open()
		f.must(f.store.View(t.Context(), func(tx *store.Tx) error {
			got, err := contact.ModeOf(tx, contact.OfListener("mllp"), contact.Live, time.Now().Add(time.Hour))
			if got != contact.Shadow {
				t.Errorf("what waits of a listener that is configured no more goes in mode %s", got)
			}
			return err
		}))
	})
}
