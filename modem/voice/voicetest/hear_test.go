package voicetest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pinward/modem/voice"
)

// TestHearsEachPack: every prompt is told from every other and every digit from every digit, spoken as it is, slowly, and over a line
// that is quieter and hisses.
func TestHearsEachPack(t *testing.T) {
	packs, err := voice.Packs(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(packs) != 7 {
		t.Fatalf("%d languages, want 7", len(packs))
	}
	for lang, p := range packs {
		t.Run(lang, func(t *testing.T) {
			ear := newEar(t, p)
			for _, name := range voice.Prompts() {
				pcm, err := p.Say(name)
				if err != nil {
					t.Fatal(err)
				}
				if got := Said(ear.Hear(pcm)); got != string(name) {
					t.Errorf("said %q, heard %q", name, got)
				}
			}
			const code = "8402917365"
			if got := Said(ear.HearDigits(digits(t, p.Slow(), code))); got != code {
				t.Errorf("said %s slowly, heard %q", code, got)
			}
			if got := Said(ear.HearDigits(hiss(digits(t, p, code)))); got != code {
				t.Errorf("said %s over a bad line, heard %q", code, got)
			}
		})
	}
}

// TestHearsACall: a whole call, with what is around the code.
func TestHearsACall(t *testing.T) {
	packs, err := voice.Packs(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := packs["en"]
	pcm := voice.Silence(pause * 3)
	for _, name := range []voice.Prompt{voice.PressOne, voice.PressNine, voice.CodeIs} {
		said, err := p.Say(name)
		if err != nil {
			t.Fatal(err)
		}
		pcm = slices.Concat(pcm, said, voice.Silence(pause*2))
	}
	pcm = append(pcm, digits(t, p, "004477")...)
	if got := Said(newEar(t, p).Hear(pcm)); got != "press-1 press-9 code 004477" {
		t.Errorf("heard %q", got)
	}
}

// TestTellsAWrongCode: an ear that hears what it would like to hear proves nothing.
func TestTellsAWrongCode(t *testing.T) {
	packs, err := voice.Packs(nil)
	if err != nil {
		t.Fatal(err)
	}
	for lang, p := range packs {
		ear := newEar(t, p)
		sevens, silence := digits(t, p, "7"), voice.Silence(pause*4)
		if got := Said(ear.Hear(sevens)); got != "7" {
			t.Errorf("%s: said 7, heard %q", lang, got)
		}
		if got := ear.Hear(silence); len(got) != 0 {
			t.Errorf("%s: heard %q in silence", lang, Said(got))
		}
		if got := Said(ear.Hear(slices.Concat(sevens, silence, sevens))); got != strings.Repeat("7", 2) {
			t.Errorf("%s: said 7 and 7, heard %q", lang, got)
		}
	}
}

func newEar(t testing.TB, p *voice.Pack) *Ear {
	t.Helper()
	e, err := NewEar(p)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func digits(t testing.TB, p *voice.Pack, code string) []byte {
	t.Helper()
	pcm, err := p.SayDigits(code)
	if err != nil {
		t.Fatal(err)
	}
	return pcm
}

// hiss makes a line of it: 6 dB quieter, with noise 46 dB below what is said.
func hiss(pcm []byte) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]byte, 0, len(pcm))
	for i := 0; i < len(pcm); i += 2 {
		v := int16(uint16(pcm[i])|uint16(pcm[i+1])<<8)/2 + int16(r.IntN(21)-10)
		out = append(out, byte(v), byte(uint16(v)>>8))
	}
	return out
}
