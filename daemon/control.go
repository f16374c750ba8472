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
			Setup: b.commission, Unseal: b.unseal, Drill: b.drill, Finish: b.finish, Progress: setupProgress,
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

// closedPage is what a nurse sees while the box is empty or sealed: what does not work, since when,
// and that somebody has to be called. It names no cause: that is for the operator.
const closedPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Pinward is closed</title>
<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:12vh auto;padding:0 1.2rem;color:#1c2b33}
h1{font-size:1.6rem}ol{padding-left:1.2rem}</style>
<h1>Codes and texts cannot be sent right now</h1>
<p>This box has been %s since %s. Nothing that was accepted before is lost.</p>
<ol><li>Use the hospital's downtime procedure to identify patients.</li>
<li>Tell the IT desk: <b>Pinward is %[1]s</b>. They run <code>pinward status</code> on the box and do what it says.</li></ol>
</html>
`

// serveClosed answers while there is no house: health to monitors, a plain page to people, and a
// clear 503 to machines.
func (b *box) serveClosed(w http.ResponseWriter, r *http.Request) {
	st := b.state.Load()
	if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" {
		b.sealed.https.Add(1)
	}
	switch {
	case r.URL.Path == "/healthz":
		fmt.Fprintln(w, "ok")
	case r.URL.Path == "/readyz":
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "keys: "+st.Name)
	case forMachines(r.URL.Path):
		w.Header().Set("Retry-After", "30")
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, `{"type":"about:blank","title":"the box is %s","status":503}`+"\n", st.Name)
	default:
		w.Header().Set("Retry-After", "30")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, closedPage, st.Name, st.Since.Format("2 January 2006, 15:04 MST"))
	}
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
