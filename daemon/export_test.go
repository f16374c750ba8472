package daemon

import (
	"context"
	"net"

	"pinward/daemon/record"
)

// DialBy is how a witness elsewhere is reached, for a test with a relay of its own.
func (w WitnessTarget) DialBy(out Dial) func(context.Context) (net.Conn, error) { return w.dial(out) }

// RepositoryBy is the follower that feeds an audit repository, for a test with a relay of its own.
func (a *ATNATarget) RepositoryBy(box string, out Dial) *record.Repository {
	return a.repository(box, out)
}
