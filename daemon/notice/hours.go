package notice

import (
	"errors"
	"regexp"
	"strconv"
	"time"
)

// Hours are when the notices of one kind may go, by the site's clock, "08:00" to "20:00"; from later than to is over midnight. The zero
// Hours are all day. They stand beside the site's quiet hours, and hold at each hand-over: a text that its hours let wait, and that no
// modem took in them, waits for the next.
type Hours struct {
	From string `json:"from"`
	To   string `json:"to"`
}

var clockForm = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)

// Validate tells what is wrong with them.
func (h Hours) Validate() error {
	if h != (Hours{}) && (!clockForm.MatchString(h.From) || !clockForm.MatchString(h.To) || h.From == h.To) {
		return errors.New("hours are not two different times of day such as 08:00 and 20:00")
	}
	return nil
}

// Next is the first moment from at on that is within the hours.
func (h Hours) Next(at time.Time, zone *time.Location) time.Time {
	if h == (Hours{}) {
		return at
	}
	local := at.In(zone)
	clock := local.Format("15:04")
	within := clock >= h.From && clock < h.To
	if h.From > h.To {
		within = clock >= h.From || clock < h.To
	}
	if within {
		return at
	}
	hour, _ := strconv.Atoi(h.From[:2])
	minute, _ := strconv.Atoi(h.From[3:])
	opens := time.Date(local.Year(), local.Month(), local.Day(), hour, minute, 0, 0, zone)
	if !opens.After(local) {
		opens = time.Date(local.Year(), local.Month(), local.Day()+1, hour, minute, 0, 0, zone)
	}
	return opens
}
