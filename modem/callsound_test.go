package modem

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pinward/modem/modemsim"
	"pinward/modem/voice"
)

// SIM7600: CPCMREG=1 is tried again while it is refused (callpilot#121); a module that goes on refusing ends the call without a word, and
// is restarted, which is the only cure.
func TestAudioThatDoesNotStart(t *testing.T) {
	inWorld(t, setup{sim: modemsim.ModemOptions{Profile: "sim7600"}}, func(w *world) {
		w.ready()
		w.phone(answersAndPresses("1"))
		w.faults(modemsim.Faults{AudioRefused: 6})
		w.dial(CallConfirmed)
		if _, said := w.lastCall(); said != confirmed(1) {
			w.t.Errorf("heard %q", said)
		}
		w.faults(modemsim.Faults{AudioRefused: 1000})
		start := time.Now()
		r, err := w.m.Dial(context.Background(), Call{To: patient, Script: script()})
		if err == nil || errors.Is(err, ErrNotCalled) || r.Outcome != CallAnswered || r.Talk.Prompts != 0 {
			w.t.Fatalf("%v, %v", r, err)
		}
		if took := time.Since(start); took > 20*time.Second {
			w.t.Errorf("took %v", took)
		}
		w.faults(modemsim.Faults{})
		w.until("restarting", time.Minute, func(s Status) bool { return s.Resets == 1 })
		w.ready()
		w.dial(CallConfirmed)
	})
}

// A PCM port that cannot be had leaves the module's own ways: WAV files, given before the call and deleted after it.
func TestCallByFiles(t *testing.T) {
	for _, profile := range []string{"ec25", "sim7600"} {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}, options: Options{Audio: noPort}}, func(w *world) {
				if st := w.ready(); st.Audio != "file, tts" || st.Voice == VoiceNone {
					w.t.Fatalf("%q, %q", st.Voice, st.Audio)
				}
				w.phone(answersAndPresses("1"))
				if r := w.dial(CallConfirmed); r.Way != wayFile || !r.Talk.Heard() {
					w.t.Fatalf("%+v", r)
				}
				if _, said := w.lastCall(); said != confirmed(1) {
					w.t.Errorf("heard %q", said)
				}
				if left := w.sim.Files(); len(left) != 0 {
					w.t.Errorf("left in the module: %v", left)
				}
				// The end of a file that is not told of costs time, and nothing else.
				w.faults(modemsim.Faults{PlayHangs: true})
				w.phone(modemsim.HandsetChange{HangsUp: new(modemsim.Duration(40 * time.Second))})
				if r := w.dial(CallConfirmed); r.Talk.Digits == 0 {
					w.t.Errorf("%+v", r.Talk)
				}
				// Pulled in mid-call: what is in the module then is deleted at the next bring-up.
				w.faults(modemsim.Faults{UnplugInCall: modemsim.Duration(5 * time.Second)})
				if r, err := w.m.Dial(context.Background(), Call{To: patient, Script: script()}); err == nil {
					w.t.Fatalf("%v", r)
				}
				if len(w.sim.Files()) == 0 {
					w.t.Fatal("nothing to sweep")
				}
				w.faults(modemsim.Faults{})
				time.Sleep(10 * time.Second)
				w.ready()
				if left := w.sim.Files(); len(left) != 0 {
					w.t.Errorf("left in the module after the next start: %v", left)
				}
			})
		})
	}
}

// Where there is no sound, only words, the module says them: in ASCII, or as UCS2.
func TestCallBySpeech(t *testing.T) {
	for _, profile := range []string{"ec25", "sim7600"} {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
				w.ready()
				w.phone(answersAndPresses("1"))
				say := func(words string) voice.Clip { return voice.Clip{Text: words} }
				s := voice.Script{Prompt: say(`St. Mary; press "1"`), Intro: say("Код"), Digits: []voice.Clip{say("4"), say("8")}, Closing: say("bye")}
				r, err := w.m.Dial(context.Background(), Call{To: patient, Script: s})
				if err != nil || r.Outcome != CallConfirmed || r.Way != wayTTS || r.Talk.Rounds != 2 {
					w.t.Fatalf("%+v, %v\n%s", r, err, w.tail())
				}
				if got := strings.Join(w.sim.Spoken(), "|"); got != "St. Mary  press  1 |Код|4|8|4|8|bye" {
					w.t.Errorf("said %q", got)
				}
				// A key stops it in the middle of a word.
				w.phone(modemsim.HandsetChange{PressAfter: new(modemsim.Duration(1500 * time.Millisecond)), Presses: new("9")})
				s.Prompt, s.NotMe = say(strings.Repeat("long ", 60)), say("sorry")
				start := time.Now()
				if r, err = w.m.Dial(context.Background(), Call{To: patient, Script: s}); err != nil || r.Outcome != CallDeclined || r.Talk.Prompts != 0 {
					w.t.Fatalf("%+v, %v", r, err)
				}
				if took := time.Since(start); took > 12*time.Second {
					w.t.Errorf("took %v", took)
				}
				// What it cannot say is no call.
				s.Prompt = say(strings.Repeat("long ", 300))
				if _, err = w.m.Dial(context.Background(), Call{To: patient, Script: s}); !errors.Is(err, ErrNotCalled) {
					w.t.Errorf("too long: %v", err)
				}
			})
		})
	}
}

// A module that takes no sound for a while: time is lost, counted, and never a sample; one that asks to wait is waited for.
func TestBackPressure(t *testing.T) {
	inWorld(t, setup{sim: modemsim.ModemOptions{Profile: "ec25"}}, func(w *world) {
		w.ready()
		w.phone(answersAndPresses("1"))
		w.faults(modemsim.Faults{AudioPause: modemsim.Duration(1500 * time.Millisecond)})
		r := w.dial(CallConfirmed)
		if _, said := w.lastCall(); said != "intro "+spelled()+" again "+spelled()+" closing" && said != confirmed(1) {
			w.t.Errorf("paused: heard %q", said)
		}
		if r.Audio.Held < 70 || r.Audio.Held > 80 {
			w.t.Errorf("paused: %+v", r.Audio)
		}
		w.faults(modemsim.Faults{})
		stalled := w.inCall(6*time.Second, func() {
			w.faults(modemsim.Faults{AudioStuck: true})
			time.Sleep(1500 * time.Millisecond)
			w.faults(modemsim.Faults{})
		})
		r = w.dial(CallConfirmed)
		<-stalled
		if r.Audio.Underruns < 40 {
			w.t.Errorf("stalled: %+v", r.Audio)
		}
		if p := w.sim.Pacing(); p.Starved < modemsim.Duration(time.Second) {
			w.t.Errorf("the callee heard a hole of %v", time.Duration(p.Starved))
		}
	})
}

// A PCM port that breaks in mid-call ends it: nobody is left listening to nothing.
func TestAudioPortBreaksInMidCall(t *testing.T) {
	var port atomic.Pointer[io.ReadWriteCloser]
	var sim *modemsim.Modem
	s := setup{sim: modemsim.ModemOptions{Profile: "ec25"}}
	s.options.Audio = func(context.Context) (io.ReadWriteCloser, error) {
		c, err := sim.AudioPipe()
		if err != nil {
			return nil, err
		}
		var rw io.ReadWriteCloser = c
		port.Store(&rw)
		return rw, nil
	}
	s.before = func(w *world) { sim = w.sim }
	inWorld(t, s, func(w *world) {
		w.ready()
		w.phone(answersAndPresses("1"))
		broken := w.inCall(3*time.Second, func() { (*port.Load()).Close() })
		r, err := w.m.Dial(context.Background(), Call{To: patient, Script: script()})
		<-broken
		if err == nil || errors.Is(err, ErrNotCalled) || r.Outcome == "" || r.Talk.Done || w.sim.InCall() >= 0 {
			w.t.Fatalf("%v, %v", r, err)
		}
		w.dial(CallConfirmed)
	})
}

// Keys that the module does not tell of are heard; each press counts once, however it is told (reference 6.4).
func TestKeysByEachWay(t *testing.T) {
	for name, c := range map[string]struct {
		profile string
		faults  modemsim.Faults
		want    Outcome
	}{
		"codes, ec25":          {"ec25", modemsim.Faults{}, CallConfirmed},
		"codes, sim7600":       {"sim7600", modemsim.Faults{}, CallConfirmed},
		"codes, e173":          {"e173", modemsim.Faults{}, CallConfirmed},
		"tones alone, e173":    {"e173", modemsim.Faults{NoKeyURC: true}, CallConfirmed},
		"tones alone, sim7600": {"sim7600", modemsim.Faults{NoKeyURC: true}, CallConfirmed},
		"told twice":           {"sim7600", modemsim.Faults{KeyTwice: true}, CallConfirmed},
		"codes alone":          {"e173", modemsim.Faults{AudioMute: true}, CallConfirmed},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: c.profile}, faults: c.faults}, func(w *world) {
				w.ready()
				w.phone(answersAndPresses("1"))
				w.dial(c.want)
				if _, said := w.lastCall(); said != confirmed(1) {
					w.t.Errorf("heard %q", said)
				}
			})
		})
	}
	// A module that refuses to tell of keys is listened to, whatever its profile says.
	var s setup
	s.sim.Profile, s.faults.NoKeyURC, s.faults.RefuseCommand = "ec25", true, "+QTONEDET"
	inWorld(t, s, func(w *world) {
		w.ready()
		w.phone(answersAndPresses("1"))
		w.dial(CallConfirmed)
	})
}

// What a module says of itself at bring-up: how it calls, and its ways to play, as far as they work.
func TestCapabilityRecord(t *testing.T) {
	for name, c := range map[string]struct {
		s     setup
		voice Voice
		audio string
	}{
		"ec25":               {setup{sim: modemsim.ModemOptions{Profile: "ec25"}}, VoiceCSFB, "pcm, file, tts"},
		"ec25, IMS":          {setup{sim: modemsim.ModemOptions{Profile: "ec25"}, options: Options{Settings: Settings{IMS: IMSOn}}}, VoiceVoLTE, "pcm, file, tts"},
		"ec25 without TTS":   {setup{sim: modemsim.ModemOptions{Profile: "ec25"}, faults: modemsim.Faults{RefuseCommand: "+QWTTS"}}, VoiceCSFB, "pcm, file"},
		"ec25 without port":  {setup{sim: modemsim.ModemOptions{Profile: "ec25"}, noAudio: true}, VoiceCSFB, "file, tts"},
		"sim7600":            {setup{sim: modemsim.ModemOptions{Profile: "sim7600"}}, VoiceVoLTE, "pcm, file, tts"},
		"e173":               {setup{sim: modemsim.ModemOptions{Profile: "e173"}}, VoiceCSFB, "pcm"},
		"e173, voice locked": {setup{sim: modemsim.ModemOptions{Profile: "e173"}, faults: modemsim.Faults{RefuseCommand: "^CVOICE"}}, VoiceCSFB, ""},
		"generic":            {setup{sim: modemsim.ModemOptions{Profile: "generic"}}, VoiceNone, ""},
		"le910":              {setup{sim: modemsim.ModemOptions{Profile: "le910"}}, VoiceNone, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, c.s, func(w *world) {
				w.ready()
				time.Sleep(2 * time.Minute)
				if st := w.ready(); st.Voice != c.voice || st.Audio != c.audio || st.CanCall() != (c.voice != VoiceNone && c.audio != "") {
					w.t.Errorf("voice %q, audio %q", st.Voice, st.Audio)
				}
			})
		})
	}
	answers := map[string]string{"+CGMI": "SIMCOM INCORPORATED|OK", "+CGMM": "SIM7670G|OK", "+CTTS=?": "OK", "+CLCC": "OK"}
	onFake(t, answers, Options{}, func(f *fake, w *world) {
		if st := w.ready(); st.Profile != "simcom-sim7600" || st.Voice != VoiceNone || st.Audio != "" || f.count("+CTTS=?") != 0 {
			w.t.Errorf("SIM7670G: %q %q %q", st.Profile, st.Voice, st.Audio)
		}
	})
}
