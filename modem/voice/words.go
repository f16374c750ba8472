package voice

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"

	"github.com/pelletier/go-toml/v2"
)

// WordsFile is where a folder of recordings keeps, for each language, what those recordings say that were made out of words: a table of
// prompts to texts. A module that speaks by itself is given these words, as it can be given no recording.
const WordsFile = "words.toml"

// ReadWords reads a WordsFile. A name that is no prompt is an error.
func ReadWords(b []byte) (map[Prompt]string, error) {
	var words map[Prompt]string
	if err := toml.NewDecoder(bytes.NewReader(b)).Decode(&words); err != nil {
		return nil, fmt.Errorf("read words: %w", err)
	}
	for prompt := range words {
		if !Known(prompt) {
			return nil, fmt.Errorf("read words: there is no prompt of the name %q", string(prompt))
		}
	}
	return words, nil
}

// addWords reads LANGUAGE/words.toml out of files. Words without a recording beside them are of one that was taken away, and say nothing.
func addWords(packs map[string]*Pack, files fs.FS) error {
	names, err := fs.Glob(files, "*/"+WordsFile)
	if err != nil {
		return fmt.Errorf("list words: %w", err)
	}
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("read words: %w", err)
		}
		words, err := ReadWords(b)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for prompt, text := range words {
			if _, err := fs.Stat(files, path.Dir(name)+"/"+string(prompt)+".wav"); err == nil {
				packs[path.Dir(name)].words[prompt] = text
			}
		}
	}
	return nil
}
