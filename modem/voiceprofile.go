package modem

import "slices"

// voiceProfile is how a family of modules calls, plays and hears keys; a module without one sends texts only.
type voiceProfile struct {
	Except []string  `json:"except"`  // models without voice, by prefix
	HangUp []string  `json:"hang_up"` // in turn, until +CLCC is empty: some modules pass over one of them
	Texts  bool      `json:"texts"`   // it sends texts while it calls
	Ways   []way     `json:"ways"`    // to play, in order of preference
	Keys   keyCode   `json:"keys"`
	VoLTE  condition `json:"volte"` // when it calls over IMS; otherwise it needs CS fall-back
}

// The kinds of a way.
const (
	wayPCM  = "pcm"  // a serial port that takes and gives PCM
	wayFile = "file" // the module plays WAV files that it is given
	wayTTS  = "tts"  // the module speaks
)

// way is a way to play sound into a call: commands around package voice's Player.
type way struct {
	Kind  string   `json:"kind"`
	Probe string   `json:"probe"` // a module that refuses this at bring-up cannot; "" is no question
	Setup []string `json:"setup"` // before the dialing, best effort
	End   []string `json:"end"`   // after the call, best effort

	// Begin opens the audio of a call: once it was dialed, or once it was answered and BeginAfter is over. It is tried again while it
	// is refused, for BeginFor. Cure says that a module which goes on refusing needs a restart (reference 6.2).
	Begin      string   `json:"begin"`
	AtDial     bool     `json:"at_dial"`
	BeginAfter duration `json:"begin_after"`
	BeginFor   duration `json:"begin_for"`
	Cure       bool     `json:"cure"`

	Hold string `json:"hold"` // the code with which the module stops (0) and restarts (1) the stream

	// Of files: %s is the name, %d the length.
	Upload string `json:"upload"`
	Folder string `json:"folder"` // in front of each name
	List   string `json:"list"`   // names what is there
	Delete string `json:"delete"`

	Play    string `json:"play"`    // %s is the file, or the words in ASCII
	Unicode string `json:"unicode"` // of tts: %s is the words as UCS2 in hexadecimal
	Longest int    `json:"longest"` // of tts: octets
	Stop    string `json:"stop"`
	Played  string `json:"played"` // begin of the code that tells the end
}

// keyCode is how the module tells that a key was pressed.
type keyCode struct {
	On    string   `json:"on"`
	Off   string   `json:"off"`
	Codes []string `json:"codes"` // names of the unsolicited code, as "+RXDTMF"
	ASCII bool     `json:"ascii"` // the value is the key's code in ASCII, in decimal
	Tones bool     `json:"tones"` // it may keep silent: listen for the tones as well, where there is PCM
}

// condition is one question and the value of one field of its answer, counted from 0.
type condition struct {
	Ask   string `json:"ask"`
	Field int    `json:"field"`
	Is    string `json:"is"`
}

// holds reads the answer to a condition.
func (c condition) holds(info []string) bool {
	for _, l := range info {
		f := fields(field([]string{l}, prefixOf(l)))
		if len(f) > c.Field && f[c.Field] == c.Is {
			return true
		}
	}
	return false
}

// kinds names ways for Status.Audio.
func kinds(ways []way) (out []string) {
	for _, w := range ways {
		if !slices.Contains(out, w.Kind) {
			out = append(out, w.Kind)
		}
	}
	return out
}
