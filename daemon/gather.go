package daemon

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// gatherLife is how long a share of the recovery kit waits for the other one.
const gatherLife = ticketLife

// gathered are shares of the recovery kit that were given one at a time: two holders need not come to
// the same place. They are in memory only; one alone opens nothing.
type gathered struct {
	mu    sync.Mutex
	given []givenShare
	until time.Time
}

type givenShare struct {
	number      int
	text, place string
}

// add keeps a share beside those that are here still. A holder who gives his again changes nothing.
func (g *gathered) add(number int, text, place string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire()
	for _, s := range g.given {
		if s.number == number {
			return fmt.Errorf("share %d was entered twice: another holder has to give his", number)
		}
	}
	g.given = append(g.given, givenShare{number, text, place})
	g.until = time.Now().Add(gatherLife)
	return nil
}

// remove forgets one share, or with 0 all of them.
func (g *gathered) remove(number int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.given = slices.DeleteFunc(g.given, func(s givenShare) bool { return number == 0 || s.number == number })
}

// all are the shares that are here, and where they were given.
func (g *gathered) all() (shares []string, places string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire()
	var from []string
	for _, s := range g.given {
		shares, from = append(shares, s.text), append(from, s.place)
	}
	return shares, strings.Join(from, ", ")
}

// waits tells in words which share waits for another, "" if none does.
func (g *gathered) waits() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire()
	if len(g.given) == 0 {
		return ""
	}
	return fmt.Sprintf("share %d of the recovery kit is here until %s", g.given[0].number, g.until.Local().Format("15:04"))
}

// expire drops what has waited too long; the caller holds mu.
func (g *gathered) expire() {
	if time.Now().After(g.until) {
		g.given = nil
	}
}
