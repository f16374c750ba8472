package intake

import (
	"time"

	"pinward/daemon/contact"
	"pinward/hl7"
)

// Rule says what a message means: on which event, under which conditions, what is done. It is data,
// so that what a box does can be printed, compared and explained.
type Rule struct {
	Name   string   `json:"name"`             // "siu.book"; stands in entries and explanations
	Type   string   `json:"type"`             // MSH-9.1; Any is every type
	Events []string `json:"events,omitempty"` // MSH-9.2; none is every event of the type
	// Off leaves the rule out; Paused holds its texts, to be released or dropped.
	Off    bool `json:"off,omitempty"`
	Paused bool `json:"paused,omitempty"`

	// Need are segments without which the message is wrong in itself: AE 100.
	Need []string `json:"need,omitempty"`
	// When must all hold, else nothing is done, the message gets AA, and the condition's Why is
	// explained.
	When []Condition `json:"when,omitempty"`
	// Do is done in this order, in one transaction.
	Do []Effect `json:"do"`

	Ends   contact.AppointmentStatus `json:"ends,omitempty"`   // of EndVisit: what the appointment becomes
	Notice Notice                    `json:"notice,omitzero"`  // of SendNotice
	Verify string                    `json:"verify,omitempty"` // of StartVerify: the service, or what its codes are for

	// MaxAge is how old the event may be for a text about it to make sense; what is known is brought
	// up to date at any age. An engine that was down for a night sends the whole night at once. 0 is
	// DefaultMaxAge, of a code two minutes; reminders go by the appointment's start and not by this.
	MaxAge Span `json:"max_age,omitzero"`
	// Hours are when its texts may go.
	Hours Hours `json:"hours,omitzero"`
	// Max is how many texts it may cause in 15 minutes before its breaker opens; 0 goes by what is
	// usual of it.
	Max int `json:"max,omitempty"`
}

// DefaultMaxAge is how old an event may be for a text about it, where its rule does not say.
const DefaultMaxAge = 2 * time.Hour

func (r *Rule) maxAge() time.Duration {
	if r.MaxAge == 0 {
		return DefaultMaxAge
	}
	return time.Duration(r.MaxAge)
}

// Any as a rule's Type is every type that no rule above it names.
const Any = "*"

// Effect is one thing that a rule does.
type Effect string

// Effects.
const (
	UpdateContact Effect = "contact"  // what PID, PD1 and PV1 say of the person: numbers, language, wishes, death
	KnowContact   Effect = "know"     // the same, of a person who is not known yet: the sender is no master of it
	MarkDead      Effect = "dead"     // only that the person died
	KeepPlace     Effect = "place"    // ward and class, of each PID by the PV1 behind it
	MergeContact  Effect = "merge"    // each MRG-1 into the PID before it
	RemoveContact Effect = "remove"   // the record was deleted: cancel all that waits
	BookVisit     Effect = "book"     // SCH: keep the appointment, schedule its reminders; SCH-25 may end it instead
	EndVisit      Effect = "end"      // SCH: end the appointment, cancel its reminders
	SendNotice    Effect = "notice"   // Rule.Notice
	StartVerify   Effect = "verify"   // a code of Rule.Verify, once for each message
	Suppress      Effect = "suppress" // no text for this message, whatever follows
)

// Notice is the text that a rule sends.
type Notice struct {
	Template string `json:"template,omitempty"`
	// Key are the paths whose values tell one occasion from another; a second message about the same
	// occasion sends nothing. Without any, the text goes at most once in Once.
	Key  []hl7.Path `json:"key,omitempty"`
	Once Span       `json:"once,omitzero"`
}

// Test is how a Condition looks at its values.
type Test uint8

// Tests.
const (
	Every Test = iota + 1 // at least one, and each is one of In
	Only                  // each that is there is one of In
	None                  // none is one of In
	Some                  // at least one is one of In
	Blank                 // no value is there
	Dead                  // the message says that its patient is dead; needs no field
)

// Condition is a test of one component in every segment of a name and every repetition.
type Condition struct {
	Segment string   `json:"segment,omitempty"`
	Field   int      `json:"field,omitempty"`
	Comp    int      `json:"comp,omitempty"` // 0 is the first component
	Test    Test     `json:"test"`
	In      []string `json:"in,omitempty"`
	List    List     `json:"list,omitzero"` // in place of In: a list of the site's policy
	Why     string   `json:"why"`           // explained when it does not hold
}

// List names a list of Policy.
type List uint8

// Releasable is Policy.Releasable.
const Releasable List = 1

// Shipped returns the rules that every box has; reference for the choices is HL7 v2.5.1 chapters 3, 4,
// 7 and 10, and for what feeds make of them the tests.
func Shipped() []Rule {
	return []Rule{
		{
			Name: "adt.contact", Type: "ADT", Events: []string{"A01", "A03", "A04", "A05", "A08", "A14", "A28", "A31"},
			Need: []string{"PID"}, Do: []Effect{UpdateContact},
		},
		{
			// Who moved, or did not after all; A17 swaps the beds of two.
			Name: "adt.move", Type: "ADT", Events: []string{"A02", "A06", "A07", "A12", "A13", "A17"},
			Do: []Effect{KnowContact, KeepPlace},
		},
		{
			// A47 changes an id, which is the same to us: the old one is retired.
			Name: "adt.merge", Type: "ADT", Events: []string{"A40", "A34", "A47"},
			Need: []string{"PID"}, Do: []Effect{MergeContact},
		},
		{
			Name: "adt.delete", Type: "ADT", Events: []string{"A23", "A29"},
			Need: []string{"PID"}, Do: []Effect{RemoveContact},
		},
		{
			Name: "siu.book", Type: "SIU", Events: []string{"S12", "S13", "S14"},
			Need: []string{"SCH"}, Do: []Effect{UpdateContact, BookVisit},
		},
		{
			Name: "siu.cancel", Type: "SIU", Events: []string{"S15"},
			Need: []string{"SCH"}, Do: []Effect{UpdateContact, EndVisit}, Ends: contact.Cancelled,
			Notice: Notice{Template: "appointment.cancelled"},
		},
		{
			Name: "siu.discontinue", Type: "SIU", Events: []string{"S16"},
			Need: []string{"SCH"}, Do: []Effect{UpdateContact, EndVisit}, Ends: contact.Cancelled,
		},
		{
			Name: "siu.delete", Type: "SIU", Events: []string{"S17"},
			Need: []string{"SCH"}, Do: []Effect{UpdateContact, EndVisit}, Ends: contact.Deleted,
		},
		{
			Name: "siu.noshow", Type: "SIU", Events: []string{"S26"},
			Need: []string{"SCH"}, Do: []Effect{UpdateContact, EndVisit}, Ends: contact.NoShow,
		},
		{
			Name: "oru.result", Type: "ORU", Events: []string{"R01", "R03", "R32"},
			Need: []string{"PID"}, When: finalResult, Do: []Effect{KnowContact, SendNotice},
			Notice: Notice{Template: "result.ready", Once: Span(24 * time.Hour)},
		},
		{
			// RDE^O11 is an order and RRE a response to one: neither says that anything lies ready.
			Name: "rds.ready", Type: "RDS", Events: []string{"O13"},
			Need: []string{"PID", "RXD"}, When: dispensed, Do: []Effect{KnowContact, SendNotice},
			Notice: Notice{Template: "prescription.ready", Key: []hl7.Path{hl7.MustPath("RXD-7.1"), hl7.MustPath("RXD-1.1")}},
		},
		{
			// Whatever a message is about: nothing goes to a dead person's phone.
			Name: "any.death", Type: Any, Need: []string{"PID"}, Do: []Effect{MarkDead},
			When: []Condition{{Test: Dead, Why: noRule}},
		},
	}
}

const noRule = "no rule for this event"

// finalResult is a report that its patient may hear of: every part of it final (tables 0123 and 0085),
// released by the site, and nowhere marked as somebody's secret.
var finalResult = []Condition{
	{Segment: "ORC", Field: 1, Test: Only, In: []string{"RE"}, Why: "the order is not a report of results (ORC-1)"},
	{Segment: "OBR", Field: 25, Test: Every, In: []string{"F", "C"}, Why: "not every result is final (OBR-25)"},
	{Segment: "OBX", Field: 11, Test: Only, In: []string{"F", "C"}, Why: "not every value is final (OBX-11)"},
	{Segment: "OBR", Field: 4, Test: Every, List: Releasable, Why: "the site does not announce results of this kind (OBR-4)"},
	{Segment: "ORC", Field: 28, Test: Only, In: []string{"U"}, Why: "the order is confidential (ORC-28)"},
	{Segment: "OBX", Field: 13, Test: Blank, Why: "access to a value is restricted (OBX-13)"},
	{Segment: "OBR", Field: 49, Test: Blank, Why: "the result is to be handled in another way (OBR-49)"},
	{Segment: "PV1", Field: 16, Test: Blank, Why: "the patient is marked as VIP (PV1-16)"},
}

var dispensed = []Condition{
	{Segment: "ORC", Field: 1, Test: None, In: []string{"CA", "OC", "DC", "OD", "HD", "OH", "UA", "UC"}, Why: "the order was cancelled or held (ORC-1)"},
	{Segment: "ORC", Field: 5, Test: None, In: []string{"CA", "DC", "ER", "HD", "RP"}, Why: "the order was cancelled or held (ORC-5)"},
	{Segment: "ORC", Field: 28, Test: Only, In: []string{"U"}, Why: "the order is confidential (ORC-28)"},
	{Segment: "PV1", Field: 16, Test: Blank, Why: "the patient is marked as VIP (PV1-16)"},
}
