package daemon

import (
	"errors"
	"strings"
	"testing"

	"pinward/daemon/health"
	"pinward/store"
)

// TestDiskIsJudged: who is on call hears of a disk before it is full; that codes are refused then is a failure.
func TestDiskIsJudged(t *testing.T) {
	const mega = 1 << 20
	for name, c := range map[string]struct {
		free, least uint64
		err         error
		want        health.State
		words       string
	}{
		"room":                   {4000 * mega, 512 * mega, nil, health.OK, ""},
		"a large disk with room": {60_000 * mega, 50_000 * mega, nil, health.OK, ""},
		"a large disk, soon":     {50_900 * mega, 50_000 * mega, nil, health.Warn, "less than 51024 MB"},
		"a small disk with room": {1100 * mega, 512 * mega, nil, health.OK, ""},
		"soon":                   {1000 * mega, 512 * mega, nil, health.Warn, "less than 1024 MB are free where the store is: make space, below 512 MB nothing new is accepted"},
		"full":                   {500 * mega, 512 * mega, store.ErrFull, health.Fail, "it is full: below 512 MB free"},
		"a commit found none":    {4000 * mega, 512 * mega, store.ErrFull, health.Fail, "it is full"},
		"no answer":              {0, 0, errors.New("x"), health.Unknown, "cannot be asked for"},
	} {
		if state, words := judgeDisk(c.free, c.least, c.err); state != c.want || !strings.Contains(words, c.words) || c.words == "" && words != "" {
			t.Errorf("%s: %s, %q", name, state, words)
		}
	}
}

// TestDiskIsJudgedInSteadyWords: an alarm whose words change is written anew, with an entry, at each look. A disk that fills must not be
// filled by the alarm of it.
func TestDiskIsJudgedInSteadyWords(t *testing.T) {
	const mega = 1 << 20
	for _, err := range []error{nil, store.ErrFull} {
		_, words := judgeDisk(1000*mega, 512*mega, err)
		if _, later := judgeDisk(900*mega, 512*mega, err); later != words {
			t.Errorf("it says %q, and after the next commits %q", words, later)
		}
	}
}
