package modem

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warthog618/sms"
)

func TestDecodeDeliver(t *testing.T) {
	// A vector that goes round since the first PDU tutorials.
	in, err := decode("07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37")
	if err != nil || in.text == nil {
		t.Fatalf("%+v, %v", in, err)
	}
	if in.text.Body != "hellohello" || in.text.Parts != 1 || in.text.Unreadable {
		t.Fatalf("body %q", in.text.Body)
	}
	if want := time.Date(1999, 3, 29, 15, 16, 59, 0, time.FixedZone("", 2*3600)); !in.text.SCTS.Equal(want) {
		t.Fatalf("SCTS %v, want %v", in.text.SCTS, want)
	}
}

func TestDecodeStatusReport(t *testing.T) {
	in, err := decode("00" + "06" + "2A" + "0B916171551532F4" + "62112291439200" + "62112291532500" + "00")
	if err != nil || in.report == nil {
		t.Fatalf("%+v, %v", in, err)
	}
	r := in.report
	if r.Ref != 42 || r.To != patient || r.Status != 0 {
		t.Fatalf("report ref %d status %d", r.Ref, r.Status)
	}
	if want := time.Date(2026, 11, 22, 19, 34, 29, 0, time.UTC); !r.SCTS.Equal(want) {
		t.Fatalf("SCTS %v, want %v", r.SCTS, want)
	}
	if want := time.Date(2026, 11, 22, 19, 35, 52, 0, time.UTC); !r.Discharge.Equal(want) {
		t.Fatalf("discharge %v, want %v", r.Discharge, want)
	}
}

// Networks send these; sms refuses them whole.
func TestDecodeWhatTheLibraryRefuses(t *testing.T) {
	const head, tail = "00", "0AE8329BFD4697D9EC37"
	cases := []struct{ name, pdu, body string }{
		{"time stamp of a centre without a clock", head + "04" + "0B916171551532F4" + "0000" + "FFFFFFFFFFFFFF" + tail, "hellohello"},
		{"reserved coding group", head + "04" + "0B916171551532F4" + "0080" + "62112291439200" + tail, "hellohello"},
		{"octets behind the user data", head + "04" + "0B916171551532F4" + "0000" + "62112291439200" + tail + "0000", "hellohello"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b, _ := hex.DecodeString(c.pdu[2:])
			if _, err := sms.Unmarshal(b, sms.AsMT); err == nil {
				t.Fatal("the library reads it: mend is not needed")
			}
			in, err := decode(c.pdu)
			if err != nil || in.text == nil || in.text.Body != c.body || in.text.From != patient || in.text.Unreadable {
				t.Fatalf("%#v, %v", in.text, err)
			}
		})
	}
	t.Run("report without a discharge time", func(t *testing.T) {
		in, err := decode("00" + "06" + "2A" + "0B916171551532F4" + "62112291439200" + "FFFFFFFFFFFFFF" + "46")
		if err != nil || in.report == nil || in.report.Status != 0x46 || !in.report.Discharge.IsZero() {
			t.Fatalf("%v, %v", in.report, err)
		}
	})
}

func TestDecodeUnreadable(t *testing.T) {
	t.Run("a text stays a text, to be deleted", func(t *testing.T) {
		in, err := decode("00" + "04" + "0B916171551532F4" + "0000" + "62112291439200" + "A0E832") // 160 septets announced, 3 octets there
		if err != nil || in.text == nil || !in.text.Unreadable || in.text.Hash == [32]byte{} {
			t.Fatalf("%#v, %v", in.text, err)
		}
	})
	t.Run("8-bit data is no text", func(t *testing.T) {
		in, err := decode("00" + "04" + "0B916171551532F4" + "0004" + "62112291439200" + "0401020304")
		if err != nil || in.text == nil || !in.text.Unreadable || in.text.From != patient || in.text.Body != "" {
			t.Fatalf("%#v, %v", in.text, err)
		}
	})
	for _, pdu := range []string{"", "0", "zz", "00", "FF00", "0001", "0006", strings.Repeat("00", 2000)} {
		if in, err := decode(pdu); err == nil && in.text == nil || err != nil && !errors.Is(err, errPDU) {
			t.Errorf("%.10q: %+v, %v", pdu, in, err)
		}
	}
}

func TestListing(t *testing.T) {
	got := listing([]string{
		`+CMGL: 0,1,,24`, "00AA", `+CMGL: 3,0,"",25`, "00BB", "noise", `+CMGL: 7,2,,10`, "00CC", `+CMGL: x,1,,24`, "00DD",
		`+CMGL: 8,1,,24`, `+CMGL: 9,1,,24`, "00EE", `+CMGL: 10,1,,24`,
	})
	want := []entry{{0, false, 24, "00AA"}, {3, false, 25, "00BB"}, {7, true, 10, "00CC"}, {9, false, 24, "00EE"}}
	if !slices.Equal(got, want) {
		t.Fatalf("%+v, want %+v", got, want)
	}
}

// A PDU that was garbled on its way is neither offered nor deleted.
func TestListedPDUMustBeWhole(t *testing.T) {
	for pdu, want := range map[string]bool{"00AABB": true, "02FFFFAABB": true, "00AA": false, "00AABBCC": false, "": false, "zzAABB": false} {
		if got := (entry{length: 2, pdu: pdu}).whole(); got != want {
			t.Errorf("%q of 2 octets: %v, want %v", pdu, got, want)
		}
	}
}

// Nothing that the network chooses may end the daemon.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37",
		"0006" + "2A" + "0B916171551532F4" + "62112291439200" + "62112291532500" + "00",
		"0044" + "0B916171551532F4" + "0000" + "62112291439200" + "0A" + "0500034D0201E8329BFD",
		"0044" + "0B916171551532F4" + "0000" + "62112291439200" + "01" + "FF",
		"0044" + "0B916171551532F4" + "0008" + "62112291439200" + "08" + "06050403D83DDE",
		"0004" + "0ED0C8329BFD065DDF" + "00F1" + "62112291439200" + "00",
		"0040" + "0081" + "0000" + "00000000000000" + "02" + "0100",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, pdu string) {
		in, err := decode(pdu)
		switch {
		case err != nil && (in.text != nil || in.report != nil):
			t.Fatal("an error and a value")
		case err == nil && (in.text == nil) == (in.report == nil):
			t.Fatal("neither or both of text and report")
		case in.text != nil && (in.text.Part < 1 || in.text.Part > in.text.Parts):
			t.Fatalf("part %d of %d", in.text.Part, in.text.Parts)
		}
	})
}

// What Encode makes, a receiver reads.
func FuzzEncode(f *testing.F) {
	f.Add("+16175551234", "Your code is 482917", int64(300))
	f.Add("36180", "ñ € 😀", int64(0))
	f.Fuzz(func(t *testing.T, to, text string, seconds int64) {
		ts, err := Encode(SMS{To: to, Text: text, Validity: time.Duration(seconds) * time.Second, Report: true})
		if err != nil {
			if !errors.Is(err, ErrUnsendable) {
				t.Fatal(err)
			}
			return
		}
		var all strings.Builder
		for _, p := range ts {
			_, pdu := p.AT()
			b, err := hex.DecodeString(pdu[2:])
			if err != nil || len(b) != p.Octets() {
				t.Fatalf("%d octets announced, %d there: %v", p.Octets(), len(b), err)
			}
			d, err := sms.Unmarshal(b, sms.AsMO)
			if err != nil {
				t.Fatal(err)
			}
			s, err := body(d)
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(s)
		}
		if all.String() != text {
			t.Fatalf("%q came back as %q", text, all.String())
		}
	})
}
