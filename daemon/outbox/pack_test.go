package outbox

import (
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store/storetest"
)

func TestPackedRecord(t *testing.T) {
	to, err := contact.ParsePhone("+16175551234", contact.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	at := func(n int) time.Time { return time.Date(2026, 1, 2, 3, 4, 5, n, time.UTC) }
	storetest.Packing(t, record{
		Message: Message{
			ID: "SM01", Kind: "notice", Ref: "SM02", Lane: Notice, To: to, Client: "AC", Staff: true,
			Route: []Step{{Channel: SMS, Wait: time.Second, OtherCarrier: true}, {Channel: Call, Wait: 1, OtherCarrier: true}},
			Due:   at(1), Expires: at(2), Replace: 3, Repeat: true, Mode: contact.Live, From: "hl7:a", Place: "Elm", Essential: true, SIM: "8901", Order: "req1", Redials: 2, RedialAfter: time.Hour,
			Created: at(3), Step: 1, State: Sending, Forced: true, Stopped: true, Cause: "cause",
			Attempts: []Attempt{{
				At: at(4), Settled: at(5), Step: 1, Sender: "m1", SIM: "8901", Carrier: "a", Report: true, Planned: 2,
				Parts: []Part{{Ref: 255, State: Sent, Code: -1, At: at(7)}}, Late: true, Outcome: Sent, Code: 500, Cause: "cause",
			}},
		},
		Born: at(6), Turn: 1 << 40, Failures: 2, Parts: 3, Ended: at(8),
	}, "010304534d303105066e6f746963650704534d303208040b0c2b31363137353535313233340d0241430e02110d0303736d730480a8d6b9070602110a030463616c6c040206021306cad6b9950d011506cad6b9950d02160618021a041c021f04383930312106cad6b9950d032202250773656e64696e67274a0306cad6b9950d040506cad6b9950d05060209026d310b04383930310d01610e021004131302fe03050473656e7406010906cad6b9950d071402170473656e7418e8071b05636175736528022a022d0563617573652f06cad6b9950d0630808080808040320434063704726571313906cad6b9950d083a043c8080c58bc6d1013f03456c6d4105686c373a61", recordFields)
}
