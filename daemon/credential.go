package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxCredential is more than any PIN or password has. What is longer is not read as if it ended there.
const maxCredential = 1024

// credential reads a SIM's PIN or a password from systemd's credential folder each time it is wanted, so that it
// stays in memory no longer than that.
func credential(name string) func(context.Context) (string, error) {
	if name == "" {
		return nil
	}
	return func(context.Context) (string, error) {
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return "", errors.New("read credential: the service was given none")
		}
		f, err := os.Open(filepath.Join(dir, filepath.Base(name)))
		if err != nil {
			return "", fmt.Errorf("read credential: %w", err)
		}
		defer f.Close()
		secret, err := io.ReadAll(io.LimitReader(f, maxCredential+1))
		if err != nil {
			return "", fmt.Errorf("read credential: %w", err)
		}
		if len(secret) > maxCredential {
			return "", fmt.Errorf("read credential %s: it is longer than %d bytes", name, maxCredential)
		}
		return strings.TrimSpace(string(secret)), nil
	}
}
