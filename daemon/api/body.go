package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

// maxBody is far more than any request of this API needs.
const maxBody = 64 << 10

// readBody takes the whole body, so that it can be hashed for its idempotency key.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, &invalid{http.StatusRequestEntityTooLarge, "body", "at most 64 KiB"}
	}
	if err != nil {
		return nil, bad("body", "it ended early")
	}
	return b, nil
}

// decode reads one JSON object strictly: an unknown key is an error, because a misspelt one that is
// ignored would be found by a patient.
func decode(r *http.Request, body []byte, v any) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return &invalid{http.StatusUnsupportedMediaType, "Content-Type", "send application/json"}
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return jsonError(err, dec.InputOffset())
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return bad("body", "there is more after the object, at byte %d", dec.InputOffset())
	}
	return nil
}

// jsonError names the place without repeating what stands there.
func jsonError(err error, at int64) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return bad(e.Field, "want %s, at byte %d", e.Type, e.Offset)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return bad("body", "no valid JSON at byte %d", e.Offset)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return bad(strings.Trim(name, `"`), "unknown key")
	}
	return bad("body", "no JSON object, at byte %d", at)
}
