package modemsim

import (
	"encoding/json"
	"errors"
	"time"
)

// Duration is a time.Duration that reads in JSON as a number of seconds (0.25)
// or as a Go duration ("250ms"), and is written as a number of seconds.
type Duration time.Duration

// MarshalJSON writes the duration as a number of seconds.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).Seconds())
}

// UnmarshalJSON reads seconds as a number, or a Go duration as a string.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err == nil {
		if seconds < 0 || seconds > 1e6 {
			return errors.New("duration is out of range 0 to 1000000 seconds")
		}
		*d = Duration(seconds * float64(time.Second))
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return errors.New("duration must be a number of seconds or a string such as \"250ms\"")
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return errors.New("duration string is not valid")
	}
	*d = Duration(v)
	return nil
}
