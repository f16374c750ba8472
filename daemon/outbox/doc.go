// Package outbox holds every text and call that is to leave the box, until a sender took it, it was
// refused, or it is too late: who is next, by which way, at which time, and what became of it.
//
// It knows lanes, routes, senders, budgets and receipts. It does not know what a message says (a
// Source renders it at the last moment, and the text is never kept here), why it was sent (that is
// the business of the room named by Kind, found again by Ref), nor how a modem is spoken to.
//
// Nobody pushes. An idle sender asks Next, hands over what it is given outside of any transaction,
// and tells the outcome to Settle:
//
//	queued -> sending -> sent -> delivered | undelivered
//	   ^         |-> not sent, unknown: queued again, or the route goes on, or unknown for good
//	   |         |-> refused                   queued -> expired | canceled
//
// If the process dies between Next and Settle the message is still marked sending; Recover settles
// it as unknown, by the same code as in normal running.
package outbox
