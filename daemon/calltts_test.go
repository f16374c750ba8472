package daemon

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"pinward/daemon/outbox"
	"pinward/modem/modemsim"
	"pinward/modem/voice"
)

// A module that can be given no recording speaks the words that the recordings were made of, in English, whatever language was wanted;
// where it is not known what a recording says, it takes no calls.
func TestFlowModuleSpeaksByItself(t *testing.T) {
	mute := calling()
	mute[0].faults.RefuseCommand = "+QPSND" // and there is no audio port
	inFlowOf(t, mute, func(f *flow) {
		f.withSpeech()
		f.phone(modemsim.HandsetChange{Answers: new(true), Presses: new("1"), PressAfter: new(modemsim.Duration(20 * time.Second))})
		v := f.call("portal-login")
		f.state(v, outbox.Delivered, 3*time.Minute)
		said := f.modems[0].Spoken()
		if len(said) == 0 || said[0] != "This is Demo Hospital. To hear your code, press 1. If you did not ask for this call, press 9." {
			t.Fatalf("said %q", said)
		}
		digits := map[string]string{"zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9"}
		code, closing := "", said[len(said)-1]
		for _, s := range said {
			code += digits[s]
		}
		if len(code) != 12 || code[:6] != code[6:] {
			t.Fatalf("said %q", said)
		}
		if !regexp.MustCompile(`^Do not tell this code to anybody\. You can reach us at: six, one, seven, .* Goodbye\.$`).MatchString(closing) {
			t.Errorf("at the end %q", closing)
		}
		if !f.check(v.ID, code[:6]) {
			t.Error("what was said is not the code")
		}
	})
}

// The words are of the recordings beside them: a person's voice put over one has none, and then no module speaks in its place.
func TestWordsAreOfTheRecordings(t *testing.T) {
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("../cmd/demo/speech")); err != nil {
		t.Fatal(err)
	}
	r := &recordings{}
	var err error
	if r.packs, err = readPacks(folder); err != nil {
		t.Fatal(err)
	}
	s, err := compose(r, outbox.Spoken{Code: "482917", Langs: []string{"en"}, Phone: "617-555-1000"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Intro.Text != "Your code is:" || s.Digits[0].Text != "four" || strings.Contains(s.Prompt.Text, "four") {
		t.Errorf("%q, %q, %q", s.Prompt.Text, s.Intro.Text, s.Digits[0].Text)
	}
	if s, err = compose(r, outbox.Spoken{Code: "482917", Langs: []string{"es"}}); err != nil || s.Prompt.Text != "" {
		t.Errorf("a module would speak Spanish as English: %q, %v", s.Prompt.Text, err)
	}
	own, err := os.ReadFile(folder + "/en/brand.wav")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder+"/en/goodbye.wav", own, 0o600); err != nil {
		t.Fatal(err)
	}
	if r.packs, err = readPacks(folder); err != nil {
		t.Fatal(err)
	}
	if p := r.packs["en"]; p.Words(voice.Goodbye) != "" || p.Words(voice.Brand) == "" {
		t.Errorf("words %q, %q", p.Words(voice.Goodbye), p.Words(voice.Brand))
	}
	if err := os.WriteFile(folder+"/en/"+voice.WordsFile, []byte("godbye = 'x'"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readPacks(folder); err == nil || !strings.Contains(err.Error(), "godbye") {
		t.Errorf("a misspelt prompt: %v", err)
	}
}
