package modemsim

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

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
	// LeadingLF begins lines with LF alone.
	LeadingLF bool `json:"leading_lf,omitempty"`
	// GlueLines leaves out the line end between the answer and its final result.
	GlueLines bool `json:"glue_lines,omitempty"`
	// GlueError writes an unsolicited line right behind a final ERROR, without a line end between.
	GlueError bool `json:"glue_error,omitempty"`
	// Chunk writes at most so many bytes at once, ChunkGap apart; 0 writes whole answers.
	Chunk    int      `json:"chunk,omitempty"`
	ChunkGap Duration `json:"chunk_gap,omitempty"`
	// Garbage puts noise, NUL bytes among it, before each of the next n answers.
	Garbage int `json:"garbage,omitempty"`
	// BootNoise writes NUL bytes before the first line after power came on.
	BootNoise bool `json:"boot_noise,omitempty"`
	// Babble writes binary noise at this interval, as a diagnostic port does; 0 is none.
	Babble Duration `json:"babble,omitempty"`
	// URCInside puts an unsolicited line into the midst of each answer: behind its first line, a +CMGL without its PDU, where it has
	// several.
	URCInside bool `json:"urc_inside,omitempty"`
	// URCEvery floods unsolicited lines at this interval; 0 is none.
	URCEvery Duration `json:"urc_every,omitempty"`
	// URCAtPrompt gives unsolicited lines right behind the prompt, and between the PDU and its answer.
	URCAtPrompt bool `json:"urc_at_prompt,omitempty"`

	// Silence leaves the next n commands without any answer; -1 all of them.
	Silence int `json:"silence,omitempty"`
	// Asleep loses the first n command lines each time that the port is opened (autobaud, power saving).
	Asleep int `json:"asleep,omitempty"`
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
	// ESCTooLate answers an ESC that comes after the PDU with OK; the text goes out all the same, and its +CMGS comes when it comes.
	ESCTooLate bool `json:"esc_too_late,omitempty"`

	// SendErrors are final results for the next sends, first one first, as
	// written on the line: "+CMS ERROR: 38", "+CME ERROR: 515", "ERROR".
	SendErrors []string `json:"send_errors,omitempty"`
	// SentAnyway gives the message to the network although SendErrors answers an error.
	SentAnyway bool `json:"sent_anyway,omitempty"`
	// SwallowPDU takes the next n PDUs, sends nothing, and answers nothing for 300 s.
	SwallowPDU int `json:"swallow_pdu,omitempty"`
	// SilentSend sends the next n PDUs and answers nothing for 300 s.
	SilentSend int `json:"silent_send,omitempty"`
	// FalseOK loses the next n PDUs and answers +CMGS all the same.
	FalseOK int `json:"false_ok,omitempty"`
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
	// SupplyDips restarts the modem at the PDU of each of the next n sends: its power gives way when it transmits.
	SupplyDips int `json:"supply_dips,omitempty"`

	// Registration is the <stat> that +CREG, +CGREG and +CEREG show (27.007 7.2);
	// 0 means registered at home. Other than 1, 5, 6, 7, 9 and 10 no service.
	Registration int `json:"registration,omitempty"`
	// SIMRemoved behaves as if no SIM were inserted.
	SIMRemoved bool `json:"sim_removed,omitempty"`
	// SIMBusy answers the next n +CPIN? with CME 14.
	SIMBusy int `json:"sim_busy,omitempty"`
	// HidesTries refuses each command that tells how many tries for the PIN are left.
	HidesTries bool `json:"hides_tries,omitempty"`
	// SlowReady: so long after a start the message service answers CMS 515.
	SlowReady Duration `json:"slow_ready,omitempty"`
	// LTEOnly: +CREG and +CGREG stay at 0, +CEREG alone tells.
	LTEOnly bool `json:"lte_only,omitempty"`
	// Signal is what +CSQ tells, 1 to 31, or 99 for unknown; 0 is a good 20.
	Signal int `json:"signal,omitempty"`
	// RoutingLost strikes at once: the modem switches its notifications off by itself, as after a +CNMA that did not come
	// (27.005 section 3.4.4).
	RoutingLost bool `json:"routing_lost,omitempty"`
	// NoDirectReports refuses +CNMI with <ds>=1.
	NoDirectReports bool `json:"no_direct_reports,omitempty"`
	// RefuseValidity refuses PDUs with TP-VP (CMS 304).
	RefuseValidity bool `json:"refuse_validity,omitempty"`
	// ThreeStores refuses +CPMS with fewer than three storages.
	ThreeStores bool `json:"three_stores,omitempty"`
	// NoCredit: the prepaid balance is used up; sends are refused, and +CUSD tells 0.00.
	NoCredit bool `json:"no_credit,omitempty"`
	// NoCreditAs is how NoCredit shows, by operator: a final result such as "+CMS ERROR: 69", or "silence"; "" is CMS 38.
	NoCreditAs string `json:"no_credit_as,omitempty"`
	// Barred: the operator bars the SIM from sending (CMS 8).
	Barred bool `json:"barred,omitempty"`
	// BarredTo: texts to numbers that begin so are barred (CMS 10); "" is none.
	BarredTo string `json:"barred_to,omitempty"`
	// MaxPerMinute: what this SIM sends beyond so many parts a minute is refused as congestion (CMS 42); 0 is no bound.
	MaxPerMinute int `json:"max_per_minute,omitempty"`
	// FilterTo: the carrier takes texts of this SIM to numbers that begin so, answers +CMGS, and neither delivers nor reports them;
	// "+" is all, "" none.
	FilterTo string `json:"filter_to,omitempty"`
	// GiveUp: the service centre takes each text, does not deliver it, and reports this TP-ST, 0x40 to 0x7F; 0 is not at all.
	GiveUp int `json:"give_up,omitempty"`
	// USSD is what the modem writes for an answer of the network to +CUSD, as a whole line; "none" is silence.
	USSD string `json:"ussd,omitempty"`
	// NoForwarding: the network refuses +CCFC.
	NoForwarding bool `json:"no_forwarding,omitempty"`
	// StoreFull behaves as if each message storage were full.
	StoreFull bool `json:"store_full,omitempty"`
	// DeleteOne: +CMGD deletes the text of its index alone, whatever its <delflag> says.
	DeleteOne bool `json:"delete_one,omitempty"`

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

	// DialErrors are final results of the next ATD, first one first; nobody is called.
	DialErrors []string `json:"dial_errors,omitempty"`
	// DialWaits answers ATD only when the call is answered or over; any character ends it before (V.250 5.6.1).
	DialWaits bool `json:"dial_waits,omitempty"`
	// CallDelay is added to the time from ATD to the ringing.
	CallDelay Duration `json:"call_delay,omitempty"`
	// NoCallURC tells of no call by itself: +CLCC alone does.
	NoCallURC bool `json:"no_call_urc,omitempty"`
	// RefuseCommand is the name of a command that this firmware does not have, as "+QWTTS"; "" is none.
	RefuseCommand string `json:"refuse_command,omitempty"`
	// DataContext lists a data context in +CLCC, mode 1, always active (EC25).
	DataContext bool `json:"data_context,omitempty"`
	// CallLingers lists a call that has ended as stat 6 for a second more (SIMCom).
	CallLingers bool `json:"call_lingers,omitempty"`
	// CallStays answers the next n +CHUP and ATH with OK while a call is up, which goes on; -1 all of them.
	CallStays int `json:"call_stays,omitempty"`
	// IgnoreATH answers ATH with OK, and the call goes on.
	IgnoreATH bool `json:"ignore_ath,omitempty"`
	// Cause is what +CEER tells, 1 to 127, whatever ended the call; 0 is the truth.
	Cause int `json:"cause,omitempty"`
	// NoCause: +CEER knows of nothing.
	NoCause bool `json:"no_cause,omitempty"`
	// DropAfter, RebootInCall and UnplugInCall strike so long after the network said "answered": the network ends the call, the modem
	// restarts, the modem leaves the bus for a second.
	DropAfter    Duration `json:"drop_after,omitempty"`
	RebootInCall Duration `json:"reboot_in_call,omitempty"`
	UnplugInCall Duration `json:"unplug_in_call,omitempty"`
	// CallWaiting lets somebody call while a call is up, which is told as RING.
	CallWaiting bool `json:"call_waiting,omitempty"`
	// SMSBlockedInCall refuses texts while a call is up (CMS 302).
	SMSBlockedInCall bool `json:"sms_blocked_in_call,omitempty"`
	// AudioRefused refuses the next n commands that switch the PCM of a call on.
	AudioRefused int `json:"audio_refused,omitempty"`
	// AudioStuck does not read what the host writes to the PCM port; AudioMute writes nothing to it.
	AudioStuck bool `json:"audio_stuck,omitempty"`
	AudioMute  bool `json:"audio_mute,omitempty"`
	// AudioPause lets a Quectel want no sound, so long, a second after the answer (+QPCMV: 0, +QPCMV: 1); what comes is lost.
	AudioPause Duration `json:"audio_pause,omitempty"`
	// PlayHangs does not tell when a file or words were said.
	PlayHangs bool `json:"play_hangs,omitempty"`
	// NoKeyURC does not tell of keys: the tone alone does. KeyTwice tells of each twice.
	NoKeyURC bool `json:"no_key_urc,omitempty"`
	KeyTwice bool `json:"key_twice,omitempty"`

	// FixedMR answers each send with message reference 0, and reports so.
	FixedMR bool `json:"fixed_mr,omitempty"`
	// RepeatMR gives each message reference to two sends.
	RepeatMR bool `json:"repeat_mr,omitempty"`
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
	case min(f.Chunk, f.Garbage, f.Unknown, f.NoPrompt, f.SwallowPDU, f.SilentSend, f.LoseText, f.Silence+1, f.Asleep, f.FalseOK,
		f.SupplyDips, f.SIMBusy, f.CallStays+1, f.AudioRefused, f.MaxPerMinute, f.StoreClaim) < 0:
		return errors.New("a count is negative")
	case f.URCEvery != 0 && time.Duration(f.URCEvery) < time.Millisecond, f.Babble != 0 && time.Duration(f.Babble) < time.Millisecond:
		return errors.New("urc_every or babble is under one millisecond")
	case f.Signal < 0 || f.Signal > 31 && f.Signal != 99:
		return errors.New("signal is none of 0 to 31 and 99")
	case f.GiveUp != 0 && (f.GiveUp < 0x40 || f.GiveUp > 0x7f):
		return errors.New("give_up is no TP-ST of 64 to 127")
	case strings.Trim(f.FilterTo+f.BarredTo, "+0123456789") != "":
		return errors.New("filter_to and barred_to must be the begin of a number, such as +1617")
	}
	if f.Cause < 0 || f.Cause > 127 {
		return errors.New("cause is none of 0 to 127")
	}
	for _, e := range append(append([]string(nil), f.SendErrors...), f.DialErrors...) {
		if e == "" {
			return errors.New("send_errors or dial_errors holds an empty result")
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
