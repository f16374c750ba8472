package mllp

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll reads a stream to its end.
func readAll(in io.Reader, max int, formFeed bool) (frames []string, repairs Repairs, err error) {
	r := NewReader(in, max)
	r.formFeedEnd = formFeed
	for {
		f, err := r.Next()
		if err != nil {
			return frames, r.Repairs(), err
		}
		frames = append(frames, string(f))
	}
}

const (
	vt  = "\x0b"
	end = "\x1c\r"
)

// TestFrames plays what stands on real wires, each stream whole and byte by byte.
func TestFrames(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 5000) // several read buffers
	tests := []struct {
		name, in string
		frames   []string
		repairs  Repairs
		err      error
	}{
		{"nothing", "", nil, Repairs{}, io.EOF},
		{"one", vt + "a\rb" + end, []string{"a\rb"}, Repairs{}, io.EOF},
		{"two in a row", vt + "a" + end + vt + "b" + end, []string{"a", "b"}, Repairs{}, io.EOF},
		{"larger than the buffer", vt + big + end + vt + "b" + end, []string{big, "b"}, Repairs{}, io.EOF},
		{"connect#510 LF behind", vt + "a" + end + "\n" + vt + "b" + end + "\n", []string{"a", "b"}, Repairs{Filler: 2}, io.EOF},
		{"connect#249 NUL between", vt + "a" + end + "\x00\x00" + vt + "b" + end, []string{"a", "b"}, Repairs{Filler: 1}, io.EOF},
		{"connect#423 log text before", "2026 INFO sending\n" + vt + "a" + end, []string{"a"}, Repairs{Junk: 1, Filler: 1}, io.EOF},
		{"connect#830 doubled frame bytes", vt + vt + "a" + end + end + vt + "b" + end, []string{"a", "b"}, Repairs{DoubledStart: 1, DoubledEnd: 1}, io.EOF},
		{"connect#1309 FS inside", vt + "a\x1cb\x1c\x1c" + end, []string{"a\x1cb\x1c\x1c"}, Repairs{}, io.EOF},
		{"VT inside is data", vt + "a" + vt + "b" + end, []string{"a" + vt + "b"}, Repairs{}, io.EOF},
		{"connect#1153 without a frame", "MSH|^~\\&|\r" + vt + "a" + end, []string{"a"}, Repairs{Junk: 1, Filler: 1}, io.EOF},
		{"empty frame", vt + end + vt + "a" + end, []string{"a"}, Repairs{Empty: 1}, io.EOF},
		{"cut in the payload", vt + "a" + end + vt + "b", []string{"a"}, Repairs{}, io.ErrUnexpectedEOF},
		{"cut in the end", vt + "a\x1c", nil, Repairs{}, io.ErrUnexpectedEOF},
		{"CR FF is data by default", vt + "a\r\fb" + end, []string{"a\r\fb"}, Repairs{}, io.EOF},
		{"connect#3170 CR FF before VT", vt + "a\r\f" + vt + "b" + end, []string{"a\r", "b"}, Repairs{FormFeed: 1}, io.EOF},
		{"CR FF at the end of the stream", vt + "a\r\f", []string{"a\r"}, Repairs{FormFeed: 1}, io.EOF},
		{"FS LF before VT", vt + "a\x1c\n" + vt + "b" + end, []string{"a", "b"}, Repairs{LineFeed: 1}, io.EOF},
		{"FS LF at the end of the stream", vt + "a\x1c\n", []string{"a"}, Repairs{LineFeed: 1}, io.EOF},
		{"FS LF inside is data", vt + "a\x1c\nb" + end, []string{"a\x1c\nb"}, Repairs{}, io.EOF},
		{"FS VT inside is data", vt + "a\x1c" + vt + "b" + end, []string{"a\x1c" + vt + "b"}, Repairs{}, io.EOF},
		{"FF VT inside is data", vt + "a\f" + vt + "b\n" + vt + end, []string{"a\f" + vt + "b\n" + vt}, Repairs{}, io.EOF},
		{"CR FF FS CR", vt + "a\r\f" + end + vt + "b" + end, []string{"a\r\f", "b"}, Repairs{}, io.EOF},
		{"all ends in one stream", vt + big + "\r\f" + vt + vt + big + "\x1c\n" + vt + "c" + end, []string{big + "\r", big, "c"}, Repairs{FormFeed: 1, LineFeed: 1, DoubledStart: 1}, io.EOF},
		{"only FS LF", vt + "\x1c\n" + vt + "a" + end, []string{"a"}, Repairs{LineFeed: 1, Empty: 1}, io.EOF},
		{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00" + vt, nil, Repairs{}, ErrTLS},
		{"HTTP GET", "GET / HTTP/1.1\r\n", nil, Repairs{}, ErrHTTP},
		{"HTTP/2", "PRI * HTTP/2.0\r\n", nil, Repairs{}, ErrHTTP},
		{"HTTP POST split by VT is none", "POS" + vt + "T " + end, []string{"T "}, Repairs{Junk: 1}, io.EOF},
		{"verb after a frame is junk", vt + "a" + end + "GET " + vt + "b" + end, []string{"a", "b"}, Repairs{Junk: 1, Filler: 1}, io.EOF},
		{"no frames at all", strings.Repeat("x", maxGap+1), nil, Repairs{Junk: 1}, ErrNoFrame},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for how, in := range map[string]io.Reader{
				"whole": strings.NewReader(tt.in), "by bytes": iotest.OneByteReader(strings.NewReader(tt.in)),
				"by halves": iotest.HalfReader(strings.NewReader(tt.in)), "data with error": iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				frames, repairs, err := readAll(in, 0, false)
				if !slices.Equal(frames, tt.frames) || !errors.Is(err, tt.err) {
					t.Errorf("%s: frames %.100q, %v; want %.100q, %v", how, frames, err, tt.frames, tt.err)
				}
				if tt.err != ErrTLS && tt.err != ErrHTTP && repairs != tt.repairs {
					t.Errorf("%s: repairs %+v, want %+v", how, repairs, tt.repairs)
				}
			}
		})
	}
}

// TestFormFeedEnd is connect#3170: one Meditech interface ends with CR FF.
func TestFormFeedEnd(t *testing.T) {
	in := vt + "a\r\f" + vt + "b\r" + end + vt + "c\f\r\f" + vt + "d\f" + end
	for range 2 {
		frames, repairs, err := readAll(iotest.OneByteReader(strings.NewReader(in)), 0, true)
		if want := []string{"a\r", "b\r", "c\f\r", "d\f"}; !slices.Equal(frames, want) || err != io.EOF || repairs.FormFeed != 2 {
			t.Errorf("frames %q, %+v, %v; want %q", frames, repairs, err, want)
		}
	}
}

func TestTooLarge(t *testing.T) {
	for size, want := range map[int]error{99: io.EOF, 100: io.EOF, 101: ErrTooLarge, 70000: ErrTooLarge} {
		in := vt + strings.Repeat("x", size) + end
		for _, r := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
			if _, _, err := readAll(r, 100, false); err != want {
				t.Errorf("%d bytes: %v, want %v", size, err, want)
			}
		}
	}
	head, err := NewReader(strings.NewReader(vt+"MSH|"+strings.Repeat("x", 70000)), 10000).Next()
	if err != ErrTooLarge || len(head) != headLen || !bytes.HasPrefix(head, []byte("MSH|")) {
		t.Errorf("head of %d bytes, %v", len(head), err)
	}
}

// TestFramesAreTheCallers: a frame stays as it is when the next is read.
func TestFramesAreTheCallers(t *testing.T) {
	r := NewReader(strings.NewReader(vt+"first"+end+vt+"other"+end), 0)
	first, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil || string(first) != "first" {
		t.Errorf("the first frame became %q, %v", first, err)
	}
}

// splitReader gives a stream in the pieces that cuts say.
type splitReader struct {
	in, cuts []byte
	i        int
}

func (s *splitReader) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := 1
	if len(s.cuts) > 0 {
		n += int(s.cuts[s.i%len(s.cuts)])
		s.i++
	}
	n = copy(p, s.in[:min(n, len(s.in))])
	s.in = s.in[n:]
	return n, nil
}

// FuzzFrames holds that the cutting of a stream changes neither frames nor repairs
// nor the error, and that what is framed comes back.
func FuzzFrames(f *testing.F) {
	f.Add([]byte(vt+"a"+end), []byte{0}, false)
	f.Add([]byte("junk\n"+vt+vt+"a\x1cb"+end+end+vt+"c\r\f"), []byte{3, 0, 200}, true)
	f.Add([]byte("\x16\x03\x01"), []byte{0}, false)
	f.Add([]byte("POST /"), []byte{1}, false)
	f.Add([]byte(vt+"a\x1c"), []byte{1}, true)
	f.Add([]byte(vt+"a\r\f"+vt+"b\x1c\n"+vt+"c"+end), []byte{0, 2}, false)
	f.Add([]byte(vt+"\r\f"+vt+vt+"\x1c\n"+end), []byte{1}, true)
	f.Fuzz(func(t *testing.T, in, cuts []byte, formFeed bool) {
		const limit = 64
		want, wantRepairs, wantErr := readAll(bytes.NewReader(in), limit, formFeed)
		got, repairs, err := readAll(&splitReader{in: in, cuts: cuts}, limit, formFeed)
		if !slices.Equal(got, want) || err != wantErr {
			t.Fatalf("%q: cut %q, %v; whole %q, %v", in, got, err, want, wantErr)
		}
		if (err == io.EOF || err == io.ErrUnexpectedEOF) && repairs != wantRepairs {
			t.Fatalf("%q: cut %+v, whole %+v", in, repairs, wantRepairs)
		}
		if bytes.Contains(in, []byte(end)) || bytes.ContainsAny(in, "\x0b\f") || bytes.HasSuffix(in, []byte("\x1c")) || len(in) == 0 || len(in) > limit {
			return
		}
		back, _, err := readAll(bytes.NewReader(AppendFrame(nil, in)), limit, formFeed)
		if err != io.EOF || !slices.Equal(back, []string{string(in)}) {
			t.Fatalf("framed %q comes back as %q, %v", in, back, err)
		}
	})
}
