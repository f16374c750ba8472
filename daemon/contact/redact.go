package contact

import "log/slog"

// A JSON log handler encodes a struct that it does not know by encoding/json, which writes numbers
// and ids in clear. So the records of this room say of themselves in a log only what they are.

var hidden = slog.StringValue("redacted")

// LogValue redacts for log/slog.
func (Subject) LogValue() slog.Value { return hidden }

// LogValue redacts for log/slog.
func (SubjectUpdate) LogValue() slog.Value { return hidden }

// LogValue redacts for log/slog.
func (Number) LogValue() slog.Value { return hidden }

// LogValue redacts for log/slog.
func (Change) LogValue() slog.Value { return hidden }

// LogValue redacts for log/slog.
func (Contact) LogValue() slog.Value { return hidden }

// LogValue redacts for log/slog.
func (Appointment) LogValue() slog.Value { return hidden }

// LogValue redacts for log/slog.
func (Site) LogValue() slog.Value { return hidden }
