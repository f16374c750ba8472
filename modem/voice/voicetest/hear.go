package voicetest

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"pinward/modem/voice"
)

// pause is how long it has to be quiet between two pieces: longer than the stops within a word, shorter than the gap between digits.
const pause = 180 * time.Millisecond

// Word is one piece of a recording and what it was taken for.
type Word struct {
	At       time.Duration // where it begins
	Prompt   voice.Prompt  // a digit is the prompt of its name
	Piece    int           // which piece of the prompt, from 0: a longer one has pauses of its own
	Distance float64       // from the pack's sound, 0 if they are the same
}

// Ear knows the sound of a pack.
type Ear struct {
	known []known
	mean  vector // of all that the pack says
}

type known struct {
	prompt voice.Prompt
	piece  int
	sound  []vector
}

// NewEar learns what a pack can say.
func NewEar(p *voice.Pack) (*Ear, error) {
	var pieces []piece
	e := &Ear{}
	for _, name := range p.Names() {
		pcm, err := p.Say(name)
		if err != nil {
			return nil, fmt.Errorf("learn prompt: %w", err)
		}
		for i, s := range cut(samples(pcm)) {
			pieces = append(pieces, s)
			e.known = append(e.known, known{prompt: name, piece: i})
		}
	}
	sounds, mean := cepstra(pieces, vector{})
	for i, sound := range sounds {
		e.known[i].sound = sound
	}
	e.mean = mean
	return e, nil
}

// Hear takes a recording, as PCM of 8 kHz, for what it most likely says. Another speaker has to say three seconds.
func (e *Ear) Hear(pcm []byte) []Word { return e.hear(pcm, func(known) bool { return true }) }

// HearDigits is Hear where only digits were spoken.
func (e *Ear) HearDigits(pcm []byte) []Word {
	return e.hear(pcm, func(k known) bool { return len(k.prompt) == 1 })
}

func (e *Ear) hear(pcm []byte, may func(known) bool) []Word {
	var words []Word
	pieces := cut(samples(pcm))
	sounds, _ := cepstra(pieces, e.mean)
	for i, sound := range sounds {
		best := Word{At: pieces[i].at, Distance: math.Inf(1)}
		for _, k := range e.known {
			if !may(k) {
				continue
			}
			if d := distance(sound, k.sound, best.Distance); d < best.Distance {
				best.Prompt, best.Piece, best.Distance = k.prompt, k.piece, d
			}
		}
		words = append(words, best)
	}
	return words
}

// Said is what was heard in one line: prompts by name, a piece of one once, and digits in a row as one word: "brand press-1 code 482917".
func Said(words []Word) string {
	var out []string
	digits := false
	for _, w := range words {
		switch isDigit := len(w.Prompt) == 1; {
		case isDigit && digits:
			out[len(out)-1] += string(w.Prompt)
		case isDigit, w.Piece == 0 || len(out) == 0 || out[len(out)-1] != string(w.Prompt):
			out = append(out, string(w.Prompt))
			digits = isDigit
		}
	}
	return strings.Join(out, " ")
}

func samples(pcm []byte) []float64 {
	x := make([]float64, len(pcm)/2)
	for i := range x {
		x[i] = float64(int16(binary.LittleEndian.Uint16(pcm[2*i:])))
	}
	return x
}

type piece struct {
	at    time.Duration
	sound []float64
}

// cut parts a recording at its pauses: where it is 35 dB below the loudest 10 ms, and below what a line hisses.
func cut(x []float64) []piece {
	const frame, step = voice.SampleRate / 100, 10 * time.Millisecond
	var loud []float64
	var most float64
	for i := 0; i < len(x); i += frame {
		part := x[i:min(i+frame, len(x))]
		var sum float64
		for _, v := range part {
			sum += v * v
		}
		v := math.Sqrt(sum / float64(len(part)))
		loud, most = append(loud, v), max(most, v)
	}
	var out []piece
	first, last := -1, -1
	end := func() {
		if first >= 0 && last-first >= 4 { // shorter than 50 ms is a click
			out = append(out, piece{time.Duration(first) * step, x[first*frame : min((last+1)*frame, len(x))]})
		}
		first = -1
	}
	for i, v := range loud {
		if v > max(40, most*0.018) {
			if first < 0 {
				first = i
			}
			last = i
		} else if first >= 0 && time.Duration(i-last)*step > pause {
			end()
		}
	}
	end()
	return out
}
