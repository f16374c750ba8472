package hl7

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// parse parses a message that has to be right.
func parse(t testing.TB, payload string) *Message {
	t.Helper()
	m, err := Parse([]byte(payload))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return m
}

func names(m *Message) string {
	var out []string
	for s := range m.Segments() {
		out = append(out, s.Name())
	}
	return strings.Join(out, " ")
}

const header = `MSH|^~\&|EPICADT|DH|PINWARD|MAIN|20260101120000-0500||ADT^A04^ADT_A01|MSG-1|P|2.5.1`

// TestSegmentSeparators plays the ways in which feeds end segments.
func TestSegmentSeparators(t *testing.T) {
	tests := []struct{ name, payload, segments, path, want string }{
		{"standard CR", header + "\rEVN|A04\rPID|1||77\r", "MSH EVN PID", "PID-3", "77"},
		{"last CR missing, as mllp_send and simhospital do", header + "\rPID|1||77", "MSH PID", "PID-3", "77"},
		{"connect#53 LF only", header + "\nEVN|A04\nPID|1||77\n", "MSH EVN PID", "PID-3", "77"},
		{"python-hl7#24 LF only, last missing", header + "\nPID|1||77", "MSH PID", "PID-3", "77"},
		{"ruby-hl7#3 CRLF", header + "\r\nEVN|A04\r\nPID|1||77\r\n", "MSH EVN PID", "PID-3", "77"},
		{"deoxxa/hl7#3 LF inside a field among CR segments", header + "\rNTE|1||one\ntwo\rPID|1||77\r", "MSH NTE PID", "NTE-3", "one\ntwo"},
		{"panates/hl7v2#27 only the LF right behind a CR is dropped", header + "\r\nNTE|1||\nx\r\n", "MSH NTE", "NTE-3", "\nx"},
		{"empty lines and padding", "\r\n" + header + "\r\r\rPID|1||77\r \r\x00\r", "MSH PID", "PID-3", "77"},
		{"segment of only a name", header + "\rPID\rEVN|A04", "MSH PID EVN", "EVN-1", "A04"},
		{"Z segment with digits", header + "\rZ01|x", "MSH Z01", "Z01-1", "x"},
		{"UTF-8 byte order mark", "\ufeff" + header + "\rPID|1||77", "MSH PID", "PID-3", "77"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := parse(t, tt.payload)
			if got := names(m); got != tt.segments {
				t.Errorf("segments %q, want %q", got, tt.segments)
			}
			if got := m.Get(tt.path); got != tt.want {
				t.Errorf("%s = %q, want %q", tt.path, got, tt.want)
			}
		})
	}
}

// TestEncodingCharacters plays the values of MSH-2 that occur.
func TestEncodingCharacters(t *testing.T) {
	tests := []struct {
		name, msh2             string
		comp, rep, escape, sub byte
	}{
		{"standard", `^~\&`, '^', '~', '\\', '&'},
		{"MIRTH-1544 escape left out", `^~&`, '^', '~', '\\', '&'},
		{"two characters", `^~`, '^', '~', '\\', '&'},
		{"one character", `^`, '^', '~', '\\', '&'},
		{"empty", ``, '^', '~', '\\', '&'},
		{"escape but no subcomponents", `^~\`, '^', '~', '\\', '&'},
		{"component left out", `~\&`, '^', '~', '\\', '&'},
		{"doubled escape", `^~\\&`, '^', '~', '\\', '&'},
		{"v2.7 truncation", `^~\&#`, '^', '~', '\\', '&'},
		{"other escape", "^~`&", '^', '~', '`', '&'},
		{"all others", `:+!*`, ':', '+', '!', '*'},
		{"two others", `:+`, ':', '+', '\\', '&'},
		{"one character twice", `^&&^`, '^', '&', '\\', 0},
		{"one character twice and truncation", `^&&^##`, '^', '&', '\\', 0},
		{"letters separate nothing", `abcd`, '^', '~', '\\', '&'},
		{"field separator separates nothing else", "^~\\\x1c", '^', '~', '\\', '&'},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := parse(t, "MSH|"+tt.msh2+"|APP\r")
			if got := m.MSH(2).Raw(); got != tt.msh2 {
				t.Errorf("MSH-2 %q, want %q", got, tt.msh2)
			}
			e := m.enc
			if e.comp != tt.comp || e.rep != tt.rep || e.escape != tt.escape || e.sub != tt.sub {
				t.Errorf("got %q %q %q %q, want %q %q %q %q", e.comp, e.rep, e.escape, e.sub, tt.comp, tt.rep, tt.escape, tt.sub)
			}
		})
	}
}

func TestOtherFieldSeparator(t *testing.T) {
	m := parse(t, "MSH#:+!*#APP:1.2:ISO#FAC\rPID#1##a:b*c+d")
	for path, want := range map[string]string{
		"MSH-1": "#", "MSH-2": ":+!*", "MSH-3.2": "1.2", "PID-3[2]": "d", "PID-3.2.2": "c",
	} {
		if got := m.Get(path); got != want {
			t.Errorf("%s = %q, want %q", path, got, want)
		}
	}
}

// TestParseErrors holds each error to its code, its place, its acknowledgment, and
// to what of the header can still be read.
func TestParseErrors(t *testing.T) {
	const planted = "PLANTED"
	tests := []struct {
		name, payload string
		code          Code
		at            string
		ack           AckCode
		id            string
	}{
		{"empty", "", CodeSegmentSequence, "MSH[1]", AE, ""},
		{"no header", "PID|1||" + planted, CodeSegmentSequence, "MSH[1]", AE, ""},
		{"only MSH", "MSH", CodeSegmentSequence, "MSH[1]", AE, ""},
		{"MSH with a letter for separator", "MSHxx", CodeSegmentSequence, "MSH[1]", AE, ""},
		{"connect#1275 CR inside a field", header + "\rOBR|1||screening\r|||" + planted + "\rOBX|1", CodeSegmentSequence, "segment 3", AE, "MSG-1"},
		{"text for a segment", header + "\r" + planted + " said he", CodeSegmentSequence, "segment 2", AE, "MSG-1"},
		{"batch", "FHS|^~\\&|" + planted, CodeMessageType, "FHS[1]", AR, ""},
		{"batch without file", "BHS|^~\\&|" + planted, CodeMessageType, "BHS[1]", AR, ""},
		{"two messages in a frame", header + "\rPID|1\r" + header, CodeMessageType, "MSH[2]", AR, "MSG-1"},
		{"too many segments", header + strings.Repeat("\rNTE", MaxSegments), CodeInternal, "", AR, "MSG-1"},
		{"too many fields", header + "\rPID" + strings.Repeat("|", MaxFields+1), CodeInternal, "segment 2", AR, "MSG-1"},
		{"too many repetitions", header + "\rPID|" + strings.Repeat("~", MaxRepetitions+1), CodeInternal, "segment 2", AR, "MSG-1"},
		{"too large", header + "\rNTE|1||" + strings.Repeat("x", DefaultMaxBytes), CodeInternal, "", AR, "MSG-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Parse([]byte(tt.payload))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want *Error", err)
			}
			if e.Code != tt.code || e.Location() != tt.at || e.AckCode() != tt.ack {
				t.Errorf("got %d at %q earning %s, want %d at %q earning %s", e.Code, e.Location(), e.AckCode(), tt.code, tt.at, tt.ack)
			}
			if got := m.ControlID(); got != tt.id {
				t.Errorf("control id %q, want %q", got, tt.id)
			}
			ack := Ack(m, AckOptions{Err: e})
			if strings.Contains(e.Error(), planted) || bytes.Contains(ack, []byte(planted)) {
				t.Error("the error or its acknowledgment repeats content")
			}
			if code, id, ok := parse(t, string(ack)).Acknowledgment(); !ok || code != tt.ack || id != tt.id {
				t.Errorf("acknowledged %s for %q, want %s for %q", code, id, tt.ack, tt.id)
			}
		})
	}
}

func TestLargerPayloadByOption(t *testing.T) {
	payload := []byte(header + "\rNTE|1||" + strings.Repeat("x", DefaultMaxBytes))
	if _, err := (Options{MaxBytes: 2 << 20}).Parse(payload); err != nil {
		t.Error(err)
	}
}

func TestPresence(t *testing.T) {
	m := parse(t, header+"\rPID|1||77||\"\"|^^\r")
	for field, want := range map[int]Presence{3: Valued, 4: Empty, 5: Null, 6: Valued, 7: Absent, 900: Absent} {
		if got := m.Segment("PID", 1).Field(field).Presence(); got != want {
			t.Errorf("PID-%d: %d, want %d", field, got, want)
		}
	}
	if got := m.Segment("PID", 1).Field(6).Comp(2).Presence(); got != Empty {
		t.Errorf("PID-6.2: %d, want empty", got)
	}
	if got := m.Get("PID-5"); got != "" {
		t.Errorf("the null reads as %q", got)
	}
	if got := m.Segment("PV1", 1).Field(2).Comp(1).Sub(1).Presence(); got != Absent {
		t.Errorf("PV1-2.1.1: %d, want absent", got)
	}
}

func TestZeroValuesAreSafe(t *testing.T) {
	var s Segment
	if s.Exists() || s.Name() != "" || s.Raw() != "" || s.Field(1).Rep(1).Comp(1).Sub(1).String() != "" {
		t.Error("zero segment has content")
	}
	for range s.Field(3).Reps() {
		t.Error("zero field has a repetition")
	}
	for _, n := range []int{0, -1, -1 << 62} {
		m := parse(t, header)
		if v := m.MSH(n); v.Presence() != Absent {
			t.Errorf("MSH-%d is there", n)
		}
		if v := m.MSH(9).Rep(n); v.Presence() != Absent {
			t.Errorf("repetition %d is there", n)
		}
		if m.Segment("MSH", n).Exists() {
			t.Errorf("segment %d is there", n)
		}
	}
	var p Path
	if p.Value(parse(t, header)).Presence() != Absent || p.String() != "" {
		t.Error("zero path finds something")
	}
}

func TestRepetitions(t *testing.T) {
	m := parse(t, header+"\rPID|1||a^b~~c\rPID|2||d\rPID|3||\r")
	var got []string
	for s := range m.All("PID") {
		for r := range s.Field(3).Reps() {
			got = append(got, r.Comp(1).String())
		}
	}
	if want := []string{"a", "", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for range m.All("PID") {
		break // an iterator that is left early must not go on
	}
	for range m.Segments() {
		break
	}
	for range m.Segment("PID", 1).Field(3).Reps() {
		break
	}
}

func TestPaths(t *testing.T) {
	m := parse(t, header+"\rPID|1||1^^^A&1.2&ISO^MR~2^^^B|||||||||||\"\"~^PRS^CP^^^617^5551234\rOBX|1|TX|a\rOBX|2|TX|b")
	tests := map[string]string{
		"MSH-1": "|", "MSH-2": `^~\&`, "MSH-9": "ADT^A04^ADT_A01", "MSH-9.2": "A04", "MSH-10": "MSG-1",
		"PID-3": "1^^^A&1.2&ISO^MR~2^^^B", "PID-3.1": "1", "PID-3[2]": "2^^^B", "PID-3[2].4": "B", "PID-3.4.2": "1.2",
		"PID-14[2].7": "5551234", "PID-14[1]": "", "PID-14[3]": "", "OBX[2]-3": "b", "OBX[3]-3": "", "ZZZ-1": "",
		"MSH-2.1": `^~\&`, "MSH-2.2": "", "PID-3.4.4": "",
	}
	for path, want := range tests {
		if got := m.Get(path); got != want {
			t.Errorf("%s = %q, want %q", path, got, want)
		}
		if p := MustPath(path); p.String() != path {
			t.Errorf("%s is written %s", path, p)
		}
	}
	for _, bad := range []string{
		"", "PID", "PID-", "PID-0", "PI-1", "pid-1", "PID-1.", "PID-1.0", "PID-1.2.3.4", "PID-1[0]", "PID-1[", "PID-1[2", "PID-1[]",
		"PID[0]-1", "PID[1", "PID[1]", "PID[1]x1", "PID-99999", "PID-1 ", "PID-1.2[1]", "PID-x", "PID--1", "PID3",
	} {
		if _, err := ParsePath(bad); err == nil {
			t.Errorf("%q is taken for a path", bad)
		}
		if got := m.Get(bad); got != "" {
			t.Errorf("%q finds %q", bad, got)
		}
	}
}

func TestHeader(t *testing.T) {
	m := parse(t, "MSH|^~\\&|EPIC^1.2.3^ISO|^9.8^ISO|PIN|MAIN|20260101||SIU^S12|ID\\T\\1|T^A|2.5.1^USA|||AL|NE\rSCH|1")
	code, event, structure := m.Type()
	if code != "SIU" || event != "S12" || structure != "" {
		t.Errorf("type %q %q %q", code, event, structure)
	}
	if m.ControlID() != "ID&1" || m.ProcessingID() != "T" || m.Version() != "2.5.1" {
		t.Error("control id, processing id or version is wrong")
	}
	if got := m.SendingApp(); got != (HD{"EPIC", "1.2.3", "ISO"}) || got.Name() != "EPIC" {
		t.Errorf("sending application %+v", got)
	}
	if got := m.SendingFacility().Name(); got != "9.8" {
		t.Errorf("sending facility %q", got)
	}
	if m.ReceivingApp().Name() != "PIN" || m.ReceivingFacility().Name() != "MAIN" {
		t.Error("receiver is wrong")
	}
	if m.MSH(15).String() != "AL" || m.MSH(16).String() != "NE" || m.Len() != 2 {
		t.Error("MSH-15, MSH-16 or the number of segments is wrong")
	}
}

func TestCheckHeader(t *testing.T) {
	tests := []struct {
		name, payload string
		code          Code // 0 for none
		at            string
	}{
		{"right", header, 0, ""},
		{"no version, no processing id", `MSH|^~\&|||||||ADT^A04|1`, 0, ""},
		{"version 2", `MSH|^~\&|||||||ADT^A04|1|P|2`, 0, ""},
		{"no type", `MSH|^~\&||||||||1|P|2.5`, CodeRequiredFieldMissing, "MSH[1]-9.1"},
		{"no control id", `MSH|^~\&|||||||ADT^A04||P|2.5`, CodeRequiredFieldMissing, "MSH[1]-10"},
		{"null control id", `MSH|^~\&|||||||ADT^A04|""|P|2.5`, CodeRequiredFieldMissing, "MSH[1]-10"},
		{"endless control id", `MSH|^~\&|||||||ADT^A04|` + strings.Repeat("1", 200), CodeDataType, "MSH[1]-10"},
		{"version 3", `MSH|^~\&|||||||ADT^A04|1|P|3.0`, CodeVersion, "MSH[1]-12"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := parse(t, tt.payload).CheckHeader()
			var e *Error
			if errors.As(err, &e) != (tt.code != 0) {
				t.Fatalf("got %v, want code %d", err, tt.code)
			}
			if e != nil && (e.Code != tt.code || e.Location() != tt.at) {
				t.Errorf("got %d at %s, want %d at %s", e.Code, e.Location(), tt.code, tt.at)
			}
		})
	}
	m, _ := Parse(nil)
	if m.CheckHeader() == nil {
		t.Error("a message without a header passes")
	}
}

// TestNeverAcknowledgeAnAck: hl7v2-net answers an ACK with an ACK; ORR^O02 and
// RSP^K22 carry MSA and want an answer (simhospital, HAPI's Receiver).
func TestNeverAcknowledgeAnAck(t *testing.T) {
	for kind, want := range map[string]bool{"ACK": true, "ACK^A01^ACK": true, "MCF^Q02": true, "ORR^O02": false, "RSP^K22": false, "ADT^A01": false} {
		m := parse(t, `MSH|^~\&|||||||`+kind+"|1|P|2.5\rMSA|AA|7")
		if m.IsAck() != want {
			t.Errorf("%s: IsAck %v, want %v", kind, m.IsAck(), want)
		}
		if reply := Ack(m, AckOptions{}); (reply == nil) != want {
			t.Errorf("%s is answered with %q", kind, reply)
		}
	}
}

// TestNothingIsPrinted holds every type that carries content to its placeholder.
func TestNothingIsPrinted(t *testing.T) {
	const planted = "+16175550000"
	m := parse(t, header+"\rPID|1||"+planted+"^^^A||||20260101||||||"+planted+"\r")
	pid := m.Segment("PID", 1)
	phone, ok := pid.Field(13).Rep(1).XTN().Phone()
	if !ok {
		t.Fatal("no phone")
	}
	f := pid.Field(13)
	values := []any{
		m, *m, pid, f, f.Rep(1), f.Comp(1), f.Comp(1).Sub(1), f.Value, f.Rep(1).XTN(), phone,
		pid.Field(3).Rep(1).CX(), pid.Field(7).TS(), []Field{f}, map[string]Segment{"x": pid},
		struct{ F Field }{f},
	}
	var log bytes.Buffer
	text, json := slog.New(slog.NewTextHandler(&log, nil)), slog.New(slog.NewJSONHandler(&log, nil))
	for _, v := range values {
		out := fmt.Sprintf("%v %+v %#v %s %q %x %d %T", v, v, v, v, v, v, v, v) + fmt.Sprint(v)
		if strings.Contains(out, "5550000") || strings.Contains(out, "20260101") || strings.Contains(out, fmt.Sprintf("%x", planted)) {
			t.Errorf("%T prints its content", v)
		}
		if !strings.Contains(out, redacted) {
			t.Errorf("%T prints %q", v, out)
		}
		text.Info("x", "v", v)
	}
	for _, v := range values {
		json.Info("x", "v", v)
	}
	// fmt cannot call methods on these.
	for _, v := range []any{struct{ f Field }{f}, struct{ s *Segment }{&pid}, []struct{ m *Message }{{m}}} {
		if out := fmt.Sprintf("%v %+v %#v", v, v, v); strings.Contains(out, "5550000") {
			t.Errorf("%T prints its content", v)
		}
	}
	if strings.Contains(log.String(), "5550000") {
		t.Error("the log has the content")
	}
}

// TestFingerprint: a message that is sent again differs in MSH-7 at most.
func TestFingerprint(t *testing.T) {
	const rest = "|ADT^A04|1|P|2.5\rPID|1||77"
	first := parse(t, `MSH|^~\&|A|B|C|D|20260101120000|`+rest).Fingerprint()
	if parse(t, `MSH|^~\&|A|B|C|D|20260101120010|`+rest).Fingerprint() != first || parse(t, `MSH|^~\&|A|B|C|D||`+rest+"\r").Fingerprint() != first ||
		parse(t, strings.ReplaceAll(`MSH|^~\&|A|B|C|D||`+rest, "\r", "\r\n")).Fingerprint() != first {
		t.Error("the same message has another fingerprint")
	}
	seen := map[[32]byte]bool{first: true}
	for _, payload := range []string{
		`MSH|^~\&|A|B|C|D|20260101120000|` + rest + "8", `MSH|^~\&|A|B|C|E|20260101120000|` + rest, `MSH|^~\&|A|B|C|D|20260101120000|x` + rest,
		`MSH|^~\&|A|B|C|D`, `MSH|^~\&|A|B|C|D|` + "\rPID", `MSH|^~\&|A|B|C|D` + "\rPI1",
	} {
		f := parse(t, payload).Fingerprint()
		if seen[f] {
			t.Errorf("%q has the fingerprint of another", payload)
		}
		seen[f] = true
	}
}

// TestTypeUnderAMark: a byte order mark decides how MSH-9 is read, too.
func TestTypeUnderAMark(t *testing.T) {
	m, err := Options{Charset: "8859/1"}.Parse([]byte("\xef\xbb\xbfMSH|^~\\&|||||||ADT^Ä01|1|P|2.5\r"))
	if _, event, _ := m.Type(); err != nil || event != "Ä01" {
		t.Errorf("the event is %q, %v", event, err)
	}
}
