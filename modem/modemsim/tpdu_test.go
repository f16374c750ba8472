package modemsim

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors of this file are published ones: 3GPP TS 23.038 and 23.040, and the
// worked examples that every GSM tutorial repeats ("hellohello").

func TestSeptetsOfPublishedExamples(t *testing.T) {
	for _, v := range []struct{ text, packed string }{
		{"hellohello", "e8329bfd4697d9ec37"},
		{"How are you?", "c8f71d14969741f977fd07"},
		{"1", "31"}, {"12", "3119"}, {"1234567", "31d98c56b3dd00"}, {"12345678", "31d98c56b3dd70"},
	} {
		septets, fits := gsmSeptets(v.text)
		if !fits {
			t.Fatalf("%q does not fit the default alphabet", v.text)
		}
		if got := hex.EncodeToString(pack(septets, 0)); got != v.packed {
			t.Errorf("pack(%q) = %s, want %s", v.text, got, v.packed)
		}
		if got := gsmText(unpack(unhex(t, v.packed), 0, len(v.text))); got != v.text {
			t.Errorf("unpack(%s) = %q, want %q", v.packed, got, v.text)
		}
	}
}

func TestDefaultAlphabetIsWhole(t *testing.T) {
	if len(gsmRunes) != 128 {
		t.Fatalf("the table has %d characters", len(gsmRunes))
	}
	for code, r := range gsmRunes {
		if code == gsmEscape {
			continue
		}
		if got, fits := gsmSeptets(string(r)); !fits || len(got) != 1 || int(got[0]) != code {
			t.Errorf("%q has code %v, want %#x", r, got, code)
		}
	}
	for _, v := range []struct {
		r    rune
		code byte
	}{{'@', 0}, {'$', 2}, {'\n', 10}, {'\r', 13}, {'Δ', 0x10}, {' ', 0x20}, {'¤', 0x24}, {'¡', 0x40}, {'Z', 0x5a}, {'§', 0x5f}, {'¿', 0x60}, {'à', 0x7f}} {
		if gsmRunes[v.code] != v.r {
			t.Errorf("code %#x is %q, want %q", v.code, gsmRunes[v.code], v.r)
		}
	}
	text := "^{}\\[~]|€\f"
	septets, fits := gsmSeptets(text)
	if !fits || len(septets) != 20 || gsmText(septets) != text {
		t.Errorf("extension table: %v, %q", septets, gsmText(septets))
	}
	if got := gsmText([]byte{'a', gsmEscape, 'b', gsmEscape}); got != "ab " {
		t.Errorf("unknown extension and lone escape read %q", got)
	}
}

func TestDecodeSubmitPublished(t *testing.T) {
	smsc, tpdu, err := splitSMSC(unhex(t, "0011000B916407281553F80000AA0AE8329BFD4697D9EC37"))
	if err != nil || smsc != "" {
		t.Fatal(smsc, err)
	}
	s, err := decodeSubmit(tpdu, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if s.To != "+46708251358" || s.Body.text() != "hellohello" || s.Validity != 4*24*time.Hour || s.StatusReport || s.PID != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestDecodeDeliverPublished(t *testing.T) {
	smsc, tpdu, err := splitSMSC(unhex(t, "07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37"))
	if err != nil || smsc != "+27381000015" {
		t.Fatal(smsc, err)
	}
	d, err := decodeDeliver(tpdu)
	if err != nil {
		t.Fatal(err)
	}
	want := time.Date(1999, 3, 29, 15, 16, 59, 0, time.FixedZone("", 2*3600)).AddDate(100, 0, 0)
	if d.From != "27838890001" || d.Body.text() != "hellohello" || !d.SCTS.Equal(want) {
		t.Errorf("got %+v", d)
	}
}

func TestEncodeDeliver(t *testing.T) {
	scts := time.Date(2026, 11, 22, 5, 6, 7, 0, time.FixedZone("", -5*3600))
	d := deliver{From: "+46708251358", SCTS: scts, Body: bodies("hellohello", 1)[0]}
	// Written down octet by octet from 23.040 section 9.2.2.1.
	// The zone: 20 quarters, swapped 02, the minus sign in bit 3 of the first semi-octet.
	got := hex.EncodeToString(d.encode())
	want := "04" + "0b916407281553f8" + "0000" + "621122506070" + "0a" + "0a" + "e8329bfd4697d9ec37"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	back, err := decodeDeliver(d.encode())
	if err != nil || !back.SCTS.Equal(scts) || back.From != d.From {
		t.Errorf("read back %+v, %v", back, err)
	}
}

func TestEncodeReport(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := report{MR: 7, To: "+16175551234", SCTS: at, Discharge: at.Add(time.Second), Status: statusExpired}
	want := "06" + "07" + "0b916171551532f4" + "62102030405000" + "62102030406000" + "46"
	if got := hex.EncodeToString(r.encode()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRelativeValidity(t *testing.T) {
	for v, want := range map[byte]time.Duration{
		0: 5 * time.Minute, 1: 10 * time.Minute, 143: 12 * time.Hour, 144: 12*time.Hour + 30*time.Minute,
		167: 24 * time.Hour, 168: 48 * time.Hour, 170: 96 * time.Hour, 196: 30 * 24 * time.Hour,
		197: 5 * 7 * 24 * time.Hour, 255: 63 * 7 * 24 * time.Hour,
	} {
		if got := relativeValidity(v); got != want {
			t.Errorf("octet %d is %v, want %v", v, got, want)
		}
	}
}

func TestAbsoluteAndEnhancedValidity(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	head, tail := "00"+"0b916171551532f4"+"00"+"00", "01"+"31"
	for _, v := range []struct {
		first, vp string
		want      time.Duration
	}{
		{"01", "", 0},
		{"19", "62112221510000", 15 * time.Minute},
		{"09", "01010000000000", 10 * time.Minute},
		{"09", "025a0000000000", 90 * time.Second},
		{"09", "03102030000000", time.Hour + 2*time.Minute + 3*time.Second},
	} {
		s, err := decodeSubmit(unhex(t, v.first+head+v.vp+tail), now)
		if err != nil {
			t.Fatal(v.first, err)
		}
		if s.Validity != v.want {
			t.Errorf("first octet %s, TP-VP %s: %v, want %v", v.first, v.vp, s.Validity, v.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, v := range []struct{ octets, want string }{
		{"0b916171551532f4", "+16175551234"},
		{"05816381f0", "36180"}, // a short code: unknown type, odd count
		{"0aa16171551532", "1617555123"},
		{"14d0c4f23c7d760390ef7619", "Design@Home"},
	} {
		r := reader{b: unhex(t, v.octets)}
		if got := r.address(); r.bad || got != v.want || len(r.b) != 0 {
			t.Errorf("%s reads %q (bad %v, rest %x), want %q", v.octets, got, r.bad, r.b, v.want)
		}
	}
	for _, number := range []string{"+16175551234", "36180", "911", "+4915112345678"} {
		r := reader{b: appendAddress(nil, number)}
		if got := r.address(); r.bad || got != number {
			t.Errorf("%q came back as %q", number, got)
		}
	}
	for name, octets := range map[string]string{
		"too long": "1591616161616161616161616161", "digit F": "0491f116", "no fill": "0391611a", "cut": "0b9161", "type without bit 8": "021161",
	} {
		r := reader{b: unhex(t, octets)}
		if got := r.address(); !r.bad {
			t.Errorf("%s: read as %q", name, got)
		}
	}
}

func TestMalformedSubmitsAreRefused(t *testing.T) {
	good := "11000b916171551532f40000aa0ae8329bfd4697d9ec37"
	if _, err := decodeSubmit(unhex(t, good), time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, pdu := range map[string]string{
		"empty": "", "SMS-DELIVER": "10" + good[2:], "one octet over": good + "00", "one octet short": good[:len(good)-2],
		"UDL too large": strings.Replace(good, "0ae832", "0be832", 1) + "ffffff", "no address": "110000910000aa0ae8329bfd4697d9ec37",
		"header longer than data": "51000b916171551532f40004aa030500aa", "UDL 161 septets": "11000b916171551532f40000aaa1" + strings.Repeat("00", 141),
	} {
		if s, err := decodeSubmit(unhex(t, pdu), time.Now()); err == nil {
			t.Errorf("%s: read as %+v", name, s)
		}
	}
}

func TestLongTexts(t *testing.T) {
	for _, v := range []struct {
		name, text string
		parts      int
		dcs        byte
	}{
		{"160 septets", strings.Repeat("a", 160), 1, 0},
		{"161 septets", strings.Repeat("a", 161), 2, 0},
		{"306 septets", strings.Repeat("a", 306), 2, 0},
		{"307 septets", strings.Repeat("a", 307), 3, 0},
		{"an escape at the seam", strings.Repeat("a", 152) + "€" + strings.Repeat("b", 20), 2, 0},
		{"70 units", strings.Repeat("ç", 70), 1, 8},
		{"71 units", strings.Repeat("ç", 71), 2, 8},
		{"a surrogate pair at the seam", strings.Repeat("ж", 66) + "😀" + strings.Repeat("ж", 20), 2, 8},
	} {
		list := bodies(v.text, 200)
		if len(list) != v.parts {
			t.Errorf("%s: %d parts, want %d", v.name, len(list), v.parts)
		}
		var whole strings.Builder
		for i, b := range list {
			s := submit{To: "+16175551234", Body: b}
			back, err := decodeSubmit(s.encode(nil), time.Now())
			if err != nil {
				t.Fatalf("%s, part %d: %v", v.name, i, err)
			}
			if c := back.Body.concat(); c.Total != v.parts || c.Seq != i+1 || v.parts > 1 && c.Ref != 200 {
				t.Errorf("%s, part %d: %+v", v.name, i, c)
			}
			if back.Body.DCS != v.dcs {
				t.Errorf("%s: DCS %#x", v.name, back.Body.DCS)
			}
			whole.WriteString(back.Body.text())
		}
		if whole.String() != v.text {
			t.Errorf("%s: came back as %q", v.name, whole.String())
		}
	}
}

func TestConcat16BitAndIgnoredElements(t *testing.T) {
	d := newBody([]byte{9, 0x08, 4, 0x12, 0x34, 3, 2, 0x70, 1, 9}, []byte("hi"), nil, 0)
	if c := d.concat(); c != (concat{0x1234, 3, 2}) || d.text() != "hi" {
		t.Errorf("%+v, %q", c, d.text())
	}
	d = newBody([]byte{5, 0, 3, 1, 2, 3}, []byte("hi"), nil, 0) // part 3 of 2
	if c := d.concat(); c.Total != 1 {
		t.Errorf("an impossible part counts: %+v", c)
	}
}

func TestDataCodingSchemes(t *testing.T) {
	class := func(n int) *int { return &n }
	for _, v := range []struct {
		dcs   byte
		want  alphabet
		class *int
	}{
		{0x00, gsm7Bit, nil}, {0x04, data8Bit, nil}, {0x08, ucs2, nil}, {0x0c, gsm7Bit, nil}, {0x10, gsm7Bit, class(0)},
		{0x18, ucs2, class(0)}, {0x48, ucs2, nil}, {0xc8, gsm7Bit, nil}, {0xd0, gsm7Bit, nil}, {0xe0, ucs2, nil}, {0xf1, gsm7Bit, class(1)}, {0xf6, data8Bit, class(2)},
	} {
		d := body{DCS: v.dcs}
		if d.alphabet() != v.want {
			t.Errorf("DCS %#x: alphabet %d, want %d", v.dcs, d.alphabet(), v.want)
		}
		if got := d.class(); (got == nil) != (v.class == nil) || got != nil && *got != *v.class {
			t.Errorf("DCS %#x: class %v, want %v", v.dcs, got, v.class)
		}
	}
}

func FuzzDecodeSubmit(f *testing.F) {
	for _, s := range []string{
		"11000B916407281553F80000AA0AE8329BFD4697D9EC37", "31000B913316325476F80000010BC3F79C0C8AC966B49A0D",
		"51000b916171551532f40008aa0a050003010201d83dde00", "0900", "190002819100000000000000000000", "",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, tpdu []byte) {
		s, err := decodeSubmit(tpdu, time.Unix(1_800_000_000, 0))
		if err != nil {
			return
		}
		if len(s.Body.Data) > 140 || s.To == "" || s.Validity < 0 {
			t.Fatalf("accepted %d octets, validity %v", len(s.Body.Data), s.Validity)
		}
		c := s.Body.concat()
		if c.Seq < 1 || c.Seq > c.Total {
			t.Fatalf("part %d of %d", c.Seq, c.Total)
		}
		_ = s.Body.text()
		if strings.Trim(s.To, "+0123456789") == "" { // what it says, it says again
			again, err := decodeSubmit(s.encode(nil), time.Time{})
			if err != nil || again.To != s.To || !bytes.Equal(again.Body.Data, s.Body.Data) {
				t.Fatalf("%x was read, encoded and read otherwise", tpdu)
			}
		}
	})
}

func FuzzDecodeDeliver(f *testing.F) {
	f.Add(unhex(f, "040BC87238880900F10000993092516195800AE8329BFD4697D9EC37"))
	f.Fuzz(func(t *testing.T, tpdu []byte) {
		if d, err := decodeDeliver(tpdu); err == nil && len(d.Body.Data) > 140 {
			t.Fatalf("accepted %d octets", len(d.Body.Data))
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "hello", "€{}", "ж", "😀😀", strings.Repeat("a€", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "?")
		var whole strings.Builder
		list := bodies(text, 9)
		if len(list) > 255 {
			return
		}
		for _, b := range list {
			if len(b.Data) > 140 {
				t.Fatalf("a part of %d octets", len(b.Data))
			}
			whole.WriteString(b.text())
		}
		if whole.String() != text {
			t.Fatalf("%q came back as %q", text, whole.String())
		}
	})
}
