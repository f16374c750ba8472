package console

import (
	"fmt"

	"pinward/daemon/alarm"
	"pinward/daemon/contact"
	"pinward/store"
)

// notices are what stands on top of every page of somebody who has logged in: maintenance and open alarms. They say how many and
// since when, and never what of: causes are for the operator, on his page.
type notices struct {
	Until, By string // maintenance; "" if none is on

	Open, Unseen int  // alarms
	Critical     bool // one of them at least
	Since        string
}

// Any tells whether there is anything to say.
func (n notices) Any() bool { return n.Until != "" || n.Open > 0 }

// Alarms is how many are open.
func (n notices) Alarms() string {
	kind := "alarm"
	if n.Critical {
		kind = "critical alarm"
	}
	if n.Open == 1 {
		return "1 " + kind + " is open"
	}
	if n.Critical {
		return fmt.Sprintf("%d alarms are open, at least one of them critical", n.Open)
	}
	return fmt.Sprintf("%d alarms are open", n.Open)
}

// Seen is whether somebody sees to them.
func (n notices) Seen() string {
	switch {
	case n.Unseen == 0:
		return "somebody sees to it"
	case n.Unseen < n.Open:
		return fmt.Sprintf("nobody has acknowledged %d of them", n.Unseen)
	}
	return "nobody has acknowledged it"
}

// noticeTime is a moment as people at the desk read it.
const noticeTime = "Monday 2 January 15:04 MST"

func (c *console) notices(tx *store.Tx, site contact.Site) (n notices, err error) {
	if until, by, on := c.Planned(); on {
		n.Until, n.By = until.In(site.Location()).Format(noticeTime), by
	}
	all, err := alarm.Open(tx)
	if err != nil || len(all) == 0 {
		return n, err
	}
	first := all[0].Since
	for _, a := range all {
		n.Open++
		n.Critical = n.Critical || a.Severity == alarm.Critical
		if a.SeenBy == "" {
			n.Unseen++
		}
		if a.Since.Before(first) {
			first = a.Since
		}
	}
	n.Since = first.In(site.Location()).Format(noticeTime)
	return n, nil
}
