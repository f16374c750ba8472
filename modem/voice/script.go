package voice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Script is what one call says. Nothing personal and no digit is said before somebody pressed a key: a network's announcement and a
// voicemail are "answered" as well (reference 6.1). Empty clips are left out.
type Script struct {
	// Prompt says who calls, by what number they can be called, and what the keys are for. It must be the same in every call of one
	// language.
	Prompt Clip
	// NoKey is said, once, when no key came: mostly to a voicemail. It must be as impersonal as Prompt.
	NoKey Clip

	Intro   Clip   // before the code: "your code is"; without Digits it is all that the key was pressed for, said once
	Digits  []Clip // the code, one clip each, said twice
	Again   Clip   // between the two: "once more"
	Closing Clip   // after the code; the hospital's number once more

	// NotMe is said when the person pressed the key for "I did not ask for this".
	NotMe Clip

	Hear, Deny byte // the keys; '1' and '9' if 0

	// The rest are pauses; 0 is the default named here, less is none.
	Repeats int           // 2: how often Prompt is said again
	KeyWait time.Duration // 20 s after each Prompt: a relay operator for deaf people needs them
	Lead    time.Duration // 500 ms of silence before anything is said
	Gap     time.Duration // 300 ms between two digits, and as much more behind each third
	Pause   time.Duration // 1.5 s before the code is said again
	Tail    time.Duration // 500 ms of silence behind the last word, which a hang-up would cut off on its way
}

// rounds is how often the code is said.
const rounds = 2

func (s Script) withDefaults() Script {
	if s.Hear == 0 {
		s.Hear = '1'
	}
	if s.Deny == 0 {
		s.Deny = '9'
	}
	if s.Repeats == 0 {
		s.Repeats = 2
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&s.KeyWait, 20 * time.Second}, {&s.Lead, 500 * time.Millisecond}, {&s.Gap, 300 * time.Millisecond}, {&s.Pause, 1500 * time.Millisecond}, {&s.Tail, 500 * time.Millisecond},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return s
}

// Clips are all that the script may say, each once for each place that it has.
func (s Script) Clips() []Clip {
	all := append([]Clip{s.Prompt, s.NoKey, s.Intro}, s.Digits...)
	out := make([]Clip, 0, len(all)+3)
	for _, c := range append(all, s.Again, s.Closing, s.NotMe) {
		if !c.Empty() {
			out = append(out, c)
		}
	}
	return out
}

// String shows nothing of what is said.
func (s Script) String() string { return fmt.Sprintf("script with %d digits", len(s.Digits)) }

// GoString shows nothing of what is said.
func (s Script) GoString() string { return s.String() }

// LogValue shows nothing of what is said.
func (s Script) LogValue() slog.Value { return slog.StringValue("script") }

// Talk is how far a script came. "Said" means given to the modem to its end; the last tenth of a second of it may not have been heard.
type Talk struct {
	Key     byte // Script.Hear or Script.Deny, the last one that was pressed; 0 for none
	Prompts int  // times that Prompt was said whole
	Digits  int  // digits said, of both rounds
	Rounds  int  // times that the whole code was said, or what stands for it in a script without one
	Done    bool // the script came to its own end; false: the call ended before
}

// Heard says that what the key was pressed for was said whole at least once.
func (t Talk) Heard() bool { return t.Rounds > 0 }

// Run says the script until its end or ctx's, which is the end of the call and no error. keys gives the keys that the person presses;
// those that the script does not know are passed over. The error is the player's.
func (s Script) Run(ctx context.Context, p Player, keys <-chan byte) (Talk, error) {
	r := &telling{Script: s.withDefaults(), p: p, keys: keys}
	err := r.tell(ctx)
	switch {
	case ctx.Err() != nil:
		return r.talk, nil
	case err != nil:
		return r.talk, fmt.Errorf("say prompt: %w", err)
	}
	r.talk.Done = true
	return r.talk, nil
}

// telling is one run of a Script.
type telling struct {
	Script
	p    Player
	keys <-chan byte
	talk Talk
}

// errKey ends what is being said because a key was pressed that changes what comes next.
var errKey = errors.New("a key was pressed")

func (r *telling) tell(ctx context.Context) error {
	err := r.gate(ctx)
	if errors.Is(err, errKey) && r.talk.Key == r.Hear {
		err = r.code(ctx)
	}
	if errors.Is(err, errKey) { // only Deny can end the code
		err = r.finish(ctx, r.NotMe)
	}
	if err != nil {
		return err
	}
	denied := r.talk.Key == r.Deny
	if err := r.wait(ctx, r.Tail); !errors.Is(err, errKey) || denied {
		return ctx.Err()
	}
	return r.finish(ctx, r.NotMe) // denied in the last moment
}

// gate repeats the prompt until a key comes: then it returns errKey.
func (r *telling) gate(ctx context.Context) error {
	if err := r.wait(ctx, r.Lead); err != nil {
		return err
	}
	for i := 0; i <= max(r.Repeats, 0); i++ {
		if err := r.say(ctx, r.Prompt); err != nil {
			return err
		}
		r.talk.Prompts++
		if err := r.wait(ctx, r.KeyWait); err != nil {
			return err
		}
	}
	return r.say(ctx, r.NoKey)
}

// code says the code. A person who denies it now ends it.
func (r *telling) code(ctx context.Context) error {
	if err := r.say(ctx, r.Intro); err != nil {
		return err
	}
	if len(r.Digits) == 0 {
		r.talk.Rounds++
		if err := r.wait(ctx, r.Pause); err != nil {
			return err
		}
		return r.say(ctx, r.Closing)
	}
	for round := range rounds {
		if round > 0 {
			if err := r.wait(ctx, r.Pause); err != nil {
				return err
			}
			if err := r.say(ctx, r.Again); err != nil {
				return err
			}
		}
		for i, d := range r.Digits {
			gap := r.Gap
			switch {
			case i == 0:
				gap = 0
			case i%3 == 0:
				gap *= 2
			}
			if err := r.wait(ctx, gap); err != nil {
				return err
			}
			if err := r.say(ctx, d); err != nil {
				return err
			}
			r.talk.Digits++
		}
		r.talk.Rounds++
	}
	if err := r.wait(ctx, r.Pause); err != nil {
		return err
	}
	return r.say(ctx, r.Closing)
}

// finish says the last words, whatever is pressed.
func (r *telling) finish(ctx context.Context, c Clip) error {
	if c.Empty() {
		return nil
	}
	return r.p.Play(ctx, c)
}

// counts takes a key: Deny always counts, Hear only before the code.
func (r *telling) counts(k byte) bool {
	if k != r.Deny && (k != r.Hear || r.talk.Key != 0) {
		return false
	}
	r.talk.Key = k
	return true
}

// say plays a clip; a key that counts stops it.
func (r *telling) say(ctx context.Context, c Clip) error {
	if c.Empty() {
		return ctx.Err()
	}
	playing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	said := make(chan error, 1)
	go func() { said <- r.p.Play(playing, c) }() // say waits for it in each case
	for {
		select {
		case err := <-said:
			return err
		case k := <-r.keys:
			if !r.counts(k) {
				continue
			}
			stop(errKey)
			if err := <-said; err != nil && !errors.Is(err, errKey) {
				return err
			}
			return errKey
		}
	}
}

// wait is silence; a key that counts ends it.
func (r *telling) wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return ctx.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		case k := <-r.keys:
			if r.counts(k) {
				return errKey
			}
		}
	}
}
