package hl7

import (
	"fmt"
	"strings"
)

// Code is a message error condition of HL7 table 0357 (v2.5.1).
type Code int

// The conditions of table 0357.
const (
	CodeAccepted             Code = 0
	CodeSegmentSequence      Code = 100
	CodeRequiredFieldMissing Code = 101
	CodeDataType             Code = 102
	CodeTableValue           Code = 103
	CodeMessageType          Code = 200
	CodeEvent                Code = 201
	CodeProcessingID         Code = 202
	CodeVersion              Code = 203
	CodeUnknownKey           Code = 204
	CodeDuplicateKey         Code = 205
	CodeRecordLocked         Code = 206
	CodeInternal             Code = 207
)

// Text is the table's own description of the condition.
func (c Code) Text() string {
	switch c {
	case CodeAccepted:
		return "Message accepted"
	case CodeSegmentSequence:
		return "Segment sequence error"
	case CodeRequiredFieldMissing:
		return "Required field missing"
	case CodeDataType:
		return "Data type error"
	case CodeTableValue:
		return "Table value not found"
	case CodeMessageType:
		return "Unsupported message type"
	case CodeEvent:
		return "Unsupported event code"
	case CodeProcessingID:
		return "Unsupported processing id"
	case CodeVersion:
		return "Unsupported version id"
	case CodeUnknownKey:
		return "Unknown key identifier"
	case CodeDuplicateKey:
		return "Duplicate key identifier"
	case CodeRecordLocked:
		return "Application record locked"
	default:
		return "Application internal error"
	}
}

// Error is what is wrong with a message, and where. It carries locations only:
// its text goes to the sender's operator and into our log, so nothing of the
// message's content may be in it.
type Error struct {
	// Code is the condition of table 0357.
	Code Code
	// Segment is a segment's name; empty when the segment has none.
	Segment string
	// Seq counts segments of that name from 1; with an empty Segment it counts
	// all segments of the message. 0 means the message as a whole.
	Seq int
	// Field, Rep and Comp count from 1 as the standard does; 0 means not given.
	Field, Rep, Comp int
	// Reason is a short English phrase for a person; a constant of the program
	// or figures, never a value.
	Reason string
}

// Location gives the place as a path ("PID[1]-3[2].1"), "segment 7", or "".
func (e *Error) Location() string {
	var b strings.Builder
	switch {
	case e.Segment == "" && e.Seq == 0:
		return ""
	case e.Segment == "":
		fmt.Fprintf(&b, "segment %d", e.Seq)
	default:
		b.WriteString(e.Segment)
		if e.Seq > 0 {
			fmt.Fprintf(&b, "[%d]", e.Seq)
		}
	}
	if e.Field > 0 {
		fmt.Fprintf(&b, "-%d", e.Field)
		if e.Rep > 0 {
			fmt.Fprintf(&b, "[%d]", e.Rep)
		}
		if e.Comp > 0 {
			fmt.Fprintf(&b, ".%d", e.Comp)
		}
	}
	return b.String()
}

// Error gives code, description, place and reason.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "hl7 error %d, %s", int(e.Code), strings.ToLower(e.Code.Text()))
	if at := e.Location(); at != "" {
		b.WriteString(" at " + at)
	}
	if e.Reason != "" {
		b.WriteString(": " + e.Reason)
	}
	return b.String()
}

// AckCode is the code this error earns in original mode: AR where message type,
// version or processing id is not for us or the trouble is outside the content,
// AE where the content is wrong (v2.5.1 section 2.9.2, table 0008).
func (e *Error) AckCode() AckCode {
	switch e.Code {
	case CodeAccepted:
		return AA
	case CodeMessageType, CodeEvent, CodeProcessingID, CodeVersion, CodeInternal:
		return AR
	}
	return AE
}
