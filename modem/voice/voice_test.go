package voice

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is an audio port that notes when each write came; stall makes one write slow.
type recorder struct {
	at    []time.Duration
	start time.Time
	pcm   bytes.Buffer
	stall map[int]time.Duration
	fail  error
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.fail != nil {
		return 0, r.fail
	}
	r.at = append(r.at, time.Since(r.start))
	time.Sleep(r.stall[len(r.at)])
	return r.pcm.Write(b)
}

// record runs a pacer on r for d, in a bubble; it begins with said.
func record(t *testing.T, r *recorder, d time.Duration, said []byte, f func(p *Pacer)) *Pacer {
	t.Helper()
	r.start = time.Now()
	p := NewPacer(r)
	if err := p.Play(said); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), d-time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	f(p)
	if err := <-done; err != nil {
		t.Fatalf("Run: %v", err)
	}
	return p
}

// ramp is PCM in which every sample tells its place.
func ramp(frames int) []byte {
	b := make([]byte, frames*FrameSize)
	for i := 0; i < len(b); i += 2 {
		binary.LittleEndian.PutUint16(b[i:], uint16(i/2+1))
	}
	return b
}

func TestPacerKeepsTimeWithoutDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		said := ramp(50)
		p := record(t, r, 2*time.Minute, said, func(p *Pacer) {
			if err := p.Wait(context.Background()); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(r.start); d < 49*FrameTime || d > 51*FrameTime {
				t.Errorf("1 s of speech was said after %v", d)
			}
		})
		if s := p.Stats(); s.Frames != 6000 || s.Silence != 5950 || s.Underruns != 0 {
			t.Fatalf("two minutes: %+v, want 6000 frames, 5950 of silence", s)
		}
		for k, at := range r.at {
			if want := time.Duration(k) * FrameTime; at != want {
				t.Fatalf("frame %d at %v, want %v", k, at, want)
			}
		}
		if got := r.pcm.Bytes(); !bytes.Equal(got[:len(said)], said) || len(bytes.Trim(got[len(said):], "\x00")) != 0 {
			t.Fatal("what was written is not the speech and then silence")
		}
	})
}

func TestPacerCatchesUpByTwoFramesAndCutsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{stall: map[int]time.Duration{5: 210 * time.Millisecond}}
		said := ramp(30)
		p := record(t, r, 2*time.Second, said, func(p *Pacer) {})
		// Frame 5 is due at 80 ms and ends at 290 ms; then the frames due at 240, 260 and 280 ms would follow at once, the one at
		// 240 ms is beyond the two that may be caught up.
		stalled := 290 * time.Millisecond
		burst := 0
		for _, at := range r.at {
			if at == stalled {
				burst++
			}
		}
		if burst > catchUp+1 {
			t.Errorf("%d frames at once after the stall", burst)
		}
		if s := p.Stats(); s.Underruns == 0 {
			t.Errorf("a stall of 210 ms and no underrun: %+v", s)
		}
		for _, at := range r.at {
			if at > stalled && at%FrameTime != 0 {
				t.Errorf("frame at %v: off its deadlines after the stall", at)
			}
		}
		if got := r.pcm.Bytes(); len(got) < len(said) || !bytes.Equal(got[:len(said)], said) {
			t.Error("samples were lost in the stall")
		}
	})
}

func TestPacerTearsNoSampleWhenThePortIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		p := NewPacer(ours)
		said := ramp(20)
		p.Play(said)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		// The port takes 111 bytes, then nothing for half a second: the write runs into its deadline in the middle of a sample.
		got := make([]byte, len(said))
		if _, err := io.ReadFull(theirs, got[:111]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		if _, err := io.ReadFull(theirs, got[111:]); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, said) {
			t.Fatal("the samples are out of order after a write in part")
		}
		cancel()
		go io.Copy(io.Discard, theirs)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ours.Close()
		theirs.Close()
		synctest.Wait()
	})
}

func TestPacerStopAndErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		p := record(t, r, time.Second, ramp(500), func(p *Pacer) {
			waited := make(chan error, 1)
			go func() { waited <- p.Wait(context.Background()) }()
			time.Sleep(101 * time.Millisecond)
			p.Stop() // a key was pressed
			if err := <-waited; err != nil {
				t.Errorf("Wait: %v", err)
			}
		})
		if said := p.Stats().Frames - p.Stats().Silence; said != 6 {
			t.Errorf("%d frames of speech before Stop at 101 ms, want 6", said)
		}
		if err := p.Play(make([]byte, 3)); !errors.Is(err, ErrOdd) {
			t.Errorf("odd PCM: %v", err)
		}
		if err := p.Play(make([]byte, maxQueued+2)); !errors.Is(err, ErrFull) {
			t.Errorf("eleven minutes: %v", err)
		}
		broken := errors.New("unplugged")
		if err := NewPacer(&recorder{fail: broken}).Run(context.Background()); !errors.Is(err, broken) {
			t.Errorf("failed port: %v", err)
		}
	})
}

// tone is PCM of the sum of sines, each of peak amp.
func tone(d time.Duration, amp []float64, f ...float64) []byte {
	n := int(d * SampleRate / time.Second)
	b := make([]byte, 0, 2*n)
	for i := range n {
		var v float64
		for j, hz := range f {
			v += amp[j] * math.Sin(2*math.Pi*hz*float64(i)/SampleRate)
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(v)))
	}
	return b
}

// noisy adds white noise of the given standard deviation.
func noisy(pcm []byte, sigma float64, rng *rand.Rand) []byte {
	out := append([]byte(nil), pcm...)
	for i := 0; i+1 < len(out); i += 2 {
		v := float64(int16(binary.LittleEndian.Uint16(out[i:]))) + sigma*rng.NormFloat64()
		binary.LittleEndian.PutUint16(out[i:], uint16(int16(max(min(v, 32767), -32768))))
	}
	return out
}

// hear gives pcm to a detector in pieces of odd sizes.
func hear(pcm []byte, rng *rand.Rand) string {
	var d Detector
	var out []byte
	for len(pcm) > 0 {
		n := min(1+rng.IntN(500), len(pcm))
		out = append(out, d.Write(pcm[:n])...)
		pcm = pcm[n:]
	}
	return string(out)
}

const press, pause = 100 * time.Millisecond, 100 * time.Millisecond

func TestDTMFAllKeysInNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, level := range []float64{300, 3000, 12000} { // from a faint line to nearly full scale
		var pcm []byte
		want := ""
		for li, row := range keys {
			for hi, k := range row {
				want += string(k)
				pcm = append(pcm, tone(press, []float64{level, level}, lowTones[li], highTones[hi])...)
				pcm = append(pcm, tone(pause, nil)...)
			}
		}
		for run := range 8 {
			if got := hear(noisy(pcm, level/10, rng), rng); got != want {
				t.Fatalf("level %v, run %d: heard %q, want %q", level, run, got, want)
			}
		}
	}
}

func TestDTMFRepeatedAndHeldKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	one := func(d time.Duration) []byte { return tone(d, []float64{5000, 5000}, 697, 1209) }
	gap := func(d time.Duration) []byte { return tone(d, nil) }
	cases := []struct {
		name string
		pcm  [][]byte
		want string
	}{
		{"held for 3 s", [][]byte{one(3 * time.Second)}, "1"},
		{"pressed twice", [][]byte{one(press), gap(150 * time.Millisecond), one(press)}, "11"},
		{"a click in a held key", [][]byte{one(press), gap(20 * time.Millisecond), one(press)}, "1"},
		{"too short", [][]byte{gap(press), one(15 * time.Millisecond), gap(press)}, ""},
		{"one tone alone", [][]byte{tone(press, []float64{5000}, 697)}, ""},
		{"12 dB of twist", [][]byte{tone(press, []float64{5000, 1250}, 697, 1209)}, ""},
		{"6 dB of twist", [][]byte{tone(press, []float64{2500, 5000}, 697, 1209)}, "1"},
		{"0.8 % off frequency", [][]byte{tone(press, []float64{5000, 5000}, 697*1.008, 1209*1.008)}, "1"},
		{"silence", [][]byte{gap(time.Second)}, ""},
	}
	for _, c := range cases {
		pcm := append(bytes.Join(c.pcm, nil), gap(pause)...)
		if got := hear(pcm, rng); got != c.want {
			t.Errorf("%s: heard %q, want %q", c.name, got, c.want)
		}
	}
}

// Neither noise nor the harmonics of a voice are a key: 20 s of each.
func TestDTMFNoKeyInNoiseOrVoice(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	if got := hear(noisy(tone(20*time.Second, nil), 4000, rng), rng); got != "" {
		t.Errorf("heard %q in 20 s of noise", got)
	}
	var voice []byte
	for range 200 {
		base := 90 + 200*rng.Float64()
		var amp, f []float64
		for h := 1.0; h*base < 3400; h++ {
			f = append(f, h*base)
			amp = append(amp, 6000*rng.Float64()/h)
		}
		voice = append(voice, tone(100*time.Millisecond, amp, f...)...)
	}
	if got := hear(voice, rng); got != "" {
		t.Errorf("heard %q in 20 s of voice-like sound", got)
	}
}

func FuzzDetector(f *testing.F) {
	f.Add([]byte{}, uint8(1))
	f.Add(tone(press, []float64{5000, 5000}, 941, 1336), uint8(7))
	f.Fuzz(func(t *testing.T, pcm []byte, piece uint8) {
		var whole, pieces Detector
		want := string(whole.Write(pcm))
		var got []byte
		for n := int(piece) + 1; len(pcm) > 0; {
			n = min(n, len(pcm))
			got = append(got, pieces.Write(pcm[:n])...)
			pcm = pcm[n:]
		}
		if string(got) != want {
			t.Fatalf("in pieces %q, whole %q", got, want)
		}
	})
}

func BenchmarkDetectorOneSecond(b *testing.B) {
	pcm := tone(time.Second, []float64{5000, 5000}, 697, 1209)
	b.SetBytes(int64(len(pcm)))
	for b.Loop() {
		var d Detector
		d.Write(pcm)
	}
}
