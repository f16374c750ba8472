package daemon

import (
	"errors"
	"fmt"

	"pinward/daemon/health"
	"pinward/store"
)

// diskSoon is how much must be free or health warns: above the limit there has to be room for whoever is to make space, as much as the
// limit on a small disk and a gigabyte on any other.
func diskSoon(least uint64) uint64 { return least + min(least, 1<<30) }

// checkDisk fails when nothing new is accepted for want of space, and warns before.
func (h *house) checkDisk() health.Check {
	return health.Check{Name: "disk", Ask: func() (health.State, string) { return judgeDisk(h.store.Room()) }}
}

// judgeDisk puts what the store says of its room into words. What is free is not in them: it changes with each commit, and
// each change of an alarm's words is an entry, which takes of the very disk. pinward check disk and the figures tell it.
func judgeDisk(free, least uint64, err error) (health.State, string) {
	switch {
	case errors.Is(err, store.ErrFull):
		return health.Fail, fmt.Sprintf("it is full: below %d MB free where the store is nothing new is accepted; make space, it goes on by itself (pinward check disk says how much is free)", least>>20)
	case err != nil:
		return health.Unknown, "the free space where the store is cannot be asked for"
	case free < diskSoon(least):
		return health.Warn, fmt.Sprintf("less than %d MB are free where the store is: make space, below %d MB nothing new is accepted (pinward check disk says how much is free)", diskSoon(least)>>20, least>>20)
	}
	return health.OK, ""
}

// accepts tells whether the store would take something new.
func (h *house) accepts() bool {
	_, _, err := h.store.Room()
	return err == nil
}
