package voice

import (
	"encoding/binary"
	"math"
	"time"
)

// How a recording is made fit for a call (reference 6.3).
const (
	bandLow   = 120.0  // Hz: below is hum
	bandHigh  = 3400.0 // Hz: a telephone line carries no more
	peak      = 16384  // -6 dBFS: louder is cut on the way
	loudness  = 3277   // -20 dBFS, root mean square of what is speech: every prompt as loud as the others
	taps      = 64     // half the length of the filter, in samples of the slower side
	trimBelow = 0.02   // of the loudest 10 ms: silence at the ends
	trimKeep  = 30 * time.Millisecond
	fade      = 5 * time.Millisecond
)

// Prepare makes the sound of a prompt out of a recording: 8 kHz, 120 to 3,400 Hz, no silence at its ends, levelled. The answer is PCM
// as Pacer.Play takes it; nothing if the recording is silent.
func Prepare(r Recording) []byte {
	x := trim(resample(r.Samples, r.Rate))
	if len(x) == 0 {
		return nil
	}
	level(x)
	n := min(samplesIn(fade), len(x)/2)
	for i := range x {
		x[i] *= min(1, float64(i+1)/float64(n+1), float64(len(x)-i)/float64(n+1))
	}
	return toPCM(x)
}

// toPCM rounds samples to 16 bits, little endian.
func toPCM(x []float64) []byte {
	pcm := make([]byte, 0, 2*len(x))
	for _, v := range x {
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(int16(max(-32768, min(32767, math.Round(v))))))
	}
	return pcm
}

func samplesIn(d time.Duration) int { return int(d * SampleRate / time.Second) }

// Silence is PCM of nothing, for so long, in whole samples.
func Silence(d time.Duration) []byte { return make([]byte, 2*samplesIn(d)) }

// Length is how long PCM lasts.
func Length(pcm []byte) time.Duration {
	return time.Duration(len(pcm)/2) * time.Second / SampleRate
}

// resample filters x to the band of the telephone and takes a sample each 1/8000 s: convolution with a windowed sinc, whose
// difference of two low passes is the band. The places between two samples of x repeat, so each has its filter made once.
func resample(x []float64, rate int) []float64 {
	half := taps * rate / SampleRate
	filters := map[int][]float64{}
	out := make([]float64, len(x)*SampleRate/rate)
	for k := range out {
		whole, part := k*rate/SampleRate, k*rate%SampleRate
		f := filters[part]
		if f == nil {
			f = make([]float64, 2*half+1)
			for i := range f {
				d := float64(i-half) - float64(part)/SampleRate
				window := 0.5 + 0.5*math.Cos(math.Pi*min(1, math.Abs(d)/float64(half)))
				f[i] = window * (lowPass(d, bandHigh/float64(rate)) - lowPass(d, bandLow/float64(rate)))
			}
			filters[part] = f
		}
		for i, w := range f {
			if at := whole + i - half; at >= 0 && at < len(x) {
				out[k] += w * x[at]
			}
		}
	}
	return out
}

// lowPass is the impulse response at d samples of an ideal low pass at f, in cycles a sample.
func lowPass(d, f float64) float64 {
	if d == 0 {
		return 2 * f
	}
	return math.Sin(2*math.Pi*f*d) / (math.Pi * d)
}

// trim cuts the silence off both ends.
func trim(x []float64) []float64 {
	frame := samplesIn(10 * time.Millisecond)
	var loud []float64
	var most float64
	for i := 0; i < len(x); i += frame {
		v := rms(x[i:min(i+frame, len(x))])
		loud, most = append(loud, v), max(most, v)
	}
	first, last := -1, -1
	for i, v := range loud {
		if v > trimBelow*most {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 || most < 1 {
		return nil
	}
	keep := samplesIn(trimKeep)
	return x[max(0, first*frame-keep):min(len(x), (last+1)*frame+keep)]
}

// level scales x to the loudness, or as far as its peak allows.
func level(x []float64) {
	var top, sum float64
	var n int
	whole := rms(x)
	for _, v := range x {
		top = max(top, math.Abs(v))
		if math.Abs(v) > whole/4 { // pauses are no speech
			sum += v * v
			n++
		}
	}
	if n == 0 || top == 0 {
		return
	}
	scale := min(loudness/math.Sqrt(sum/float64(n)), peak/top)
	for i := range x {
		x[i] *= scale
	}
}

func rms(x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += v * v
	}
	return math.Sqrt(sum / float64(max(len(x), 1)))
}

// Stretch makes speech slower at the same pitch: factor 1.3 lasts 1.3 times as long, 1 to 2. It overlaps pieces of 30 ms at the place
// near the right one where they fit best (WSOLA).
func Stretch(pcm []byte, factor float64) []byte {
	const (
		piece  = 240 // samples, 30 ms
		hop    = piece / 2
		search = 80 // 10 ms: one period of the lowest voice
	)
	factor = min(max(factor, 1), 2)
	x := make([]float64, len(pcm)/2)
	for i := range x {
		x[i] = float64(int16(binary.LittleEndian.Uint16(pcm[2*i:])))
	}
	if factor == 1 || len(x) < 2*piece+search {
		return append([]byte(nil), pcm...)
	}
	out := make([]float64, int(float64(len(x))*factor)+piece)
	next := 0 // where the last piece would go on
	for at := 0; at+piece <= len(out); at += hop {
		want := int(float64(at) / factor)
		best, from := math.Inf(-1), want
		for o := max(0, want-search); o <= min(len(x)-piece, want+search); o++ {
			if next+hop > len(x) {
				break
			}
			var fit float64
			for i := 0; i < hop; i += 2 {
				fit += x[o+i] * x[next+i]
			}
			if fit > best {
				best, from = fit, o
			}
		}
		if from+piece > len(x) {
			break
		}
		for i := range piece {
			window := 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/piece)
			out[at+i] += x[from+i] * window
		}
		next = from + hop
	}
	return toPCM(out)
}
