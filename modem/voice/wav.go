package voice

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Formats of a WAV file that are read (RFC 2361, section 2 and appendix A).
const (
	wavPCM        = 0x0001
	wavALaw       = 0x0006
	wavMuLaw      = 0x0007
	wavExtensible = 0xfffe // the real format stands in the first two bytes of its sub-format
)

// maxWAV bounds what is read from one file: ten minutes at 48 kHz.
const maxWAV = 10*60*48000*2 + 1024

// ErrWAV says that a file is no recording that can be used; the text around it says why.
var ErrWAV = errors.New("not a usable recording")

// Recording is the sound of a WAV file: samples of one channel, full scale 32768.
type Recording struct {
	Rate    int // samples a second, 8,000 to 48,000
	Samples []float64
}

// ReadWAV reads one channel of 16 bit PCM, or of 8 bit A-law or mu-law (ITU-T G.711). Errors wrap ErrWAV or are those of r.
func ReadWAV(r io.Reader) (Recording, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxWAV+1))
	if err != nil {
		return Recording{}, fmt.Errorf("read recording: %w", err)
	}
	if len(b) > maxWAV {
		return Recording{}, fmt.Errorf("%w: longer than ten minutes", ErrWAV)
	}
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return Recording{}, fmt.Errorf("%w: no WAV file", ErrWAV)
	}
	var format []byte
	for rest := b[12:]; ; {
		if len(rest) < 8 {
			return Recording{}, fmt.Errorf("%w: it has no sound", ErrWAV)
		}
		id, size := string(rest[:4]), int64(binary.LittleEndian.Uint32(rest[4:]))
		rest = rest[8:]
		// A tool that writes to a pipe does not know the size when it writes the head: what is there counts.
		chunk := rest[:min(size, int64(len(rest)))]
		switch id {
		case "fmt ":
			format = chunk
		case "data":
			return decodeWAV(format, chunk)
		}
		rest = rest[min(size+size%2, int64(len(rest))):]
	}
}

func decodeWAV(format, data []byte) (Recording, error) {
	if len(format) < 16 {
		return Recording{}, fmt.Errorf("%w: the form of its sound is not told", ErrWAV)
	}
	le := binary.LittleEndian
	tag, channels, rate, bits := le.Uint16(format), le.Uint16(format[2:]), le.Uint32(format[4:]), le.Uint16(format[14:])
	if tag == wavExtensible && len(format) >= 26 {
		tag = le.Uint16(format[24:])
	}
	switch {
	case channels != 1:
		return Recording{}, fmt.Errorf("%w: it has %d channels, not one", ErrWAV, channels)
	case rate < SampleRate || rate > 48000:
		return Recording{}, fmt.Errorf("%w: %d samples a second, not 8,000 to 48,000", ErrWAV, rate)
	}
	r := Recording{Rate: int(rate)}
	switch {
	case tag == wavPCM && bits == 16:
		for ; len(data) >= 2; data = data[2:] {
			r.Samples = append(r.Samples, float64(int16(le.Uint16(data))))
		}
	case tag == wavMuLaw && bits == 8, tag == wavALaw && bits == 8:
		decode := muLaw
		if tag == wavALaw {
			decode = aLaw
		}
		for _, c := range data {
			r.Samples = append(r.Samples, float64(decode(c)))
		}
	default:
		return Recording{}, fmt.Errorf("%w: format %d with %d bits, not 16 bit PCM, A-law or mu-law", ErrWAV, tag, bits)
	}
	return r, nil
}

// muLaw is one sample of ITU-T G.711 table 2a/2b, in 16 bits.
func muLaw(c byte) int16 {
	c = ^c
	v := (int(c&0x0f)<<3+0x84)<<(c>>4&7) - 0x84
	if c&0x80 != 0 {
		v = -v
	}
	return int16(v)
}

// aLaw is one sample of ITU-T G.711 table 1a/1b, in 16 bits.
func aLaw(c byte) int16 {
	c ^= 0x55
	v := int(c&0x0f)<<4 + 8
	if seg := c >> 4 & 7; seg > 0 {
		v = (v + 0x100) << (seg - 1)
	}
	if c&0x80 == 0 {
		v = -v
	}
	return int16(v)
}

// toMuLaw is the nearest code to a sample, ITU-T G.711.
func toMuLaw(v int16) byte {
	x, sign := int(v), byte(0)
	if x < 0 {
		x, sign = -x, 0x80
	}
	x = min(x, 32635) + 0x84
	seg := byte(0)
	for limit := x >> 8; limit > 0 && seg < 7; limit >>= 1 {
		seg++
	}
	return ^(sign | seg<<4 | byte(x>>(seg+3))&0x0f)
}

// WriteWAV writes PCM as a WAV file of 8 bit mu-law: as good as a telephone line carries, in half the bytes.
func WriteWAV(w io.Writer, pcm []byte) error {
	if len(pcm)%2 != 0 {
		return ErrOdd
	}
	n := len(pcm) / 2
	le := binary.LittleEndian
	var b bytes.Buffer
	b.WriteString("RIFF")
	b.Write(le.AppendUint32(nil, uint32(4+8+18+8+n+n%2)))
	b.WriteString("WAVEfmt ")
	b.Write(le.AppendUint32(nil, 18))
	b.Write(le.AppendUint16(nil, wavMuLaw))
	b.Write(le.AppendUint16(nil, 1))
	b.Write(le.AppendUint32(nil, SampleRate))
	b.Write(le.AppendUint32(nil, SampleRate))
	b.Write(le.AppendUint16(nil, 1))
	b.Write(le.AppendUint16(nil, 8))
	b.Write(le.AppendUint16(nil, 0))
	b.WriteString("data")
	b.Write(le.AppendUint32(nil, uint32(n)))
	for ; len(pcm) >= 2; pcm = pcm[2:] {
		b.WriteByte(toMuLaw(int16(le.Uint16(pcm))))
	}
	if n%2 != 0 {
		b.WriteByte(0)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}
