package hl7

import "net/netip"

// Peer is who sent a message, as the listener knows it: by its connection, not by
// what the message says of itself. MSH-3 and MSH-4 are no proof of anything.
type Peer struct {
	// Name is the configured name of the peer. The listener leaves it empty; the
	// room that holds the list of peers fills it in.
	Name string
	// Addr is the remote end of the connection.
	Addr netip.AddrPort
	// Listener is the name of the listener that took the connection.
	Listener string
	// TLS tells whether the connection is protected.
	TLS bool
	// CertSPKI is the SHA-256 of the client certificate's public key information,
	// 64 lower-case hexadecimal digits; empty without a client certificate.
	CertSPKI string
	// CertSubject is that certificate's subject (RFC 2253 form), for the audit and
	// for people; CertSPKI is what to compare.
	CertSubject string
}
