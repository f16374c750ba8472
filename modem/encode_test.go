package modem

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/tpdu"
)

func encodeOne(t *testing.T, s SMS) string {
	t.Helper()
	ts, err := Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(ts) != 1 {
		t.Fatalf("%d parts", len(ts))
	}
	cmd, pdu := ts[0].AT()
	if want := fmt.Sprintf("+CMGS=%d", len(pdu)/2-1); cmd != want {
		t.Fatalf("%s, want %s", cmd, want)
	}
	return pdu
}

// The octets are written out by hand from 23.040, 9.2.2.2 and 23.038, 6.1.2.
func TestEncodeOctets(t *testing.T) {
	cases := []struct {
		name string
		sms  SMS
		want string
	}{
		{"plain", SMS{To: "+46708251358", Text: "hellohello"}, "0001000B916407281553F800000AE8329BFD4697D9EC37"},
		{"report and 5 minutes", SMS{To: "+33612345678", Text: "hellohello", Report: true, Validity: 5 * time.Minute},
			"0031000B913316325476F80000000AE8329BFD4697D9EC37"},
		{"replace type 1", SMS{To: "+46708251358", Text: "hellohello", Replace: 0x41}, "0001000B916407281553F841000AE8329BFD4697D9EC37"},
		{"extension table", SMS{To: "+46708251358", Text: "€"}, "0001000B916407281553F80000029B32"},
		{"@ is 0x00", SMS{To: "+46708251358", Text: "@"}, "0001000B916407281553F800000100"},
		{"UCS-2", SMS{To: "+46708251358", Text: "ñç"}, "0001000B916407281553F800080400F100E7"},
		{"surrogates", SMS{To: "+46708251358", Text: "😀"}, "0001000B916407281553F8000804D83DDE00"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := encodeOne(t, c.sms); got != c.want {
				t.Fatalf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestEncodePartsAndBounds(t *testing.T) {
	cases := []struct {
		name  string
		text  string
		parts int
	}{
		{"160 septets", strings.Repeat("a", 160), 1},
		{"161 septets", strings.Repeat("a", 161), 2},
		{"306 septets", strings.Repeat("a", 306), 2},
		{"80 euros", strings.Repeat("€", 80), 1},
		{"81 euros", strings.Repeat("€", 81), 2},
		{"70 units", strings.Repeat("ж", 70), 1},
		{"71 units", strings.Repeat("ж", 71), 2},
		{"an escape at the cut", strings.Repeat("a", 152) + strings.Repeat("€", 10), 2},
		{"a surrogate at the cut", strings.Repeat("ж", 66) + strings.Repeat("😀", 10), 2},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ts, err := Encode(SMS{To: patient, Text: c.text, ConcatRef: 77})
			if err != nil || len(ts) != c.parts {
				t.Fatalf("%d parts, %v; want %d", len(ts), err, c.parts)
			}
			var all strings.Builder
			for i, p := range ts {
				part, of := p.Part()
				if part != i+1 || of != c.parts {
					t.Fatalf("part %d of %d, want %d of %d", part, of, i+1, c.parts)
				}
				_, pdu := p.AT()
				b, _ := hex.DecodeString(pdu[2:])
				d, err := sms.Unmarshal(b, sms.AsMO)
				if err != nil {
					t.Fatalf("decode part %d: %v", part, err)
				}
				if n := d.UDBlockSize(); len(d.UD) > n {
					t.Fatalf("part %d has %d of at most %d", part, len(d.UD), n)
				}
				if segments, seq, ref, ok := d.ConcatInfo(); c.parts > 1 && (!ok || segments != of || seq != part || ref != 77) {
					t.Fatalf("concatenation element %d %d %d %v", segments, seq, ref, ok)
				}
				s, err := sms.Decode([]*tpdu.TPDU{d})
				if err != nil {
					t.Fatalf("part %d does not stand alone: %v", part, err)
				}
				all.Write(s)
			}
			if all.String() != c.text {
				t.Fatal("the parts together are not the text")
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	long := strings.Repeat("x", 153*255+1)
	cases := map[string]SMS{
		"no recipient":        {Text: "hi"},
		"letters":             {To: "+1617555abcd", Text: "hi"},
		"spaces":              {To: "+1 617 555 1234", Text: "hi"},
		"too short":           {To: "+12345", Text: "hi"},
		"too long":            {To: "+1234567890123456", Text: "hi"},
		"control character":   {To: patient, Text: "code\x00"},
		"escape":              {To: patient, Text: "code\x1b"},
		"not UTF-8":           {To: patient, Text: "code\xff"},
		"more than 255 parts": {To: patient, Text: long},
		"replace type":        {To: patient, Text: "hi", Replace: 0x40},
		"negative validity":   {To: patient, Text: "hi", Validity: -time.Minute},
	}
	for name, s := range cases {
		t.Run(name, func(t *testing.T) {
			ts, err := Encode(s)
			if !errors.Is(err, ErrUnsendable) || ts != nil {
				t.Fatalf("%d TPDUs, %v", len(ts), err)
			}
			for _, part := range []string{"617555", "abcd", "code", "xxxx", "12345"} {
				if strings.Contains(err.Error(), part) {
					t.Fatalf("the error shows a value: %v", err)
				}
			}
		})
	}
}

func TestDefect07_EmptyText(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		ts, err := sms.Encode(nil, sms.To(patient))
		if len(ts) != 0 || err != nil {
			t.Fatalf("sms.Encode of an empty text: %d TPDUs, %v; gsm indexes the first of none", len(ts), err)
		}
	})
	t.Run("modem", func(t *testing.T) {
		if _, err := Encode(SMS{To: patient}); !errors.Is(err, ErrUnsendable) {
			t.Fatal(err)
		}
	})
}

// Defects 8 and 9: recipients mixed up under concurrency, tables filled without a lock. Run with -race.
func TestDefect08_09_ConcurrentEncoding(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 500 {
				to := fmt.Sprintf("+1617555%04d", g*500+i)
				text := fmt.Sprintf("for %s [ß€]", to[4:])
				ts, err := Encode(SMS{To: to, Text: text, Report: true, Validity: time.Hour, Replace: 0x42})
				if err != nil {
					t.Error(err)
					return
				}
				_, pdu := ts[0].AT()
				b, _ := hex.DecodeString(pdu[2:])
				d, err := sms.Unmarshal(b, sms.AsMO)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := sms.Decode([]*tpdu.TPDU{d})
				if err != nil || d.DA.Number() != to || string(body) != text {
					t.Errorf("misaddressed or garbled")
					return
				}
			}
		}()
	}
	wg.Wait()
}

func TestDefect10_ConcatReferenceIsTheCallers(t *testing.T) {
	text := strings.Repeat("long ", 40)
	t.Run("bare", func(t *testing.T) {
		a, _ := sms.Encode([]byte(text), sms.To(patient))
		b, _ := sms.Encode([]byte(text), sms.To(patient))
		_, _, ra, _ := a[0].ConcatInfo()
		_, _, rb, _ := b[0].ConcatInfo()
		if ra != rb {
			t.Fatalf("references %d and %d; the reference says both are 1", ra, rb)
		}
	})
	t.Run("modem", func(t *testing.T) {
		for _, ref := range []byte{0, 1, 255} {
			ts, err := Encode(SMS{To: patient, Text: text, ConcatRef: ref})
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range ts {
				_, pdu := p.AT()
				if !strings.Contains(pdu, fmt.Sprintf("050003%02X02%02X", ref, i+1)) {
					t.Fatalf("part %d has not reference %d", i+1, ref)
				}
			}
		}
	})
	t.Run("modem/direction", func(t *testing.T) { // the order trap: a template silently makes it an SMS-DELIVER
		if pdu := encodeOne(t, SMS{To: patient, Text: "hi", Report: true}); pdu[:4] != "0021" {
			t.Fatalf("first octets %s, want an SMS-SUBMIT with TP-SRR", pdu[:4])
		}
	})
}

func TestDefect11_ShortCodes(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		ts, _ := sms.Encode([]byte("STOP"), sms.To("36180"))
		b, _ := ts[0].MarshalBinary()
		if toa := b[3]; toa != 0x91 {
			t.Fatalf("type of address %#x; the reference says 0x91", toa)
		}
	})
	t.Run("modem", func(t *testing.T) {
		if pdu := encodeOne(t, SMS{To: "36180", Text: "STOP"}); !strings.HasPrefix(pdu, "000100"+"0581"+"6381F0") {
			t.Fatalf("PDU begins %s", pdu[:18])
		}
	})
}

func TestDefect16_UpperCase(t *testing.T) {
	if pdu := encodeOne(t, SMS{To: patient, Text: "ñandú"}); pdu != strings.ToUpper(pdu) {
		t.Fatal("lower-case hexadecimal")
	}
}

func TestDefect19_ValidityPeriod(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		var vp tpdu.ValidityPeriod
		vp.SetRelative(5 * time.Minute)
		b, err := vp.MarshalBinary()
		if err != nil || b[0] != 1 {
			t.Fatalf("%x, %v; the reference says 01 for 5 minutes", b, err)
		}
	})
	const day = 24 * time.Hour
	cases := []struct {
		d    time.Duration
		want byte
	}{
		{time.Second, 0}, {5 * time.Minute, 0}, {9*time.Minute + 59*time.Second, 0}, {10 * time.Minute, 1}, {14 * time.Minute, 1},
		{time.Hour, 11}, {12 * time.Hour, 143}, {12*time.Hour + 29*time.Minute, 143}, {12*time.Hour + 30*time.Minute, 144},
		{day, 167}, {day + time.Hour, 167}, {2 * day, 168}, {30 * day, 196}, {34 * day, 196}, {35 * day, 197}, {63 * 7 * day, 255},
		{1000 * day, 255},
	}
	for _, c := range cases {
		t.Run("modem/"+c.d.String(), func(t *testing.T) {
			pdu := encodeOne(t, SMS{To: patient, Text: "hi", Validity: c.d})
			// SMSC, first octet, MR, length, type, 6 octets of address, PID, DCS: then VP.
			if got, _ := hex.DecodeString(pdu[26:28]); got[0] != c.want {
				t.Fatalf("octet %d, want %d", got[0], c.want)
			}
			if c.want > 0 && relativeTime(c.want) > c.d {
				t.Fatalf("octet %d is %v: longer than asked", c.want, relativeTime(c.want))
			}
		})
	}
	t.Run("modem/none", func(t *testing.T) {
		if pdu := encodeOne(t, SMS{To: patient, Text: "hi"}); pdu[2:4] != "01" {
			t.Fatalf("first octet %s announces a validity period", pdu[2:4])
		}
	})
}

// relativeTime is the table of 23.040, 9.2.3.12.1, the other way round.
func relativeTime(o byte) time.Duration {
	switch v := time.Duration(o); {
	case o <= 143:
		return (v + 1) * 5 * time.Minute
	case o <= 167:
		return 12*time.Hour + (v-143)*30*time.Minute
	case o <= 196:
		return (v - 166) * 24 * time.Hour
	default:
		return (v - 192) * 7 * 24 * time.Hour
	}
}

func TestNothingShowsNumberOrText(t *testing.T) {
	const secret = "482917"
	s := SMS{To: patient, Text: "Your code is " + secret}
	ts, err := Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	_, pdu := ts[0].AT()
	in := incoming{report: &Report{To: patient}, text: &Text{From: patient, Body: secret}}
	ring := &Ring{From: patient}
	status := Status{Number: patient, SMSC: other, Phase: PhaseReady}
	var out strings.Builder
	for _, v := range []any{s, &s, ts, ts[0], &ts[0], in.report, *in.report, in.text, *in.text, ring, *ring, status, &status} {
		fmt.Fprintf(&out, "%v %+v %#v %s\n", v, v, v, v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	for _, bad := range []string{secret, patient[1:], other[1:], pdu[10:]} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("shown: a number, a text or a PDU\n%s", out.String())
		}
	}
}

func TestClassesAreAPartition(t *testing.T) {
	for kind, table := range map[string]map[Class][]int{"CMS": cmsClasses, "CME": cmeClasses} {
		seen := map[int]Class{}
		for class, codes := range table {
			for _, c := range codes {
				if was, twice := seen[c]; twice {
					t.Errorf("+%s %d is %s and %s", kind, c, was, class)
				}
				seen[c] = class
				if got := classOf(kind, c); got != class {
					t.Errorf("+%s %d: %s, want %s", kind, c, got, class)
				}
			}
		}
	}
	if got := classOf("CMS", 999); got != ClassAmbiguous {
		t.Errorf("a code that nobody knows is %s", got)
	}
}

func BenchmarkEncode(b *testing.B) {
	for b.Loop() {
		if _, err := Encode(SMS{To: patient, Text: "Mercy Hospital: your code is 482917. Do not share it.", Validity: 5 * time.Minute, Report: true}); err != nil {
			b.Fatal(err)
		}
	}
}
