// Package notice sends texts without a code: appointment reminders, results
// ready, prescriptions ready, links to a video visit.
//
// It knows when a notice may go (consent, quiet hours, how long it is of use),
// which notices are about one thing (a group, as an appointment), and what
// people answer. It does not know why a notice is due: that is the business of
// the door that asks for it. Only the typed slots of a notice are kept, never a
// text.
//
// What is asked at Send is asked again when the text is rendered: hours or
// weeks may lie between them.
package notice
