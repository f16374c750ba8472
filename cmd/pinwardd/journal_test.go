package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/slogtest"

	"github.com/coreos/go-systemd/v22/journal"
)

// entry is what journald was given.
type entry struct {
	message string
	p       journal.Priority
	fields  map[string]string
}

// TestJournalFields: each line has its kind, its severity and a field for each attribute, by names that
// journald takes.
func TestJournalFields(t *testing.T) {
	var got []entry
	h := newJournal(func(m string, p journal.Priority, f map[string]string) error {
		got = append(got, entry{m, p, f})
		return nil
	}, slog.NewTextHandler(nil, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log := slog.New(h)
	log.Warn("modem down", "modem", "modem2", "alarm", "unplugged", "cause", "it left the bus")
	log.Error("modem down", "modem", "modem1", "error", errors.New("open: gone"), "message", "x", "_odd-name ä", 1)
	log.With("listener", "mllp").WithGroup("tls").Debug("handshake", "version", "1.3", slog.Group("peer", "name", "epic"))
	first := got[0]
	if first.p != journal.PriWarning || first.fields["MODEM"] != "modem2" || first.fields["ALARM"] != "unplugged" || first.fields["CAUSE"] != "it left the bus" {
		t.Errorf("%+v", first)
	}
	if first.message != `modem down modem=modem2 alarm=unplugged cause="it left the bus"` {
		t.Errorf("for people: %q", first.message)
	}
	if id := first.fields["MESSAGE_ID"]; !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) || id != got[1].fields["MESSAGE_ID"] || id == got[2].fields["MESSAGE_ID"] {
		t.Errorf("the kind of line is %q, %q, %q", id, got[1].fields["MESSAGE_ID"], got[2].fields["MESSAGE_ID"])
	}
	if f := got[1].fields; f["ERROR"] != "open: gone" || f["PINWARD_MESSAGE"] != "x" || f["PINWARD_ODD_NAME___"] != "1" || got[1].p != journal.PriErr {
		t.Errorf("%+v", got[1])
	}
	if f := got[2].fields; f["LISTENER"] != "mllp" || f["TLS_VERSION"] != "1.3" || f["TLS_PEER_NAME"] != "epic" || got[2].p != journal.PriDebug {
		t.Errorf("%+v", got[2])
	}
	name := regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
	for _, e := range got {
		for k := range e.fields {
			if !name.MatchString(k) {
				t.Errorf("journald takes no field %q", k)
			}
		}
	}
}

// TestJournalGone: what journald does not take is on stderr, whole.
func TestJournalGone(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newJournal(func(string, journal.Priority, map[string]string) error { return errors.New("no journal") }, slog.NewTextHandler(&out, nil)))
	log.With("modem", "modem1").Info("modem ready", "signal", -71)
	if got := out.String(); !strings.Contains(got, `msg="modem ready" modem=modem1 signal=-71`) {
		t.Errorf("stderr has %q", got)
	}
}

// TestJournalIsAHandler holds the rules that slog has for handlers.
func TestJournalIsAHandler(t *testing.T) {
	var lines []map[string]any
	h := newJournal(func(m string, _ journal.Priority, f map[string]string) error {
		line := map[string]any{slog.LevelKey: "x", slog.MessageKey: strings.SplitN(m, " ", 2)[0], slog.TimeKey: "journald's"}
		for _, part := range regexp.MustCompile(` ([A-Za-z.]+)=(\S*)`).FindAllStringSubmatch(m, -1) {
			at := line
			names := strings.Split(part[1], ".")
			for _, n := range names[:len(names)-1] {
				if at[n] == nil {
					at[n] = map[string]any{}
				}
				at = at[n].(map[string]any)
			}
			at[names[len(names)-1]] = part[2]
		}
		lines = append(lines, line)
		return nil
	}, slog.NewTextHandler(nil, nil))
	err := slogtest.TestHandler(h, func() []map[string]any { return lines })
	// journald has the time of a line itself, so a line without one has one all the same.
	for _, e := range unjoined(err) {
		if !strings.Contains(e.Error(), slog.TimeKey) {
			t.Error(e)
		}
	}
}

func unjoined(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{fmt.Errorf("%w", err)}
}
