package hl7

import (
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
)

// MSH gives a field of the header as the standard counts it: MSH(1) is the field
// separator, MSH(10) the control ID.
func (m *Message) MSH(n int) Field {
	if len(m.segs) == 0 {
		return Field{}
	}
	return m.at(0).Field(n)
}

// Type is MSH-9: message code, trigger event and structure. Structure is often
// missing (and never needed), event is missing in an ACK of v2.1 to v2.3.
func (m *Message) Type() (code, event, structure string) {
	return m.kind[0], m.kind[1], m.kind[2]
}

// ControlID is MSH-10, which the acknowledgment gives back in MSA-2.
func (m *Message) ControlID() string { return m.MSH(10).String() }

// ProcessingID is MSH-11.1: P production, T training, D debugging.
func (m *Message) ProcessingID() string { return m.MSH(11).Comp(1).String() }

// Version is MSH-12.1, such as 2.5.1.
func (m *Message) Version() string { return m.MSH(12).Comp(1).String() }

// SendingApp is MSH-3.
func (m *Message) SendingApp() HD { return m.MSH(3).Rep(1).HD() }

// SendingFacility is MSH-4.
func (m *Message) SendingFacility() HD { return m.MSH(4).Rep(1).HD() }

// ReceivingApp is MSH-5.
func (m *Message) ReceivingApp() HD { return m.MSH(5).Rep(1).HD() }

// ReceivingFacility is MSH-6.
func (m *Message) ReceivingFacility() HD { return m.MSH(6).Rep(1).HD() }

// IsAck tells whether the message is itself an acknowledgment (ACK, or the delayed
// MCF), which must never be answered. The MSA segment does not decide: ORR^O02 and
// RSP^K22 carry one and want their answer.
func (m *Message) IsAck() bool {
	switch code, _, _ := m.Type(); code {
	case "ACK", "MCF":
		return true
	}
	return false
}

// CheckHeader tells what the header lacks for the message to be processed at all:
// MSH-9.1 and MSH-10 (101), and a version of HL7 that is not 2 (203). An empty
// MSH-11 or MSH-12 is let through, as engines do. The error is an *Error.
func (m *Message) CheckHeader() error {
	switch {
	case len(m.segs) == 0:
		return &Error{Code: CodeSegmentSequence, Segment: "MSH", Seq: 1, Reason: "no header"}
	case !m.MSH(9).Comp(1).Valued():
		return &Error{Code: CodeRequiredFieldMissing, Segment: "MSH", Seq: 1, Field: 9, Comp: 1}
	case !m.MSH(10).Valued():
		return &Error{Code: CodeRequiredFieldMissing, Segment: "MSH", Seq: 1, Field: 10}
	case len(m.MSH(10).Raw()) > maxControlID:
		return &Error{Code: CodeDataType, Segment: "MSH", Seq: 1, Field: 10, Reason: "control id is too long to be given back"}
	}
	if v := m.Version(); v != "" && v != "2" && !strings.HasPrefix(v, "2.") {
		return &Error{Code: CodeVersion, Segment: "MSH", Seq: 1, Field: 12}
	}
	return nil
}

// Fingerprint is the SHA-256 of the message without MSH-7, segment by segment: a
// sender that had no acknowledgment sends the same message again, with a new time at
// most. It covers PHI that can be guessed, and is to be kept like it.
func (m *Message) Fingerprint() [32]byte {
	// In one piece: a hash takes bytes, and would copy each segment anew.
	scratch, _ := fingerprints.Get().(*[]byte)
	if scratch == nil {
		scratch = new([]byte)
	}
	b := slices.Grow((*scratch)[:0], len(m.data)+1)
	time := m.MSH(7)
	for i, s := range m.segs {
		text := m.data[s.start:s.end]
		if i == 0 && time.m != nil {
			b = append(b, text[:time.start]...)
			text = text[time.end:]
		}
		b = append(append(b, text...), '\r')
	}
	sum := sha256.Sum256(b)
	if cap(b) <= 16<<10 { // a large one is seldom wanted again
		clear(b) // PHI
		*scratch = b
		fingerprints.Put(scratch)
	}
	return sum
}

// fingerprints are what messages are laid out in to be hashed.
var fingerprints sync.Pool
