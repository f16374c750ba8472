package daemon_test

import (
	"testing"

	_ "pinward/daemon" // links every room
	"pinward/store"
)

// bookkeeping are the tables that may change without an audit entry, each with its room's reason.
//
// A line here is a decision: what these tables hold can be altered and the audit does not show it.
// Before a new one is added, ask whether somebody could be harmed by a silent change of it.
var bookkeeping = map[string]string{
	"access.sessions":     "session touches; login and logout are entries",
	"alarm.ids":           "the number of the last alarm; raising it is an entry",
	"alarm.open":          "finds alarms that are not over, or are still being told; raising, telling and ending are entries",
	"alarm.routines":      "how the last test and the last heartbeat went; beginning and end of each are entries",
	"alarm.well":          "since when the cause of an alarm is gone; the end of the alarm is an entry",
	"api.answers":         "answers by idempotency key; the effect has its own entry",
	"api.answers.written": "answers by idempotency key; the effect has its own entry",
	"consent.answers":     "which answer a queued message is; both ends of it are entries",
	"consent.last":        "which text went to a number last; the hand-over itself is the outbox's entry",
	"consent.replied":     "how many answers a number got of late",
	"contact.trail":       "which SIM wrote to a number last, and texts that did not come; the messages have entries",
	"inbox.parts":         "parts of a text until the whole is read; the reading is the entry",
	"inbox.seen":          "hashes of texts already read",
	"intake.peers":        "counts by peer; each message has a record of its own",
	"intake.rates":        "how much each rule texts; each text, each opening and each release is an entry of its own",
	"intake.requests":     "request ids, so that a repeat starts nothing; the start has its own entry",
	"intake.seen":         "outcomes of messages, so that a repeat gets the same answer; what a message did has entries of its own",
	"limit.counters":      "how often something was done lately; what was done is an entry of its own",
	"limit.failures":      "failures in a row; each failed check is an entry of its own",
	"modem.pins":          "how often a SIM was given a PIN; each refusal is an entry",
	"modem.testing":       "how far a self-test has come; each step is an entry of its message",
	"modem.tests":         "what a self-test's text is known by; beginning, arrival and end are entries",
	"modem.voice":         "when a call of a modem was last confirmed by a key; each call is an entry of its message",
	"notice.due":          "orders notices by when they are deleted; deleting them is an entry",
	"notice.keys":         "finds notices by business key; the notice has its own entries",
	"notice.questions":    "what a number was asked last; sending and answering are entries",
	"notice.subjects":     "finds notices by subject; the notice has its own entries",
	"otp.current":         "finds the verification that is going on for a number; the verification has its own entries",
	"otp.denials":         "how many codes were denied of late, for health; each denial is an entry",
	"otp.due":             "finds verifications whose life has ended; ending them is an entry",
	"otp.numbers":         "lists the verifications of a number; each has its own entries",
	"otp.requests":        "finds a verification by the id of its request; the verification has its own entries",
	"outbox.early":        "receipts that came before their hand-over was settled; what they change then is an entry",
	"outbox.handed":       "index of attempts by SIM and number, to match receipts; the hand-over is an entry",
	"outbox.judgements":   "index of learned ways by when to look at their silence",
	"outbox.lines":        "which classes of messages wait, and how many of each",
	"outbox.places":       "where in the index a due message stands",
	"outbox.ready":        "index of due messages by lane, class and turn",
	"outbox.refs":         "index of messages by what they were made for",
	"outbox.senders":      "state of the senders and what each has in hand; each hand-over is an entry of its message",
	"outbox.suspects":     "which SIMs are suspected on a prefix; beginning and end of a suspicion are entries",
	"outbox.timers":       "index of messages by when to look at them next; what then changes is an entry",
	"outbox.turns":        "fair turns of the clients in lane otp",
	"outbox.usage":        "parts given to each SIM of late, and its concatenation counter",
	"outbox.ways":         "what was learned of each SIM's texts by prefix; a suspicion that comes of it, and its end, are entries",
	"record.cursors":      "how far each follower of the audit has come",
	"record.engines":      "how many statuses each engine took; one that it refuses is an entry",
	"record.witnesses":    "which head each witness has; heads are signed, and each names the one before",
	"store.anchors":       "what the TPM said at each anchor; the anchor is an entry",
	"store.counter":       "how far the TPM's counter is known; each anchor is an entry",
}

func TestBookkeeping(t *testing.T) {
	declared := store.BookkeepingTables()
	for name, why := range declared {
		switch want, known := bookkeeping[name]; {
		case !known:
			t.Errorf("table %s is exempt from leaving entries, and is not on the list: %s", name, why)
		case why != want:
			t.Errorf("table %s is exempt for another reason than the one on the list:\n%s\n%s", name, why, want)
		}
	}
	for name := range bookkeeping {
		if _, ok := declared[name]; !ok {
			t.Errorf("table %s is on the list, and is exempt no more", name)
		}
	}
}
