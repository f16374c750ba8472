package modem

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"pinward/modem/voice"
)

// ErrNotCalled says that the network was asked for no call: it is proved that nobody's phone rang. Try elsewhere, or again.
var ErrNotCalled = errors.New("not called")

// Outcome is what became of a call.
type Outcome string

// The outcomes. All but CallFailed and CallCanceled speak of the one who was called.
const (
	CallConfirmed   Outcome = "confirmed"   // somebody pressed Script.Hear; Talk says whether the whole code was said
	CallDeclined    Outcome = "declined"    // somebody pressed Script.Deny: did not ask for this
	CallAnswered    Outcome = "answered"    // the network said "answered", nobody pressed a key: a person, a voicemail, a screen, an announcement
	CallBusy        Outcome = "busy"        //
	CallNoAnswer    Outcome = "no answer"   // it rang
	CallRejected    Outcome = "rejected"    // the call was turned down
	CallUnreachable Outcome = "unreachable" // switched off, out of coverage, or no such number
	CallFailed      Outcome = "failed"      // the network or the SIM would not carry it: another SIM may
	CallCanceled    Outcome = "canceled"    // ctx ended before an answer, and the call with it
)

// Call is one outgoing voice call.
type Call struct {
	To     string       // 7 to 15 digits, with '+' if international
	Script voice.Script // what is said once it is answered

	// Progress, which may be nil, is told each further state of the call, in order, before Dial returns. It must not block.
	Progress func(Progress)
}

// String shows nothing of the callee.
func (c Call) String() string { return "call" }

// GoString shows nothing of the callee.
func (c Call) GoString() string { return c.String() }

// LogValue shows nothing of the callee.
func (c Call) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Progress is a state that a call has reached.
type Progress string

// The states, in their order; a call may pass over any of them.
const (
	ProgressDialing  Progress = "dialing"  // the modem took the number: from here on a phone may ring
	ProgressAlerting Progress = "alerting" // it rings
	ProgressAnswered Progress = "answered" // the network says so, which is no proof of a person (reference 6.1)
	ProgressPressed  Progress = "pressed"  // a key came
	ProgressEnded    Progress = "ended"    // proved
)

// CallResult is what is known of a call that was tried. Beside an error it tells how far the call came.
type CallResult struct {
	Outcome  Outcome    // "" beside an error, unless a key was pressed or it was answered before
	Cause    int        // of 3GPP 24.008, 10.5.4.11, as the network gave it; 0 is unknown
	Talk     voice.Talk // how far the script came
	Rang     bool       // the network said that it rings
	Answered bool       // the network said that it was answered
	ICCID    string     // of the SIM that called; "" where the modem does not tell
	Way      string     // how the sound was played: "pcm", "file" or "tts"

	RangAfter, AnsweredAfter, Took time.Duration // from the dialing

	Audio voice.PacerStats // of Way "pcm"
}

// String shows no number.
func (r CallResult) String() string {
	if r.Outcome == "" {
		return "outcome unknown"
	}
	return string(r.Outcome)
}

// GoString shows no number.
func (r CallResult) GoString() string { return r.String() }

// LogValue shows no number.
func (r CallResult) LogValue() slog.Value {
	return slog.GroupValue(slog.String("outcome", r.String()), slog.Int("cause", r.Cause), slog.String("way", r.Way),
		slog.Duration("took", r.Took), slog.Int("underruns", r.Audio.Underruns))
}

// CallTiming are the times of a call; zero values are replaced by the defaults named here. Talk is only for a script that does not end:
// the three prompts with their waits, what a voicemail is told, and the code after the last of them need up to three minutes and a half,
// whenever the call was answered.
type CallTiming struct {
	Poll   time.Duration // 500 ms between two looks at +CLCC
	SetUp  time.Duration // 30 s from the dialing to the ringing
	Ring   time.Duration // 45 s from the ringing to the answer
	Talk   time.Duration // 4 min from the answer; then it is hung up, whatever is being said
	HangUp time.Duration // 5 s in which a hang-up must show; then the module is restarted
}

func (t CallTiming) withDefaults() CallTiming {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Poll, 500 * time.Millisecond}, {&t.SetUp, 30 * time.Second}, {&t.Ring, 45 * time.Second}, {&t.Talk, 4 * time.Minute},
		{&t.HangUp, 5 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return t
}

// errInCall refuses a second call: a modem has one.
var errInCall = errors.New("modem is in a call")

// Dial calls a number, says the script and hangs up. It returns when the call is proved to be over: a few seconds after ctx's end
// at the latest, which hangs up as well.
//
//	nil             Outcome says what became of it
//	ErrNotCalled    proved: nobody was called; try elsewhere, or again
//	anything else   the modem or its audio was lost in mid-call: what the callee heard is not known beyond CallResult
//
// One call at a time: a second one is refused with ErrNotCalled at once. Sends go on beside it where the module can do that, and
// wait for its end elsewhere.
func (m *Modem) Dial(ctx context.Context, c Call) (CallResult, error) {
	number := strings.TrimPrefix(c.To, "+")
	if len(number) < 7 || len(number) > 15 || strings.Trim(number, "0123456789") != "" {
		return CallResult{}, fmt.Errorf("%w: not a number to call", ErrNotCalled)
	}
	if len(c.Script.Clips()) == 0 {
		return CallResult{}, fmt.Errorf("%w: nothing to say", ErrNotCalled)
	}
	if err := ctx.Err(); err != nil {
		return CallResult{}, fmt.Errorf("%w: %w", ErrNotCalled, context.Cause(ctx))
	}
	k, err := m.beginCall(c)
	if err != nil {
		return CallResult{}, fmt.Errorf("%w: %w", ErrNotCalled, err)
	}
	defer k.release()
	return k.run(ctx)
}

// beginCall takes the modem for one call.
func (m *Modem) beginCall(c Call) (*calling, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st, s := &m.status, m.cur
	p := profiles()[st.Profile]
	switch {
	case s == nil || st.Phase != PhaseReady:
		return nil, fmt.Errorf("modem is %s", st.Phase)
	case p.Voice == nil || st.Voice == VoiceNone:
		return nil, errors.New("modem has no voice")
	case st.Registration == RegSMSHome || st.Registration == RegSMSRoaming:
		return nil, errors.New("registered for SMS only")
	case m.inCall != nil:
		return nil, errInCall
	}
	k := &calling{
		m: m, s: s, h: hold{m, s, m.lives, m.giveUps, m.identity}, p: p, v: p.Voice, c: c, t: m.o.CallTiming,
		ways: slices.Clone(s.ways), starts: s.starts.Load(), keys: voice.NewKeys(),
		hint: make(chan struct{}, 1), played: make(chan struct{}, 1), over: make(chan struct{}),
		result: CallResult{ICCID: m.identity.iccid},
	}
	m.inCall = k
	return k, nil
}

// release gives the modem back: sends that waited go on.
func (k *calling) release() {
	k.m.update(func(st *Status) {
		k.m.inCall, st.InCall = nil, false // update holds mu
	})
	close(k.over)
}

// awaitCall waits where the module sends no text while it calls.
func (m *Modem) awaitCall(ctx context.Context, s *session) error {
	for {
		m.mu.Lock()
		k := m.inCall
		m.mu.Unlock()
		if k == nil || k.v.Texts {
			return nil
		}
		select {
		case <-k.over:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.ctx.Done():
			return ErrNotUp
		}
	}
}

// currentCall is the call of this session, nil between calls.
func (s *session) currentCall() *calling {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if k := s.m.inCall; k != nil && k.s == s {
		return k
	}
	return nil
}
