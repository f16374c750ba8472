package voice

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"
)

// Clip is one thing that is said. It may be a digit of a code: it shows nothing of itself.
type Clip struct {
	// PCM is the sound: whole samples of 16 bit, little endian, one channel, 8,000 a second.
	PCM []byte
	// Text is the same in words, for a module that speaks by itself; "" where it must not, because it does not speak the language.
	Text string
}

// Empty says that there is nothing to say.
func (c Clip) Empty() bool { return len(c.PCM) == 0 && c.Text == "" }

// Duration is how long the sound lasts.
func (c Clip) Duration() time.Duration { return Length(c.PCM) }

// WAV is the sound as a file that a module plays: 16 bit PCM. They do not know what WriteWAV writes.
func (c Clip) WAV() []byte {
	const header = 44
	b := make([]byte, 0, header+len(c.PCM))
	b = append(b, "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(header-8+len(c.PCM)))
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1) // PCM
	b = binary.LittleEndian.AppendUint16(b, 1) // channels
	b = binary.LittleEndian.AppendUint32(b, SampleRate)
	b = binary.LittleEndian.AppendUint32(b, SampleRate*2)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(c.PCM)))
	return append(b, c.PCM...)
}

// String shows nothing of what is said.
func (c Clip) String() string { return fmt.Sprintf("clip of %v", c.Duration()) }

// GoString shows nothing of what is said.
func (c Clip) GoString() string { return c.String() }

// LogValue shows nothing of what is said.
func (c Clip) LogValue() slog.Value { return slog.StringValue("clip") }

// Player says clips into one call: through a PCM port, or by a module that plays files or speaks.
type Player interface {
	// Play says the clip and returns when it was said to its end. When ctx ends first it falls silent at once and returns ctx's
	// cause; any other error means that the call has no audio any more.
	Play(ctx context.Context, c Clip) error
}
