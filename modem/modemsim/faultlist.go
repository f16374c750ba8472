package modemsim

import "slices"

// FaultInfo tells people what a field of Faults does.
type FaultInfo struct {
	Name string `json:"name"`
	// Kind says what to set it to: true, a count of times that it strikes, seconds, a number, text, texts, or a moment.
	Kind  string `json:"kind"`
	About string `json:"about"`
}

// The kinds of FaultInfo.
const (
	kindFlag    = "true"
	kindCount   = "count"
	kindSeconds = "seconds"
	kindNumber  = "number"
	kindText    = "text"
	kindTexts   = "texts"
	kindMoment  = "prompt, pdu or answer"
)

// FaultList describes every field of Faults under its JSON name, in the order of the fields.
func FaultList() []FaultInfo { return slices.Clone(faultList) }

var faultList = []FaultInfo{
	{"echo_always", kindFlag, "echoes what the host writes although ATE0 was accepted"},
	{"double_cr", kindFlag, "frames lines with CR CR LF"},
	{"cr_only", kindFlag, "frames lines with CR alone"},
	{"no_leading_cr", kindFlag, "leaves out the CR LF before an answer"},
	{"leading_lf", kindFlag, "begins lines with LF alone"},
	{"glue_lines", kindFlag, "leaves out the line end between an answer and its final result"},
	{"glue_error", kindFlag, "writes an unsolicited line right behind a final ERROR"},
	{"chunk", kindNumber, "writes at most so many octets at once"},
	{"chunk_gap", kindSeconds, "rests so long after each of those"},
	{"garbage", kindCount, "puts noise with NUL octets before an answer"},
	{"boot_noise", kindFlag, "writes NUL octets after power came on"},
	{"babble", kindSeconds, "writes binary noise at this interval"},
	{"urc_inside", kindFlag, "puts an unsolicited line into the midst of each answer, +CMGL too"},
	{"urc_every", kindSeconds, "gives an unsolicited line at this interval"},
	{"urc_at_prompt", kindFlag, "gives unsolicited lines behind the prompt, and between the PDU and its answer"},
	{"silence", kindCount, "leaves a command without answer; -1: all of them"},
	{"asleep", kindNumber, "loses so many command lines each time that the port is opened"},
	{"late", kindSeconds, "delays each answer"},
	{"late_next", kindSeconds, "delays the next answer alone, so that it meets the command after it"},
	{"unknown", kindCount, "answers COMMAND NOT SUPPORT"},
	{"stuck", kindFlag, "does not read what the host writes"},
	{"prompt", kindText, "writes this in place of CR LF > and a space"},
	{"no_prompt", kindCount, "takes the PDU without showing a prompt"},
	{"double_prompt", kindFlag, "shows the prompt twice"},
	{"prompt_delay", kindSeconds, "shows the prompt late, and swallows what comes before it"},
	{"prompt_race", kindSeconds, "swallows what comes so soon after the prompt"},
	{"ignore_esc", kindFlag, "does not let ESC cancel a prompt"},
	{"esc_too_late", kindFlag, "answers an ESC after the PDU with OK, and sends the text all the same"},
	{"send_errors", kindTexts, "final results of the next sends, such as \"+CMS ERROR: 38\""},
	{"sent_anyway", kindFlag, "sends the texts whose answer is one of send_errors"},
	{"swallow_pdu", kindCount, "takes the PDU, sends nothing, and is silent for 300 s"},
	{"silent_send", kindCount, "sends the PDU, and is silent for 300 s"},
	{"false_ok", kindCount, "loses the PDU, and answers +CMGS all the same"},
	{"send_delay", kindSeconds, "answers a send so much later than the network took it"},
	{"reboot_at", kindMoment, "restarts at that moment of the next send"},
	{"unplug_at", kindMoment, "leaves the bus at that moment of the next send"},
	{"unplugged", kindFlag, "is off the bus"},
	{"unplug_for", kindSeconds, "how long unplug_at lasts; one second if not set"},
	{"supply_dips", kindCount, "restarts when it transmits, for want of power"},
	{"registration", kindNumber, "the stat of +CREG: 0 idle, 2 searching, 3 denied, 6 texts only, 8 emergency only, 11 limited ..."},
	{"sim_removed", kindFlag, "there is no SIM"},
	{"sim_busy", kindCount, "answers +CPIN? with CME 14"},
	{"hides_tries", kindFlag, "does not tell how many tries for the PIN are left"},
	{"slow_ready", kindSeconds, "answers CMS 515 so long after a start"},
	{"lte_only", kindFlag, "tells of its registration by +CEREG alone"},
	{"signal", kindNumber, "what +CSQ tells, 1 to 31 or 99"},
	{"routing_lost", kindFlag, "once: switches notifications off, as after a +CNMA that did not come"},
	{"no_direct_reports", kindFlag, "refuses +CNMI with status reports given directly"},
	{"refuse_validity", kindFlag, "refuses PDUs with a validity period (CMS 304)"},
	{"three_stores", kindFlag, "refuses +CPMS with fewer than three storages"},
	{"no_credit", kindFlag, "the prepaid balance is used up"},
	{"no_credit_as", kindText, "how that shows: a final result such as \"+CMS ERROR: 69\", or \"silence\"; CMS 38 if not set"},
	{"barred", kindFlag, "the operator bars the SIM (CMS 8)"},
	{"barred_to", kindText, "texts to numbers that begin so are barred (CMS 10)"},
	{"max_per_minute", kindNumber, "more parts a minute than this are refused as congestion (CMS 42)"},
	{"filter_to", kindText, "the carrier takes texts to numbers that begin so and throws them away, without report; \"+\": all"},
	{"give_up", kindNumber, "the service centre gives each text up with this TP-ST, 64 to 127"},
	{"ussd", kindText, "the whole line that answers +CUSD; \"none\": silence"},
	{"no_forwarding", kindFlag, "the network refuses +CCFC"},
	{"store_full", kindFlag, "each message storage is full"},
	{"delete_one", kindFlag, "+CMGD deletes the text of its index alone, whatever its flag says"},
	{"store_claim", kindNumber, "+CPMS tells this size of each storage, and what does not fit is lost without a word"},
	{"report_early", kindFlag, "gives the status report before +CMGS"},
	{"report_twice", kindFlag, "gives each status report twice"},
	{"report_never", kindFlag, "loses each status report"},
	{"report_wrong_mr", kindFlag, "gives status reports under another message reference"},
	{"report_delay", kindSeconds, "gives status reports so much later"},
	{"report_foreign", kindFlag, "gives, before each status report, one of a text that was not sent here"},
	{"no_cmti", kindFlag, "stores texts without telling"},
	{"lose_text", kindCount, "loses a text, or a part of one, on its way to the modem"},
	{"text_twice", kindFlag, "stores each text twice"},
	{"dial_errors", kindTexts, "final results of the next ATD, such as \"ERROR\"; nobody is called"},
	{"dial_waits", kindFlag, "answers ATD when the call is answered; any character ends it before"},
	{"call_delay", kindSeconds, "how much later a phone rings"},
	{"no_call_urc", kindFlag, "tells of calls by +CLCC alone"},
	{"refuse_command", kindText, "the name of a command that it does not have, such as \"+QWTTS\""},
	{"data_context", kindFlag, "lists a data context in +CLCC"},
	{"call_lingers", kindFlag, "lists a call that has ended for a second more, with stat 6"},
	{"call_stays", kindCount, "answers +CHUP and ATH with OK, and the call goes on; -1: always"},
	{"ignore_ath", kindFlag, "answers ATH with OK, and the call goes on"},
	{"cause", kindNumber, "what +CEER tells, 1 to 127"},
	{"no_cause", kindFlag, "+CEER knows of nothing"},
	{"drop_after", kindSeconds, "the network ends a call so long after the answer"},
	{"reboot_in_call", kindSeconds, "restarts so long after the answer of a call"},
	{"unplug_in_call", kindSeconds, "leaves the bus for a second, so long after the answer of a call"},
	{"call_waiting", kindFlag, "lets somebody call while a call is up"},
	{"sms_blocked_in_call", kindFlag, "refuses texts while a call is up (CMS 302)"},
	{"audio_refused", kindCount, "refuses to switch the PCM of a call on"},
	{"audio_stuck", kindFlag, "does not read what the host writes to the PCM port"},
	{"audio_mute", kindFlag, "writes nothing to the PCM port"},
	{"audio_pause", kindSeconds, "a Quectel: wants no sound for so long, a second after the answer, and loses what comes"},
	{"play_hangs", kindFlag, "does not tell when a file or words were said"},
	{"no_key_urc", kindFlag, "does not tell of keys: there is the tone alone"},
	{"key_twice", kindFlag, "tells of each key twice"},
	{"fixed_mr", kindFlag, "answers each send with message reference 0"},
	{"repeat_mr", kindFlag, "gives each message reference to two sends"},
}
