package access

import "pinward/store"

// ActionForbidden is the entry of a caller who asked for what none of their
// roles allows.
const ActionForbidden store.Action = "access.forbidden"

// Forbid records that the caller of tx asked for something that they may not
// do; what is the door's own name for it, such as a route, never a value.
func Forbid(tx *store.Tx, what string) error {
	return tx.Record(store.Entry{Action: ActionForbidden, Outcome: store.Refused, Attrs: []store.Attr{{Key: "what", Value: clip(what)}}})
}
