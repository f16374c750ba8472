package modem

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"pinward/modem/line"
	"pinward/modem/voice"
)

// calling is one run of Dial. +CLCC is the truth of the call; what the modem says unasked only makes us look sooner (reference 6.1).
type calling struct {
	m *Modem
	s *session
	h hold
	p profile
	v *voiceProfile
	c Call
	t CallTiming

	ways   []way // of the session, when the call began
	starts int64 // of the session, when the call began

	keys   *voice.Keys
	hint   chan struct{} // from hear: look at +CLCC now
	played chan struct{} // from hear: the module has played to the end
	over   chan struct{} // closed by release

	// Owned by Dial's goroutine.
	result  CallResult
	dialed  time.Time
	refused bool          // the modem took no number
	left    string        // why we end it; "" while we do not
	after   time.Duration // how long after the dialing it was over, if we did not end it
	deaf    bool          // the modem does not tell of keys

	mu    sync.Mutex // guards what follows
	word  string     // BUSY and the like
	cause int        // of ^CEND
	pcm   *voice.PCM
}

// Why we end a call ourselves.
const (
	leftSaid   = "said"   // the script came to its end
	leftSetUp  = "set-up" // it did not ring in time
	leftRing   = "ring"   // nobody answered in time
	leftTalk   = "talk"   // it lasted too long
	leftAudio  = "audio"  // there is no sound
	leftBlind  = "blind"  // the modem does not tell of its calls
	leftCtx    = "ctx"    // the caller wants no call any more
	blindLooks = 3        // refused looks in a row that are enough to give up
)

// listTime is how long after the dialing a call may be missing in +CLCC.
const listTime = 2 * time.Second

// errCallLost says that the modem went away in mid-call.
var errCallLost = errors.New("modem lost in mid-call")

// run makes the call. From the dialing on it returns only behind a hang-up.
func (k *calling) run(ctx context.Context) (CallResult, error) {
	if err := k.clear(); err != nil {
		return k.result, fmt.Errorf("%w: %w", ErrNotCalled, err)
	}
	snd, err := k.openSound(ctx)
	if err != nil {
		return k.result, fmt.Errorf("%w: %w", ErrNotCalled, err)
	}
	k.result.Way = snd.way.Kind
	defer snd.close()
	k.listenForKeys()
	defer k.best(k.v.Keys.Off)

	err = k.dial(ctx)
	if errors.Is(err, line.ErrNotStarted) {
		return k.result, fmt.Errorf("%w: %w", ErrNotCalled, err)
	}
	if err == nil && !k.ended() && k.left == "" {
		err = snd.dialed()
	}
	if err == nil && k.left == "" {
		err = k.attend(ctx, snd)
	}
	// If we crash here the call goes on: the next bring-up ends it.
	err = errors.Join(err, k.hangUp())
	k.conclude(snd, err)
	k.m.o.Log.Info("call made", "modem", k.m.o.Name, "result", k.result)
	if err != nil {
		return k.result, fmt.Errorf("call: %w", err)
	}
	k.tell(ProgressEnded)
	return k.result, nil
}

// listenForKeys has the modem tell of keys.
func (k *calling) listenForKeys() {
	if cmd := k.v.Keys.On; cmd != "" {
		_, err := k.s.l.Do(k.s.ctx, line.Cmd{Text: cmd, Class: line.Call}, k.m.o.Timing.Step)
		k.deaf = err != nil
	}
}

func (k *calling) tell(p Progress) {
	if k.c.Progress != nil {
		k.c.Progress(p)
	}
}

// best gives a best-effort command, "" for none.
func (k *calling) best(cmd string) {
	if cmd != "" && k.h.lasts() {
		_, _ = k.s.l.Do(k.s.ctx, line.Cmd{Text: cmd, Class: line.Call, Answers: k.p.Answers[cmd]}, k.m.o.Timing.Step)
	}
}

// dial gives the number. Some modules answer at once, others when the call is answered: it may take as long as that. A refusal is no
// error of ours: the call is over before it began, and attend sees so.
func (k *calling) dial(ctx context.Context) error {
	k.dialed = time.Now()
	limited, cancel := context.WithTimeout(ctx, k.t.SetUp+k.t.Ring)
	defer cancel()
	k.m.update(func(st *Status) { st.InCall = true })
	k.tell(ProgressDialing)
	_, err := k.s.l.Do(limited, line.Cmd{Text: "D" + k.c.To + ";", Class: line.Call}, k.t.SetUp+k.t.Ring)
	var refused *line.ResultError
	switch {
	case errors.As(err, &refused):
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.refused = !callWords[refused.Words]; !k.refused {
			k.word = refused.Words
		}
		return nil
	case err == nil, errors.Is(err, line.ErrNotStarted):
		return err
	case ctx.Err() != nil:
		k.left = leftCtx
		return nil
	case errors.Is(err, line.ErrTimeout), limited.Err() != nil:
		k.left = leftRing
		k.heal()
		return nil
	}
	return err
}

// attend follows the call to its end, or to the moment when we end it.
func (k *calling) attend(ctx context.Context, snd *sound) error {
	talking, hush := context.WithCancel(context.Background())
	defer hush()
	watching, enough := context.WithCancel(ctx)
	defer enough()
	var said chan error // the script's end; nil before the answer
	defer func() {
		hush()
		if said != nil {
			<-said
		}
	}()
	poll := time.NewTimer(0)
	defer poll.Stop()
	for blind := 0; ; {
		select {
		case <-poll.C:
		case <-k.hint:
		case err := <-said:
			said = nil
			if k.left = leftSaid; err != nil {
				k.left = leftAudio
			}
			return err
		case <-ctx.Done():
			k.left = leftCtx
			return nil
		case <-k.s.ctx.Done():
			return errCallLost
		}
		poll.Reset(k.t.Poll)
		if k.lost() {
			return errCallLost
		}
		// A look may have to wait behind a text that is on air, for minutes: not longer than there is something to look for.
		looking, seen := context.WithDeadline(watching, k.latest())
		calls, err := k.s.voiceCalls(looking)
		given := looking.Err() != nil
		seen()
		var refused *line.ResultError
		switch {
		case given:
		case errors.As(err, &refused):
			if blind++; blind >= blindLooks {
				k.left = leftBlind
				return fmt.Errorf("list calls: %w", err)
			}
			continue
		case err != nil:
			k.heal()
		default:
			blind = 0
			if ringing(calls) {
				k.best("+CHLD=0") // user busy, for the one who waits: +CHUP would end our call
			}
			if k.step(calls) {
				k.after = time.Since(k.dialed)
				if k.s.catchUp(); k.lost() { // of course there is no call: it has just started
					return errCallLost
				}
				return nil
			}
			if k.result.Answered && said == nil {
				said = make(chan error, 1)
				go func() {
					said <- k.talk(talking, snd)
					enough()
				}()
			}
		}
		if k.late() {
			return nil
		}
	}
}

// lost says that the modem went away, or started anew, since we dialed.
func (k *calling) lost() bool {
	return !k.h.lasts() || k.s.ctx.Err() != nil || k.s.starts.Load() != k.starts
}

// heal has the session prove that its line is clean again.
func (k *calling) heal() {
	if k.s.l.Dirty() {
		signal(k.s.kick)
	}
}

// step takes note of what +CLCC says; true says that the call is over.
func (k *calling) step(calls []listed) bool {
	stat, there := outgoing(calls, k.c.To)
	since := time.Since(k.dialed)
	if !there {
		return k.result.Rang || k.result.Answered || since > listTime || k.ended()
	}
	if stat == callAlerting && !k.result.Rang {
		k.result.Rang, k.result.RangAfter = true, since
		k.tell(ProgressAlerting)
	}
	if (stat == callActive || stat == callHeld) && !k.result.Answered {
		k.result.Answered, k.result.AnsweredAfter = true, since
		k.tell(ProgressAnswered)
	}
	return false
}

// ended says that the modem told of the end: only then may a call that was never listed be over.
func (k *calling) ended() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refused || k.word != "" || k.cause != 0
}

// latest is when the state that the call is in is over at the latest.
func (k *calling) latest() time.Time {
	if k.result.Answered {
		return k.dialed.Add(k.result.AnsweredAfter + k.t.Talk)
	}
	return k.dialed.Add(k.t.SetUp + k.t.Ring)
}

// late says that a time is over, and which.
func (k *calling) late() bool {
	since := time.Since(k.dialed)
	switch {
	case k.result.Answered:
		if since-k.result.AnsweredAfter >= k.t.Talk {
			k.left = leftTalk
		}
	case k.result.Rang && since-k.result.RangAfter >= k.t.Ring:
		k.left = leftRing
	case !k.result.Rang && since >= k.t.SetUp:
		k.left = leftSetUp
	}
	return k.left != ""
}

// talk opens the audio and says the script.
func (k *calling) talk(ctx context.Context, snd *sound) error {
	if err := snd.begin(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pressed, done := make(chan byte), make(chan struct{})
	go func() { // tells of the first key while the script goes on
		defer close(done)
		for first := true; ; first = false {
			select {
			case key := <-k.keys.C():
				if first {
					k.tell(ProgressPressed)
				}
				select {
				case pressed <- key:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	talk, err := k.c.Script.Run(ctx, snd.player, pressed)
	stop()
	<-done
	k.result.Talk = talk // attend waits for us before it is read
	return err
}
