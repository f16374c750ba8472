package voice

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// wav makes a file of one fmt and one data chunk, after others.
func wav(tag, channels uint16, rate uint32, bits uint16, data []byte) []byte {
	le := binary.LittleEndian
	format := le.AppendUint16(nil, tag)
	format = le.AppendUint16(format, channels)
	format = le.AppendUint32(format, rate)
	format = le.AppendUint32(format, rate*uint32(bits)/8)
	format = le.AppendUint16(le.AppendUint16(format, bits/8), bits)
	if tag == wavExtensible {
		format = append(format, 22, 0, 16, 0, 4, 0, 0, 0, wavPCM, 0)
	}
	var b bytes.Buffer
	b.WriteString("RIFF\xff\xff\xff\xffWAVE")
	for _, c := range []struct {
		id   string
		data []byte
	}{{"LIST", []byte("odd")}, {"fmt ", format}, {"data", data}} {
		b.WriteString(c.id)
		b.Write(le.AppendUint32(nil, uint32(len(c.data))))
		b.Write(c.data)
		if len(c.data)%2 != 0 {
			b.WriteByte(0)
		}
	}
	return b.Bytes()
}

func TestReadWAV(t *testing.T) {
	for name, c := range map[string]struct {
		file []byte
		want []float64
	}{
		"PCM":            {wav(wavPCM, 1, 8000, 16, []byte{1, 0, 0xff, 0xff, 0, 0x80}), []float64{1, -1, -32768}},
		"extensible":     {wav(wavExtensible, 1, 44100, 16, []byte{2, 0}), []float64{2}},
		"mu-law":         {wav(wavMuLaw, 1, 8000, 8, []byte{0xff, 0x7f, 0x80, 0x00}), []float64{0, 0, 32124, -32124}},
		"A-law":          {wav(wavALaw, 1, 8000, 8, []byte{0xd5, 0x55, 0xaa, 0x2a}), []float64{8, -8, 32256, -32256}},
		"half a sample":  {wav(wavPCM, 1, 8000, 16, []byte{1, 0, 9}), []float64{1}},
		"size not known": {bytes.Replace(wav(wavPCM, 1, 8000, 16, []byte{1, 0}), []byte("data\x02\x00\x00\x00"), []byte("data\xff\xff\xff\xff"), 1), []float64{1}},
	} {
		r, err := ReadWAV(bytes.NewReader(c.file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(r.Samples) != len(c.want) {
			t.Errorf("%s: %v, want %v", name, r.Samples, c.want)
			continue
		}
		for i, v := range r.Samples {
			if v != c.want[i] {
				t.Errorf("%s: %v, want %v", name, r.Samples, c.want)
			}
		}
	}
}

func TestReadWAVErrors(t *testing.T) {
	whole := wav(wavPCM, 1, 8000, 16, []byte{1, 0})
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"stereo":           {wav(wavPCM, 2, 8000, 16, nil), "2 channels"},
		"4 kHz":            {wav(wavPCM, 1, 4000, 16, nil), "4000 samples"},
		"24 bit":           {wav(wavPCM, 1, 8000, 24, nil), "format 1 with 24 bits"},
		"ADPCM":            {wav(2, 1, 8000, 4, nil), "format 2"},
		"no WAV":           {[]byte("ID3 an MP3 file, as people send them"), "no WAV file"},
		"no format":        {[]byte("RIFF\x04\x00\x00\x00WAVEdata\x00\x00\x00\x00"), "not told"},
		"cut":              {whole[:30], "no sound"},
		"larger than fits": {append(whole, make([]byte, maxWAV)...), "ten minutes"},
	} {
		_, err := ReadWAV(bytes.NewReader(c.file))
		if !errors.Is(err, ErrWAV) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := ReadWAV(iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

// TestMuLaw: each of the 256 codes comes back, and no sample moves further than its step is wide.
func TestMuLaw(t *testing.T) {
	for c := range 256 {
		if got := toMuLaw(muLaw(byte(c))); muLaw(got) != muLaw(byte(c)) {
			t.Errorf("code %#x comes back as %#x", c, got)
		}
	}
	for v := -32768; v <= 32767; v += 7 {
		got := int(muLaw(toMuLaw(int16(v))))
		if d := max(got-v, v-got); d > 4+max(v, -v)/16 {
			t.Errorf("%d comes back as %d", v, got)
		}
	}
}

func TestWriteWAV(t *testing.T) {
	pcm := hum(440, 3000, 801) // an odd number of codes has a byte of padding
	var b bytes.Buffer
	if err := WriteWAV(&b, pcm); err != nil {
		t.Fatal(err)
	}
	if size := binary.LittleEndian.Uint32(b.Bytes()[4:]); int(size) != b.Len()-8 {
		t.Errorf("it says %d bytes and has %d", size, b.Len()-8)
	}
	r, err := ReadWAV(&b)
	if err != nil || r.Rate != SampleRate || len(r.Samples) != 801 {
		t.Fatalf("rate %d, %d samples, %v", r.Rate, len(r.Samples), err)
	}
	for i, v := range r.Samples {
		want := float64(int16(binary.LittleEndian.Uint16(pcm[2*i:])))
		if d := v - want; d > 130 || d < -130 {
			t.Fatalf("sample %d is %v, was %v", i, v, want)
		}
	}
	if err := WriteWAV(&b, []byte{1}); !errors.Is(err, ErrOdd) {
		t.Errorf("half a sample: %v", err)
	}
}

func FuzzReadWAV(f *testing.F) {
	f.Add(wav(wavPCM, 1, 8000, 16, []byte{1, 0, 2, 0}))
	f.Add(wav(wavMuLaw, 1, 22050, 8, []byte("abc")))
	f.Add(wav(wavExtensible, 1, 48000, 16, []byte{1, 0}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadWAV(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrWAV) {
				t.Fatal(err)
			}
			return
		}
		if r.Rate < SampleRate || r.Rate > 48000 || len(r.Samples) > len(b) {
			t.Fatalf("rate %d, %d samples out of %d bytes", r.Rate, len(r.Samples), len(b))
		}
		if pcm := Prepare(Recording{r.Rate, r.Samples[:min(len(r.Samples), 4000)]}); len(pcm)%2 != 0 {
			t.Fatal("half a sample")
		}
	})
}
