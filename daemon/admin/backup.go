package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"pinward/store"
)

// Restore is what a backup is restored with, besides the backup.
type Restore struct {
	Shares     []string `json:"shares"`               // two of the recovery kit
	Passphrase string   `json:"passphrase,omitempty"` // the new one, where the box asks for one at its start
}

// Backups is what the program does with backups for this door.
type Backups struct {
	Write func(ctx context.Context, by store.Actor, w io.Writer) error
	// Run makes the nightly backup in its folder. It is the one verb of an open box that asks for no login.
	Run     func(ctx context.Context) (any, error)
	Restore func(ctx context.Context, req Restore, backup io.Reader) (any, error)
}

// backup streams. A backup that fails is cut off, so that nobody takes half of one for whole.
func (d *door) backup(w http.ResponseWriter, r *http.Request, _ *store.Store) error {
	sent := &counted{w: w}
	w.Header().Set("Content-Type", "application/octet-stream")
	err := d.Backups.Write(r.Context(), actor(r), sent)
	if err != nil && sent.any {
		d.Log.Error("write backup", "error", err)
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		w.Header().Del("Content-Type")
	}
	return stateProblem(err)
}

// runBackup is for the timer, which nobody logs in: it gives nothing away but a file's name.
func (d *door) runBackup(w http.ResponseWriter, r *http.Request) {
	v, err := d.Backups.Run(r.Context())
	if err != nil {
		d.fail(w, stateProblem(err))
		return
	}
	answer(w, http.StatusCreated, v)
}

// BackupStatus is how the backups stand.
type BackupStatus struct {
	Folder string    `json:"folder,omitempty"` // of the nightly ones; "" where none are made
	Made   time.Time `json:"made,omitzero"`    // of the last whole one, nightly or by hand
	File   string    `json:"file,omitempty"`   // of the last nightly one
	Bytes  int64     `json:"bytes,omitempty"`
	Failed string    `json:"failed,omitempty"` // why the last nightly one was not made
	// Rehearsed is when one was last restored for a check, Proven when that last went well, Unproven why not.
	Rehearsed time.Time `json:"rehearsed,omitzero"`
	Proven    time.Time `json:"proven,omitzero"`
	Unproven  string    `json:"unproven,omitempty"`
}

// counted knows whether anything was written.
type counted struct {
	w   io.Writer
	any bool
}

// Write implements io.Writer.
func (c *counted) Write(b []byte) (int, error) {
	c.any = c.any || len(b) > 0
	return c.w.Write(b)
}

// restore takes a form of two parts: the shares as JSON, then the backup, which is read as it comes.
func (d *door) restore(w http.ResponseWriter, r *http.Request) {
	v, err := d.restored(r)
	if err != nil {
		d.fail(w, stateProblem(err))
		return
	}
	answer(w, http.StatusCreated, v)
}

func (d *door) restored(r *http.Request) (any, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, refuse(http.StatusUnsupportedMediaType, "send multipart/form-data: keys, then backup")
	}
	part, err := parts.NextPart()
	if err != nil || part.FormName() != "keys" {
		return nil, refuse(http.StatusBadRequest, "the first part must be the keys")
	}
	var req Restore
	dec := json.NewDecoder(io.LimitReader(part, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		return nil, refuse(http.StatusBadRequest, "keys at byte %d: %v", dec.InputOffset(), err)
	}
	if part, err = parts.NextPart(); err != nil || part.FormName() != "backup" {
		return nil, refuse(http.StatusBadRequest, "the second part must be the backup")
	}
	return d.Backups.Restore(r.Context(), req, part)
}
