package modem

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf16"

	"pinward/modem/line"
	"pinward/modem/voice"
)

// The times of a module that plays by itself.
const (
	uploadTime  = 30 * time.Second // for one file; a serial line at 115200 baud carries 10 s of sound in 14 s
	playedSlack = 10 * time.Second // that the end may be told late
	stopTime    = time.Second      // for the end to be told after a stop
	busyTime    = 2 * time.Second  // while it says that it still plays
	perLetter   = 250 * time.Millisecond
)

// playCommand has the module play, and waits for the code that tells the end.
func (k *calling) playCommand(ctx context.Context, w way, cmd string, limit time.Duration) error {
	select {
	case <-k.played: // of something before
	default:
	}
	for end := time.Now().Add(busyTime); ; {
		_, err := k.s.l.Do(ctx, line.Cmd{Text: cmd, Class: line.Call}, k.m.o.Timing.Step)
		var refused *line.ResultError
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			k.best(w.Stop)
			return context.Cause(ctx)
		}
		if !errors.As(err, &refused) || time.Now().After(end) {
			k.heal()
			return fmt.Errorf("play: %w", err)
		}
		sleep(ctx, 200*time.Millisecond)
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-k.played:
		return nil
	case <-ctx.Done():
	case <-t.C:
		// It has played for longer than it can have: the code of the end was lost.
	}
	k.best(w.Stop)
	stopped := time.NewTimer(stopTime)
	defer stopped.Stop()
	select {
	case <-k.played:
	case <-stopped.C:
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// filePlayer plays WAV files that were given to the module before the call. They are deleted after it: a digit is among them.
type filePlayer struct {
	k     *calling
	w     way
	names map[string]string // by the hash of the sound
}

// fileNames finds the names that we give.
var fileNames = regexp.MustCompile(`pinward[0-9]+\.wav`)

// load gives each sound once.
func (p *filePlayer) load(ctx context.Context, clips []voice.Clip) error {
	for _, c := range clips {
		id := soundID(c)
		if p.names[id] != "" {
			continue
		}
		name := fmt.Sprintf("%spinward%d.wav", p.w.Folder, len(p.names))
		p.names[id] = name // also of an upload that fails in the middle
		p.k.best(fmt.Sprintf(p.w.Delete, name))
		wav := c.WAV()
		cmd := line.Cmd{Text: fmt.Sprintf(p.w.Upload, name, len(wav)), Class: line.Call}
		if _, err := p.k.s.l.Upload(ctx, cmd, wav, uploadTime); err != nil {
			p.k.heal()
			return fmt.Errorf("give a sound to the module: %w", err)
		}
	}
	return nil
}

func soundID(c voice.Clip) string {
	h := sha256.Sum256(c.PCM)
	return string(h[:])
}

// Play implements voice.Player.
func (p *filePlayer) Play(ctx context.Context, c voice.Clip) error {
	name := p.names[soundID(c)]
	if name == "" {
		return errors.New("play: the module was not given that sound")
	}
	return p.k.playCommand(ctx, p.w, fmt.Sprintf(p.w.Play, name), c.Duration()+playedSlack)
}

// remove deletes the files. What cannot be deleted now, the next bring-up finds.
func (p *filePlayer) remove() {
	for _, name := range p.names {
		p.k.best(fmt.Sprintf(p.w.Delete, name))
	}
	p.names = nil
}

// sweepFiles deletes what a call before a crash has left in the module.
func (s *session) sweepFiles(w way) error {
	info, err := s.ask(w.List)
	if err != nil {
		return err
	}
	for _, l := range info {
		if name := fileNames.FindString(l); name != "" {
			if err := s.try(fmt.Sprintf(w.Delete, w.Folder+name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// ttsPlayer has the module speak.
type ttsPlayer struct {
	k *calling
	w way
}

// command is what says a clip; an error if this module cannot.
func (p *ttsPlayer) command(c voice.Clip) (string, error) {
	if c.Text == "" {
		return "", errors.New("a clip has no words")
	}
	// A quote would end the string, a semicolon the command, on modules that do not look at quotes.
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == ';' || r == '\\' {
			return ' '
		}
		return r
	}, c.Text)
	form, said := p.w.Play, text
	if strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
		form, said = p.w.Unicode, ""
		for _, u := range utf16.Encode([]rune(text)) {
			said += strings.ToUpper(hex.EncodeToString([]byte{byte(u >> 8), byte(u)}))
		}
	}
	if len(said) > p.w.Longest {
		return "", errors.New("a clip has too many words")
	}
	return fmt.Sprintf(form, said), nil
}

// Play implements voice.Player.
func (p *ttsPlayer) Play(ctx context.Context, c voice.Clip) error {
	cmd, err := p.command(c)
	if err != nil {
		return err
	}
	return p.k.playCommand(ctx, p.w, cmd, time.Duration(len(c.Text))*perLetter+playedSlack)
}
