package voice

import (
	"math"
	"testing"
	"time"
)

// hum is n samples of one frequency, as PCM.
func hum(f, amplitude float64, n int) []byte { return toPCM(wave(f, amplitude, SampleRate, n)) }

func wave(f, amplitude float64, rate, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = amplitude * math.Sin(2*math.Pi*f*float64(i)/float64(rate))
	}
	return x
}

func floats(pcm []byte) []float64 {
	x := make([]float64, len(pcm)/2)
	for i := range x {
		x[i] = float64(int16(uint16(pcm[2*i]) | uint16(pcm[2*i+1])<<8))
	}
	return x
}

// TestPrepareKeepsTheBand: what a telephone carries comes through at every rate, hum and hiss do not, and nothing is folded back.
func TestPrepareKeepsTheBand(t *testing.T) {
	for _, rate := range []int{8000, 11025, 16000, 22050, 44100, 48000} {
		for f, pass := range map[float64]bool{300: true, 1000: true, 3000: true, 30: false, 3900: false, 5000: false, 7000: false} {
			if f > float64(rate)/2 {
				continue
			}
			got := rms(resample(wave(f, 10000, rate, rate), rate)) / (10000 / math.Sqrt2)
			if pass && (got < 0.9 || got > 1.1) || !pass && got > 0.2 {
				t.Errorf("%d samples a second: %.0f Hz comes through by %.3f", rate, f, got)
			}
		}
	}
}

// TestPrepareLevels: a whisper and a shout are as loud as each other, and no peak is over -6 dBFS.
func TestPrepareLevels(t *testing.T) {
	for name, x := range map[string][]float64{
		"whisper": wave(700, 200, 16000, 16000),
		"shout":   wave(700, 32000, 16000, 16000),
		"speech":  append(append(wave(700, 9000, 16000, 4000), make([]float64, 8000)...), wave(700, 9000, 16000, 4000)...),
	} {
		y := floats(Prepare(Recording{16000, x}))
		var loud float64
		var top float64
		n := 0
		for _, v := range y {
			top = max(top, math.Abs(v))
			if math.Abs(v) > 200 {
				loud, n = loud+v*v, n+1
			}
		}
		if got := math.Sqrt(loud / float64(n)); got < 0.8*loudness || got > 1.2*loudness {
			t.Errorf("%s: %.0f loud, want about %d", name, got, loudness)
		}
		if top > peak {
			t.Errorf("%s: peak %.0f", name, top)
		}
	}
	// A click among silence has no loudness to speak of: its peak is what counts.
	click := make([]float64, 8000)
	for i := range 400 {
		click[4000+i] = 100
	}
	click[4100] = 32000
	for _, v := range floats(Prepare(Recording{8000, click})) {
		if math.Abs(v) > peak+1 {
			t.Fatalf("a peak of %.0f", v)
		}
	}
}

// TestPrepareTrims: what is silent at the ends goes, so that the gaps between digits are those that were asked for.
func TestPrepareTrims(t *testing.T) {
	x := append(append(make([]float64, 8000), wave(700, 9000, 8000, 4000)...), make([]float64, 12000)...)
	if got := Length(Prepare(Recording{8000, x})); got < 500*time.Millisecond || got > 600*time.Millisecond {
		t.Errorf("half a second of speech lasts %v", got)
	}
	for name, x := range map[string][]float64{"nothing": nil, "silence": make([]float64, 8000), "one sample": {5}} {
		if got := Prepare(Recording{8000, x}); len(got) > 4 {
			t.Errorf("%s became %d bytes", name, len(got))
		}
	}
}

// TestStretch: longer by the factor, as loud, and at the same pitch.
func TestStretch(t *testing.T) {
	for _, factor := range []float64{1, 1.3, 1.6, 2} {
		in := hum(200, 8000, 8000)
		out := floats(Stretch(in, factor))
		if got := float64(len(out)) / 8000; got < factor-0.05 || got > factor+0.05 {
			t.Errorf("factor %.1f: %.2f times as long", factor, got)
		}
		middle := out[len(out)/4 : len(out)*3/4]
		crossings := 0
		for i := 1; i < len(middle); i++ {
			if middle[i-1] < 0 && middle[i] >= 0 {
				crossings++
			}
		}
		if hz := float64(crossings) / float64(len(middle)) * SampleRate; hz < 190 || hz > 210 {
			t.Errorf("factor %.1f: 200 Hz became %.0f", factor, hz)
		}
		if got := rms(middle) / (8000 / math.Sqrt2); got < 0.85 || got > 1.15 {
			t.Errorf("factor %.1f: %.2f times as loud", factor, got)
		}
	}
	for _, n := range []int{0, 1, 100, 500} {
		if got := len(Stretch(hum(200, 8000, n), 1.5)); got%2 != 0 || got < 2*n {
			t.Errorf("%d samples became %d bytes", n, got)
		}
	}
}
