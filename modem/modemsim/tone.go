package modemsim

import (
	"encoding/binary"
	"math"
	"strings"
	"time"
)

// dtmf is the sound of a key, ITU-T Q.23.
func dtmf(key byte, d time.Duration) []byte {
	low, high := []float64{697, 770, 852, 941}, []float64{1209, 1336, 1477, 1633}
	i := max(strings.IndexByte("123A456B789C*0#D", key), 0)
	return tones(d, 5000, low[i/4], high[i%4])
}

// tones is the sum of sines, each of that amplitude.
func tones(d time.Duration, amplitude float64, hz ...float64) []byte {
	n := int(d * sampleRate / time.Second)
	b := make([]byte, 0, 2*n)
	for i := range n {
		v := 0.0
		for _, f := range hz {
			v += amplitude * math.Sin(2*math.Pi*f*float64(i)/sampleRate)
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(v)))
	}
	return b
}

// speech is a sound with the length and the ups and downs of speech, for a voice that is not modelled: about 90 ms a letter.
func speech(letters int) []byte {
	var b []byte
	for i := range letters {
		base := 110 + 15*float64(i%5)
		b = append(b, tones(70*time.Millisecond, 2500, base, 2.1*base, 5.3*base)...)
		b = append(b, make([]byte, bytesOf(20*time.Millisecond))...)
	}
	return b
}

// greeting is what a voicemail says before it records: four seconds, and the beep.
func greeting() []byte {
	return append(append(speech(44), tones(500*time.Millisecond, 6000, 1000)...), make([]byte, bytesOf(time.Second))...)
}
