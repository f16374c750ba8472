package daemon

import (
	"os"
	"runtime/debug"
)

// How the collector of garbage is set. What lives in the daemon is small, 6 to 15 MB, and a message
// leaves 80 KB of garbage behind: with the usual 100 percent a full load is collected 40 times a second,
// which took a sixth of the processor's time, for marking and for stacks that are shrunk and grow again.
// With 300 it is a twentieth; at rest the process has the same 31 MB resident, 11 of them its own. The limit
// keeps the daemon under the 150 MB that it is to need under any load: near it the collector runs more often.
const (
	gcPercent   = 300
	memoryLimit = 120 << 20 // bytes, of the Go runtime: the mapped pages of the store's file come on top
)

// setMemory sets the collector. GOGC and GOMEMLIMIT, where the operator gives them, win.
func setMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
