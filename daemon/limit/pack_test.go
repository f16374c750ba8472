package limit

import (
	"testing"

	"pinward/store/storetest"
)

func TestPackedCounter(t *testing.T) {
	storetest.Packing(t, used{At: []int64{1767323045006, 1767323045007, 1767326645000}, N: []int{1, 300, 2}, Until: 1767409445000},
		"01030f9cb2cccaef660102ac02f2b9b703020490a2ff9cf066", usedFields)
}
