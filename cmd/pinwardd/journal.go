package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
)

// journalHandler writes to journald with its native fields (systemd.journal-fields(7)): PRIORITY by the level,
// MESSAGE_ID by the kind of line, and each attribute as a field of its own, as MODEM, LISTENER, ALARM, ERROR.
// So `journalctl MODEM=modem2 PRIORITY=3` finds what it should.
type journalHandler struct {
	send   func(message string, p journal.Priority, fields map[string]string) error
	text   slog.Handler // decides on levels, and takes what the journal does not
	attrs  []slog.Attr  // of With, with their groups in front of their names
	groups string       // in front of the names of the attributes to come, as "store."
}

func newJournal(send func(string, journal.Priority, map[string]string) error, text slog.Handler) *journalHandler {
	return &journalHandler{send: send, text: text}
}

// Enabled implements slog.Handler.
func (h *journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.text.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.text = h.text.WithAttrs(attrs)
	c.attrs = h.attrs[:len(h.attrs):len(h.attrs)]
	for _, a := range attrs {
		c.attrs = append(c.attrs, slog.Attr{Key: h.groups + a.Key, Value: a.Value})
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.text = h.text.WithGroup(name)
	if name != "" {
		c.groups += name + "."
	}
	return &c
}

// Handle implements slog.Handler. What journald does not take goes to stderr, and is not lost.
func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	fields := map[string]string{"MESSAGE_ID": messageID(r.Message), "SYSLOG_IDENTIFIER": "pinwardd"}
	message := strings.Builder{}
	message.WriteString(r.Message)
	var add func(name string, v slog.Value)
	add = func(name string, v slog.Value) {
		v = v.Resolve()
		if v.Kind() == slog.KindGroup {
			for _, a := range v.Group() {
				add(strings.TrimPrefix(name+"."+a.Key, "."), a.Value)
			}
			return
		}
		if name == "" {
			return
		}
		value := v.String()
		fields[fieldName(name)] = value
		message.WriteString(" " + name + "=" + quoted(value))
	}
	for _, a := range h.attrs {
		add(a.Key, a.Value)
	}
	r.Attrs(func(a slog.Attr) bool {
		add(h.groups+a.Key, a.Value)
		return true
	})
	if err := h.send(message.String(), priority(r.Level), fields); err != nil {
		return h.text.Handle(ctx, r)
	}
	return nil
}

// priority is the severity of syslog (RFC 5424, 6.2.1).
func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}

// messageID names a kind of line for ever: its words are constant, and its attributes are none of them.
func messageID(words string) string {
	sum := sha256.Sum256([]byte("pinward/" + words))
	return hex.EncodeToString(sum[:16])
}

// reserved are fields that mean something else to journald, or are set here.
var reserved = map[string]bool{"MESSAGE": true, "MESSAGE_ID": true, "PRIORITY": true, "SYSLOG_IDENTIFIER": true, "CODE_FILE": true, "CODE_LINE": true, "CODE_FUNC": true, "ERRNO": true}

// fieldName makes a name of a field: capitals, digits and underlines, no underline or digit first, at most 64.
func fieldName(name string) string {
	b := []byte(strings.ToUpper(name))
	for i, c := range b {
		if c < 'A' || c > 'Z' {
			if c < '0' || c > '9' {
				b[i] = '_'
			}
		}
	}
	s := string(b)
	if s[0] == '_' || s[0] >= '0' && s[0] <= '9' || reserved[s] {
		s = "PINWARD_" + strings.TrimLeft(s, "_")
	}
	return s[:min(len(s), 64)]
}

// quoted is a value as slog's text has it.
func quoted(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == 0x7f }) {
		return strconv.Quote(s)
	}
	return s
}
