package hl7

import (
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
