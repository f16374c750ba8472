package voice

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// line runs a PCM on a pipe, whose other end the test has.
func line(t *testing.T, hear func([]byte), f func(p *PCM, far net.Conn, hangUp func() error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, far := net.Pipe()
		p := NewPCM(ours, hear)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		ended := false
		hangUp := func() error {
			ended = true
			cancel()
			return <-done
		}
		f(p, far, hangUp)
		far.Close()
		if !ended {
			hangUp()
		}
		synctest.Wait()
	})
}

// Both directions at once: what is played arrives whole, what comes is heard whole, and a stop is silence within a frame.
func TestPCMBothWays(t *testing.T) {
	var got bytes.Buffer
	line(t, func(b []byte) { got.Write(b) }, func(p *PCM, far net.Conn, hangUp func() error) {
		var arrived bytes.Buffer
		read := make(chan struct{})
		go func() {
			defer close(read)
			io.Copy(&arrived, far)
		}()
		voice := ramp(100)
		go func() {
			for i := 0; i < len(voice); i += FrameSize {
				far.Write(voice[i : i+FrameSize])
				time.Sleep(FrameTime)
			}
		}()
		start := time.Now()
		if err := p.Play(context.Background(), Clip{PCM: ramp(50)}); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < 49*FrameTime || d > 51*FrameTime {
			t.Errorf("1 s of sound took %v", d)
		}
		ctx, stop := context.WithTimeout(context.Background(), 195*time.Millisecond)
		defer stop()
		if err := p.Play(ctx, Clip{PCM: ramp(1000)}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stopped: %v", err)
		}
		time.Sleep(time.Second)
		if err := hangUp(); err != nil {
			t.Fatal(err)
		}
		<-read
		// A frame that is due at the instant of a Play, or of its stop, may come before it or after.
		if b := bytes.Trim(arrived.Bytes(), "\x00"); !bytes.Equal(b, append(ramp(50), ramp(9)...)) && !bytes.Equal(b, append(ramp(50), ramp(10)...)) {
			t.Errorf("%d octets of sound arrived, not what was played", len(b))
		}
		if !bytes.Equal(got.Bytes(), voice) {
			t.Errorf("heard %d octets of %d", got.Len(), len(voice))
		}
		if s := p.Stats(); s.Underruns != 0 || s.Received != len(voice) {
			t.Errorf("%+v", s)
		}
	})
}

// A modem that wants no sound gets none, and then what it had not got.
func TestPCMHold(t *testing.T) {
	line(t, nil, func(p *PCM, far net.Conn, hangUp func() error) {
		var arrived bytes.Buffer
		read := make(chan struct{})
		go func() {
			defer close(read)
			io.Copy(&arrived, far)
		}()
		played := make(chan error, 1)
		start := time.Now()
		go func() { played <- p.Play(context.Background(), Clip{PCM: ramp(50)}) }()
		time.Sleep(205 * time.Millisecond)
		p.Hold(true)
		synctest.Wait()
		held := arrived.Len()
		time.Sleep(3 * time.Second)
		if arrived.Len() != held {
			t.Error("sound while it was held")
		}
		p.Hold(false)
		if err := <-played; err != nil || time.Since(start) < 4*time.Second-2*FrameTime {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := hangUp(); err != nil {
			t.Fatal(err)
		}
		<-read
		if !bytes.Equal(bytes.Trim(arrived.Bytes(), "\x00"), ramp(50)) {
			t.Error("samples were lost while it was held")
		}
		if s := p.Stats(); s.Held < 149 || s.Held > 151 || s.Underruns != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A port that fails ends Run and every Play with its error, at once.
func TestPCMPortFails(t *testing.T) {
	line(t, nil, func(p *PCM, far net.Conn, hangUp func() error) {
		go io.CopyN(io.Discard, far, 10*FrameSize)
		played := make(chan error, 1)
		go func() { played <- p.Play(context.Background(), Clip{PCM: ramp(5000)}) }()
		time.Sleep(150 * time.Millisecond)
		far.Close()
		if err := <-played; err == nil {
			t.Error("played to the end of a port that was gone")
		}
		if err := hangUp(); err == nil {
			t.Error("Run says nothing of it")
		}
		if err := p.Play(context.Background(), Clip{PCM: ramp(1)}); err == nil {
			t.Error("plays on")
		}
	})
}

// One press is one key, however often and by whomever it is told (reference 6.4).
func TestKeysCountEachPressOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeys()
		add := func(source string, key byte, then time.Duration) {
			k.Add(source, key)
			time.Sleep(then)
		}
		add("code", '1', 60*time.Millisecond)
		add("code", '1', 400*time.Millisecond) // told twice
		add("tone", '1', 2*time.Second)        // heard as well
		add("tone", '1', 500*time.Millisecond) // pressed again
		add("code", '1', 2*time.Second)        // whose code comes late
		add("code", '1', 200*time.Millisecond)
		add("code", '1', 200*time.Millisecond) // two presses, quickly
		add("code", '9', time.Second)
		add("code", 'x', time.Second)
		add("code", 0, time.Second)
		got := ""
		for len(k.C()) > 0 {
			got += string(rune(<-k.C()))
		}
		if got != "11119" {
			t.Errorf("counted %q", got)
		}
		for range 100 { // nobody takes them: nothing blocks
			add("code", '5', time.Second)
		}
	})
}

func TestClipAsFile(t *testing.T) {
	c := Clip{PCM: ramp(3)}
	wav := c.WAV()
	r, err := ReadWAV(bytes.NewReader(wav))
	if err != nil || r.Rate != SampleRate || len(r.Samples) != 480 || r.Samples[479] != 480 || !bytes.Equal(wav[44:], c.PCM) {
		t.Errorf("%d samples, %v", len(r.Samples), err)
	}
	if int(binary.LittleEndian.Uint32(wav[4:])) != len(wav)-8 || c.Duration() != 3*FrameTime {
		t.Error("its length is wrong")
	}
}

// Talk-off: no speech of any language that we say is a key, loud or faint, clean or in noise, whole or through a narrow line; and a key
// pressed over it is heard.
func TestDTMFTalkOff(t *testing.T) {
	packs, err := Packs(nil)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	heard, seconds := 0, 0.0
	for lang, p := range packs {
		var speech []byte
		for _, name := range p.Names() {
			pcm, err := p.Say(name)
			if err != nil {
				t.Fatal(err)
			}
			speech = append(speech, pcm...)
		}
		for _, c := range []struct{ gain, sigma float64 }{{0.2, 100}, {2, 0}} {
			loud := scaled(speech, c.gain)
			seconds += Length(loud).Seconds()
			if keys := hear(noisy(loud, c.sigma, rng), rng); keys != "" {
				heard += len(keys)
				t.Logf("%s, gain %v, noise %v: %q", lang, c.gain, c.sigma, keys)
			}
		}
		// A key over the echo of our own prompt, 12 dB below it.
		echo := scaled(speech[:2*samplesIn(2*time.Second)], 0.05)
		key := tone(150*time.Millisecond, []float64{6000, 6000}, 697, 1209)
		at := 2 * samplesIn(900*time.Millisecond)
		for i := 0; i < len(key); i += 2 {
			v := int16(binary.LittleEndian.Uint16(echo[at+i:])) + int16(binary.LittleEndian.Uint16(key[i:]))
			binary.LittleEndian.PutUint16(echo[at+i:], uint16(v))
		}
		if got := hear(echo, rng); got != "1" {
			t.Errorf("%s: a key over speech is heard as %q", lang, got)
		}
	}
	if heard > 0 {
		t.Errorf("%d keys in %.0f s of speech", heard, seconds)
	}
}

func scaled(pcm []byte, gain float64) []byte {
	out := make([]byte, len(pcm))
	for i := 0; i+1 < len(pcm); i += 2 {
		v := gain * float64(int16(binary.LittleEndian.Uint16(pcm[i:])))
		binary.LittleEndian.PutUint16(out[i:], uint16(int16(max(min(v, 32767), -32768))))
	}
	return out
}

// Both tones at levels that differ: up to 8 dB either way is a key, 10 dB is none; short of 40 ms is none, from 60 ms on it is one.
func TestDTMFTwistAndDuration(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	gap := tone(pause, nil)
	db := func(d float64) float64 { // of amplitude
		v := 1.0
		for range int(d) {
			v *= 1.1220184543
		}
		return v
	}
	for _, twist := range []float64{0, 3, 6, 7, 10, 14} {
		for _, high := range []bool{false, true} {
			amp := []float64{1500, 1500}
			if high {
				amp[1] *= db(twist)
			} else {
				amp[0] *= db(twist)
			}
			want := ""
			if twist <= 7 {
				want = "9"
			}
			if got := hear(append(append(append([]byte(nil), gap...), tone(press, amp, 852, 1477)...), gap...), rng); got != want {
				t.Errorf("twist of %v dB, high %v: %q, want %q", twist, high, got, want)
			}
		}
	}
	for ms, want := range map[int]string{20: "", 25: "", 80: "5", 100: "5", 400: "5"} {
		for offset := range 205 { // wherever the blocks begin
			pcm := append(make([]byte, 2*offset), tone(time.Duration(ms)*time.Millisecond, []float64{4000, 4000}, 770, 1336)...)
			if got := hear(append(pcm, gap...), rng); got != want {
				t.Fatalf("%d ms at %d: %q, want %q", ms, offset, got, want)
			}
		}
	}
}
