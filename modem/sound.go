package modem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"pinward/modem/line"
	"pinward/modem/voice"
)

// errNoSound says that no way to play into the call works.
var errNoSound = errors.New("no way to play into a call")

// sound is the audio of one call: a way, what was opened for it, and the player on it.
type sound struct {
	k      *calling
	way    way
	player voice.Player

	port  io.ReadWriteCloser // of "pcm", until the PCM has it
	pcm   *voice.PCM
	files *filePlayer
	wg    sync.WaitGroup
	stop  context.CancelFunc
	ended error // of PCM.Run; read after wg
}

// openSound takes the first way that works. Nothing is heard yet, and nobody was called.
func (k *calling) openSound(ctx context.Context) (*sound, error) {
	last := errNoSound
	for _, w := range k.ways {
		s := &sound{k: k, way: w}
		err := s.open(ctx)
		if err == nil {
			return s, nil
		}
		s.close()
		last = fmt.Errorf("%w: %s: %w", errNoSound, w.Kind, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, last
}

func (s *sound) open(ctx context.Context) (err error) {
	clips := s.k.c.Script.Clips()
	if s.way.Kind != wayTTS && slices.ContainsFunc(clips, func(c voice.Clip) bool { return len(c.PCM) == 0 }) {
		return errors.New("a clip has no sound")
	}
	switch s.way.Kind {
	case wayPCM:
		if s.port, err = s.k.m.o.Audio(ctx); err != nil {
			return fmt.Errorf("open audio port: %w", err)
		}
	case wayFile:
		s.files = &filePlayer{k: s.k, w: s.way, names: map[string]string{}}
		s.player = s.files
		if err = s.files.load(ctx, clips); err != nil {
			return err
		}
	default:
		p := &ttsPlayer{k: s.k, w: s.way}
		s.player = p
		for _, c := range clips {
			if _, err = p.command(c); err != nil {
				return err
			}
		}
	}
	for _, cmd := range s.way.Setup {
		s.k.best(cmd)
	}
	return nil
}

// dialed is called when the modem took the number.
func (s *sound) dialed() error {
	if !s.way.AtDial {
		return nil
	}
	return s.begin(s.k.s.ctx)
}

// begin opens the audio of the call, once.
func (s *sound) begin(ctx context.Context) error {
	if s.pcm != nil {
		return nil
	}
	sleep(ctx, time.Duration(s.way.BeginAfter))
	if err := s.start(ctx); err != nil {
		if s.way.Cure && ctx.Err() == nil {
			s.k.needsRestart("the audio of a call does not start")
		}
		return fmt.Errorf("start audio: %w", err)
	}
	if s.way.Kind != wayPCM {
		return nil
	}
	if f, ok := s.port.(interface{ Flush() error }); ok { // what came before is of no call
		if err := f.Flush(); err != nil {
			return fmt.Errorf("start audio: %w", err)
		}
	}
	var hear func([]byte)
	if s.k.v.Keys.Tones || s.k.deaf {
		var d voice.Detector
		hear = func(pcm []byte) {
			for _, key := range d.Write(pcm) {
				s.k.keys.Add("tone", key)
			}
		}
	}
	s.pcm = voice.NewPCM(s.port, hear)
	s.player = s.pcm
	s.k.mu.Lock()
	s.k.pcm = s.pcm
	s.k.mu.Unlock()
	run, stop := context.WithCancel(context.Background())
	s.port, s.stop = nil, stop
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		s.ended = s.pcm.Run(run)
	}()
	return nil
}

// start gives the way's Begin, again while it is refused.
func (s *sound) start(ctx context.Context) error {
	if s.way.Begin == "" {
		return ctx.Err()
	}
	for end := time.Now().Add(time.Duration(s.way.BeginFor)); ; {
		_, err := s.k.s.l.Do(ctx, line.Cmd{Text: s.way.Begin, Class: line.Call}, s.k.m.o.Timing.Step)
		var refused *line.ResultError
		if err == nil || !errors.As(err, &refused) && !errors.Is(err, line.ErrDirty) || time.Now().After(end) {
			s.k.heal()
			return err
		}
		s.k.heal()
		sleep(ctx, 500*time.Millisecond)
	}
}

// close gives everything back: the port, the module's audio, and the files, which may hold a code.
func (s *sound) close() {
	if s.stop != nil {
		s.stop()
		s.wg.Wait()
	}
	if s.port != nil {
		s.port.Close()
		s.port = nil
	}
	for _, cmd := range s.way.End {
		s.k.best(cmd)
	}
	if s.files != nil {
		s.files.remove()
	}
}

func (s *sound) stats() voice.PacerStats {
	if s.pcm == nil {
		return voice.PacerStats{}
	}
	return s.pcm.Stats()
}
