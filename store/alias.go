package store

import "pinward/store/audit"

// The words of an entry, so that a room that only writes entries needs package store alone.
type (
	// Actor is who asks for a transaction.
	Actor = audit.Actor
	// ActorKind says what sort of actor that is.
	ActorKind = audit.ActorKind
	// Entry is what a transaction says it did.
	Entry = audit.Entry
	// Action names what was done.
	Action = audit.Action
	// Outcome is how it ended.
	Outcome = audit.Outcome
	// Attr is one detail of an entry.
	Attr = audit.Attr
	// Record is an entry as it stands in the log.
	Record = audit.Record
)

// The outcomes of an action.
const (
	OK      = audit.OK
	Refused = audit.Refused
	Failed  = audit.Failed
)

// The kinds of actors.
const (
	KindUser    = audit.KindUser
	KindClient  = audit.KindClient
	KindPeer    = audit.KindPeer
	KindDaemon  = audit.KindDaemon
	KindRoot    = audit.KindRoot
	KindPatient = audit.KindPatient
)
