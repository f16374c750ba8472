// Package store is the box's one file: encrypted tables, the audit log beside them, and the keys of
// both, in one bbolt database.
//
// It knows: how a transaction becomes durable, that no record changes silently (a transaction that
// writes and records no audit entry is rolled back), how a value is sealed to its place, how entries
// become a signed Merkle tree. It does not know what any record means; each room declares its own
// [Table] as an unexported variable, and Go's visibility is the wall.
//
// # Order of durability
//
// A transaction's function runs under one lock over an overlay. When it returns nil the overlay joins
// the batch that waits. The committer takes a batch, seals its values, hashes its entries, writes all
// of it in one bbolt transaction, syncs, and only then are the callers told. Meanwhile the next batch
// fills: its functions see the batch that is being committed, and share its fate if it fails. The committer is a
// loop while there is much to do, and the caller itself while it is alone.
//
// Entries go where they belong. Values go into a journal in the same file, and into their tables later,
// many at a time: by then they are in memory as well, so everybody reads them as if they were there. At
// a clean stop the journal is empty; after a crash the next Open reads it.
//
// # Keys
//
// The store never sees the root key: [Keys] wraps and unwraps the keyring. The keyring holds one
// long-lived index key (for [Tx.Blind] and the actors' pseudonyms), data keys and audit keys by
// month, and code keys by day. A new key is committed together with its first use, and its
// commitment is an entry.
//
// Bucket names, table keys, entry headers, signed heads and the tree stand in clear on the disk;
// table keys are therefore sequences or blinded values, never a number or a name. bbolt does not
// scrub what is deleted: what must be unreadable is made so by dropping its key.
package store
