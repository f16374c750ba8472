package text

import (
	"iter"
	"strings"
	"time"
)

// Render writes the text: each slot checked once more, times in zone, in one part. The error is a
// *SlotError, or that the template itself is broken.
func Render(t Template, v Values, zone *time.Location) (string, error) {
	pieces, err := parse(t.Body)
	if err != nil {
		return "", &SlotError{Slot: "(body)", Reason: BadShape}
	}
	w := wordsFor(t.Lang)
	var b strings.Builder
	hasCode := false
	for _, p := range pieces {
		if p.slot.Name == "" {
			b.WriteString(p.fixed)
			continue
		}
		s, err := w.slot(p.slot, v, zone)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
		hasCode = hasCode || p.slot.Type == CodeNum
	}
	out := b.String()
	if hasCode {
		if err := onlyCode(out, v[string(CodeNum)]); err != nil {
			return "", err
		}
		if out, err = withLines(out, v); err != nil {
			return "", err
		}
	}
	if !onePart(out, hasCode && v[androidSlot] != "") {
		return "", &SlotError{Slot: "(body)", Reason: TooLong}
	}
	return out, nil
}

// slot checks and prints one value.
func (w words) slot(s Slot, v Values, zone *time.Location) (string, error) {
	val, ok := v[s.Name]
	switch s.Type {
	case Stop:
		return w.stop, nil
	case Warning:
		text, known := w.warnings[val]
		if !known {
			return "", &SlotError{s.Name, BadShape}
		}
		return text, nil
	case Purpose:
		text, known := w.purposes[val]
		if !known {
			return "", &SlotError{s.Name, BadShape}
		}
		return text, nil
	}
	if !ok || val == "" {
		return "", &SlotError{s.Name, Missing}
	}
	if err := check(s, val); err != nil {
		return "", err
	}
	if s.Type != Time && s.Type != Date {
		return val, nil
	}
	at, err := time.Parse(time.RFC3339, val)
	if err != nil {
		return "", &SlotError{s.Name, BadShape}
	}
	if s.Type == Time {
		return w.time(at.In(zone)), nil
	}
	return w.date(at.In(zone)), nil
}

// onlyCode sees to it that the code is the only group of digits of its length: phones, and people,
// take the first that looks like one.
func onlyCode(text, code string) error {
	seen := 0
	for group := range digitGroups(text) {
		if group == code {
			seen++
		} else if len(group) == len(code) {
			return &SlotError{string(CodeNum), Ambiguous}
		}
	}
	if seen != 1 {
		return &SlotError{string(CodeNum), Ambiguous}
	}
	return nil
}

// digitGroups yields the runs of ASCII digits in s.
func digitGroups(s string) iter.Seq[string] {
	return strings.FieldsFuncSeq(s, func(r rune) bool { return r < '0' || r > '9' })
}

// withLines adds the lines that phones read. The line of iOS has to be the last one.
func withLines(text string, v Values) (string, error) {
	if hash := v[androidSlot]; hash != "" {
		if !hashShape.MatchString(hash) {
			return "", &SlotError{androidSlot, BadShape}
		}
		text += "\n" + hash
	}
	if host := v[autofillSlot]; host != "" {
		if len(host) > MaxHost {
			return "", &SlotError{autofillSlot, TooLong}
		}
		if !hostShape.MatchString(host) {
			return "", &SlotError{autofillSlot, BadShape}
		}
		text += "\n@" + host + " #" + v[string(CodeNum)]
	}
	return text, nil
}
