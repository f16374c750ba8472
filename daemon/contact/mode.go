package contact

import (
	"fmt"
	"time"

	"pinward/store"
)

// A source is what decisions come from that has a mode of its own: a listener, a client; and the site, through which all pass. What
// waits of a source goes by its mode at the hand-over, not by the one at which it was decided.

// OfListener is the source that an HL7 listener is.
func OfListener(name string) string { return "hl7:" + name }

// OfClient is the source that a client of the API is, by its account.
func OfClient(sid string) string { return "client:" + sid }

const ofSite = "site"

// sourceMode is the mode of a source, and the one before.
type sourceMode struct {
	Mode  Mode      `json:"mode"`
	Was   Mode      `json:"was"`
	Since time.Time `json:"since"`
}

// modes are those of the sources whose mode is set by the configuration or has changed. Whoever changes one leaves the entry.
var modes = store.NewTable[sourceMode]("contact.modes", store.Cached())

// SetMode keeps the mode of a source, and tells whether it is another than before. was is the mode before, where none is kept.
func SetMode(tx *store.Tx, source string, was, mode Mode) (changed bool, err error) {
	old, known, err := modes.Get(tx, []byte(source))
	if err != nil {
		return false, fmt.Errorf("read mode: %w", err)
	}
	if known {
		was = old.Mode
	}
	if known && was == mode {
		return false, nil
	}
	if err := modes.Put(tx, []byte(source), sourceMode{Mode: mode, Was: was, Since: tx.Now()}); err != nil {
		return false, fmt.Errorf("keep mode: %w", err)
	}
	return was != mode, nil
}

// Listeners lists the listeners whose mode is kept, by name.
func Listeners(tx *store.Tx) (names []string, err error) {
	prefix := OfListener("")
	err = modes.Each(tx, store.Range{Prefix: []byte(prefix)}, func(source []byte, _ sourceMode) error {
		names = append(names, string(source[len(prefix):]))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list modes: %w", err)
	}
	return names, nil
}

// ModeOf is how far what a source decided goes by now, if its time came at due; accepted is the mode when it was decided, which holds
// as long as none is kept. A mode that is relaxed lets out only what is due from then on, so that nothing of the past goes all at
// once; one that is made stricter holds back all, at once.
func ModeOf(tx *store.Tx, source string, accepted Mode, due time.Time) (Mode, error) {
	m, known, err := modes.Get(tx, []byte(source))
	switch {
	case err != nil:
		return Shadow, fmt.Errorf("read mode: %w", err)
	case !known:
		return accepted, nil
	case due.Before(m.Since):
		return Strictest(m.Was, m.Mode), nil
	}
	return m.Mode, nil
}

// ModeOf is how far the site lets what is due at a time go.
func (s Site) ModeOf(tx *store.Tx, due time.Time) (Mode, error) {
	m, err := ModeOf(tx, ofSite, s.Mode, due)
	return Strictest(m, s.Mode), err
}
