package daemon

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets more garbage lie. A house in a bubble is small and lives through hours in seconds: at the usual
// percentage the collector takes a quarter of all the time.
func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(m.Run())
}
