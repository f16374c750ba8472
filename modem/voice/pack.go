package voice

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Prompt names one thing that is said in a call. In a folder of recordings it is LANGUAGE/PROMPT.wav.
type Prompt string

// The prompts. Brand is the hospital's own name, which no shipped pack has: a site makes it (pinward speech build) or records it.
const (
	Brand       Prompt = "brand"         // "This is ... Hospital.": every call begins with it
	PressOne    Prompt = "press-1"       // to hear your code
	PressNine   Prompt = "press-9"       // if you did not ask for this call
	CodeIs      Prompt = "code"          // before the digits
	CodeAgain   Prompt = "again"         // before the digits, the second time
	Private     Prompt = "private"       // tell nobody
	StaffOnly   Prompt = "staff"         // tell only the staff in front of you
	CallUs      Prompt = "call-us"       // before the hospital's phone number
	NoKey       Prompt = "no-key"        // nobody pressed a key, as a voicemail does not: a message without a code
	Stopped     Prompt = "stopped"       // 9 was pressed: the code is void
	Notice      Prompt = "notice"        // a notice without PHI, for a landline
	HearAgain   Prompt = "press-1-again" // to hear the notice again
	RefuseCalls Prompt = "press-9-calls" // to get no more notices by voice
	NoMoreCalls Prompt = "no-more-calls" // 9 was pressed
	TestCall    Prompt = "test"          // an operator's test
	Goodbye     Prompt = "goodbye"
)

// Prompts are all prompts but Brand and the digits: what a pack has to have.
func Prompts() []Prompt {
	return []Prompt{PressOne, PressNine, CodeIs, CodeAgain, Private, StaffOnly, CallUs, NoKey, Stopped, Notice, HearAgain, RefuseCalls,
		NoMoreCalls, TestCall, Goodbye}
}

const digits = "0123456789"

// Gaps of a code that is spoken digit by digit (reference 6.3).
const (
	digitGap = 300 * time.Millisecond
	slowGap  = 600 * time.Millisecond
	groupGap = 300 * time.Millisecond // more, after each third digit
)

// slowFactor is how much slower speech is for who needs it.
const slowFactor = 1.3

// ErrNoPrompt says that a pack lacks what was to be said.
var ErrNoPrompt = errors.New("no recording of a prompt")

// Pack is what can be said in one language. It does not change and is for any number of goroutines.
type Pack struct {
	// Lang is the language as a BCP 47 primary subtag: "en", "zh".
	Lang  string
	clips map[Prompt][]byte
	words map[Prompt]string // of the clips that were made out of words
	slow  bool
}

//go:embed packs
var shipped embed.FS

// Packs reads the shipped packs, by language, and puts the site's recordings over them: files LANGUAGE/PROMPT.wav in site, of a
// language that is shipped or, when it has every prompt and digit, of another. site may be nil. Any form that ReadWAV takes is made
// fit by Prepare. LANGUAGE/words.toml holds the words of the recordings beside it, where they were made out of words. Errors name the
// file; a name that is no prompt is an error, as it would be heard by nobody.
func Packs(site fs.FS) (map[string]*Pack, error) {
	own, err := fs.Sub(shipped, "packs")
	if err != nil {
		return nil, fmt.Errorf("read shipped prompts: %w", err)
	}
	packs := map[string]*Pack{}
	if err := addClips(packs, own, func(r Recording) []byte { return toPCM(r.Samples) }); err != nil {
		return nil, fmt.Errorf("read shipped prompts: %w", err)
	}
	if site != nil {
		if err := addClips(packs, site, Prepare); err != nil {
			return nil, fmt.Errorf("read the site's recordings: %w", err)
		}
	}
	for lang, p := range packs {
		if missing := p.missing(); len(missing) > 0 {
			return nil, fmt.Errorf("language %q: %w: %s", lang, ErrNoPrompt, strings.Join(missing, ", "))
		}
	}
	return packs, nil
}

// addClips reads LANGUAGE/PROMPT.wav out of files.
func addClips(packs map[string]*Pack, files fs.FS, prepare func(Recording) []byte) error {
	names, err := fs.Glob(files, "*/*.wav")
	if err != nil {
		return fmt.Errorf("list recordings: %w", err)
	}
	for _, name := range names {
		lang, prompt := path.Dir(name), Prompt(strings.TrimSuffix(path.Base(name), ".wav"))
		if !Known(prompt) {
			return fmt.Errorf("%s: there is no prompt of this name", name)
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("read recording: %w", err)
		}
		r, err := ReadWAV(bytes.NewReader(b))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		pcm := prepare(r)
		if len(pcm) == 0 {
			return fmt.Errorf("%s: %w: it is silent", name, ErrWAV)
		}
		if packs[lang] == nil {
			packs[lang] = &Pack{Lang: lang, clips: map[Prompt][]byte{}, words: map[Prompt]string{}}
		}
		packs[lang].clips[prompt] = pcm
		delete(packs[lang].words, prompt) // those of the recording that this one is put over
	}
	return addWords(packs, files)
}

// Known tells whether there is such a prompt: one of Prompts, Brand, or a digit.
func Known(p Prompt) bool {
	return p == Brand || slices.Contains(Prompts(), p) || len(p) == 1 && strings.Contains(digits, string(p))
}

// missing are the prompts and digits that a pack needs and has not.
func (p *Pack) missing() []string {
	var out []string
	for _, d := range digits {
		if p.clips[Prompt(d)] == nil {
			out = append(out, string(d))
		}
	}
	for _, n := range Prompts() {
		if p.clips[n] == nil {
			out = append(out, string(n))
		}
	}
	return out
}

// Has tells whether the pack can say a prompt: a site may not have made its Brand yet.
func (p *Pack) Has(n Prompt) bool { return p.clips[n] != nil }

// Names are all that the pack can say, digits included, sorted.
func (p *Pack) Names() []Prompt { return slices.Sorted(maps.Keys(p.clips)) }

// Slow is the pack for who needs slower speech and longer pauses.
func (p *Pack) Slow() *Pack {
	slow := *p
	slow.slow = true
	return &slow
}

// Gap is the silence between two digits.
func (p *Pack) Gap() time.Duration {
	if p.slow {
		return slowGap
	}
	return digitGap
}

// Say is the PCM of one prompt. The caller does not change it. The error wraps ErrNoPrompt.
func (p *Pack) Say(n Prompt) ([]byte, error) {
	pcm := p.clips[n]
	switch {
	case pcm == nil:
		return nil, fmt.Errorf("%w: %s/%s", ErrNoPrompt, p.Lang, n)
	case p.slow:
		return Stretch(pcm, slowFactor), nil
	}
	return pcm, nil
}

// Words are what a prompt says, "" where only a recording is known: a person's voice, or another text's.
func (p *Pack) Words(n Prompt) string { return p.words[n] }

// SayDigits is the PCM of digits, one by one with a gap between them and a longer one after each third. Anything but a digit is left
// out: a phone number may be given as it is printed. The error names no digit.
func (p *Pack) SayDigits(s string) ([]byte, error) {
	var pcm []byte
	n := 0
	for _, d := range s {
		if d < '0' || d > '9' {
			continue
		}
		if n > 0 {
			pcm = append(pcm, Silence(p.Gap())...)
			if n%3 == 0 {
				pcm = append(pcm, Silence(groupGap)...)
			}
		}
		clip := p.clips[Prompt(d)]
		if clip == nil {
			return nil, fmt.Errorf("%w: a digit of %s", ErrNoPrompt, p.Lang)
		}
		if p.slow {
			clip = Stretch(clip, slowFactor)
		}
		pcm = append(pcm, clip...)
		n++
	}
	return pcm, nil
}
