package hl7

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

var ackTime = time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.FixedZone("", -5*3600))

func TestAck(t *testing.T) {
	place := &Error{Code: CodeRequiredFieldMissing, Segment: "PID", Seq: 1, Field: 3, Rep: 2, Comp: 1}
	msh := func(kind, version string) string {
		return `MSH|^~\&|EPIC^1.2^ISO|DH^9^ISO|PIN^7^L|MAIN^8^L|20260101||` + kind + "|M-1|P|" + version
	}
	tests := []struct {
		name, payload string
		o             AckOptions
		want          string
	}{
		{"taken", msh("ADT^A04^ADT_A01", "2.5.1"), AckOptions{},
			`MSH|^~\&|PIN|MAIN|EPIC|DH|20260102030405.006-0500||ACK^A04^ACK|ID|P|2.5.1` + "\r" + `MSA|AA|M-1` + "\r"},
		{"v2.3 has no structure", msh("ADT^A04", "2.3"), AckOptions{},
			`MSH|^~\&|PIN|MAIN|EPIC|DH|20260102030405.006-0500||ACK|ID|P|2.3` + "\r" + `MSA|AA|M-1` + "\r"},
		{"v2.3.1 has", msh("ADT^A04", "2.3.1"), AckOptions{},
			`MSH|^~\&|PIN|MAIN|EPIC|DH|20260102030405.006-0500||ACK^A04^ACK|ID|P|2.3.1` + "\r" + `MSA|AA|M-1` + "\r"},
		{"no event", msh("ADT", "2.5"), AckOptions{},
			`MSH|^~\&|PIN|MAIN|EPIC|DH|20260102030405.006-0500||ACK|ID|P|2.5` + "\r" + `MSA|AA|M-1` + "\r"},
		{"who answers is given", msh("ADT^A04", "2.5"), AckOptions{App: "PIN|WARD", Facility: "SITE"},
			`MSH|^~\&|PIN\F\WARD|SITE|EPIC|DH|20260102030405.006-0500||ACK^A04^ACK|ID|P|2.5` + "\r" + `MSA|AA|M-1` + "\r"},
		{"error, v2.5", msh("ADT^A04", "2.5.1"), AckOptions{Err: place},
			`MSH|^~\&|PIN|MAIN|EPIC|DH|20260102030405.006-0500||ACK^A04^ACK|ID|P|2.5.1` + "\r" +
				`MSA|AE|M-1|Required field missing at PID[1]-3[2].1` + "\r" +
				`ERR||PID^1^3^2^1|101^Required field missing^HL70357|E` + "\r"},
		{"error, before v2.5", msh("ADT^A04", "2.4"), AckOptions{Err: place},
			`MSH|^~\&|PIN|MAIN|EPIC|DH|20260102030405.006-0500||ACK^A04^ACK|ID|P|2.4` + "\r" +
				`MSA|AE|M-1|Required field missing at PID[1]-3[2].1` + "\r" +
				`ERR|PID^1^3^101&Required field missing&HL70357` + "\r"},
		{"error without a place", msh("ADT^A04", "2.3"), AckOptions{Err: &Error{Code: CodeProcessingID}},
			`MSH|^~\&|PIN|MAIN|EPIC|DH|20260102030405.006-0500||ACK|ID|P|2.3` + "\r" +
				`MSA|AR|M-1|Unsupported processing id` + "\r" +
				`ERR|^^^202&Unsupported processing id&HL70357` + "\r"},
		{"commit code and text of the caller", msh("ADT^A04", "2.5"), AckOptions{Code: CE, Err: place, Text: "See log"},
			`MSH|^~\&|PIN|MAIN|EPIC|DH|20260102030405.006-0500||ACK^A04^ACK|ID|P|2.5` + "\r" +
				`MSA|CE|M-1|See log` + "\r" + `ERR||PID^1^3^2^1|101^Required field missing^HL70357|E` + "\r"},
		{"accepted has no ERR", msh("ADT^A04", "2.5"), AckOptions{Code: AA, Text: "noted", Err: place},
			`MSH|^~\&|PIN|MAIN|EPIC|DH|20260102030405.006-0500||ACK^A04^ACK|ID|P|2.5` + "\r" + `MSA|AA|M-1|noted` + "\r"},
		{"mode, version with country, character set", `MSH|^~\&|A|B|C|D|||ADT^A04|1|T^A|2.5^USA||||||8859/1~X`, AckOptions{},
			`MSH|^~\&|C|D|A|B|20260102030405.006-0500||ACK^A04^ACK|ID|T^A|2.5||||||8859/1` + "\r" + `MSA|AA|1` + "\r"},
		{"their delimiters, control id byte for byte", `MSH#:+!*#A#B#C#D###ADT:A04#a!T!b:c#P#2.5`, AckOptions{Text: "x#y"},
			`MSH#:+!*#C#D#A#B#20260102030405.006-0500##ACK:A04:ACK#ID#P#2.5` + "\r" + `MSA#AA#a!T!b:c#x!F!y` + "\r"},
		{"doubled escape is written right", `MSH|^~\\&|A|B|C|D|||ADT^A04|1|P|2.5`, AckOptions{},
			`MSH|^~\&|C|D|A|B|20260102030405.006-0500||ACK^A04^ACK|ID|P|2.5` + "\r" + `MSA|AA|1` + "\r"},
		{"no header at all", "", AckOptions{Code: AE},
			`MSH|^~\&|||||20260102030405.006-0500||ACK|ID|P|2.4` + "\r" + `MSA|AE|` + "\r"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := Parse([]byte(tt.payload))
			tt.o.ControlID, tt.o.Now = "ID", ackTime
			if got := string(Ack(m, tt.o)); got != tt.want {
				t.Errorf("\ngot  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestAckIsSmallAndUnique: python-hl7#44 reads 4096 bytes once; Mirth's own control
// ids repeat within a millisecond.
func TestAckIsSmallAndUnique(t *testing.T) {
	long := strings.Repeat("x", 5000)
	m := parse(t, `MSH|^~\&|`+long+"|"+long+"|"+long+"|"+long+`|||ADT^`+long+"|"+long+"|"+long+"|"+long+"||||||"+long)
	seen := make(map[string]bool)
	for range 1000 {
		reply := Ack(m, AckOptions{App: long, Facility: long, Text: long, ControlID: "", Err: &Error{Code: CodeInternal, Segment: "MSH", Seq: 1 << 40, Reason: long}})
		if len(reply) >= 4096 {
			t.Fatalf("acknowledgment of %d bytes", len(reply))
		}
		id := parse(t, string(reply)).ControlID()
		if len(id) != 20 || seen[id] {
			t.Fatalf("control id %q is not new or not 20 characters", id)
		}
		seen[id] = true
	}
}

// TestAckCannotBreakTheFrame: a control id that ends in FS would, with the CR of our
// segment, end our frame early.
func TestAckCannotBreakTheFrame(t *testing.T) {
	m := parse(t, "MSH|^~\\&|A\x0b|B\x1c|C|D|||ADT^A04|1\x1c|P\n|2.5\rEVN")
	reply := Ack(m, AckOptions{App: "x\r\x1c\ry"})
	if i := bytes.IndexAny(reply, "\x0b\x1c\n"); i >= 0 {
		t.Errorf("control character at %d in %q", i, reply)
	}
	back := parse(t, string(reply))
	if got := names(back); got != "MSH MSA" {
		t.Errorf("segments %q", got)
	}
	if got := back.Get("MSH-3"); got != "x\r\x1c\ry" {
		t.Errorf("MSH-3 reads %q", got)
	}
}

// TestAckKeepsBytes: what is given back may be in any character set.
func TestAckKeepsBytes(t *testing.T) {
	m := parse(t, "MSH|^~\\&|Z\xfcrich\x01|||||||\xe9|P|2.5||||||8859/1")
	reply := Ack(m, AckOptions{})
	if !bytes.Contains(reply, []byte("|Z\xfcrich|")) || !bytes.Contains(reply, []byte("MSA|AA|\xe9\r")) {
		t.Errorf("got %q", reply)
	}
}

// TestAckRepeatsNoContent plants values in everything that is not the header's.
func TestAckRepeatsNoContent(t *testing.T) {
	planted := "PLANTED"
	var b strings.Builder
	b.WriteString("MSH|^~\\&|A|B|C|D|" + planted + "|" + planted + "|ADT^A04^" + planted + "|1|P|2.5|" + planted + "|" + planted + "|" + planted + "|" + planted + "|" + planted)
	for _, s := range []string{"EVN", "PID", "PV1", "MSA", "ERR", "ZNT"} {
		b.WriteString("\r" + s + strings.Repeat("|"+planted, 40))
	}
	m := parse(t, b.String())
	for _, e := range []*Error{nil, {Code: CodeTableValue, Segment: "PID", Seq: 1, Field: 8}} {
		if reply := Ack(m, AckOptions{Err: e, Now: ackTime}); bytes.Contains(reply, []byte(planted)) {
			t.Errorf("repeats content: %q", reply)
		}
	}
}

func TestErrorText(t *testing.T) {
	tests := map[string]*Error{
		"hl7 error 101, required field missing at PID[2]-3[1].4": {Code: 101, Segment: "PID", Seq: 2, Field: 3, Rep: 1, Comp: 4},
		"hl7 error 100, segment sequence error at segment 7: x":  {Code: 100, Seq: 7, Reason: "x"},
		"hl7 error 207, application internal error":              {Code: 207},
		"hl7 error 102, data type error at OBX-5":                {Code: 102, Segment: "OBX", Field: 5},
	}
	for want, e := range tests {
		if e.Error() != want {
			t.Errorf("got %q, want %q", e.Error(), want)
		}
	}
	codes := map[Code]AckCode{0: AA, 100: AE, 101: AE, 102: AE, 103: AE, 200: AR, 201: AR, 202: AR, 203: AR, 204: AE, 205: AE, 206: AE, 207: AR}
	texts := make(map[string]bool)
	for code, want := range codes {
		if got := (&Error{Code: code}).AckCode(); got != want {
			t.Errorf("%d earns %s, want %s", code, got, want)
		}
		texts[code.Text()] = true
	}
	if len(texts) != len(codes) {
		t.Errorf("%d texts for %d codes", len(texts), len(codes))
	}
}

// TestAckTextEndsWithAWord: MSA-3 holds 80 characters, and the operator of an engine reads whole words.
func TestAckTextEndsWithAWord(t *testing.T) {
	m, err := Parse([]byte("MSH|^~\\&|A|B|C|D|20260101||ADT^A04|1|T|2.5.1\r"))
	if err != nil {
		t.Fatal(err)
	}
	const word = "unpronounceable "
	for in, want := range map[string]string{
		strings.Repeat(word, 5):                     strings.Repeat(word, 5)[:79],
		strings.Repeat(word, 5) + "x":               strings.Repeat(word, 5)[:79],
		strings.Repeat("x", 81):                     strings.Repeat("x", 80),
		strings.Repeat("x", 70) + ": no processing": strings.Repeat("x", 70) + ": no",
		strings.Repeat("x", 76) + ": no words":      strings.Repeat("x", 76) + ": no",
		strings.Repeat("x", 77) + ": words":         strings.Repeat("x", 77),
		strings.Repeat("x", 80):                     strings.Repeat("x", 80),
	} {
		ack, err := Parse(Ack(m, AckOptions{Code: AE, Text: strings.TrimSpace(in)}))
		if err != nil {
			t.Fatal(err)
		}
		if got := ack.Get("MSA-3"); got != want {
			t.Errorf("MSA-3 of %q is %q, want %q", in, got, want)
		}
	}
	refused := &Error{Code: CodeProcessingID, Segment: "MSH", Seq: 1, Field: 11, Reason: "this listener takes production messages only"}
	ack, err := Parse(Ack(m, AckOptions{Err: refused}))
	if got := ack.Get("MSA-3"); err != nil || len(got) > 80 || !strings.HasSuffix(got, " messages") && !strings.HasSuffix(got, " production") {
		t.Errorf("MSA-3 is %q, %v", got, err)
	}
}
