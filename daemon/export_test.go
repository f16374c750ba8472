package daemon

import (
	"context"
	"net"
)

// DialBy is how a witness elsewhere is reached, for a test with a relay of its own.
func (w WitnessTarget) DialBy(out Dial) func(context.Context) (net.Conn, error) { return w.dial(out) }
