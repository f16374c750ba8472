package hl7

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[hl7 redacted]"

// redact, embedded, keeps a type's content out of every fmt verb and every log
// record. fmt asks for Format before String, so String stays usable by name.
type redact struct{}

// Format writes a placeholder for every verb.
func (redact) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue gives slog a placeholder.
func (redact) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON refuses: a value is stored or sent by what a caller takes out of it,
// and never because it was part of something else.
func (redact) MarshalJSON() ([]byte, error) {
	return nil, errors.New("encode hl7 value: content is not encoded")
}
