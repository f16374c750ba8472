// Package record is what the audit log is for: finding who did what, telling a
// patient to whom their data went, and feeding others from it: witnesses of its
// heads, and the hospital's own audit repository (IHE ATNA).
//
// It knows the log as a sequence of opened entries and the few attributes that
// rooms agree on (phone, ref, message). It does not know what an entry means
// to the room that wrote it, and writes nothing but its own cursors and the
// entries that say who searched.
package record
