// Package mllp carries HL7 v2 messages over TCP and TLS: the minimal lower layer
// protocol (HL7 transport specification MLLP, release 1), as a server and a client.
//
// It knows frames, connections, deadlines and how many of each a peer may have. It
// does not know what a message means, whether a peer may send it, or when it is
// safely stored: its Handler does, and returns the acknowledgment.
//
// The bytes of a frame are PHI. Nothing here logs them, puts them in an error or
// keeps them when the Handler has returned.
package mllp
