package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"pinward/daemon/admin"
	"pinward/daemon/intake"
	"pinward/store"
)

// controlHandler is the door of the operator, in every state of the box.
func (b *box) controlHandler() http.Handler {
	return admin.New(admin.Options{
		Store: func() *store.Store {
			if h := b.house.Load(); h != nil {
				return h.store
			}
			return nil
		},
		API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if h := b.house.Load(); h != nil {
				h.api.ServeHTTP(w, r)
				return
			}
			b.serveClosed(w, r)
		}),
		Explain: func(ctx context.Context, listener, id string) (any, error) {
			h := b.house.Load()
			if h == nil {
				return nil, errNotOpen
			}
			var found []intake.Explanation
			err := h.store.View(ctx, func(tx *store.Tx) (err error) {
				found, err = intake.Explain(tx, listener, id)
				return err
			})
			return found, err
		},
		HL7:       hl7Policy,
		Modems:    b.modems(),
		Passwords: b.passwords,
		Status:    b.status,
		Keys: admin.Keys{
			Setup: b.commission, Unseal: b.unseal, Drill: b.drill, Finish: b.finish, Page: b.openPage, Progress: setupProgress,
		},
		Owner: b.opts.Owner,
		Log:   b.log,
	})
}

// hl7Policy lets the operator read and write the policy of the HL7 door: between two doors stands the
// program.
var hl7Policy = admin.Policy{
	Get: func(tx *store.Tx) (any, error) { return intake.PolicyOf(tx) },
	Set: func(tx *store.Tx, b []byte) error {
		p, err := intake.PolicyOf(tx)
		if err != nil {
			return err
		}
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&p); err != nil {
			return fmt.Errorf("%w: %w", admin.ErrState, err)
		}
		if err := intake.SetPolicy(tx, p); errors.Is(err, intake.ErrPolicy) {
			return fmt.Errorf("%w: %w", admin.ErrState, err)
		} else {
			return err
		}
	},
}

// quietLog takes net/http's own complaints, which name addresses of clients and nothing else.
func quietLog(l *slog.Logger) *log.Logger {
	return slog.NewLogLogger(l.Handler(), slog.LevelDebug)
}

// monotonicMicros is CLOCK_MONOTONIC as sd_notify(3) wants it with RELOADING=1.
func monotonicMicros() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // systemd then waits for READY=1 alone
	}
	return ts.Nano() / 1000
}

// credential reads a SIM's PIN from systemd's credential folder each time it is wanted, so that it
// stays in memory no longer than that.
func credential(name string) func(context.Context) (string, error) {
	if name == "" {
		return nil
	}
	return func(context.Context) (string, error) {
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return "", errors.New("read PIN: the service was given no credentials")
		}
		f, err := os.Open(filepath.Join(dir, filepath.Base(name)))
		if err != nil {
			return "", fmt.Errorf("read PIN: %w", err)
		}
		defer f.Close()
		pin, err := io.ReadAll(io.LimitReader(f, 16))
		return strings.TrimSpace(string(pin)), err
	}
}
