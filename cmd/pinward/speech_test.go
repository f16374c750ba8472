package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"pinward/modem/voice"
	"pinward/modem/voice/voicetest"
)

// another is a voice for each language by which no shipped recording was made.
var another = map[string]spoken{
	"en": {Engine: flite, Voice: "slt", Words: 190}, // flite's other persons are too far from it: the same one in a hurry
	"es": {Engine: espeakNG, Voice: "es-419+m3", Words: 120},
	"fr": {Engine: espeakNG, Voice: "fr-fr+m3", Words: 120},
	"pt": {Engine: espeakNG, Voice: "pt-br+m3", Words: 120},
	"zh": {Engine: espeakNG, Voice: "cmn-latn-pinyin+m3", Words: 150},
	"vi": {Engine: espeakNG, Voice: "vi+m3", Words: 120},
	"hi": {Engine: espeakNG, Voice: "hi+m3", Words: 110},
}

// shippedTexts is what the packs were made of.
func shippedTexts(t *testing.T) map[string]spoken {
	t.Helper()
	for _, name := range []string{flite, espeakNG} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%s is not installed: these tests need real synthesizers (Debian: apt-get install flite espeak-ng)", name)
		}
	}
	b, err := os.ReadFile("../../packaging/speech/prompts.toml")
	if err != nil {
		t.Fatal(err)
	}
	var langs map[string]spoken
	if err := toml.Unmarshal(b, &langs); err != nil {
		t.Fatal(err)
	}
	return langs
}

// TestShippedDigitsSayWhatTheyShould: what another voice makes of the text of each digit is nearest to the shipped clip of that digit.
// A clip under a wrong name, or cut off, would be nearest to another.
func TestShippedDigitsSayWhatTheyShould(t *testing.T) {
	packs, err := voice.Packs(nil)
	if err != nil {
		t.Fatal(err)
	}
	for lang, s := range shippedTexts(t) {
		t.Run(lang, func(t *testing.T) {
			ear, err := voicetest.NewEar(packs[lang])
			if err != nil {
				t.Fatal(err)
			}
			const code = "8402917365"
			var pcm []byte
			for _, d := range code {
				said, err := another[lang].synthesize(t.Context(), s.Say[string(d)])
				if err != nil {
					t.Fatal(err)
				}
				pcm = append(append(pcm, said...), voice.Silence(3e8)...)
			}
			if got := voicetest.Said(ear.HearDigits(pcm)); got != code {
				t.Errorf("another voice said %s: nearest to the shipped clips of %s", code, got)
			}
		})
	}
}

// TestSpeechBuild makes a site's recordings as an operator does, and the daemon's reader takes them.
func TestSpeechBuild(t *testing.T) {
	shippedTexts(t)
	dir := t.TempDir()
	texts, folder := filepath.Join(dir, "texts.toml"), filepath.Join(dir, "speech")
	write(t, texts, "[en.say]\nbrand = \"This is Example Hospital.\"\n[es]\nwords = 120\n[es.say]\nbrand = \"Le llamamos del hospital Example.\"\n")
	out, err := command(t, "speech", "build", texts, folder)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out, "brand.wav"); n != 2 {
		t.Errorf("it told of %d recordings, want 2:\n%s", n, out)
	}
	out, err = command(t, "speech", "check", folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"en  can be used", "es  can be used", "fr  has no hospital's name"} {
		if !strings.Contains(out, want) {
			t.Errorf("check says nothing of %q:\n%s", want, out)
		}
	}
	packs, err := voice.Packs(os.DirFS(folder))
	if err != nil {
		t.Fatal(err)
	}
	pcm, err := packs["en"].Say(voice.Brand)
	if err != nil {
		t.Fatal(err)
	}
	if n := voice.Length(pcm).Seconds(); n < 0.8 || n > 4 {
		t.Errorf("the hospital's name lasts %.1f s", n)
	}
}

// A full disk leaves the folder as it was, with nothing beside it: neither half of a recording nor half of the languages is new.
func TestSpeechBuildOnAFullDisk(t *testing.T) {
	shippedTexts(t)
	dir := t.TempDir()
	texts, folder := filepath.Join(dir, "texts.toml"), filepath.Join(dir, "speech")
	write(t, texts, "[en.say]\nbrand = \"This is Example Hospital.\"\n[es.say]\nbrand = \"Le llamamos del hospital Example.\"\n")
	if _, err := command(t, "speech", "build", texts, folder); err != nil {
		t.Fatal(err)
	}
	en, es := filepath.Join(folder, "en", "brand.wav"), filepath.Join(folder, "es", "brand.wav")
	before, err := os.ReadFile(en)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", es+temporary); err != nil { // each write there is ENOSPC
		t.Fatal(err)
	}
	write(t, texts, "[en.say]\nbrand = \"This is another hospital.\"\n[es.say]\nbrand = \"Le llamamos de otro hospital.\"\n")
	if _, err := command(t, "speech", "build", texts, folder); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("on a full disk: %v", err)
	}
	if after, err := os.ReadFile(en); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the old recording is gone: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*", "*"+temporary)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := command(t, "speech", "build", texts, folder); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if after, err := os.ReadFile(en); err != nil || bytes.Equal(after, before) {
		t.Errorf("with room again it is as before: %v", err)
	}
}

func TestSpeechBuildErrors(t *testing.T) {
	for name, c := range map[string]struct{ texts, path, want string }{
		"no such prompt":      {"[en.say]\nbrnd = \"x\"", "", `[en.say] brnd: there is no prompt of this name`},
		"unknown key":         {"[en]\nspeed = 3", "", "unknown key"},
		"no TOML":             {"[en", "", "texts.toml"},
		"an unknown language": {"[so.say]\nbrand = \"x\"", "", "give engine"},
		"too fast":            {"[en]\nwords = 900\n[en.say]\nbrand = \"x\"", "", "80 to 250"},
		"empty text":          {"[en.say]\nbrand = \" \"", "", "empty"},
		"nothing to hear":     {"[es.say]\nbrand = \".\"", "", "silence"},
		"not installed":       {"[es.say]\nbrand = \"x\"", "none", "apt-get install espeak-ng"},
	} {
		t.Run(name, func(t *testing.T) {
			shippedTexts(t)
			if c.path != "" {
				t.Setenv("PATH", c.path)
			}
			dir := t.TempDir()
			texts := filepath.Join(dir, "texts.toml")
			write(t, texts, c.texts)
			_, err := command(t, "speech", "build", texts, filepath.Join(dir, "speech"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// command runs pinward as it is built, and gives what it printed.
func command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}
