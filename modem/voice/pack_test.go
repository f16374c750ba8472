package voice

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func clip(t testing.TB, pcm []byte) *fstest.MapFile {
	t.Helper()
	var b bytes.Buffer
	if err := WriteWAV(&b, pcm); err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: b.Bytes()}
}

// wholeLanguage is a folder with everything that a language needs.
func wholeLanguage(t testing.TB, lang string) fstest.MapFS {
	files := fstest.MapFS{}
	for _, d := range digits {
		files[lang+"/"+string(d)+".wav"] = clip(t, hum(300, 5000, 2400))
	}
	for _, p := range Prompts() {
		files[lang+"/"+string(p)+".wav"] = clip(t, hum(300, 5000, 4000))
	}
	return files
}

// TestShippedPacks: seven languages, each whole, each clip within what the reference asks (6.3), none with the hospital's name.
func TestShippedPacks(t *testing.T) {
	packs, err := Packs(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range []string{"en", "es", "fr", "pt", "zh", "vi", "hi"} {
		p := packs[lang]
		if p == nil {
			t.Errorf("no %s", lang)
			continue
		}
		if p.Has(Brand) {
			t.Errorf("%s ships somebody's name", lang)
		}
		for _, name := range p.Names() {
			pcm, err := p.Say(name)
			if err != nil {
				t.Fatal(err)
			}
			x := floats(pcm)
			if top := max(slices.Max(x), -slices.Min(x)); top > peak*1.04 { // mu-law has steps of 3 %
				t.Errorf("%s/%s: peak %.0f", lang, name, top)
			}
			least, most := 150*time.Millisecond, 900*time.Millisecond
			if len(name) > 1 {
				least, most = 400*time.Millisecond, 14*time.Second
			}
			if n := Length(pcm); n < least || n > most {
				t.Errorf("%s/%s lasts %v", lang, name, n)
			}
		}
	}
}

// TestSiteRecordings: a site's own take the place of the shipped, add the name, and may bring a language that is not shipped.
func TestSiteRecordings(t *testing.T) {
	site := wholeLanguage(t, "so")
	site["en/brand.wav"] = clip(t, hum(300, 5000, 8000))
	site["en/7.wav"] = clip(t, hum(300, 5000, 3000))
	site["en/notes.txt"] = &fstest.MapFile{Data: []byte("by Mary, 3rd floor")}
	packs, err := Packs(site)
	if err != nil {
		t.Fatal(err)
	}
	if len(packs) != 8 || !packs["en"].Has(Brand) || packs["es"].Has(Brand) || packs["so"] == nil {
		t.Fatalf("packs %v", packs)
	}
	seven, err := packs["en"].Say("7")
	if err != nil {
		t.Fatal(err)
	}
	if n := Length(seven); n != 375*time.Millisecond {
		t.Errorf("the site's seven lasts %v, not its 375 ms", n)
	}
}

func TestSiteRecordingsErrors(t *testing.T) {
	part := wholeLanguage(t, "so")
	delete(part, "so/4.wav")
	delete(part, "so/again.wav")
	for name, c := range map[string]struct {
		site fs.FS
		want string
	}{
		"half a language": {part, `language "so": no recording of a prompt: 4, again`},
		"a wrong name":    {fstest.MapFS{"en/brnd.wav": clip(t, hum(300, 5000, 800))}, "en/brnd.wav: there is no prompt of this name"},
		"no WAV":          {fstest.MapFS{"en/brand.wav": {Data: []byte("ID3")}}, "en/brand.wav: not a usable recording"},
		"silence":         {fstest.MapFS{"en/brand.wav": clip(t, Silence(time.Second))}, "en/brand.wav: not a usable recording: it is silent"},
		"a folder":        {fstest.MapFS{"en/brand.wav": {Mode: fs.ModeDir}}, "read recording"},
	} {
		if _, err := Packs(c.site); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestSay(t *testing.T) {
	packs, err := Packs(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := packs["en"]
	if _, err := p.Say(Brand); !errors.Is(err, ErrNoPrompt) {
		t.Errorf("a name that nobody recorded: %v", err)
	}
	quick, err := p.Say(PressOne)
	if err != nil {
		t.Fatal(err)
	}
	slow, err := p.Slow().Say(PressOne)
	if err != nil {
		t.Fatal(err)
	}
	if f := float64(len(slow)) / float64(len(quick)); f < 1.25 || f > 1.4 {
		t.Errorf("slow speech lasts %.2f times as long", f)
	}
	if again, _ := p.Say(PressOne); !bytes.Equal(again, quick) {
		t.Error("Slow changed the pack itself")
	}
}

// TestSayDigits: 250 to 400 ms between digits (reference 6.3), more between groups and for who needs it, and only digits are spoken.
func TestSayDigits(t *testing.T) {
	packs, err := Packs(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Pack{packs["en"], packs["en"].Slow()} {
		one, err := p.SayDigits("1")
		if err != nil {
			t.Fatal(err)
		}
		gap := digitGap
		if p.slow {
			gap = slowGap
		}
		for s, gaps := range map[string]time.Duration{"": 0, "11": gap, "111": 2 * gap, "1111": 3*gap + groupGap, "(1) 1-1": 2 * gap} {
			pcm, err := p.SayDigits(s)
			if err != nil {
				t.Fatal(err)
			}
			n := time.Duration(strings.Count(s, "1"))
			if got, want := Length(pcm), n*Length(one)+gaps; got != want {
				t.Errorf("%q lasts %v, want %v", s, got, want)
			}
		}
	}
	if gap := digitGap; gap < 250*time.Millisecond || gap > 400*time.Millisecond {
		t.Errorf("%v between digits", gap)
	}
	if _, err := (&Pack{Lang: "xx"}).SayDigits("482917"); !errors.Is(err, ErrNoPrompt) || strings.ContainsAny(err.Error(), digits) {
		t.Errorf("a pack without digits: %v", err)
	}
}
