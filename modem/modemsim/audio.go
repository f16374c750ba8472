package modemsim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// The form of the audio, on ports and in recordings: 8,000 samples a second, 16 bit, little endian, one channel.
const (
	sampleRate = 8000
	frameTime  = 20 * time.Millisecond
	frameBytes = sampleRate * 2 / 50
)

// Calls tells whether this kind of device can call.
func (m *Modem) Calls() bool { return m.profile.voice }

// AudioPipe opens the modem's PCM port in process. A port opened before is closed.
func (m *Modem) AudioPipe() (net.Conn, error) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	switch {
	case m.network.closed:
		return nil, errors.New("open audio port: the network is closed")
	case !m.profile.voice:
		return nil, errors.New("open audio port: the modem has none")
	case m.audioTTY != nil || m.tree != nil:
		return nil, errors.New("open audio port: it is on a terminal")
	case m.out():
		return nil, errors.New("open audio port: no such device")
	}
	host, device := net.Pipe()
	m.endAudio()
	p := &sidePort{kind: PortAudio}
	p.session = &session{modem: m, side: p, rw: device, quit: make(chan struct{}), wake: make(chan struct{}, 1)}
	m.beginAudio(p)
	return host, nil
}

// AudioPTY puts the modem's PCM port on a terminal of its own, as PTY does with the port of the interpreter. A modem in a Tree has one
// there.
func (m *Modem) AudioPTY(link string) (string, error) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	switch {
	case m.network.closed:
		return "", errors.New("open audio terminal: the network is closed")
	case !m.profile.voice:
		return "", errors.New("open audio terminal: the modem has no audio")
	case m.audioTTY != nil || m.tree != nil:
		return "", errors.New("open audio terminal: the modem has one already")
	case m.out():
		return "", errors.New("open audio terminal: the modem is unplugged")
	}
	m.audioTTY = &terminal{link: link}
	if err := m.offerAudio(); err != nil {
		m.audioTTY = nil
		return "", err
	}
	return m.audioTTY.path, nil
}

// offerAudio opens a new pair for the PCM port and points its link to it.
func (m *Modem) offerAudio() error {
	if m.audioTTY == nil {
		return nil
	}
	master, slave, err := openPair()
	if err != nil {
		return err
	}
	if err := pointLink(m.audioTTY.link, slave.Name()); err != nil {
		return errors.Join(err, master.Close(), slave.Close())
	}
	m.audioTTY.slave, m.audioTTY.path = slave, slave.Name()
	p := &sidePort{kind: PortAudio}
	p.session = &session{modem: m, side: p, rw: master, quit: make(chan struct{}), wake: make(chan struct{}, 1)}
	m.beginAudio(p)
	return nil
}

// beginAudio starts the port's goroutines.
func (m *Modem) beginAudio(p *sidePort) {
	m.audio = p
	m.network.sessions.Go(p.session.read)
	m.network.sessions.Go(p.session.write)
}

// endAudio closes the PCM port, unless the tree does.
func (m *Modem) endAudio() {
	if m.audio != nil && m.tree == nil {
		m.audio.session.end()
		m.audio = nil
	}
}

// withdrawAudio takes the terminal away, as an unplug does.
func (m *Modem) withdrawAudio() error {
	m.endAudio()
	if m.audioTTY == nil {
		return nil
	}
	return m.audioTTY.withdraw()
}

// streams tells whether the host has switched the PCM of calls on.
func (m *Modem) streams() bool {
	v := m.set.vendor
	return strings.HasPrefix(v["+QPCMV"], "1") || v["+CPCMREG"] == "1" || v["^DDSETEX"] == "2"
}

// heardAudio takes what the host wrote to the PCM port.
func (m *Modem) heardAudio(b []byte, at time.Time) {
	c := m.call
	if c == nil || c.answered.IsZero() || !m.streams() || m.paused {
		return // a module without a call throws it away
	}
	m.pacing.add(at, len(b))
	c.rec.add(at, b)
}

// frame is what happens each 20 ms of an answered call.
func (m *Modem) frame() {
	c := m.call
	m.beside(frameTime, m.frame)
	if len(c.toSay) > 0 {
		n := min(frameBytes, len(c.toSay))
		c.rec.add(time.Now(), c.toSay[:n])
		if c.toSay = c.toSay[n:]; len(c.toSay) == 0 {
			m.said()
		}
	}
	down := make([]byte, frameBytes)
	n := copy(down, c.down)
	c.down = c.down[n:]
	if m.audio != nil && m.streams() && !m.faults.AudioMute {
		m.audio.say(string(down))
	}
	s := &c.handset.state
	if !c.lifted.IsZero() && !c.machine && s.Presses != "" && s.PressAfter <= 0 && !c.rec.pressed && m.prompted() {
		m.press()
	}
}

// How a person finds that a prompt is over.
const (
	pressTime = 3 * time.Second        // where there is nothing to be heard at all
	quietTime = time.Second            // pauses inside a prompt are shorter
	soundTime = 100 * time.Millisecond // a click is no prompt
)

// prompted tells whether the first prompt is over.
func (m *Modem) prompted() bool {
	r := &m.call.rec
	if m.audio == nil && r.sounded == 0 {
		return time.Since(m.call.lifted) >= pressTime
	}
	return r.sounded >= soundTime && time.Since(r.lastSound) >= quietTime
}

// The times of a pressed key.
const (
	toneTime  = 120 * time.Millisecond
	keyPause  = 300 * time.Millisecond
	twiceTime = 60 * time.Millisecond
)

// press presses the keys of the handset: each is a tone to the host, and a code where the modem tells of them.
func (m *Modem) press() {
	c := m.call
	c.rec.pressed = true
	for i, key := range []byte(c.handset.state.Presses) {
		m.beside(time.Duration(i)*keyPause, func() {
			c.down = append(c.down, dtmf(key, toneTime)...)
			if m.faults.NoKeyURC || !m.set.dtmf && m.profile.creset != "^RESET" {
				return
			}
			tell := func() { m.urc(m.profile.dtmfURC(key)) }
			m.beside(toneTime, tell)
			if m.faults.KeyTwice {
				m.beside(toneTime+twiceTime, tell)
			}
		})
	}
}

// commandPCM is +QPCMV, +CPCMREG and ^DDSETEX: they switch the stream of the PCM port.
func commandPCM(m *Modem, c command) reply {
	name, sep := c.name, ": "
	if name[0] == '^' {
		sep = ":"
	}
	switch c.op {
	case '?':
		v := m.set.vendor[name]
		if v == "" {
			v = "0"
		}
		return ok(name + sep + v)
	case '=':
	default:
		return ok()
	}
	on := c.args != "0"
	switch {
	case strings.Trim(c.args, "0123456789,") != "" || c.args == "":
		return m.cme(cmeBadParameter)
	case on && struck(&m.faults.AudioRefused):
		return m.cme(cmeNotAllowed)
	case on && name == "+CPCMREG" && (m.call == nil || m.call.answered.IsZero() || time.Since(m.call.answered) < 100*time.Millisecond):
		return m.cme(cmeNotAllowed)
	case on && name == "^DDSETEX" && m.call == nil:
		return m.cme(cmeNotAllowed)
	}
	m.set.vendor[name] = c.args
	return ok()
}

// recording is what the modem sent in a call.
type recording struct {
	start     time.Time
	jitter    time.Duration // how late sound may come without a hole
	pcm       []byte
	starved   time.Duration // silence that stands for what did not come
	sounded   time.Duration // of it was no silence, since the handset was lifted
	lastSound time.Time
	pressed   bool
}

// defaultJitter is about what a module has a buffer for.
const defaultJitter = 200 * time.Millisecond

// loud is a sample that is no silence.
const loud = 64

// add takes sound as it comes. A hole before it is filled with silence; nothing is ever left out.
func (r *recording) add(at time.Time, b []byte) {
	if hole := bytesOf(at.Sub(r.start)) - len(r.pcm) - len(b); hole > bytesOf(r.jitter) && len(r.pcm)%2 == 0 {
		r.pcm = append(r.pcm, make([]byte, hole)...)
		r.starved += time.Duration(hole/2) * time.Second / sampleRate
	}
	r.pcm = append(r.pcm, b...)
	for i := 0; i+1 < len(b); i += 2 {
		if v := int16(binary.LittleEndian.Uint16(b[i:])); v > loud || v < -loud {
			r.sounded += time.Second / sampleRate
			r.lastSound = at
		}
	}
}

// forget begins to listen anew; the recording goes on.
func (r *recording) forget() { r.sounded, r.lastSound, r.pressed = 0, time.Time{}, false }

// whole is the recording of a call of length d; nil if nothing was sent.
func (r *recording) whole(d time.Duration) []byte {
	if len(r.pcm) == 0 {
		return nil
	}
	if rest := bytesOf(d) - len(r.pcm); rest > 0 {
		r.pcm = append(r.pcm, make([]byte, rest)...)
	}
	return r.pcm[:len(r.pcm)&^1]
}

func bytesOf(d time.Duration) int { return int(d*sampleRate/time.Second) * 2 }

// wav is PCM as a file.
func wav(pcm []byte) []byte {
	b := fmt.Appendf(nil, "RIFF%sWAVEfmt %s", le32(36+len(pcm)), le32(16))
	for _, v := range []uint16{1, 1, sampleRate, 0, sampleRate * 2, 0, 2, 16} { // PCM, mono, rate and octets a second as pairs
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	b = append(b, "data"+le32(len(pcm))...)
	return append(b, pcm...)
}

func le32(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
