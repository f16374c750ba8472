// Package intake decides what an HL7 message means here, and which acknowledgment it earns.
//
// It knows events, rules and what was seen before. It does not know frames or connections (mllp), how
// a message is taken apart (hl7), nor who may be texted and when (the verbs of contact, consent,
// notice and otp): it reads a message outside of a transaction, and calls verbs inside of one.
//
// # Order
//
// A message is parsed and matched first. Then one transaction looks whether it was seen before, calls
// the verbs, and keeps what became of it. Only when that is durable is the acknowledgment given out:
// AA means stored, never sent. A crash before the commit leaves nothing, and the engine, which got no
// answer, sends the message again; a crash after it leaves all, and the engine's second try gets the
// same acknowledgment and no second effect.
//
// What we do not act on, and what policy refuses (consent, a number, an unknown event), gets AA and is
// explained. A message wrong in itself gets AE or AR. Trouble of our own is an error, which closes the
// connection.
//
// Nothing of a message's content is kept here but its type, its control ID and its sender's name; no
// acknowledgment, entry or error repeats a value of it.
package intake
