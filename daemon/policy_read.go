package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"pinward/store"
)

// piece is a value of the file, and where it stands.
type piece struct {
	name string // "services[2]"
	raw  []byte
	at   int    // offset in
	file []byte // the whole text
}

// wrong is an error with its place in the file: line and column, and the value's name.
func (p *piece) wrong(offset int, format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", place(p.file, p.at+offset), p.name, fmt.Errorf(format, args...))
}

func place(text []byte, offset int) string {
	before := text[:min(max(offset, 0), len(text))]
	line := bytes.Count(before, []byte("\n"))
	return fmt.Sprintf("line %d, column %d", line+1, len(before)-bytes.LastIndexByte(before, '\n'))
}

// unknownField is what encoding/json says of a key that a value does not have.
var unknownField = regexp.MustCompile(`^json: unknown field ("(?:[^"\\]|\\.)*")$`)

// decode reads the value strictly. It is sound JSON; what can be wrong is a key or a type.
func (p *piece) decode(v any) error {
	dec := json.NewDecoder(bytes.NewReader(p.raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return p.wrong(int(e.Offset)-1, "%s must not be a %s", e.Field, e.Value)
	}
	if m := unknownField.FindStringSubmatch(err.Error()); m != nil {
		at := regexp.MustCompile(regexp.QuoteMeta(m[1]) + `\s*:`).FindIndex(p.raw)
		if at == nil {
			at = []int{0}
		}
		return p.wrong(at[0], "unknown key %s", m[1])
	}
	return p.wrong(0, "%w", err)
}

// each cuts an object or an array into its values; fn is told key or index.
func (p *piece) each(open json.Delim, fn func(key string, value *piece) error) error {
	dec := json.NewDecoder(bytes.NewReader(p.raw))
	if t, err := dec.Token(); err != nil || t != open {
		return p.wrong(0, "it must begin with %s", open)
	}
	for n := 0; dec.More(); n++ {
		key := fmt.Sprint(n)
		if open == '{' {
			t, err := dec.Token()
			if err != nil {
				return p.wrong(int(dec.InputOffset()), "%w", err)
			}
			key, _ = t.(string)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return p.wrong(int(dec.InputOffset()), "%w", err)
		}
		if err := fn(key, &piece{name: key, raw: raw, at: p.at + int(dec.InputOffset()) - len(raw), file: p.file}); err != nil {
			return err
		}
	}
	return nil
}

// list reads the elements of an array.
func (p *piece) list(fn func(*piece) error) error {
	return p.each('[', func(n string, value *piece) error {
		value.name = p.name + "[" + n + "]"
		return fn(value)
	})
}

// readPolicy reads the whole file and gives what puts it in force, part by part.
func (b *box) readPolicy(text []byte) ([]func(*store.Tx) error, error) {
	file := &piece{name: "policy", raw: text, file: text}
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil { // from here on it is sound JSON
		offset := 0
		if e, ok := errors.AsType[*json.SyntaxError](err); ok {
			offset = int(e.Offset) - 1
		}
		return nil, file.wrong(offset, "%w", err)
	}
	given := map[string]*piece{}
	err := file.each('{', func(key string, value *piece) error {
		known := key == "version"
		for _, p := range policyParts {
			known = known || p.name == key
		}
		switch {
		case !known:
			return value.wrong(0, "there is no part %q", key)
		case given[key] != nil:
			return value.wrong(0, "it is there twice")
		case strings.TrimSpace(string(value.raw)) == "null":
			return value.wrong(0, "it must not be null: leave a part out to leave it as it is")
		}
		given[key] = value
		return nil
	})
	if err != nil {
		return nil, err
	}
	if v := given["version"]; v != nil {
		var n int
		if err := v.decode(&n); err != nil {
			return nil, err
		}
		if n != policyVersion {
			return nil, v.wrong(0, "this program reads version %d", policyVersion)
		}
	}
	var steps []func(*store.Tx) error
	for _, p := range policyParts {
		value := given[p.name]
		if value == nil {
			continue
		}
		step, err := p.read(value, b)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, nil
}
