package modem

import (
	"strings"
	"time"

	"pinward/modem/line"
)

// profile is the one of this modem, also before the session has asked it again.
func (s *session) profile() profile {
	if p, ok := profiles()[s.m.Status().Profile]; ok {
		return p
	}
	return s.p
}

// do runs a housekeeping command.
func (s *session) do(cmd string) ([]string, error) { return s.doFor(cmd, s.m.o.Timing.Step) }

func (s *session) doFor(cmd string, limit time.Duration) ([]string, error) {
	return s.l.Do(s.ctx, line.Cmd{Text: cmd, Class: line.Rest, Answers: s.p.Answers[cmd]}, limit)
}

// field is the text behind "NAME:" of the first line that has it, or the first line without a prefix.
func field(info []string, name string) string {
	for _, l := range info {
		if rest, ok := strings.CutPrefix(l, name+":"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// fields are the comma-separated values of an answer, unquoted; commas inside quotes are kept.
func fields(s string) []string {
	var out []string
	var b strings.Builder
	quoted := false
	for _, r := range s {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ',' && !quoted:
			out = append(out, strings.TrimSpace(b.String()))
			b.Reset()
		default:
			b.WriteRune(r)
		}
	}
	return append(out, strings.TrimSpace(b.String()))
}
