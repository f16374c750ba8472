package modem

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"pinward/modem/line"
)

// sendPatience is how long a hang-up waits behind a text that is on air; then the text is given up.
const sendPatience = 45 * time.Second

// hangUp ends the call, whatever state it is in, and proves it by +CLCC. A module that does not let go is restarted. When the modem
// has gone there is nothing to end: it took the call with it, or the next bring-up ends it.
func (k *calling) hangUp() error {
	start := time.Now()
	since := start // when the hang-up last had to wait for others
	for i := 0; ; i++ {
		if k.lost() {
			return errCallLost
		}
		waits := k.s.l.Sending() && time.Since(start) < sendPatience
		if k.hungUp(k.v.HangUp[i%len(k.v.HangUp)], waits) {
			return nil
		}
		if waits || k.s.l.Dirty() && time.Since(start) < k.t.HangUp+k.m.o.Timing.Resync {
			since = time.Now()
		}
		if time.Since(since) >= k.t.HangUp {
			k.needsRestart("a call does not end")
			return errors.New("hang-up not proved")
		}
		sleep(k.s.ctx, min(k.t.Poll, 250*time.Millisecond))
	}
}

// hungUp gives one hang-up command and looks. behind says that it may wait behind a text.
func (k *calling) hungUp(cmd string, behind bool) bool {
	ctx, cancel := context.WithTimeout(k.s.ctx, k.t.HangUp/2)
	defer cancel()
	_, err := k.s.l.Do(ctx, line.Cmd{Text: cmd, Class: line.HangUp}, k.m.o.Timing.Step)
	if err != nil && ctx.Err() != nil && !behind {
		// Something holds the line: a dialing that is answered when the call is. The ESC of the resync ends it (V.250, 5.6.1).
		k.s.l.Abort()
	}
	k.heal()
	calls, err := k.s.voiceCalls(ctx)
	if err != nil {
		k.heal()
		return false
	}
	_, there := outgoing(calls, k.c.To)
	return !there
}

// needsRestart has the session restart the module.
func (k *calling) needsRestart(why string) {
	select {
	case k.s.cure <- why:
	default:
	}
}

// clear ends what is up before we call: a call that rings, or one that nobody listens to any more.
func (k *calling) clear() error {
	k.s.rested()
	for _, cmd := range append([]string{""}, k.v.HangUp...) {
		k.best(cmd)
		calls, err := k.s.voiceCalls(k.s.ctx)
		var refused *line.ResultError
		switch {
		case errors.As(err, &refused):
			return nil // attend sees to that
		case err != nil:
			k.heal()
			return err
		case len(calls) == 0:
			return nil
		}
	}
	return errInCall
}

// conclude says what became of it. err is what went wrong, if anything did.
func (k *calling) conclude(snd *sound, err error) {
	r := &k.result
	r.Took = time.Since(k.dialed)
	r.Audio = snd.stats()
	hear, deny := k.keysOf()
	switch {
	case r.Talk.Key == hear && hear != 0:
		r.Outcome = CallConfirmed
	case r.Talk.Key == deny && deny != 0:
		r.Outcome = CallDeclined
	case r.Answered:
		r.Outcome = CallAnswered
	case err != nil:
	case k.left == leftCtx:
		r.Outcome = CallCanceled
	case k.left == leftRing:
		r.Outcome = CallNoAnswer
	case k.left == leftSetUp:
		r.Outcome = CallUnreachable
	default:
		r.Cause, r.Outcome = k.why()
	}
}

// keysOf are the keys of the script.
func (k *calling) keysOf() (hear, deny byte) {
	hear, deny = k.c.Script.Hear, k.c.Script.Deny
	if hear == 0 {
		hear = '1'
	}
	if deny == 0 {
		deny = '9'
	}
	return hear, deny
}

// why asks for the reason of an end that was not ours.
func (k *calling) why() (cause int, o Outcome) {
	info, err := k.s.l.Do(k.s.ctx, line.Cmd{Text: "+CEER", Class: line.Call}, k.m.o.Timing.Step)
	if err != nil {
		k.heal()
	}
	k.mu.Lock()
	word, told := k.word, k.cause
	k.mu.Unlock()
	if cause = told; cause == 0 {
		cause = readCause(info)
	}
	if o, known := causes[cause]; known {
		return cause, o
	}
	if k.refused {
		return cause, CallFailed
	}
	switch word {
	case "BUSY":
		return cause, CallBusy
	case "NO ANSWER":
		return cause, CallNoAnswer
	}
	switch {
	case k.result.Rang:
		return cause, CallNoAnswer
	case cause == 0 && k.after < atOnce:
		return cause, CallFailed // no network rings a phone so fast: the module, or IMS that is not there (reference 6.5)
	}
	return cause, CallUnreachable
}

// atOnce is sooner than any network can find out about a phone.
const atOnce = 200 * time.Millisecond

// callWords are the final results of a call, which also come unasked.
var callWords = map[string]bool{"NO CARRIER": true, "BUSY": true, "NO ANSWER": true, "NO DIALTONE": true, "NO DIAL TONE": true}

// causes are those of 24.008, 10.5.4.11 and annex H, by what they mean to us. Others are judged by the words and by whether it rang.
var causes = map[int]Outcome{
	1: CallUnreachable, 3: CallUnreachable, 20: CallUnreachable, 22: CallUnreachable, 27: CallUnreachable, 28: CallUnreachable,
	17: CallBusy, 18: CallNoAnswer, 19: CallNoAnswer, 21: CallRejected,
	6: CallFailed, 8: CallFailed, 29: CallFailed, 34: CallFailed, 38: CallFailed, 41: CallFailed, 42: CallFailed, 44: CallFailed,
	47: CallFailed, 49: CallFailed, 50: CallFailed, 55: CallFailed, 57: CallFailed, 58: CallFailed, 63: CallFailed, 65: CallFailed,
	68: CallFailed, 69: CallFailed, 79: CallFailed, 88: CallFailed, 96: CallFailed, 102: CallFailed, 111: CallFailed, 127: CallFailed,
}

// causeWords are the names of causes as modules write them, without spaces and signs, in lower case.
var causeWords = []struct {
	words string
	cause int
}{
	{"unassigned", 1}, {"noroute", 3}, {"channelunacceptable", 6}, {"operatordeterminedbarring", 8}, {"userbusy", 17}, {"nouserrespond", 18},
	{"noanswer", 19}, {"useralerting", 19}, {"subscriberabsent", 20}, {"callrejected", 21}, {"numberchanged", 22}, {"destinationoutoforder", 27},
	{"invalidnumber", 28}, {"facilityrejected", 29}, {"nocircuit", 34}, {"networkoutoforder", 38}, {"temporaryfailure", 41},
	{"congestion", 42}, {"requestedcircuit", 44}, {"resourcesunavailable", 47}, {"resourceunavailable", 47}, {"notsubscribed", 50},
	{"normalcallclearing", 16}, {"normalclearing", 16}, {"normalunspecified", 31},
}

// readCause reads +CEER, whose form each maker has chosen for himself: words, a number, "Cause:17", words and a number, or
// "<location>,<cause>,<supplementary>" (Siemens and its heirs). 0 is unknown.
func readCause(info []string) int {
	for _, l := range info {
		_, rest, found := strings.Cut(l, ":")
		if !found {
			rest = l
		}
		packed := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' {
				return r
			}
			return -1
		}, strings.ToLower(rest))
		for _, w := range causeWords {
			if strings.Contains(packed, w.words) {
				return w.cause
			}
		}
		if n := causeNumber(rest); n > 0 {
			return n
		}
	}
	return 0
}

func causeNumber(s string) int {
	var numbers []int
	for _, f := range fields(s) {
		_, value, found := strings.Cut(f, ":")
		if !found {
			value = f
		}
		value = strings.TrimLeft(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
		if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && n >= 0 && n <= 127 {
			numbers = append(numbers, n)
		}
	}
	switch len(numbers) {
	case 0:
		return 0
	case 3:
		return numbers[1]
	}
	return numbers[0]
}
