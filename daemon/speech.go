package daemon

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/daemon/otp"
	"pinward/modem"
	"pinward/modem/voice"
	"pinward/store"
)

// Speech is what is said in calls. An attacker who controls Folder chooses what a patient hears before the code,
// such as another number to ring; the code itself is put together by the daemon.
type Speech struct {
	// Folder holds the site's recordings, LANGUAGE/PROMPT.wav, as pinward speech build makes them: of each language
	// the hospital's name (brand), without which no call is made in it, and whatever else the site says in its own
	// words. Empty means no calls.
	Folder string `toml:"folder"`
}

// recordings are what can be said in calls, by language, as they were read last.
type recordings struct {
	packs map[string]*voice.Pack
	cause string // why the last reading failed; packs are of the one before then
}

// loadSpeech reads the recordings, at the start and when the configuration is read again. A folder that is at fault
// is no reason not to send texts: what was there before stays in use, and health tells.
func (b *box) loadSpeech() {
	if b.cfg.Speech.Folder == "" {
		return
	}
	now := &recordings{}
	packs, err := readPacks(b.cfg.Speech.Folder)
	if err != nil {
		b.log.Error("read recordings for calls: the old ones stay in use", "error", err)
		if old := b.speech.Load(); old != nil {
			now.packs = old.packs
		}
		now.cause = err.Error()
	} else {
		now.packs = packs
	}
	b.speech.Store(now)
}

func readPacks(folder string) (map[string]*voice.Pack, error) {
	if _, err := os.Stat(folder); err != nil {
		return nil, fmt.Errorf("find folder: %w", err)
	}
	return voice.Packs(os.DirFS(folder))
}

// in is the pack for a language, nil where no call is made in it: every call begins with the hospital's name.
func (r *recordings) in(lang string) *voice.Pack {
	if r == nil {
		return nil
	}
	lang, _, _ = strings.Cut(strings.ToLower(lang), "-")
	if p := r.packs[lang]; p != nil && p.Has(voice.Brand) {
		return p
	}
	return nil
}

// first is the pack for the first of the languages that there is one for, or for any.
func (r *recordings) first(langs []string) *voice.Pack {
	for _, lang := range langs {
		if p := r.in(lang); p != nil {
			return p
		}
	}
	if usable := r.usable(); len(usable) > 0 {
		return r.in(usable[0])
	}
	return nil
}

// usable are the languages in which calls are made, sorted.
func (r *recordings) usable() (out []string) {
	if r == nil {
		return nil
	}
	for lang := range r.packs {
		if r.in(lang) != nil {
			out = append(out, lang)
		}
	}
	slices.Sort(out)
	return out
}

// onlySpeaks tells whether a modem can play no recording into a call, and speaks words by itself.
func onlySpeaks(st modem.Status) bool { return st.Audio == "tts" }

// plays tells whether a modem can say something into a call: a recording, or by its own speech the words that recordings were made of.
func (r *recordings) plays(st modem.Status) bool {
	if !st.CanCall() || !onlySpeaks(st) {
		return st.CanCall()
	}
	p := r.in(moduleLanguage)
	return p != nil && !slices.ContainsFunc(p.Names(), func(n voice.Prompt) bool { return p.Words(n) == "" })
}

// checkCalls is the part of the health tree that is about calls. A box without recordings makes none, which is for
// the site to choose.
func (h *house) checkCalls() health.Check {
	calls := health.Check{Name: "calls"}
	r := h.speech.Load()
	if r == nil {
		return calls
	}
	const build = "run: pinward speech build, and pinward speech check FOLDER; then reload the service"
	var langs []string
	denied := 0
	err := h.store.View(context.Background(), func(tx *store.Tx) error {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		if langs = site.Languages; len(langs) == 0 {
			langs = []string{site.Language()}
		}
		denied, err = otp.Denials(tx)
		return err
	})
	if err != nil {
		calls.Ask = known(health.Unknown, "their records cannot be read")
		return calls
	}
	add := func(name, cause string) {
		calls.Children = append(calls.Children, health.Check{Name: name, Ask: known(health.Warn, cause)})
	}
	if r.cause != "" {
		add("recordings", r.cause+"; "+build)
	}
	var mute []string
	for _, lang := range langs {
		if r.in(lang) == nil {
			mute = append(mute, lang)
		}
	}
	if len(mute) > 0 && r.cause == "" {
		add("languages", "no call is made in "+strings.Join(mute, ", ")+": the hospital's name (brand) is not recorded; "+build)
	}
	up, can := false, false
	for _, s := range h.senders {
		st := s.modem.Status()
		up, can = up || st.Ready, can || r.plays(st)
	}
	if up && !can {
		add("modems", "no modem can call now; pinward modem list tells what each can do")
	}
	if denied > 0 {
		add("denied", fmt.Sprintf("%d times in %v somebody who was called said that they had not asked for a code; run: pinward audit search --action %s",
			denied, otp.DenialsFor, otp.ActionDeny))
	}
	return calls
}
