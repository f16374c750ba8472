package daemon

import (
	"math"
	"runtime/debug"
	"testing"
)

// TestSetMemory: the daemon sets the collector, but for what its operator has set.
func TestSetMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	for _, c := range []struct {
		gogc, limit string
		percent     int
		bytes       int64
	}{{"100", "1GiB", 100, math.MaxInt64}, {"", "1GiB", gcPercent, math.MaxInt64}, {"", "", gcPercent, memoryLimit}} {
		t.Setenv("GOGC", c.gogc)
		t.Setenv("GOMEMLIMIT", c.limit)
		setMemory()
		percent := debug.SetGCPercent(100)
		debug.SetGCPercent(percent)
		if bytes := debug.SetMemoryLimit(-1); percent != c.percent || bytes != c.bytes {
			t.Errorf("GOGC=%q GOMEMLIMIT=%q: %d percent, %d bytes", c.gogc, c.limit, percent, bytes)
		}
	}
}
