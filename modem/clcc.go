package modem

import (
	"context"
	"strconv"

	"pinward/modem/line"
)

// The <stat> of +CLCC (27.007, 7.18), and one of SIMCom's.
const (
	callActive   = 0
	callHeld     = 1
	callDialing  = 2
	callAlerting = 3
	callIncoming = 4
	callWaiting  = 5
	callEnded    = 6 // SIMCom: over, and listed for a moment more
)

// listed is one voice call as the modem lists it.
type listed struct {
	incoming bool
	stat     int
	number   string
}

// voiceCalls asks what calls there are. Only voice counts: an EC25 lists its data contexts all the time (reference 6.1).
func (s *session) voiceCalls(ctx context.Context) ([]listed, error) {
	info, err := s.l.Do(ctx, line.Cmd{Text: "+CLCC", Class: line.Call}, s.m.o.Timing.Step)
	if err != nil {
		return nil, err
	}
	return readCalls(info), nil
}

// readCalls reads "+CLCC: <id>,<dir>,<stat>,<mode>,<mpty>[,<number>,<type>...]"; a call that has ended is none.
func readCalls(info []string) (calls []listed) {
	for i := range info {
		f := fields(field(info[i:i+1], "+CLCC"))
		if len(f) < 4 || f[3] != "0" {
			continue
		}
		stat, err := strconv.Atoi(f[2])
		if err != nil || stat == callEnded {
			continue
		}
		c := listed{incoming: f[1] == "1", stat: stat}
		if len(f) > 5 {
			c.number = f[5]
		}
		calls = append(calls, c)
	}
	return calls
}

// outgoing finds our call. A modem may list it without a number, or write the number in another form.
func outgoing(calls []listed, to string) (stat int, there bool) {
	for _, c := range calls {
		if !c.incoming && (c.number == "" || sameNumber(c.number, to)) {
			return c.stat, true
		}
	}
	return 0, false
}

// ringing says that somebody calls us beside our call.
func ringing(calls []listed) bool {
	for _, c := range calls {
		if c.incoming && (c.stat == callIncoming || c.stat == callWaiting) {
			return true
		}
	}
	return false
}
