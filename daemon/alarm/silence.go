package alarm

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pinward/store"
)

// Silence keeps alarms of a path from being told until a time. They are raised and shown all the same.
type Silence struct {
	Path   string    `json:"path,omitempty"` // and all below it; "" is everything
	Until  time.Time `json:"until"`
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
}

// SilenceList are those in force.
type SilenceList []Silence

func (l SilenceList) cover(path string) bool {
	return slices.ContainsFunc(l, func(s Silence) bool { return s.Path == "" || below(path, s.Path) })
}

// ActionSilence is recorded when a silence begins or is lifted.
const ActionSilence store.Action = "alarm.silenced"

// maxSilence is the longest: one that is forgotten must end by itself.
const maxSilence = 7 * 24 * time.Hour

// ErrSilence says what is wrong with a silence.
var ErrSilence = errors.New("a silence ends within seven days, and its reason has at most 200 bytes")

var silences = store.NewTable[SilenceList]("alarm.silences") // one key

var silenceKey = []byte("silences")

// Silences are those in force now.
func Silences(tx *store.Tx) (SilenceList, error) {
	l, _, err := silences.Get(tx, silenceKey)
	if err != nil {
		return nil, fmt.Errorf("read silences: %w", err)
	}
	return slices.DeleteFunc(slices.Clone(l), func(s Silence) bool { return !tx.Now().Before(s.Until) }), nil
}

// SetSilence begins one in the name of the transaction's actor, in place of another of its path. An Until that has come
// lifts it.
func SetSilence(tx *store.Tx, s Silence) error {
	if s.Until.Sub(tx.Now()) > maxSilence || len(s.Reason) > 200 || len(s.Path) > 200 {
		return ErrSilence
	}
	l, err := Silences(tx)
	if err != nil {
		return err
	}
	s.By, s.Until = tx.Actor().ID, s.Until.UTC()
	l = slices.DeleteFunc(l, func(o Silence) bool { return o.Path == s.Path })
	if s.Until.After(tx.Now()) {
		l = append(l, s)
	}
	if err := silences.Put(tx, silenceKey, l); err != nil {
		return fmt.Errorf("keep silence: %w", err)
	}
	return tx.Record(store.Entry{Action: ActionSilence, Outcome: store.OK, Attrs: []store.Attr{
		{Key: "path", Value: s.Path}, {Key: "until", Value: s.Until.Format(time.RFC3339)}, {Key: "reason", Value: s.Reason},
	}})
}
