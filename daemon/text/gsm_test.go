package text

import (
	"strings"
	"testing"
	"time"
)

func TestSeptets(t *testing.T) {
	for _, c := range []struct {
		s   string
		n   int
		gsm bool
	}{
		{"", 0, true},
		{"Hello @ £5", 10, true},
		{"ñé¿¡üàèìòùÇ", 11, true},
		{"{}[]\\~|^€", 18, true},
		{"código", 6, false}, // ó
		{"más", 3, false},
		{"ç", 1, false}, // only the capital is in the alphabet
		{"it’s", 4, false},
		{"😀", 2, false},
		{strings.Repeat("a", 160), 160, true},
	} {
		if n, gsm := Septets(c.s); n != c.n || gsm != c.gsm {
			t.Errorf("Septets(%q) = %d, %t, want %d, %t", c.s, n, gsm, c.n, c.gsm)
		}
	}
	if !onePart(strings.Repeat("a", 160), false) || onePart(strings.Repeat("a", 161), false) ||
		!onePart(strings.Repeat("ó", 70), false) || onePart(strings.Repeat("ó", 71), false) ||
		onePart(strings.Repeat("a", 141), true) || onePart("\xff", false) {
		t.Error("the bounds of one part")
	}
}

func FuzzRender(f *testing.F) {
	for _, tm := range shipped {
		f.Add(tm.Body, "Riverside", "Main St", "617-555-1000")
	}
	f.Add("{brand}: {", "}", "{brand}", "\x00")
	f.Fuzz(func(t *testing.T, body, brand, site, phone string) {
		v := reminder()
		v.SetBrand(brand)
		v.SetSite(site)
		v.SetPhone(phone)
		v.SetCode("482917")
		v.SetMinutes(time.Minute)
		tm := Template{Name: "fuzz", Lang: "en", Class: Care, Body: body}
		Lint(tm)
		out, err := Render(tm, v, time.UTC)
		if err != nil {
			return
		}
		if n, gsm := Septets(out); gsm && n > OnePartSeptets || !gsm && n > OnePartUCS2 {
			t.Fatalf("%d units came out", n)
		}
	})
}

func BenchmarkRenderCode(b *testing.B) {
	tm, _ := builtin("verification", "en")
	v := code("482917")
	for b.Loop() {
		if _, err := Render(tm, v, time.UTC); err != nil {
			b.Fatal(err)
		}
	}
}
