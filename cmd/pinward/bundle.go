package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"pinward/cmd/pinward/doctor"
)

// writeBundle writes what support asks for into one file. Nothing in it is of a patient's: what the daemon
// gives holds none, and what the machine gives is masked.
func (c *client) writeBundle(ctx context.Context, h *host, path string) error {
	m := doctor.NewMasker()
	if name, err := os.Hostname(); err == nil {
		m.LearnHost(name)
	}
	parts := h.Parts(ctx, h.config, m)
	add := func(name string, text []byte) {
		parts = append(parts, doctor.Part{Name: name, Text: []byte(m.Mask(string(text)))})
	}
	// Each is what a command shows; where the daemon does not give it, the reason stands there.
	for _, ask := range []struct{ name, path string }{
		{"daemon/status.json", "/status"}, {"daemon/metrics.txt", "/metrics"}, {"daemon/modems.json", "/modems"},
		{"daemon/outbox.json", "/outbox"}, {"daemon/key.json", "/key"}, {"daemon/hl7-peers.json", "/hl7/peers"}, {"daemon/goroutines.txt", "/debug/goroutines"},
	} {
		text, err := c.raw(ctx, ask.path)
		if err != nil {
			text = []byte("not given: " + err.Error() + "\n")
		}
		add(ask.name, text)
	}
	list := c.examine(ctx, h)
	findings, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return fmt.Errorf("encode findings: %w", err)
	}
	var table bytes.Buffer
	printFindings(&table, list, false)
	add("doctor.json", findings)
	add("doctor.txt", table.Bytes())
	now := time.Now().UTC().Truncate(time.Second)
	add("README", fmt.Appendf(nil, "Bundle of pinward %s for support, made %s by pinward doctor --bundle.\n"+
		"It holds versions, configuration, states, figures, the daemon's log and what doctor found. Addresses and names\n"+
		"of machines are tokens, the same one for the same machine; serial and telephone numbers are taken out.\n", version, now.Format(time.RFC3339)))

	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists already", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".pinward-bundle-")
	if err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	defer os.Remove(f.Name())
	err = doctor.WriteBundle(f, "pinward-"+now.Format("20060102-150405"), now, parts)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Link(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	if c.json {
		return printJSON(map[string]any{"file": path, "parts": len(parts), "state": doctor.Worst(list)})
	}
	fmt.Printf("%s written: %d files, no patient data; look through it before you send it\n", path, len(parts))
	return nil
}

// raw is an answer as it came.
func (c *client) raw(ctx context.Context, path string) ([]byte, error) {
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, answerLimit))
}
