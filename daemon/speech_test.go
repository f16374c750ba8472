package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/outbox"
	"pinward/modem/voice"
)

// What was read last stays in use where the folder is at fault, health says why, and a reload takes what was mended.
func TestRecordingsAreReloaded(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "speech")
	b := &box{log: slog.New(slog.DiscardHandler)}
	if b.loadSpeech(); b.speech.Load() != nil {
		t.Fatal("recordings of no folder")
	}
	b.cfg.Speech.Folder = folder
	if b.loadSpeech(); len(b.speech.Load().usable()) != 0 || !strings.Contains(b.speech.Load().cause, "find folder") {
		t.Fatalf("without the folder: %v", b.speech.Load())
	}
	if err := os.CopyFS(folder, os.DirFS("../cmd/demo/speech")); err != nil {
		t.Fatal(err)
	}
	all := []string{"en", "es", "fr", "hi", "pt", "vi", "zh"}
	if b.loadSpeech(); !slices.Equal(b.speech.Load().usable(), all) || b.speech.Load().cause != "" {
		t.Fatalf("usable: %v", b.speech.Load().usable())
	}
	wrong := filepath.Join(folder, "en", "brnad.wav")
	if err := os.WriteFile(wrong, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if b.loadSpeech(); !slices.Equal(b.speech.Load().usable(), all) || !strings.Contains(b.speech.Load().cause, "brnad") {
		t.Fatalf("with a misspelt prompt: %q", b.speech.Load().cause)
	}
	if err := os.Remove(wrong); err != nil {
		t.Fatal(err)
	}
	if b.loadSpeech(); b.speech.Load().cause != "" {
		t.Errorf("mended: %q", b.speech.Load().cause)
	}
}

// The prompt and what a voicemail hears are the same in every call of one language, whoever is called; no clip before the key is made
// of what is personal.
func TestComposeTellsNothingBeforeAKey(t *testing.T) {
	packs, err := voice.Packs(os.DirFS("../cmd/demo/speech"))
	if err != nil {
		t.Fatal(err)
	}
	r := &recordings{packs: packs}
	for lang := range packs {
		one, err := compose(r, outbox.Spoken{Code: "482917", Langs: []string{lang}, Phone: "617-555-1000"})
		if err != nil {
			t.Fatal(err)
		}
		two, err := compose(r, outbox.Spoken{Code: "0011", Langs: []string{lang}, Staff: true, Slow: true, Phone: "617-555-1000"})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(one.Prompt.PCM, two.Prompt.PCM) || !slices.Equal(one.NoKey.PCM, two.NoKey.PCM) {
			t.Errorf("%s: what comes before a key differs", lang)
		}
		if len(one.Digits) != 6 || len(two.Digits) != 4 || two.Gap != 600*time.Millisecond || two.Digits[0].Duration() <= one.Digits[0].Duration()/2 {
			t.Errorf("%s: %v, %v", lang, one, two)
		}
		if slices.Equal(one.Closing.PCM, two.Closing.PCM) {
			t.Errorf("%s: the staff's closing is the patient's", lang)
		}
	}
	// The language that was asked for, else the site's, else any in which calls are made.
	if p := r.first([]string{"de", "ES-us"}); p == nil || p.Lang != "es" {
		t.Errorf("for de, es-US: %v", p)
	}
	if p := r.first([]string{"de"}); p == nil {
		t.Error("no pack where none was wanted")
	}
	none, err := voice.Packs(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := compose(&recordings{packs: none}, outbox.Spoken{Code: "1234", Langs: []string{"en"}}); err == nil {
		t.Error("a call without the hospital's name")
	}
}
