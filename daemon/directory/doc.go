// Package directory asks the hospital's LDAP directory (RFC 4511) who somebody is, in which groups they are, and whether a
// password is theirs.
//
// It knows LDAP and what Active Directory does in its own way. It does not know roles, sessions or the store. It makes no
// connection: it is given one, puts TLS on it before the first password, and never follows where a server refers to.
package directory
