package intake

import (
	"errors"

	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/hl7"
)

// A general order asks for a code or a text by the standard's own means (OMG^O19, HL7 v2.5.1 section
// 4.4.3), where an engine cannot make a Z segment:
//
//	ORC|NW|REQ-123            or ORC|CA|REQ-123, which takes it back
//	TQ1|1||||||20260101120000-0500
//	OBR|1|REQ-123||portal-login
//
// ORC-2 is the request's id, TQ1-7 not before when, OBR-4 the service or its purpose for a code, else the
// template of a text. Each ORC is an order of its own. It is answered with ORG^O20, and what became of it
// goes back as ORU^R01 where the peer asks.

// isOrder tells whether the message is a general order.
func isOrder(m *hl7.Message) bool {
	code, event, _ := m.Type()
	return code == "OMG" && event == "O19"
}

// readOrders reads the orders of an OMG^O19.
func (rd *reading) readOrders() error {
	orcs, obrs := 0, 0
	var r *request
	ends := func() error {
		if r != nil && r.name == "" && !r.cancel {
			return &hl7.Error{Code: hl7.CodeSegmentSequence, Segment: "OBR", Seq: obrs + 1, Reason: "the order says not for what"}
		}
		return nil
	}
	for s := range rd.m.Segments() {
		switch s.Name() {
		case "ORC":
			if err := ends(); err != nil {
				return err
			}
			if orcs++; len(rd.requests) == maxRequests {
				return &hl7.Error{Code: hl7.CodeInternal, Segment: "ORC", Seq: orcs, Reason: "more orders than one message may hold"}
			}
			more, err := readORC(s, orcs)
			if err != nil {
				return err
			}
			rd.requests = append(rd.requests, more)
			r = &rd.requests[len(rd.requests)-1]
		case "TQ1":
			if ts := s.Field(7).TS(); r != nil && !ts.IsZero() {
				at, _, err := ts.Time(rd.zone)
				if err != nil || !plausible(at) {
					return &hl7.Error{Code: hl7.CodeDataType, Segment: "TQ1", Seq: orcs, Field: 7, Reason: "not a time"}
				}
				r.notBefore = at
			}
		case "OBR":
			if obrs++; r == nil {
				return &hl7.Error{Code: hl7.CodeSegmentSequence, Segment: "ORC", Seq: 1, Reason: "no ORC before it"}
			}
			if r.name = s.Field(4).Comp(1).String(); r.name == "" {
				return &hl7.Error{Code: hl7.CodeRequiredFieldMissing, Segment: "OBR", Seq: obrs, Field: 4, Reason: "service or template is missing"}
			}
			if err := checkLength(r.name, "OBR", 4); err != nil {
				return err
			}
		}
	}
	if orcs == 0 {
		return &hl7.Error{Code: hl7.CodeSegmentSequence, Segment: "ORC", Seq: 1, Reason: "segment is missing"}
	}
	return ends()
}

func readORC(s hl7.Segment, seq int) (request, error) {
	wrong := func(code hl7.Code, field int, reason string) error {
		return &hl7.Error{Code: code, Segment: "ORC", Seq: seq, Field: field, Reason: reason}
	}
	r := request{ordered: true, id: s.Field(2).Comp(1).String(), namespace: s.Field(2).Comp(2).String(), channel: otp.ChannelAuto}
	switch s.Field(1).String() {
	case "NW":
	case "CA":
		r.cancel = true
	case "":
		return r, wrong(hl7.CodeRequiredFieldMissing, 1, "order control is missing")
	default:
		return r, wrong(hl7.CodeTableValue, 1, "order control is neither NW nor CA")
	}
	if r.id == "" {
		return r, wrong(hl7.CodeRequiredFieldMissing, 2, "placer order number is missing")
	}
	return r, checkLength(r.id, "ORC", 2)
}

// carryOut does what a request asks for: by its name it asks for a code or for a text, and CA takes either back.
func (w *work) carryOut(r request) error {
	if r.cancel {
		return w.takeBack(r)
	}
	if r.ordered {
		s, err := findService(w.tx, r.name)
		if err != nil {
			return err
		}
		r.code = s.Name != ""
	}
	return w.request(r)
}

// orderCancelled is why a text of an order does not go.
const orderCancelled = "the order was cancelled"

// takeBack cancels what an earlier order of the same id started.
func (w *work) takeBack(r request) error {
	id, err := w.requested(r.id)
	if err != nil {
		return err
	}
	if id != "" {
		_, err := otp.Cancel(w.tx, id)
		switch {
		case err == nil:
			w.did("verification cancelled")
			return nil
		case errors.Is(err, otp.ErrNotFound):
			w.because("order: the verification has ended")
			return nil
		}
		return w.refused("cancellation", err)
	}
	group := w.group(requestGroup, w.peer)
	done, err := notice.CancelKey(w.tx, group, r.id, orderCancelled)
	if err == nil && !done {
		done, err = w.takeBackHeld(group, r.id)
	}
	switch {
	case err != nil:
		return err
	case done:
		w.did("notice cancelled")
	default:
		w.because("order: nothing of this id waits")
	}
	return nil
}
