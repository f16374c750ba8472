package voice

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stage is a Player that notes what was said to its end, and when it began; a clip's Text is its name.
type stage struct {
	start time.Time
	log   []string
	fail  map[string]error
}

func (s *stage) Play(ctx context.Context, c Clip) error {
	if err := s.fail[c.Text]; err != nil {
		return err
	}
	at := time.Since(s.start)
	t := time.NewTimer(c.Duration())
	defer t.Stop()
	select {
	case <-t.C:
		s.log = append(s.log, fmt.Sprintf("%s@%v", c.Text, at))
		return nil
	case <-ctx.Done():
		s.log = append(s.log, fmt.Sprintf("%s@%v cut", c.Text, at))
		return context.Cause(ctx)
	}
}

func named(name string, d time.Duration) Clip {
	return Clip{PCM: make([]byte, 2*samplesIn(d)), Text: name}
}

func play() Script {
	s := Script{
		Prompt: named("prompt", 4*time.Second), NoKey: named("nokey", 3*time.Second), Intro: named("intro", time.Second),
		Again: named("again", time.Second), Closing: named("closing", 2*time.Second), NotMe: named("notme", time.Second),
	}
	for _, d := range "4829" {
		s.Digits = append(s.Digits, named(string(d), 400*time.Millisecond))
	}
	return s
}

// press is a key at a time.
type pressed struct {
	after time.Duration
	key   byte
}

// act runs a script with keys, for at most d.
func act(t *testing.T, s Script, d time.Duration, keys ...pressed) (talk Talk, said string, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		st := &stage{start: time.Now()}
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		c := make(chan byte)
		go func() {
			for _, k := range keys {
				select {
				case <-time.After(k.after - time.Since(st.start)):
				case <-ctx.Done():
					return
				}
				select {
				case c <- k.key:
				case <-ctx.Done():
					return
				}
			}
		}()
		var err error
		if talk, err = s.Run(ctx, st, c); err != nil {
			t.Error(err)
		}
		took = time.Since(st.start)
		cancel()
		synctest.Wait()
		said = strings.Join(st.log, " ")
	})
	return talk, said, took
}

const code1 = "intro@3s 4@4s 8@4.7s 2@5.4s 9@6.4s again@8.3s 4@9.3s 8@10s 2@10.7s 9@11.7s closing@13.6s"

// Each course that a call can take, to the millisecond.
func TestScriptCourses(t *testing.T) {
	for name, c := range map[string]struct {
		keys []pressed
		d    time.Duration
		want Talk
		said string
		took time.Duration
	}{
		"nobody presses": {nil, time.Hour, Talk{Prompts: 3, Done: true}, "prompt@500ms prompt@24.5s prompt@48.5s nokey@1m12.5s", 76 * time.Second},
		"1 in the prompt": {[]pressed{{3 * time.Second, '1'}}, time.Hour, Talk{Key: '1', Digits: 8, Rounds: 2, Done: true},
			"prompt@500ms cut " + code1, 16100 * time.Millisecond},
		"1 a moment before the last prompt ends to count": {[]pressed{{72499 * time.Millisecond, '1'}}, 74 * time.Second, Talk{Key: '1', Prompts: 3, Digits: 1},
			"prompt@500ms prompt@24.5s prompt@48.5s intro@1m12.499s 4@1m13.499s", 0},
		"1 in the last words":    {[]pressed{{73 * time.Second, '1'}}, time.Hour, Talk{Key: '1', Prompts: 3, Digits: 8, Rounds: 2, Done: true}, "", 0},
		"9 at once":              {[]pressed{{100 * time.Millisecond, '9'}}, time.Hour, Talk{Key: '9', Done: true}, "notme@100ms", 1600 * time.Millisecond},
		"9 while it waits":       {[]pressed{{10 * time.Second, '9'}}, time.Hour, Talk{Key: '9', Prompts: 1, Done: true}, "prompt@500ms notme@10s", 11500 * time.Millisecond},
		"9 in the code":          {[]pressed{{3 * time.Second, '1'}, {5 * time.Second, '9'}}, time.Hour, Talk{Key: '9', Digits: 1, Done: true}, "prompt@500ms cut intro@3s 4@4s 8@4.7s cut notme@5s", 6500 * time.Millisecond},
		"9 in the last moment":   {[]pressed{{3 * time.Second, '1'}, {15900 * time.Millisecond, '9'}}, time.Hour, Talk{Key: '9', Digits: 8, Rounds: 2, Done: true}, "", 16900 * time.Millisecond},
		"other keys":             {[]pressed{{time.Second, '5'}, {2 * time.Second, '#'}, {3 * time.Second, '1'}, {5 * time.Second, '1'}, {6 * time.Second, '0'}}, time.Hour, Talk{Key: '1', Digits: 8, Rounds: 2, Done: true}, "prompt@500ms cut " + code1, 0},
		"hangs up in the prompt": {nil, 2 * time.Second, Talk{}, "prompt@500ms cut", 2 * time.Second},
		"hangs up in the code":   {[]pressed{{3 * time.Second, '1'}}, 5 * time.Second, Talk{Key: '1', Digits: 1}, "prompt@500ms cut intro@3s 4@4s 8@4.7s cut", 5 * time.Second},
		"hangs up after a round": {[]pressed{{3 * time.Second, '1'}}, 7 * time.Second, Talk{Key: '1', Digits: 4, Rounds: 1}, "", 7 * time.Second},
		"hangs up in a pause":    {nil, 10 * time.Second, Talk{Prompts: 1}, "prompt@500ms", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			talk, said, took := act(t, play(), c.d, c.keys...)
			if talk != c.want || c.said != "" && said != c.said || c.took != 0 && took != c.took {
				t.Errorf("%+v after %v\n%s", talk, took, said)
			}
		})
	}
}

// Before a key there is no digit and nothing that differs between two calls, whatever is pressed and whenever it ends.
func TestScriptSaysNothingPersonalBeforeAKey(t *testing.T) {
	for ms := 0; ms < 80_000; ms += 777 {
		talk, said, _ := act(t, play(), time.Duration(ms)*time.Millisecond, pressed{time.Duration(ms) / 2 * time.Millisecond, '5'})
		for _, word := range strings.Fields(said) {
			if !strings.HasPrefix(word, "prompt@") && !strings.HasPrefix(word, "nokey@") && word != "cut" {
				t.Fatalf("after %d ms without a key: %s", ms, said)
			}
		}
		if talk.Key != 0 || talk.Digits != 0 {
			t.Fatalf("%+v", talk)
		}
	}
}

// A script without digits says once what the key was pressed for, and that counts as heard.
func TestScriptWithoutDigits(t *testing.T) {
	s := play()
	s.Digits = nil
	if talk, said, _ := act(t, s, time.Hour, pressed{3 * time.Second, '1'}); said != "prompt@500ms cut intro@3s closing@5.5s" || !talk.Heard() || !talk.Done {
		t.Errorf("%s, %+v", said, talk)
	}
	if talk, _, _ := act(t, s, 3500*time.Millisecond, pressed{3 * time.Second, '1'}); talk.Heard() {
		t.Errorf("hung up before it was said: %+v", talk)
	}
}

func TestScriptSettings(t *testing.T) {
	s := play()
	s.Repeats, s.KeyWait, s.Lead, s.Gap, s.Pause, s.Tail = -1, time.Second, -1, 600*time.Millisecond, -1, -1
	s.Hear, s.Deny = '5', '0'
	s.Again, s.Closing = Clip{}, Clip{}
	if talk, said, took := act(t, s, time.Hour); said != "prompt@0s nokey@5s" || took != 8*time.Second || !talk.Done {
		t.Errorf("%s, %v", said, took)
	}
	if talk, said, _ := act(t, s, time.Hour, pressed{time.Second, '1'}, pressed{2 * time.Second, '5'}); talk.Key != '5' || !talk.Heard() ||
		!strings.HasSuffix(said, "intro@2s 4@3s 8@4s 2@5s 9@6.6s 4@7s 8@8s 2@9s 9@10.6s") {
		t.Errorf("%+v %s", talk, said)
	}
	if talk, said, _ := act(t, s, time.Hour, pressed{time.Second, '0'}); talk.Key != '0' || said != "prompt@0s cut notme@1s" {
		t.Errorf("%+v %s", talk, said)
	}
	// A notice: no digits; a key to hear it again, another to get no more.
	n := Script{Prompt: named("notice", time.Second), Intro: named("notice again", time.Second), NotMe: named("no more", time.Second)}
	if talk, said, _ := act(t, n, time.Hour, pressed{3 * time.Second, '1'}); said != "notice@500ms notice again@3s" || talk.Rounds != 1 || !talk.Done {
		t.Errorf("%+v %s", talk, said)
	}
	if c := play().Clips(); len(c) != 10 {
		t.Errorf("%d clips", len(c))
	}
}

// A player that fails ends the script with its error; so does one that fails while it is being stopped.
func TestScriptPlayerFails(t *testing.T) {
	broken := errors.New("no audio")
	for _, name := range []string{"prompt", "nokey", "intro", "8", "again", "closing", "notme"} {
		synctest.Test(t, func(t *testing.T) {
			s := play()
			keys := make(chan byte, 2)
			if name != "nokey" && name != "prompt" {
				keys <- '1'
			}
			if name == "notme" {
				keys <- '9'
			}
			talk, err := s.Run(context.Background(), &stage{start: time.Now(), fail: map[string]error{name: broken}}, keys)
			if !errors.Is(err, broken) || talk.Done {
				t.Errorf("%s: %+v, %v", name, talk, err)
			}
		})
	}
}
