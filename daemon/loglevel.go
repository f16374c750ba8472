package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/store"
)

// actLogLevel says that the daemon's log says more or less from now on.
const actLogLevel store.Action = "log.level"

// The time for which a level holds that was set at run time. It ends by itself: a debug log that somebody
// forgot fills the journal.
const (
	levelFor     = 30 * time.Minute
	levelLongest = 24 * time.Hour
)

// logging is the level of the log at run time.
type logging struct {
	level *slog.LevelVar // nil where the program brought none

	mu    sync.Mutex
	usual slog.Level // of the configuration, to which it returns
	until time.Time  // zero unless another holds
}

// LogLevel is how much the daemon's log says.
type LogLevel struct {
	Level string    `json:"level"`
	Usual string    `json:"usual"`
	Until time.Time `json:"until,omitzero"` // when it is the usual one again
}

func (l *logging) show() LogLevel {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := LogLevel{Level: levelWord(l.level.Level()), Until: l.until}
	if now.Usual = now.Level; !l.until.IsZero() {
		now.Usual = levelWord(l.usual)
	}
	return now
}

func levelWord(l slog.Level) string { return strings.ToLower(l.String()) }

// set changes the level until then.
func (l *logging) set(to slog.Level, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until.IsZero() {
		l.usual = l.level.Level()
	}
	l.level.Set(to)
	l.until = until
}

// end returns to the usual level if it is time, and tells whether it did.
func (l *logging) end(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until.IsZero() || now.Before(l.until) {
		return false
	}
	l.level.Set(l.usual)
	l.until = time.Time{}
	return true
}

var errNoLevel = fmt.Errorf("%w: the level of this program's log is fixed", admin.ErrState)

func (b *box) logRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "GET /log", May: access.StatusRead, Do: b.showLog},
		{Pattern: "PUT /log", May: access.Operate, Do: b.setLog},
	}
}

func (b *box) showLog(*http.Request, *store.Store, store.Actor) (any, error) {
	if b.logging.level == nil {
		return nil, errNoLevel
	}
	return b.logging.show(), nil
}

// setLog changes the level for a time. The entry comes first: if we crash between, the log says no more.
func (b *box) setLog(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	if b.logging.level == nil {
		return nil, errNoLevel
	}
	var req struct {
		Level string `json:"level"`
		For   string `json:"for"` // a Go duration; empty is half an hour
	}
	if err := decodeStrictly(r, &req); err != nil {
		return nil, err
	}
	span, err := levelFor, error(nil)
	if req.For != "" {
		span, err = time.ParseDuration(req.For)
	}
	if err != nil || span <= 0 || span > levelLongest {
		return nil, fmt.Errorf("%w: for how long: up to %v, such as 30m", admin.ErrState, levelLongest)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(req.Level)); err != nil && req.Level != "usual" {
		return nil, fmt.Errorf("%w: a level is debug, info, warn, error or usual", admin.ErrState)
	}
	record := func(by store.Actor, word string, attrs ...store.Attr) error {
		return s.Update(r.Context(), by, func(tx *store.Tx) error {
			return tx.Record(store.Entry{Action: actLogLevel, Outcome: store.OK, Attrs: append([]store.Attr{{Key: "level", Value: word}}, attrs...)})
		})
	}
	if req.Level == "usual" {
		if err := record(by, "usual"); err != nil {
			return nil, err
		}
		b.logging.end(time.Now().Add(levelLongest))
		return b.logging.show(), nil
	}
	if err := record(by, levelWord(level), store.Attr{Key: "for", Value: span.String()}); err != nil {
		return nil, err
	}
	b.logging.set(level, time.Now().Add(span))
	b.log.Warn("log level", "level", levelWord(level), "for", span.String())
	return b.logging.show(), nil
}

// endLogLevel ends a level whose time is over, and leaves an entry of that. A box that was closed meanwhile
// has no log to leave it in.
func (b *box) endLogLevel(ctx context.Context) {
	if !b.logging.end(time.Now()) {
		return
	}
	usual := levelWord(b.logging.level.Level())
	b.log.Warn("log level", "level", usual)
	h := b.house.Load()
	if h == nil {
		return
	}
	err := h.store.Update(ctx, self, func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: actLogLevel, Outcome: store.OK, Attrs: []store.Attr{{Key: "level", Value: usual}, {Key: "by", Value: "time"}}})
	})
	if err != nil {
		b.log.Error("record log level", "error", err)
	}
}
