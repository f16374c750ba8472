package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockState keeps a second daemon off the state folder, before either asks the TPM: two that
// commissioned the same empty box would each hand out a kit, and one of them would open nothing.
//
// The lock goes with the process, however it ends; the file stays and means nothing by itself.
func lockState(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock state folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock state folder: another daemon works on %s", dir)
		}
		return nil, fmt.Errorf("lock state folder: %w", err)
	}
	return f, nil
}
