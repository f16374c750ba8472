package voice

import (
	"encoding/binary"
	"math"
	"time"
)

// A key sends one low and one high tone together (ITU-T Q.23).
var (
	lowTones  = [4]float64{697, 770, 852, 941}
	highTones = [4]float64{1209, 1336, 1477, 1633}
	keys      = [4][4]byte{{'1', '2', '3', 'A'}, {'4', '5', '6', 'B'}, {'7', '8', '9', 'C'}, {'*', '0', '#', 'D'}}
)

// What is taken for a key (reference 6.4; ITU-T Q.24 asks for about this).
const (
	block       = 205   // samples, 25.6 ms: the tones fall near the middle of their bins
	maxTwist    = 6.31  // 8 dB between the two tones, either way
	minShare    = 0.70  // of the block's energy in the two tones: speech has it elsewhere
	minPower    = 400.0 // mean square of a sample; full scale is 32768 squared, silence on a line under 100
	minBlocks   = 2     // equal blocks
	debounce    = 60 * time.Millisecond
	blockTime   = time.Second * block / SampleRate
	quietBlocks = int((debounce + blockTime - 1) / blockTime)
)

// Detector finds DTMF keys in the audio of a call. The zero value is ready. It is not for several goroutines.
type Detector struct {
	half    []byte // an odd byte of the last Write
	samples []float64
	last    byte // key of the last block, 0 for none
	same    int  // blocks in a row with it
	held    byte // key that was told and is still down
	gap     int  // blocks in a row without held
}

// Write takes PCM as it comes, in pieces of any size, and returns the keys that were pressed in it, each once.
func (d *Detector) Write(pcm []byte) []byte {
	var pressed []byte
	if len(d.half) > 0 && len(pcm) > 0 {
		pcm = append(d.half, pcm...)
		d.half = nil
	}
	for len(pcm) >= 2 {
		d.samples = append(d.samples, float64(int16(binary.LittleEndian.Uint16(pcm))))
		pcm = pcm[2:]
		if len(d.samples) == block {
			if k := d.step(keyIn(d.samples)); k != 0 {
				pressed = append(pressed, k)
			}
			d.samples = d.samples[:0]
		}
	}
	d.half = append([]byte(nil), pcm...)
	return pressed
}

// step takes one block's key. A key counts after two equal blocks, and again only after it was away for the debounce time.
func (d *Detector) step(k byte) byte {
	if k == d.last {
		d.same++
	} else {
		d.last, d.same = k, 1
	}
	if d.held != 0 {
		if k == d.held {
			d.gap = 0
			return 0
		}
		if d.gap++; d.gap >= quietBlocks || k != 0 && d.same >= minBlocks {
			d.held = 0
		}
	}
	if k == 0 || d.same < minBlocks || d.held != 0 {
		return 0
	}
	d.held, d.gap = k, 0
	return k
}

// keyIn is the key in one block, or 0.
func keyIn(x []float64) byte {
	var energy float64
	for _, v := range x {
		energy += v * v
	}
	if energy < minPower*float64(len(x)) {
		return 0
	}
	li, low := strongest(x, lowTones)
	hi, high := strongest(x, highTones)
	switch {
	case low > high*maxTwist, high > low*maxTwist:
		return 0
	case low+high < minShare*energy:
		return 0
	}
	return keys[li][hi]
}

// strongest is the tone of a group with the most energy, as its share of the sum of squares of the block.
func strongest(x []float64, tones [4]float64) (index int, energy float64) {
	for i, f := range tones {
		if e := goertzel(x, f); e > energy {
			index, energy = i, e
		}
	}
	return index, energy
}

// goertzel is the energy of one frequency in x: for a pure sine, the sum of its squares.
func goertzel(x []float64, f float64) float64 {
	c := 2 * math.Cos(2*math.Pi*f/SampleRate)
	var s1, s2 float64
	for _, v := range x {
		s1, s2 = v+c*s1-s2, s1
	}
	return (s1*s1 + s2*s2 - c*s1*s2) * 2 / float64(len(x))
}
