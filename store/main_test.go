package store

import (
	"os"
	"runtime/debug"
	"testing"
)

// childEnv makes the test binary be the process that a crash test kills.
const childEnv = "PINWARD_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if point := os.Getenv(rollEnv); point != "" {
			killedInRoll(dir, point)
		}
		if point := os.Getenv(indexEnv); point != "" {
			killedInIndex(dir, point)
		}
		if point := os.Getenv(killEnv); point != "" {
			killed(dir, point)
		}
		if point := os.Getenv(mergeEnv); point != "" {
			killedInMerge(dir, point)
		}
		if os.Getenv(aloneEnv) != "" {
			panicsAlone(dir)
		}
		if os.Getenv(busyEnv) != "" {
			busyChild(dir)
		}
		if os.Getenv(upkeepEnv) != "" {
			upkeepChild(dir)
		}
		child(dir)
	}
	// Many small stores are made and left here: at the usual percentage the collector takes a fifth of the time.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(m.Run())
}
