package store

import (
	"os"
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
		if os.Getenv(busyEnv) != "" {
			busyChild(dir)
		}
		if os.Getenv(upkeepEnv) != "" {
			upkeepChild(dir)
		}
		child(dir)
	}
	os.Exit(m.Run())
}
