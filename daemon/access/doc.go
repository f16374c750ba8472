// Package access knows who may come in: API clients with their keys, people
// with their passwords and sessions, and what each role may do.
//
// Secrets are 256 bits in letters and digits only (some client libraries
// refuse anything else), shown once and kept as an HMAC under the store's
// index key. Passwords are PBKDF2-HMAC-SHA-256; hashing takes long, so it is
// done by a Passwords outside any transaction, one at a time.
//
// People of the hospital's directory have an account here from their first login on, without a password; which of their
// groups gives which role is decided here (GroupRules). How a directory is asked is not: a Directory brings that.
//
// It does not know TLS, headers or cookies: the doors read those and put the
// Principal that this room gives them into the request's context.
package access
