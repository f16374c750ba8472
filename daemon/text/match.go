package text

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ErrNoMatch says that a whole text is not, letter for letter, what exactly one template gives.
var ErrNoMatch = errors.New("text is not that of exactly one template")

// Match finds the one template of a list of which a whole text is the rendering, and the values of its
// slots. So a client that can bring nothing but a text is held to the templates too: what is matched is
// then rendered anew, and nothing of the text itself goes out. ours are the brand and the number to call
// of the site; instants are the next ones after now that print so.
func Match(list []Template, body string, ours Values, hosts []string, zone *time.Location, now time.Time) (Template, Values, error) {
	var found Template
	var values Values
	for _, t := range list {
		if t.Class != Care && t.Class != Marketing {
			continue
		}
		v, ok := t.match(body, ours, hosts, zone, now)
		if !ok {
			continue
		}
		if values != nil {
			return Template{}, nil, ErrNoMatch
		}
		found, values = t, v
	}
	if values == nil {
		return Template{}, nil, ErrNoMatch
	}
	return found, values, nil
}

// shapesOf are how printed values look, as far as a pattern can tell; each is checked afterwards. A time or a
// date is what is left between fixed words.
var shapesOf = map[Type]string{
	Site: `(.{1,28}?)`, Payee: `(.{1,24}?)`, Phone: `(\+?[0-9][0-9 ()./-]{0,14}[0-9])`, Link: `(https://\S{1,48})`,
	Amount: `(\$[0-9,]{1,11}\.[0-9]{2})`, Time: `(.{1,16}?)`, Date: `(.{1,24}?)`,
}

// match reads the values back out of a text, and renders them to see whether they are the text.
func (t Template) match(body string, ours Values, hosts []string, zone *time.Location, now time.Time) (Values, bool) {
	pieces, err := parse(t.Body)
	if err != nil {
		return nil, false
	}
	w := wordsFor(t.Lang)
	var pattern strings.Builder
	var holes []Slot
	for _, p := range pieces {
		switch p.slot.Type {
		case "":
			pattern.WriteString(regexp.QuoteMeta(p.fixed))
		case Brand:
			pattern.WriteString(regexp.QuoteMeta(ours[string(Brand)]))
		case Stop:
			pattern.WriteString(regexp.QuoteMeta(w.stop))
		default:
			shape, ok := shapesOf[p.slot.Type]
			if !ok {
				return nil, false
			}
			pattern.WriteString(shape)
			holes = append(holes, p.slot)
		}
	}
	groups := regexp.MustCompile("^" + pattern.String() + "$").FindStringSubmatch(body)
	if groups == nil {
		return nil, false
	}
	raw := map[string]string{}
	for i, s := range holes {
		if s.Type != Time && s.Type != Date {
			raw[s.Name] = groups[i+1]
		} else if _, known := raw[s.Name]; !known {
			at, ok := w.instant(s.Name, holes, groups[1:], zone, now)
			if !ok {
				return nil, false
			}
			raw[s.Name] = at.UTC().Format(time.RFC3339)
		}
	}
	v, err := t.Fill(raw, hosts)
	if err != nil {
		return nil, false
	}
	all := Values{}
	for name, val := range v {
		all[name] = val
	}
	all.SetBrand(ours[string(Brand)])
	again, err := Render(t, all, zone)
	return v, err == nil && again == body
}

// aheadDays is how far ahead a printed date is looked for: it tells no year.
const aheadDays = 400

// instant is the next one after now that prints as a slot's date and time do; a date alone is its noon.
func (w words) instant(slot string, holes []Slot, printed []string, zone *time.Location, now time.Time) (time.Time, bool) {
	var date, clock string
	for i, s := range holes {
		switch {
		case s.Name == slot && s.Type == Date:
			date = printed[i]
		case s.Name == slot && s.Type == Time:
			clock = printed[i]
		}
	}
	minutes := w.minutes(clock)
	y, m, d := now.In(zone).Date()
	for day := range aheadDays {
		if date != "" && w.date(time.Date(y, m, d+day, 12, 0, 0, 0, zone)) != date {
			continue
		}
		for _, minute := range minutes {
			at := time.Date(y, m, d+day, 0, minute, 0, 0, zone)
			if at.After(now) || clock == "" {
				return at, true
			}
		}
	}
	return time.Time{}, false
}

// minutes are those of a day that print so.
func (w words) minutes(clock string) []int {
	if clock == "" {
		return []int{12 * 60}
	}
	var list []int
	for minute := range 24 * 60 {
		if w.time(time.Date(2000, 1, 1, 0, minute, 0, 0, time.UTC)) == clock {
			list = append(list, minute)
		}
	}
	return slices.Clip(list)
}
