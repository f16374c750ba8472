package daemon

import (
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"slices"

	"golang.org/x/sys/unix"

	"pinward/daemon/admin"
	"pinward/store"
)

// controlHandler is the door of the operator, in every state of the box.
func (b *box) controlHandler() http.Handler {
	doors := http.NewServeMux()
	doors.HandleFunc("GET "+downtimePath, b.serveDowntime)
	doors.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	doors.Handle("/", admin.New(admin.Options{
		Store: func() *store.Store {
			if h := b.house.Load(); h != nil {
				return h.store
			}
			return nil
		},
		API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if h := b.house.Load(); h != nil {
				if !b.maintain(h, w, r) {
					h.api.ServeHTTP(w, r)
				}
				return
			}
			b.serveClosed(w, r)
		}),
		Modems:    b.modems(),
		Routes:    slices.Concat(b.hl7Routes(), b.keyRoutes(), ringRoutes(), b.rotateRoutes(), b.backupRoutes(), b.repositoryRoutes(), b.policyRoutes(), b.alarmRoutes(), b.directoryRoutes(), b.maintenanceRoutes(), b.acceptanceRoutes(), b.decommissionRoutes(), b.logRoutes(), b.debugRoutes()),
		Passwords: b.passwords,
		Directory: b.directoryNow,
		Status:    b.status,
		Doctor:    b.doctor,
		Keys: admin.Keys{
			Setup: b.commission, Unseal: b.unseal, Drill: b.drill, Finish: b.finish, Page: b.openPage, Progress: setupProgress, Certificate: b.certificate,
		},
		Backups:   admin.Backups{Write: b.handBackup, Run: b.runBackup, Restore: b.restore},
		Owner:     b.opts.Owner,
		MayGoLive: b.mayGoLive,
		Log:       b.log,
	}))
	return doors
}

// quietLog takes net/http's own complaints, which name addresses of clients and nothing else.
func quietLog(l *slog.Logger) *log.Logger {
	return slog.NewLogLogger(l.Handler(), slog.LevelDebug)
}

// monotonicMicros is CLOCK_MONOTONIC as sd_notify(3) wants it with RELOADING=1.
func monotonicMicros() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // systemd then waits for READY=1 alone
	}
	return ts.Nano() / 1000
}
