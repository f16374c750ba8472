package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"pinward/modem/voice"
)

// Synthesizers of Debian that are asked. The daemon cannot run them: its unit runs no program.
const (
	flite    = "flite"
	espeakNG = "espeak-ng"
)

// spoken is what is said in one language, and by which voice.
type spoken struct {
	Engine string            `toml:"engine"` // flite or espeak-ng
	Voice  string            `toml:"voice"`  // as the engine names it
	Words  int               `toml:"words"`  // a minute
	Say    map[string]string `toml:"say"`    // prompt -> text
}

// voices are those of the shipped packs, for a language of which a site gives the texts only.
var voices = map[string]spoken{
	"en": {Engine: flite, Voice: "slt", Words: 150},
	"es": {Engine: espeakNG, Voice: "es-419", Words: 140},
	"fr": {Engine: espeakNG, Voice: "fr-fr", Words: 140},
	"pt": {Engine: espeakNG, Voice: "pt-br", Words: 140},
	"zh": {Engine: espeakNG, Voice: "cmn-latn-pinyin", Words: 180},
	"vi": {Engine: espeakNG, Voice: "vi", Words: 150},
	"hi": {Engine: espeakNG, Voice: "hi", Words: 130},
}

func speechCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "speech", Short: "What is said in calls"}
	build := &cobra.Command{
		Use:   "build TEXTS.toml FOLDER",
		Short: "Make recordings out of a site's texts, with flite or espeak-ng",
		Long: `Makes FOLDER/LANGUAGE/PROMPT.wav out of a file of texts, for speech.folder of pinward.toml:

  [en.say]
  brand = "This is Example Hospital."
  [es.say]
  brand = "Le llamamos del Hospital Example."

The hospital's name (brand) is what each language needs, as no shipped recording can say it. A recording
of a person's voice is better than any synthesizer's: put it at the same place (WAV, one channel, 16 bit).
What was said is kept beside it, in FOLDER/LANGUAGE/words.toml: a module that can play no recording speaks
the English ones itself. engine, voice and words (a minute) may stand in [en]. Mandarin is written in pinyin with the number of
each tone: "zhe4 li3 shi4 ...".`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return buildSpeech(cmd.Context(), cmd.OutOrStdout(), args[0], args[1])
		},
	}
	check := &cobra.Command{
		Use: "check FOLDER", Short: "Tell whether a folder of recordings can be used, and what it lacks", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return checkSpeech(cmd.OutOrStdout(), args[0]) },
	}
	cmd.AddCommand(build, check)
	return cmd
}

// buildSpeech makes every recording of the file; they are written when all are made.
func buildSpeech(ctx context.Context, out io.Writer, texts, folder string) error {
	b, err := os.ReadFile(texts)
	if err != nil {
		return fmt.Errorf("read texts: %w", err)
	}
	var langs map[string]spoken
	if err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&langs); err != nil {
		if e, ok := errors.AsType[*toml.StrictMissingError](err); ok {
			return fmt.Errorf("%s: unknown key:\n%s", texts, e.String())
		}
		return fmt.Errorf("%s: %w", texts, err)
	}
	var made []file
	for _, lang := range slices.Sorted(maps.Keys(langs)) {
		s := langs[lang].orShipped(lang)
		for _, prompt := range slices.Sorted(maps.Keys(s.Say)) {
			if !voice.Known(voice.Prompt(prompt)) {
				return fmt.Errorf("%s: [%s.say] %s: there is no prompt of this name", texts, lang, prompt)
			}
			s := s
			if len(prompt) == 1 { // a digit is heard once and written down
				s.Words = s.Words * 3 / 4
			}
			pcm, err := s.synthesize(ctx, s.Say[prompt])
			if err != nil {
				return fmt.Errorf("%s: [%s.say] %s: %w", texts, lang, prompt, err)
			}
			var wav bytes.Buffer
			if err := voice.WriteWAV(&wav, pcm); err != nil {
				return err
			}
			made = append(made, file{filepath.Join(folder, lang, prompt+".wav"), wav.Bytes(), voice.Length(pcm)})
		}
		words, err := wordsWith(filepath.Join(folder, lang, voice.WordsFile), s.Say)
		if err != nil {
			return err
		}
		made = append(made, words)
	}
	if err := place(made); err != nil {
		return err
	}
	for _, f := range made {
		if f.length > 0 {
			fmt.Fprintf(out, "%s  %.1f s\n", f.name, f.length.Seconds())
		}
	}
	return nil
}

// file is one that was made, and how long it sounds if it does.
type file struct {
	name   string
	bytes  []byte
	length time.Duration
}

// wordsWith is the file of a language's words with those of new recordings over what it says of the older ones.
func wordsWith(name string, say map[string]string) (file, error) {
	words := map[voice.Prompt]string{}
	b, err := os.ReadFile(name)
	if err == nil {
		words, err = voice.ReadWords(b)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return file{}, fmt.Errorf("%s: %w", name, err)
	}
	for prompt, text := range say {
		words[voice.Prompt(prompt)] = text
	}
	if b, err = toml.Marshal(words); err != nil {
		return file{}, fmt.Errorf("write words: %w", err)
	}
	return file{name: name, bytes: b}, nil
}

// place puts files where they belong. All are written beside the old ones first: where the disk is full, or anything else fails, the
// folder stays as it was. If we crash between two renames some are new and the others old; each is whole, and another run does the rest.
func place(all []file) (err error) {
	defer func() {
		if err != nil {
			for _, r := range all {
				os.Remove(r.name + temporary) // of those that are there
			}
		}
	}()
	for _, r := range all {
		if err := os.MkdirAll(filepath.Dir(r.name), 0o755); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		if err := os.WriteFile(r.name+temporary, r.bytes, 0o644); err != nil {
			return fmt.Errorf("write recording: %w", err)
		}
	}
	for _, r := range all {
		if err := os.Rename(r.name+temporary, r.name); err != nil {
			return fmt.Errorf("write recording: %w", err)
		}
	}
	return nil
}

// temporary ends the name of a file that is not in its place yet; the daemon reads none of them.
const temporary = ".new"

// orShipped fills in what is not told from the voice of the shipped pack.
func (s spoken) orShipped(lang string) spoken {
	if s.Engine == "" {
		d := voices[lang]
		s.Engine = d.Engine
		if s.Voice == "" {
			s.Voice = d.Voice
		}
		if s.Words == 0 {
			s.Words = d.Words
		}
	}
	if s.Words == 0 {
		s.Words = 140
	}
	return s
}

// synthesize is a text as PCM for a call.
func (s spoken) synthesize(ctx context.Context, text string) ([]byte, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the text is empty")
	}
	words := s.Words
	if words < 60 || words > 250 {
		return nil, errors.New("words is 80 to 250 a minute")
	}
	var cmd *exec.Cmd
	var wav bytes.Buffer
	file := ""
	switch s.Engine {
	case espeakNG:
		cmd = exec.CommandContext(ctx, espeakNG, "-v", s.Voice, "-s", strconv.Itoa(words), "--stdin", "--stdout")
		cmd.Stdin, cmd.Stdout = strings.NewReader(text), &wav
	case flite:
		dir, err := os.MkdirTemp("", "speech")
		if err != nil {
			return nil, fmt.Errorf("make temporary folder: %w", err)
		}
		defer os.RemoveAll(dir)
		in := filepath.Join(dir, "text")
		if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("write text: %w", err)
		}
		file = filepath.Join(dir, "wav")
		stretch := strconv.FormatFloat(fliteWords/float64(words), 'f', 3, 64)
		cmd = exec.CommandContext(ctx, flite, "-voice", s.Voice, "--setf", "duration_stretch="+stretch, "-f", in, "-o", file)
	default:
		return nil, fmt.Errorf("no voice is known for this language: give engine (%s or %s) and voice", flite, espeakNG)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("%s is not installed (Debian: apt-get install %[1]s)", s.Engine)
	} else if err != nil {
		return nil, fmt.Errorf("run %s: %w: %s", s.Engine, err, bytes.TrimSpace(said.Bytes()))
	}
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read what %s made: %w", s.Engine, err)
		}
		wav.Write(b)
	}
	r, err := voice.ReadWAV(&wav)
	if err != nil {
		return nil, fmt.Errorf("read what %s made: %w", s.Engine, err)
	}
	pcm := voice.Prepare(r)
	if len(pcm) == 0 {
		return nil, fmt.Errorf("%s made silence", s.Engine)
	}
	return pcm, nil
}

// fliteWords is how many words a minute flite speaks by itself.
const fliteWords = 170

// checkSpeech reads the folder as the daemon does.
func checkSpeech(out io.Writer, folder string) error {
	packs, err := voice.Packs(os.DirFS(folder))
	if err != nil {
		return err
	}
	none := true
	for _, lang := range slices.Sorted(maps.Keys(packs)) {
		brand := "has no hospital's name: no call is made in it"
		if packs[lang].Has(voice.Brand) {
			brand, none = "can be used", false
		}
		fmt.Fprintf(out, "%s  %s\n", lang, brand)
	}
	if none {
		return errors.New("no language can be used: make or record brand.wav")
	}
	return nil
}
