package modem

import (
	"strconv"
	"strings"
)

// hear takes an unsolicited code, in the session's own goroutine: it never waits.
func (k *calling) hear(code string) {
	name, rest, _ := strings.Cut(code, ":")
	rest = strings.TrimSpace(rest)
	for _, c := range k.v.Keys.Codes {
		if name == c {
			k.press(rest)
			return
		}
	}
	packed := strings.ReplaceAll(code, " ", "")
	for _, w := range k.ways {
		switch {
		case w.Played != "" && strings.HasPrefix(packed, w.Played):
			signal(k.played)
			return
		case w.Hold != "" && name == w.Hold:
			k.mu.Lock()
			if k.pcm != nil {
				k.pcm.Hold(rest == "0")
			}
			k.mu.Unlock()
			return
		}
	}
	switch {
	case callWords[code]:
		k.mu.Lock()
		k.word = code
		k.mu.Unlock()
	case name == "^CEND": // <id>,<duration>,<status>[,<cause>]
		if f := fields(rest); len(f) > 3 {
			if n, err := strconv.Atoi(f[3]); err == nil {
				k.mu.Lock()
				k.cause = n
				k.mu.Unlock()
			}
		}
	case !callHints[name]:
		return
	}
	signal(k.hint)
}

// callHints are the codes that tell of a call, besides callWords.
var callHints = map[string]bool{
	"^ORIG": true, "^CONF": true, "^CONN": true, "^DSCI": true, "VOICE CALL": true, "MISSED_CALL": true, "+CLCC": true, "+COLP": true,
	"+QIND": true, "RING": true, "+CRING": true, "+CCWA": true,
}

// press takes the value of a key code.
func (k *calling) press(value string) {
	value = strings.Trim(value, `"`)
	if k.v.Keys.ASCII {
		n, err := strconv.ParseUint(fields(value)[0], 10, 7)
		if err != nil {
			return
		}
		value = string(rune(n))
	}
	if len(value) > 0 {
		k.keys.Add("code", value[len(value)-1])
	}
}
