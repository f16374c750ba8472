package daemon

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/daemon/outbox"
	"pinward/modem/voice"
)

// compose puts together what a call says; it is the only place that does. Nothing but the hospital's name, what the
// keys are for and the hospital's own number comes before a key: a voicemail, a screening phone and a network's
// announcement are "answered" as well (modem reference 6.1). Prompt and NoKey are the same words in every call of one
// kind and language.
//
// Each way that a call can end by itself tells the hospital's number first, the unconfirmed one too: who finds the call
// on a voicemail, or was too slow for the key, has to know whom to ring, and the SIM's number rings nobody. It is the
// site's, the same for everybody, and printed in each text: a digit of it tells nothing of a code. Where no key came it
// is said first, as voicemails stop listening after a minute or two.
func compose(r *recordings, say outbox.Spoken) (voice.Script, error) {
	pack := r.first(say.Langs)
	if pack == nil {
		return voice.Script{}, fmt.Errorf("no language has the hospital's name recorded")
	}
	c := clips{pack: pack}
	switch say.Say {
	case outbox.SayNotice:
		return c.notice(say)
	case outbox.SayTest:
		return c.test(say)
	}
	return c.code(say)
}

// notice is a call to who cannot be texted. It names nobody and nothing, so it is said before a key as well.
func (c *clips) notice(say outbox.Spoken) (voice.Script, error) {
	message := c.join(c.say(voice.Notice), c.reach(say.Phone))
	return voice.Script{
		Prompt: c.join(c.say(voice.Brand), message, c.say(voice.HearAgain, voice.RefuseCalls)), NoKey: c.join(c.reach(say.Phone), c.say(voice.Goodbye)),
		Intro: message, Closing: c.say(voice.Goodbye), NotMe: c.join(c.say(voice.NoMoreCalls), c.reach(say.Phone), c.say(voice.Goodbye)),
	}, c.err
}

// test is an operator's test: the key proves that a person heard it, and that keys come back.
func (c *clips) test(say outbox.Spoken) (voice.Script, error) {
	end := c.join(c.reach(say.Phone), c.say(voice.Goodbye))
	return voice.Script{Prompt: c.say(voice.Brand, voice.TestCall), NoKey: end, Closing: end, NotMe: end}, c.err
}

// code is a call with a code.
func (c *clips) code(say outbox.Spoken) (voice.Script, error) {
	// Who needs slower speech presses the key first, as everybody does: the prompt tells nothing of the callee.
	s := voice.Script{
		Prompt: c.say(voice.Brand, voice.PressOne, voice.PressNine), NoKey: c.join(c.say(voice.Brand), c.reach(say.Phone), c.say(voice.NoKey, voice.Goodbye)),
	}
	pack := c.pack
	if say.Slow {
		c.pack = pack.Slow()
		s.Gap, s.Pause = c.pack.Gap(), 3*time.Second
	}
	// Without a pause the words would run into the prompt that the key cut off, and the first digit into the words.
	pause := voice.Clip{PCM: voice.Silence(100 * time.Millisecond), Text: unspoken}
	s.Intro, s.Again = c.join(pause, c.say(voice.CodeIs), pause), c.join(c.say(voice.CodeAgain), pause)
	for _, d := range say.Code {
		s.Digits = append(s.Digits, c.say(voice.Prompt(d)))
	}
	warning := voice.Private
	if say.Staff {
		warning = voice.StaffOnly
	}
	s.Closing = c.join(c.say(warning), c.reach(say.Phone), c.say(voice.Goodbye))
	s.NotMe = c.join(c.say(voice.Stopped), c.reach(say.Phone), c.say(voice.Goodbye))
	return s, c.err
}

// between is the silence between two sentences.
const between = 400 * time.Millisecond

// clips makes clips of a pack's prompts; the first that is missing is its error.
type clips struct {
	pack *voice.Pack
	err  error
}

// moduleLanguage is the language in which modules that speak by themselves are given words. They know Chinese as well, but in
// characters, and the recordings are made of pinyin.
const moduleLanguage = "en"

// unspoken is the text of a clip that is only silence.
const unspoken = " "

// clip makes a clip; without words for a part of it, or in another language, a module cannot speak it.
func (c *clips) clip(pcm []byte, words string, err error) voice.Clip {
	if err != nil && c.err == nil {
		c.err = err
	}
	if c.pack.Lang != moduleLanguage {
		words = ""
	}
	return voice.Clip{PCM: pcm, Text: words}
}

// say is prompts with a short silence between them.
func (c *clips) say(prompts ...voice.Prompt) voice.Clip {
	var all []voice.Clip
	for _, p := range prompts {
		pcm, err := c.pack.Say(p)
		all = append(all, c.clip(pcm, c.pack.Words(p), err))
	}
	return c.join(all...)
}

// reach tells the number by which the hospital can be reached, which is never the SIM's.
func (c *clips) reach(phone string) voice.Clip {
	if phone == "" {
		return voice.Clip{}
	}
	var words []string
	for _, d := range phone {
		if d >= '0' && d <= '9' {
			words = append(words, c.pack.Words(voice.Prompt(d)))
		}
	}
	if slices.Contains(words, "") {
		words = nil
	}
	pcm, err := c.pack.SayDigits(phone)
	return c.join(c.say(voice.CallUs), c.clip(pcm, strings.Join(words, ", "), err))
}

func (c *clips) join(all ...voice.Clip) voice.Clip {
	var pcm []byte
	var words []string
	known := true
	for _, one := range all {
		if one.Empty() {
			continue
		}
		if len(pcm) > 0 && len(one.PCM) > 0 {
			pcm = append(pcm, voice.Silence(between)...)
		}
		pcm = append(pcm, one.PCM...)
		known = known && one.Text != ""
		if one.Text != unspoken {
			words = append(words, one.Text)
		}
	}
	if !known {
		words = nil
	}
	return voice.Clip{PCM: pcm, Text: strings.Join(words, " ")}
}
