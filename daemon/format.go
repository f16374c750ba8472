package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"pinward/store"
)

// formatFile says beside the store, without a key, which version of its forms wrote it last. The package reads it before it
// puts an older program in this one's place (packaging/scripts/preinst).
const formatFile = "format"

// StoreVersion is the version of the forms that this program writes, and the newest that it reads.
func StoreVersion() int { return store.Version() }

// claimFormat refuses a store that a newer program wrote, and then says that this one writes it. It comes before the store
// is opened: if we crash in between, the file names a form that no value has yet, which keeps an older
// program off and harms nobody.
func claimFormat(dir string) error {
	path := filepath.Join(dir, formatFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read store's version: %w", err)
	}
	was, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case len(text) > 0 && err != nil:
		return fmt.Errorf("read store's version: %s is damaged", path)
	case was > store.Version():
		return fmt.Errorf("%w: version %d, known is %d; install the newer program again", store.ErrNewer, was, store.Version())
	case was == store.Version():
		return nil
	}
	if err := replace(path, fmt.Appendln(nil, store.Version())); err != nil {
		return fmt.Errorf("write store's version: %w", err)
	}
	return nil
}

// replace writes a file as a whole: who reads it meanwhile, or after a crash, sees the old one or the new one.
func replace(path string, text []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
