package modemsim

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/tpdu"
)

// codecTexts meet each seam of both alphabets.
var codecTexts = []string{
	"Test: your code is 482917", "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞ", "{[~]|^€}\\", strings.Repeat("a", 160), strings.Repeat("a", 161),
	strings.Repeat("€", 90), "Ваш код 482917", strings.Repeat("ж", 70), strings.Repeat("ж", 71), strings.Repeat("x", 306) + "y",
}

// The codec of this room and that of the library share nothing: what one writes the other must read.
func TestCodecAgainstAnother(t *testing.T) {
	for _, text := range codecTexts {
		crossCheck(t, text, "+16175551234")
	}
	crossCheck(t, "short", "+4670")
}

func crossCheck(t *testing.T, text, number string) {
	t.Helper()
	theirs, err := sms.Encode([]byte(text), sms.AsSubmit, sms.To(number))
	if err != nil {
		t.Fatal(err)
	}
	var whole strings.Builder
	for i, p := range theirs {
		b, err := p.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		s, err := decodeSubmit(b, time.Now())
		if err != nil {
			t.Fatalf("part %d of %d of another encoder is refused: %v", i+1, len(theirs), err)
		}
		if c := s.Body.concat(); s.To != number || c.Seq != i+1 || c.Total != len(theirs) {
			t.Errorf("part %d of %d is read as part %d of %d", i+1, len(theirs), c.Seq, c.Total)
		}
		whole.WriteString(s.Body.text())
	}
	if whole.String() != text {
		t.Errorf("%q is read as %q", text, whole.String())
	}
	at := time.Date(2026, 11, 22, 10, 30, 0, 0, time.FixedZone("", -5*3600))
	var segments []*tpdu.TPDU
	for _, b := range bodies(text, 7) {
		p, err := sms.Unmarshal(deliver{From: number, SCTS: at, Body: b}.encode(), sms.AsMT)
		if err != nil {
			t.Fatalf("another decoder refuses our SMS-DELIVER: %v", err)
		}
		if p.OA.Number() != number || !p.SCTS.Time.Equal(at) {
			t.Errorf("our SMS-DELIVER is read as of %v at %v", p.OA.Number(), p.SCTS.Time)
		}
		segments = append(segments, p)
	}
	back, err := sms.Decode(segments)
	if err != nil || string(back) != text {
		t.Errorf("our %q is read as %q, %v", text, back, err)
	}
}

func TestReportAgainstAnotherCodec(t *testing.T) {
	at := time.Date(2026, 3, 8, 1, 59, 58, 0, time.FixedZone("", 5*3600+45*60))
	for _, status := range []byte{statusReceived, statusMemoryFull, statusExpired, statusUnavailable, 0x7f} {
		r := report{MR: 255, To: "+16175551234", SCTS: at, Discharge: at.Add(time.Minute), Status: status}
		p, err := sms.Unmarshal(r.encode(), sms.AsMT)
		if err != nil {
			t.Fatal(err)
		}
		if p.MR != r.MR || p.RA.Number() != r.To || p.ST != status || !p.SCTS.Time.Equal(at) || !p.DT.Time.Equal(r.Discharge) {
			t.Errorf("%+v", p)
		}
	}
}

// FuzzCodecAgainstAnother has both codecs read each other's texts.
func FuzzCodecAgainstAnother(f *testing.F) {
	for _, text := range codecTexts {
		f.Add(text, uint64(16175551234))
	}
	f.Fuzz(func(t *testing.T, text string, number uint64) {
		if text == "" || len(text) > 1000 || !utf8.ValidString(text) || number < 100 {
			return
		}
		if strings.ContainsRune(text, utf8.RuneError) || strings.Contains(text, "\x1b") {
			return // what stands for no character cannot come back as itself
		}
		digits := []byte("+")
		for n := number % 1e15; n > 0; n /= 10 {
			digits = append(digits, byte('0'+n%10))
		}
		if len(digits) < 4 {
			return
		}
		crossCheck(t, text, string(digits))
	})
}
