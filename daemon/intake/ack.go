package intake

import (
	"sync/atomic"

	"pinward/hl7"
)

// stranger is what a sender hears whom nobody knows.
var stranger = hl7.Error{Code: hl7.CodeInternal}

// acks counts what messages earned, since the daemon started.
type acks struct{ aa, ae, ar, silent atomic.Uint64 }

func (a *acks) count(code hl7.AckCode, told bool) {
	switch {
	case !told:
		a.silent.Add(1)
	case code == hl7.AE:
		a.ae.Add(1)
	case code == hl7.AR:
		a.ar.Add(1)
	default:
		a.aa.Add(1)
	}
}

// Acks counts messages by the acknowledgment that they earned: AA, AE and AR, in the words of original mode,
// and "none" where the sender asked for none.
func (in *Intake) Acks() map[string]uint64 {
	return map[string]uint64{"AA": in.acks.aa.Load(), "AE": in.acks.ae.Load(), "AR": in.acks.ar.Load(), "none": in.acks.silent.Load()}
}

// reply writes the acknowledgment of a message, nil where none is wanted. Of one outcome and one
// message it is the same bytes at each call: a repeat gets what the first got.
func (in *Intake) reply(rd *reading, out outcome) []byte {
	code, wanted := rd.code(out)
	if !wanted {
		return nil
	}
	o := hl7.AckOptions{Code: code, Err: out.Wrong, ControlID: out.AckID, Now: out.At.In(rd.zone)}
	if isOrder(rd.m) && code == out.Ack {
		o.Type = "ORG^O20^ORG_O20" // the response that the standard names for the application's answer
	}
	return hl7.Ack(rd.m, o)
}

// code is MSA-1 by the peer's mode (HL7 v2.5.1 section 2.9). In original mode there is one answer,
// after the message is stored, whatever MSH-15 and 16 ask for: most senders set them and wait for AA
// (connect#2414, medplum#7115). Only NE is obeyed. In enhanced mode MSH-15 governs the accept
// acknowledgment CA, CE or CR; a message that asks only for an application acknowledgment gets that,
// as there is no later one.
func (rd *reading) code(out outcome) (code hl7.AckCode, wanted bool) {
	accept, application := rd.m.MSH(15).String(), rd.m.MSH(16).String()
	if accept == "NE" {
		return "", false
	}
	code = out.Ack
	if rd.sender.ACK != "enhanced" || accept == "" && application == "" {
		return code, true
	}
	if accept == "" {
		return code, asked(application, code)
	}
	commit := map[hl7.AckCode]hl7.AckCode{hl7.AA: hl7.CA, hl7.AE: hl7.CE, hl7.AR: hl7.CR}[code]
	return commit, asked(accept, code)
}

// asked reads a condition of table 0155. One that is not in it counts as always: a sender that waits
// in vain sends for ever.
func asked(condition string, code hl7.AckCode) bool {
	switch condition {
	case "NE":
		return false
	case "ER":
		return !code.Accepted()
	case "SU":
		return code.Accepted()
	}
	return true
}
