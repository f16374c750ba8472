package modem

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/modem/modemsim"
	"pinward/modem/voice"
)

// callProfiles are the simulator's profiles that can call.
var callProfiles = []string{"ec25", "sim7600", "e173"}

// code is what the calls of the tests say.
const code = "482917"

// sound is a clip that can be found again in a recording, sample by sample: noise of its own.
func clip(name string, d time.Duration) voice.Clip {
	seed := uint64(0)
	for _, c := range []byte(name) {
		seed = seed*131 + uint64(c)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	pcm := make([]byte, 0, int(d/time.Millisecond)*16)
	for range d * voice.SampleRate / time.Second {
		v := int16(200 + rng.IntN(3000))
		if rng.IntN(2) == 0 {
			v = -v
		}
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(v))
	}
	return voice.Clip{PCM: pcm, Text: "the " + name}
}

// clips are all that a call of the tests may say, by name. hurry makes them shorter.
func clips(hurry time.Duration) map[string]voice.Clip {
	out := map[string]voice.Clip{"prompt": clip("prompt", 2*time.Second/hurry)}
	for _, name := range []string{"nokey", "intro", "again", "closing", "notme"} {
		out[name] = clip(name, 700*time.Millisecond/hurry)
	}
	for d := '0'; d <= '9'; d++ {
		out[string(d)] = clip(string(d), 350*time.Millisecond/hurry)
	}
	return out
}

func script() voice.Script { return scriptOf(clips(1)) }

func scriptOf(c map[string]voice.Clip) voice.Script {
	s := voice.Script{Prompt: c["prompt"], NoKey: c["nokey"], Intro: c["intro"], Again: c["again"], Closing: c["closing"], NotMe: c["notme"]}
	for _, d := range code {
		s.Digits = append(s.Digits, c[string(d)])
	}
	return s
}

// heard finds the clips in a recording, in their order.
func heard(t *testing.T, wav []byte, said map[string]voice.Clip) string {
	t.Helper()
	if len(wav) < 44 || string(wav[:4]) != "RIFF" || binary.LittleEndian.Uint32(wav[24:]) != voice.SampleRate || binary.LittleEndian.Uint16(wav[34:]) != 16 {
		t.Fatalf("no recording: %d octets", len(wav))
	}
	type found struct {
		at   int
		name string
	}
	var all []found
	for name, c := range said {
		for at := 44; ; {
			i := bytes.Index(wav[at:], c.PCM)
			if i < 0 {
				break
			}
			all = append(all, found{at + i, name})
			at += i + len(c.PCM)
		}
	}
	slices.SortFunc(all, func(a, b found) int { return a.at - b.at })
	var names []string
	for _, f := range all {
		names = append(names, f.name)
	}
	return strings.Join(names, " ")
}

// spelled is the code as heard finds it.
func spelled() string { return strings.Join(strings.Split(code, ""), " ") }

// all is a whole call that was confirmed after n prompts.
func confirmed(prompts int) string {
	return strings.Repeat("prompt ", prompts) + "intro " + spelled() + " again " + spelled() + " closing"
}

// phone sets how the patient's handset behaves.
func (w *world) phone(c modemsim.HandsetChange) {
	w.t.Helper()
	if err := w.net.Handset(patient).Set(c); err != nil {
		w.t.Fatal(err)
	}
}

func answersAndPresses(keys string) modemsim.HandsetChange {
	return modemsim.HandsetChange{Answers: new(true), Presses: &keys}
}

// dial calls the patient and wants that outcome.
func (w *world) dial(want Outcome) CallResult {
	w.t.Helper()
	r, err := w.m.Dial(context.Background(), Call{To: patient, Script: script()})
	if err != nil || r.Outcome != want {
		w.t.Fatalf("%v (cause %d), %v; want %v\n%s", r, r.Cause, err, want, w.tail())
	}
	return r
}

// tail is the end of the conversation.
func (w *world) tail() string {
	var b strings.Builder
	for _, l := range w.m.Tail() {
		fmt.Fprintf(&b, "%s %v %s\n", l.At.Format("15:04:05.000"), l.Out, l.Text)
	}
	return b.String()
}

// lastCall is the patient's last call, and what was heard in it.
func (w *world) lastCall() (modemsim.Call, string) {
	w.t.Helper()
	calls := w.net.Handset(patient).Calls()
	if len(calls) == 0 {
		w.t.Fatalf("no call was recorded\n%s", w.tail())
	}
	c := calls[len(calls)-1]
	if c.WAV == "" {
		return c, ""
	}
	return c, heard(w.t, w.net.Recording(c.WAV), clips(1))
}

// noCall checks that the modem is in no call, and works.
func (w *world) noCall() {
	w.t.Helper()
	w.until("free", time.Minute, func(s Status) bool { return s.Ready && !s.InCall })
	if _, err := w.m.Send(context.Background(), w.encodeTo(other, "after the call")); err != nil {
		w.t.Fatalf("send: %v\n%s", err, w.tail())
	}
	if e := w.event(time.Minute); e.Report == nil {
		w.t.Fatal("no report")
	}
}

// onCall runs f with each kind of modem that can call.
func onCall(t *testing.T, s setup, f func(w *world)) {
	for _, profile := range callProfiles {
		t.Run(profile, func(t *testing.T) {
			s.sim.Profile = profile
			inWorld(t, s, func(w *world) {
				w.ready()
				f(w)
				w.noCall()
			})
		})
	}
}

// errNoPort is a PCM port that cannot be opened.
var errNoPort = errors.New("no port")

func noPort(context.Context) (io.ReadWriteCloser, error) { return nil, errNoPort }
