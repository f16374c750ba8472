package hl7

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

var seeds = []string{
	header + "\rPID|1||1^^^A&1.2&ISO^MR~2||L^F||20260101|||||^PRS^CP^^1^617^5551234\rSCH|1||||||||||^^^20260101",
	"MSH|^&&^##|A~B&C^D|\\X41\\\\.br\\\\E\\R\\|\xff\xfe|\x00\rZZZ",
	"MSH|^~&|\nPID|\"\"|\n\n",
	"MSH#:+!*#!X4!#!F!!Zx!\rMSA#AA#1",
	"\xff\xfeM\x00S\x00H\x00|\x00",
	"\ufeffMSH|^~\\&|||||||ACK|1|P|2.3||||||8859/7\rMSA|AA",
	"FHS|^~\\&|", "MSH", "MSH|", "\r\n",
}

// FuzzParse holds for any bytes: nothing panics, a decoded value is valid UTF-8, an
// error is an *Error, and the acknowledgment is a message of our own that fits.
func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), "8859/1")
	}
	f.Fuzz(func(t *testing.T, payload []byte, charset string) {
		before := bytes.Clone(payload)
		m, err := Options{Charset: charset, MaxBytes: 1 << 16}.Parse(payload)
		if !bytes.Equal(before, payload) {
			t.Fatal("the payload was changed")
		}
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("error of type %T", err)
		}
		if len(payload) < 1<<12 {
			walk(m)
		}
		for s := range m.Segments() {
			if !utf8.ValidString(s.Field(1).String()) || !utf8.ValidString(s.Field(5).Comp(1).String()) {
				t.Fatal("a decoded value is not UTF-8")
			}
		}
		reply := Ack(m, AckOptions{Err: e})
		if (reply == nil) != m.IsAck() {
			t.Fatalf("acknowledged %q", reply)
		}
		if reply == nil {
			return
		}
		if len(reply) >= 4096 || bytes.ContainsAny(reply, "\x0b\x1c\n") {
			t.Fatalf("acknowledgment %q", reply)
		}
		back, err := Parse(reply)
		if err != nil {
			t.Fatalf("own acknowledgment %q: %v", reply, err)
		}
		if got := names(back); got != "MSH MSA" && got != "MSH MSA ERR" {
			t.Fatalf("own acknowledgment has %s", got)
		}
	})
}

// FuzzPath holds that a path which is taken is written so that it is taken again.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"PID-13[2].12", "PV1-3.1.2", "OBX[3]-5", "MSH-1", "PID-0", "P", "PID[65536]-1"} {
		f.Add(s)
	}
	m, err := Parse([]byte(seeds[0]))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePath(s)
		if err != nil {
			if m.Get(s) != "" {
				t.Fatal("a wrong path finds something")
			}
			return
		}
		again, err := ParsePath(p.String())
		if err != nil || again.String() != p.String() || again.Value(m) != p.Value(m) {
			t.Fatalf("%q is written %q: %v", s, p, err)
		}
	})
}

// FuzzEscape holds that what we escape reads back, and that any text decodes.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{`a|b^c~d\e&f`, "\r\n\x0b\x1c", `\X41\`, `\.br\`, `\`, "é\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := standardEncoding
		if got := e.decode(s); !utf8.ValidString(got) {
			t.Fatalf("%q decodes to %q", s, got)
		}
		written := e.appendEscaped(nil, s)
		if bytes.ContainsAny(written, "|^~&\r\n\x0b\x1c") {
			t.Fatalf("%q is written %q", s, written)
		}
		// Zero bytes are dropped in reading.
		if want := strings.ReplaceAll(s, "\x00", ""); utf8.ValidString(s) && e.decode(string(written)) != want {
			t.Fatalf("%q is written %q and reads %q", s, written, e.decode(string(written)))
		}
	})
}
