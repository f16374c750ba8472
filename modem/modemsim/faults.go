package modemsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Duration is a time.Duration that reads in JSON as a number of seconds (0.25)
// or as a Go duration ("250ms"), and is written as a number of seconds.
type Duration time.Duration

// MarshalJSON writes the duration as a number of seconds.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).Seconds())
}

// UnmarshalJSON reads seconds as a number, or a Go duration as a string.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err == nil {
		if seconds < 0 || seconds > 1e6 {
			return errors.New("duration is out of range 0 to 1000000 seconds")
		}
		*d = Duration(seconds * float64(time.Second))
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return errors.New("duration must be a number of seconds or a string such as \"250ms\"")
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return errors.New("duration string is not valid")
	}
	*d = Duration(v)
	return nil
}

// Moment names a point in the life of one +CMGS, for faults that strike there.
type Moment string

// The moments of a send, in their order.
const (
	// AtPrompt: the command was read and the prompt is about to be shown. No PDU left.
	AtPrompt Moment = "prompt"
	// AtPDU: the PDU was read whole and not yet given to the network. Nothing was sent.
	AtPDU Moment = "pdu"
	// AtAnswer: the network took the message and the answer is about to be written.
	AtAnswer Moment = "answer"
)

// Faults says how a modem misbehaves. The zero value is a well-behaved modem.
// Fields that count ("next n") go down as they strike; all others last until
// they are set again. Each was seen on a real device.
type Faults struct {
	// EchoAlways echoes input although ATE0 was accepted.
	EchoAlways bool `json:"echo_always,omitempty"`
	// DoubleCR ends and begins lines with CR CR LF (SIMCom URCs, echoing hubs).
	DoubleCR bool `json:"double_cr,omitempty"`
	// CROnly frames lines with CR alone.
	CROnly bool `json:"cr_only,omitempty"`
	// NoLeadingCR leaves out the CR LF that stands before an answer (Sierra).
	NoLeadingCR bool `json:"no_leading_cr,omitempty"`
	// GlueLines leaves out the line end between the answer and its final result.
	GlueLines bool `json:"glue_lines,omitempty"`
	// Chunk writes at most so many bytes at once, ChunkGap apart; 0 writes whole answers.
	Chunk    int      `json:"chunk,omitempty"`
	ChunkGap Duration `json:"chunk_gap,omitempty"`
	// Garbage puts noise, NUL bytes among it, before each of the next n answers.
	Garbage int `json:"garbage,omitempty"`
	// URCInside puts an unsolicited line into the midst of each answer: behind its first line, a +CMGL without its PDU, where it has
	// several.
	URCInside bool `json:"urc_inside,omitempty"`
	// URCEvery floods unsolicited lines at this interval; 0 is none.
	URCEvery Duration `json:"urc_every,omitempty"`

	// Silence leaves the next n commands without any answer; -1 all of them.
	Silence int `json:"silence,omitempty"`
	// Late delays each answer.
	Late Duration `json:"late,omitempty"`
	// LateNext delays only the next answer, and by this much.
	LateNext Duration `json:"late_next,omitempty"`
	// Unknown answers the next n commands with the Huawei result "COMMAND NOT SUPPORT".
	Unknown int `json:"unknown,omitempty"`
	// Stuck stops reading what the host writes.
	Stuck bool `json:"stuck,omitempty"`

	// Prompt is written in place of CR LF > SP, for example "\r\n>\r\n" (SIM7670G).
	Prompt string `json:"prompt,omitempty"`
	// NoPrompt takes the next n +CMGS without showing a prompt.
	NoPrompt int `json:"no_prompt,omitempty"`
	// DoublePrompt shows the prompt twice.
	DoublePrompt bool `json:"double_prompt,omitempty"`
	// PromptDelay shows the prompt late; what is written before it is swallowed.
	PromptDelay Duration `json:"prompt_delay,omitempty"`
	// PromptRace swallows what arrives this soon after the prompt.
	PromptRace Duration `json:"prompt_race,omitempty"`
	// IgnoreESC does not let ESC cancel a prompt.
	IgnoreESC bool `json:"ignore_esc,omitempty"`

	// SendErrors are final results for the next sends, first one first, as
	// written on the line: "+CMS ERROR: 38", "+CME ERROR: 515", "ERROR".
	SendErrors []string `json:"send_errors,omitempty"`
	// SentAnyway gives the message to the network although SendErrors answers an error.
	SentAnyway bool `json:"sent_anyway,omitempty"`
	// SwallowPDU takes the next n PDUs, sends nothing, and answers nothing for 300 s.
	SwallowPDU int `json:"swallow_pdu,omitempty"`
	// SilentSend sends the next n PDUs and answers nothing for 300 s.
	SilentSend int `json:"silent_send,omitempty"`
	// SendDelay is added to the network's time for each part; the message
	// is sent in time, its answer is late.
	SendDelay Duration `json:"send_delay,omitempty"`
	// RebootAt and UnplugAt strike once, at that moment of the next send.
	RebootAt Moment `json:"reboot_at,omitempty"`
	UnplugAt Moment `json:"unplug_at,omitempty"`
	// Unplugged takes the modem off the bus for as long as it is set. A PTY
	// comes back under another name, behind the same link.
	Unplugged bool `json:"unplugged,omitempty"`
	// UnplugFor is how long UnplugAt lasts; 0 means one second.
	UnplugFor Duration `json:"unplug_for,omitempty"`

	// Registration is the <stat> that +CREG, +CGREG and +CEREG show (27.007 7.2);
	// 0 means registered at home. Other than 1, 5, 6, 7, 9 and 10 no service.
	Registration int `json:"registration,omitempty"`
	// SIMRemoved behaves as if no SIM were inserted.
	SIMRemoved bool `json:"sim_removed,omitempty"`
	// RoutingLost strikes at once: the modem switches its notifications off by itself, as after a +CNMA that did not come
	// (27.005 section 3.4.4).
	RoutingLost bool `json:"routing_lost,omitempty"`
	// NoDirectReports refuses +CNMI with <ds>=1.
	NoDirectReports bool `json:"no_direct_reports,omitempty"`
	// NoCredit: the prepaid balance is used up; sends are refused, and +CUSD tells 0.00.
	NoCredit bool `json:"no_credit,omitempty"`
	// USSD is what the modem writes for an answer of the network to +CUSD, as a whole line; "none" is silence.
	USSD string `json:"ussd,omitempty"`
	// NoForwarding: the network refuses +CCFC.
	NoForwarding bool `json:"no_forwarding,omitempty"`
	// StoreFull behaves as if each message storage were full.
	StoreFull bool `json:"store_full,omitempty"`

	// StoreClaim is the size of each storage that +CPMS tells, whatever it is; with it, a text for which there is no room is lost
	// without a word (EC25 at 255).
	StoreClaim int `json:"store_claim,omitempty"`

	// ReportEarly gives the status report before +CMGS.
	ReportEarly bool `json:"report_early,omitempty"`
	// ReportTwice gives each status report twice.
	ReportTwice bool `json:"report_twice,omitempty"`
	// ReportNever loses each status report.
	ReportNever bool `json:"report_never,omitempty"`
	// ReportWrongMR gives status reports under another message reference.
	ReportWrongMR bool `json:"report_wrong_mr,omitempty"`
	// ReportDelay is added to the time a status report takes.
	ReportDelay Duration `json:"report_delay,omitempty"`
	// ReportForeign gives, before each status report, one of a message that this modem did not send.
	ReportForeign bool `json:"report_foreign,omitempty"`

	// NoCMTI stores texts without telling.
	NoCMTI bool `json:"no_cmti,omitempty"`
	// LoseText loses the next n texts, or parts of one, on their way to the modem.
	LoseText int `json:"lose_text,omitempty"`
	// TextTwice stores each text twice.
	TextTwice bool `json:"text_twice,omitempty"`

	// FixedMR answers each send with message reference 0, and reports so.
	FixedMR bool `json:"fixed_mr,omitempty"`
}

// check refuses faults that mean nothing.
func (f Faults) check() error {
	for _, m := range []Moment{f.RebootAt, f.UnplugAt} {
		switch m {
		case "", AtPrompt, AtPDU, AtAnswer:
		default:
			return fmt.Errorf("moment %q is none of prompt, pdu, answer", m)
		}
	}
	switch {
	case f.Registration < 0 || f.Registration > 11:
		return errors.New("registration is out of range 0 to 11")
	case f.Chunk < 0 || f.Garbage < 0 || f.Unknown < 0 || f.NoPrompt < 0 || f.SwallowPDU < 0 || f.SilentSend < 0 || f.LoseText < 0 || f.StoreClaim < 0 || f.Silence < -1:
		return errors.New("a count is negative")
	case f.URCEvery != 0 && time.Duration(f.URCEvery) < time.Millisecond:
		return errors.New("urc_every is under one millisecond")
	}
	for _, e := range f.SendErrors {
		if e == "" {
			return errors.New("send_errors holds an empty result")
		}
	}
	return nil
}

// struck counts a "next n" fault down and tells whether it strikes now.
func struck(n *int) bool {
	switch {
	case *n < 0:
		return true
	case *n == 0:
		return false
	}
	*n--
	return true
}
