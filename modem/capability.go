package modem

import (
	"context"
	"errors"
	"strings"

	"pinward/modem/line"
)

// Voice is how a modem can call.
type Voice string

// The kinds of voice (reference 6.5). That a modem says so is no proof: only a test call is.
const (
	VoiceUnread Voice = ""      // not brought up yet
	VoiceNone   Voice = "none"  // no profile knows how to call with it
	VoiceCSFB   Voice = "csfb"  // over 2G or 3G
	VoiceVoLTE  Voice = "volte" // over IMS
)

// CanCall says that Dial may be tried: it has voice and a way to play.
func (s Status) CanCall() bool {
	return s.Voice != VoiceNone && s.Voice != VoiceUnread && s.Audio != ""
}

// prefixOf is the name in front of an answer, as "+QCFG" of `+QCFG: "ims",1`.
func prefixOf(answer string) string {
	name, _, _ := strings.Cut(answer, ":")
	return name
}

// readyVoice is the part of bring-up that is for calls: it ends a call that a process before us left, finds the ways to play, and
// deletes what a crash may have left in the module's files.
func (s *session) readyVoice() error {
	v := s.p.Voice
	s.ways = nil
	if v == nil || anyPrefix(s.m.Status().Model, v.Except) {
		s.m.update(func(st *Status) { st.Voice, st.Audio = VoiceNone, "" })
		return nil
	}
	if err := s.endLeftCall(); err != nil {
		return err
	}
	for _, w := range v.Ways {
		can, err := s.can(w)
		if err != nil {
			return err
		}
		if !can {
			continue
		}
		if w.Kind == wayFile {
			if err := s.sweepFiles(w); err != nil {
				return err
			}
		}
		s.ways = append(s.ways, w)
	}
	s.m.update(func(st *Status) { st.Voice, st.Audio = VoiceCSFB, strings.Join(kinds(s.ways), ", ") })
	return s.readVoice()
}

// readVoice asks whether calls go over IMS, which a module may join or leave at any time.
func (s *session) readVoice() error {
	v := s.p.Voice
	if v == nil || s.m.Status().Voice == VoiceNone {
		return nil
	}
	kind := VoiceCSFB
	if v.VoLTE.Ask != "" {
		info, err := s.ask(v.VoLTE.Ask)
		if err != nil {
			return err
		}
		if v.VoLTE.holds(info) {
			kind = VoiceVoLTE
		}
	}
	s.m.update(func(st *Status) { st.Voice = kind })
	return nil
}

// can asks for one way.
func (s *session) can(w way) (bool, error) {
	if w.Kind == wayPCM && !s.hasAudio() {
		return false, nil
	}
	if w.Probe == "" {
		return true, nil
	}
	_, err := s.do(w.Probe)
	var refused *line.ResultError
	if errors.As(err, &refused) {
		return false, nil
	}
	return err == nil, err
}

// hasAudio opens the PCM port and closes it again: that it can be had now is what will count at a call.
func (s *session) hasAudio() bool {
	if s.m.o.Audio == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.m.o.Timing.Step)
	defer cancel()
	rw, err := s.m.o.Audio(ctx)
	if err != nil {
		s.m.o.Log.Info("modem has no audio port", "modem", s.m.o.Name, "error", err)
		return false
	}
	rw.Close()
	return true
}

// endLeftCall hangs up what is up: nobody listens to it any more.
func (s *session) endLeftCall() error {
	info, err := s.ask("+CLCC")
	if err != nil || len(readCalls(info)) == 0 {
		return err
	}
	for _, cmd := range s.p.Voice.HangUp {
		if err := s.try(cmd); err != nil {
			return err
		}
	}
	return nil
}
