package alarm

import (
	"slices"

	"pinward/store"
)

// Unreached says why the policy, as it stands, may leave everybody without word of an alarm; "" if it is sound. senders is how
// many modems could carry a text.
func Unreached(tx *store.Tx, senders int) (string, error) {
	p, err := PolicyOf(tx)
	switch {
	case err != nil:
		return "", err
	case len(p.Steps) == 0:
		return "nobody is told of alarms: name steps, and who is on call, in pinward config, part alarms", nil
	case senders <= 1 && !slices.ContainsFunc(p.Steps, func(s Step) bool { return s.By != SMS }):
		return "alarms leave as texts of one modem alone, so nobody is told when it fails: add a step by mail or webhook, or another modem", nil
	}
	return "", nil
}
