package main

import (
	"log/slog"
	"os"

	"github.com/coreos/go-systemd/v22/journal"

	"pinward/daemon"
)

// newLog makes the daemon's log as the configuration has it; level can be changed while it runs.
func newLog(c daemon.Log, level *slog.LevelVar) *slog.Logger {
	level.Set(c.Level)
	options := &slog.HandlerOptions{Level: level}
	text := slog.NewTextHandler(os.Stderr, options)
	switch c.Format {
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	case "journal":
		return slog.New(newJournal((&journalSocket{path: journalPath}).Send, text))
	case "auto":
		// Only where stderr is the journal's: in a terminal under systemd a person wants to read it there.
		if ours, err := journal.StderrIsJournalStream(); err == nil && ours {
			return slog.New(newJournal((&journalSocket{path: journalPath}).Send, text))
		}
	}
	return slog.New(text)
}
