package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"time"
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

// decode reads one JSON object strictly and holds it to the tags of its type: an unknown key is an
// error, because a misspelt one that is ignored would be found by a patient.
func decode(r *http.Request, body []byte, v any) error {
	if !contentType(r, "application/json") {
		return &invalid{http.StatusUnsupportedMediaType, "Content-Type", "send application/json"}
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return jsonError(err)
	}
	end := dec.InputOffset()
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return bad("body", "there is more after the object, at byte %d", end)
	}
	if err := exactKeys(body); err != nil {
		return err
	}
	return validate("", reflect.ValueOf(v).Elem())
}

func contentType(r *http.Request, want string) bool {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && t == want
}

// jsonError names the place without repeating what stands there.
func jsonError(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return bad(keyName(e.Field), "want %s, at byte %d", kindName(e.Type), e.Offset)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return bad("body", "no valid JSON at byte %d", e.Offset)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return bad(keyName(strings.Trim(name, `"`)), "unknown key")
	}
	return bad("body", "no JSON object")
}

var plainKey = regexp.MustCompile(`^[A-Za-z]?[a-z_]{0,40}([.A-Z][a-z_]{1,40})*$`)

// keyName is a key as an error may name it. What does not look like a key of ours, all of which are
// words, may be a value that came to stand in its place.
func keyName(name string) string {
	if name != "" && plainKey.MatchString(name) {
		return name
	}
	return "body"
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int64:
		return "a whole number"
	}
	return "an object"
}

// exactKeys refuses what encoding/json lets pass: a key that is given twice, of which the last would
// count, and one in other letters than ours, which are all small.
func exactKeys(body []byte) error {
	type level struct {
		keys  map[string]bool // nil in a list
		value bool            // a key was read, its value is next
	}
	var stack []level
	for dec := json.NewDecoder(bytes.NewReader(body)); ; {
		token, err := dec.Token()
		if err != nil {
			return nil // the end: decode has found the JSON valid
		}
		if n := len(stack); n > 0 && stack[n-1].keys != nil {
			top := &stack[n-1]
			if key, ok := token.(string); ok && !top.value {
				if key != strings.ToLower(key) {
					return bad(keyName(key), "unknown key")
				}
				if top.keys[key] {
					return bad(keyName(key), "given twice")
				}
				top.keys[key], top.value = true, true
				continue
			}
			top.value = false
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{keys: map[string]bool{}})
		case json.Delim('['):
			stack = append(stack, level{})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
	}
}

// validate holds a decoded request to the tags of its type: required:"true", and max:"N" for the
// bytes of a string.
func validate(prefix string, v reflect.Value) error {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		name := prefix + jsonName(field)
		if field.Tag.Get("required") == "true" && value.IsZero() {
			return bad(name, "must be set")
		}
		switch {
		case value.Kind() == reflect.String:
			if err := line(name, value.String(), maxOf(field)); err != nil {
				return err
			}
		case value.Kind() == reflect.Int64 && value.Int() < 0:
			return bad(name, "must not be negative")
		case value.Kind() == reflect.Pointer && !value.IsNil() && value.Elem().Kind() == reflect.Struct:
			if err := validate(name+".", value.Elem()); err != nil {
				return err
			}
		}
	}
	return nil
}

// line holds a short text to its size and to one line.
func line(name, s string, most int) error {
	if len(s) > most {
		return bad(name, "at most %d bytes", most)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return bad(name, "valid UTF-8 without control characters")
	}
	return nil
}

// instant is a time in a request, as in RFC 3339; "" is none.
type instant string

func (s instant) time(field string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, string(s))
	if err != nil {
		return time.Time{}, bad(field, "a time as in RFC 3339, such as 2006-01-02T15:04:05Z")
	}
	return t, nil
}

// source reads an end-user address for its budget. One that cannot be read is an error, because it
// would be a budget of its own; a port is dropped for the same reason.
func source(field, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return "", bad(field, "an IP address")
		}
		a = ap.Addr()
	}
	return oneSource(a), nil
}
