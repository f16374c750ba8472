package record

import (
	"pinward/daemon/contact"
	"pinward/store"
)

// ActionView is the entry of somebody who looked at patients' data: Object says
// at what, Subject at whose.
const ActionView store.Action = "record.view"

// Viewed records that somebody looked at records that name patients (45 CFR
// 164.312(b)): what is "contact", "appointments", "messages" or "work"; id is
// the patient, zero for a list over several. A door commits it before it
// reads, so that nobody sees what is not on record.
func Viewed(tx *store.Tx, what string, id contact.SubjectID) error {
	return tx.Record(store.Entry{Action: ActionView, Outcome: store.OK, Object: what, Subject: clip(id.Key())})
}
