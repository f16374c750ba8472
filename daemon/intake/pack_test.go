package intake

import (
	"testing"
	"time"

	"pinward/hl7"
	"pinward/store/storetest"
)

func TestPackedOutcome(t *testing.T) {
	storetest.Packing(t, outcome{
		At: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Type: "ADT^A04", Ack: hl7.AA,
		Wrong: &hl7.Error{Code: hl7.CodeInternal, Segment: "PID", Seq: 1, Field: 3, Rep: 2, Comp: 4, Reason: "reason"},
		Rule:  "adt.contact", Did: "contact created", Why: "why", AckID: "ACK1", Later: "later",
	}, "010306cad6b9950d0605074144545e413034070241410918029e030503504944060208060a040c080f06726561736f6e0b0b6164742e636f6e746163740d0f636f6e7461637420637265617465640f03776879110441434b3113056c61746572", outcomeFields)
}
