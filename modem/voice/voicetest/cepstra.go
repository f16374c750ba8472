package voicetest

import (
	"math"
	"math/cmplx"
	"slices"

	"pinward/modem/voice"
)

// The front end: 25 ms of sound each 10 ms.
const (
	window  = 200
	hop     = 80
	fft     = 256
	filters = 22
	order   = 12
	lowest  = 150.0
	highest = 3400.0
	floor   = 300.0 // of a band: less is noise
)

// vector is the shape of the spectrum at one moment, and how it moves.
type vector [2 * order]float64

// enough is how much must have been said, in vectors, to know the speaker: three seconds.
const enough = 300

// cepstra are the vectors of each piece of a recording, without what the speaker and the line add to all of them alike: their mean.
// If too little was said to know it, it is taken to be usual.
func cepstra(pieces []piece, usual vector) (out [][]vector, mean vector) {
	out = make([][]vector, len(pieces))
	n := 0
	for p, s := range pieces {
		for at := 0; at+window <= len(s.sound); at += hop {
			v := cepstrum(s.sound[at : at+window])
			out[p] = append(out[p], v)
			n++
			for i := range order {
				mean[i] += v[i]
			}
		}
	}
	for i := range order {
		mean[i] /= float64(max(n, 1))
	}
	if n < enough {
		mean = usual
	}
	for _, vs := range out {
		for t := range vs {
			for i := range order {
				vs[t][i] -= mean[i]
			}
		}
		for t := range vs {
			before, after := vs[max(0, t-2)], vs[min(len(vs)-1, t+2)]
			for i := range order {
				vs[t][order+i] = after[i] - before[i]
			}
		}
	}
	return out, mean
}

func cepstrum(x []float64) (v vector) {
	spectrum := make([]complex128, fft)
	last := 0.0
	for i, s := range x {
		spectrum[i] = complex((s-0.95*last)*(0.54-0.46*math.Cos(2*math.Pi*float64(i)/(window-1))), 0)
		last = s
	}
	transform(spectrum)
	var bands [filters]float64
	for k := 1; k < fft/2; k++ {
		// Triangles that overlap by half: each line counts for the two bands that it lies between.
		below := int(math.Floor(places[k]))
		share, size := places[k]-float64(below), cmplx.Abs(spectrum[k])
		if b := below - 1; b >= 0 && b < filters {
			bands[b] += (1 - share) * size
		}
		if b := below; b >= 0 && b < filters {
			bands[b] += share * size
		}
	}
	for i := range order {
		for b, e := range bands {
			v[i] += math.Log(e+floor) * math.Cos(math.Pi*float64(i+1)*(float64(b)+0.5)/filters)
		}
		// Higher coefficients are smaller: lifted, so that each counts.
		v[i] *= 1 + 6*math.Sin(math.Pi*float64(i+1)/22)
	}
	return v
}

// places is where each line of the spectrum lies on the mel scale, in bands: band b has its middle at b+1.
var places = func() (p [fft / 2]float64) {
	low, high := mel(lowest), mel(highest)
	for k := range p {
		p[k] = (mel(float64(k)*voice.SampleRate/fft) - low) / (high - low) * (filters + 1)
	}
	return p
}()

func mel(f float64) float64 { return 2595 * math.Log10(1+f/700) }

// transform is the fast Fourier transform in place; len(x) is a power of two.
func transform(x []complex128) {
	n := len(x)
	for i, j := 1, 0; i < n; i++ {
		bit := n >> 1
		for ; j&bit != 0; bit >>= 1 {
			j ^= bit
		}
		j |= bit
		if i < j {
			x[i], x[j] = x[j], x[i]
		}
	}
	for size := 2; size <= n; size *= 2 {
		w := cmplx.Exp(complex(0, -2*math.Pi/float64(size)))
		for start := 0; start < n; start += size {
			f := complex(1, 0)
			for k := range size / 2 {
				a, b := x[start+k], x[start+k+size/2]*f
				x[start+k], x[start+k+size/2] = a+b, a-b
				f *= w
			}
		}
	}
}

// distance is how far two pieces are apart, by the best way to lay one over the other; 0 for the same sound. What is found to be
// over limit is infinite.
func distance(a, b []vector, limit float64) float64 {
	if len(a) == 0 || len(b) == 0 || len(a) > 2*len(b) || len(b) > 2*len(a) {
		return math.Inf(1)
	}
	row, last := make([]float64, len(b)+1), make([]float64, len(b)+1)
	for j := range last {
		last[j] = math.Inf(1)
	}
	last[0] = 0
	for i := range a {
		for j := range row {
			row[j] = math.Inf(1)
		}
		at := i * len(b) / len(a)
		for j := max(0, at-reach(b)); j < min(len(b), at+reach(b)); j++ {
			var d float64
			for k := range a[i] {
				e := a[i][k] - b[j][k]
				d += e * e
			}
			d = math.Sqrt(d)
			row[j+1] = min(last[j]+2*d, last[j+1]+d, row[j]+d)
		}
		if slices.Min(row) > limit*float64(len(a)+len(b)) {
			return math.Inf(1)
		}
		row, last = last, row
	}
	return last[len(b)] / float64(len(a)+len(b))
}

// reach is how far a piece may lead or lag behind the other: a quarter, and 200 ms at least.
func reach(b []vector) int { return max(20, len(b)/4) }
