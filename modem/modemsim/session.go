package modemsim

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// session is one opened port: a reader and a writer goroutine, owned by the
// Network, that end when the port is closed from either side.
type session struct {
	modem *Modem
	side  *sidePort // of a tree; nil for the port of the interpreter
	rw    io.ReadWriteCloser
	quit  chan struct{} // closed by end
	once  sync.Once

	mu    sync.Mutex // guards queue
	queue []chunk
	size  int
	wake  chan struct{}
}

// chunk is written at once; gap is how long to rest after it.
type chunk struct {
	b   []byte
	gap time.Duration
}

// maxUnread is how much the host may leave unread before the modem drops what
// it says, as a USB modem does.
const maxUnread = 1 << 20

// Pipe opens the modem's port in process. A port opened before is closed: a
// device has one. It fails while the modem is unplugged.
func (m *Modem) Pipe() (net.Conn, error) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	switch {
	case m.network.closed:
		return nil, errors.New("open port: the network is closed")
	case m.tty != nil:
		return nil, errors.New("open port: the modem is on a terminal")
	case m.out():
		return nil, errors.New("open port: no such device")
	}
	host, device := net.Pipe()
	m.begin(device)
	return host, nil
}

// begin makes rw the modem's port. What the modem was doing goes on: a late
// answer reaches the new port.
func (m *Modem) begin(rw io.ReadWriteCloser) {
	m.endSession()
	s := &session{modem: m, rw: rw, quit: make(chan struct{}), wake: make(chan struct{}, 1)}
	m.session = s
	m.term.forgetInput()
	m.term.asleep = m.faults.Asleep
	m.network.sessions.Go(s.read)
	m.network.sessions.Go(s.write)
}

func (m *Modem) endSession() {
	if m.session != nil {
		m.session.end()
		m.session = nil
	}
}

// end closes the port; the goroutines follow.
func (s *session) end() {
	s.once.Do(func() {
		close(s.quit)
		s.rw.Close()
	})
}

func (s *session) read() {
	defer s.modem.left(s)
	buf := make([]byte, 4096)
	for {
		if !s.unstuck() {
			return
		}
		n, err := s.rw.Read(buf)
		if n > 0 {
			s.modem.heard(s, buf[:n], time.Now())
		}
		if err != nil {
			return
		}
	}
}

// left ends session s; the modem has no port then, unless it has another one.
func (m *Modem) left(s *session) {
	s.end()
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	switch {
	case m.session == s:
		m.session = nil
	case m.audio != nil && m.audio.session == s:
		m.audio = nil
	}
}

// unstuck waits while the modem does not read; false when the port is closed.
func (s *session) unstuck() bool {
	for {
		s.modem.network.mu.Lock()
		stuck, change := s.modem.faults.Stuck, s.modem.unstick
		if s.side != nil && s.side.kind == PortAudio {
			stuck = s.modem.faults.AudioStuck
		}
		s.modem.network.mu.Unlock()
		if !stuck {
			return true
		}
		select {
		case <-s.quit:
			return false
		case <-change:
		}
	}
}

// say queues b for the host. It never blocks.
func (s *session) say(b []byte, chunkSize int, gap time.Duration) {
	if chunkSize <= 0 {
		chunkSize, gap = len(b), 0
	}
	s.mu.Lock()
	for len(b) > 0 && s.size+len(b) <= maxUnread {
		n := min(chunkSize, len(b))
		s.queue = append(s.queue, chunk{b[:n:n], gap})
		s.size += n
		b = b[n:]
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *session) write() {
	defer s.end()
	for {
		c, ok := s.next()
		if !ok {
			return
		}
		if _, err := s.rw.Write(c.b); err != nil {
			return
		}
		if c.gap <= 0 {
			continue
		}
		rest := time.NewTimer(c.gap)
		select {
		case <-rest.C:
		case <-s.quit:
			rest.Stop()
			return
		}
	}
}

// next waits for something to write; false when the port is closed.
func (s *session) next() (chunk, bool) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			c := s.queue[0]
			s.queue = s.queue[1:]
			s.size -= len(c.b)
			s.mu.Unlock()
			return c, true
		}
		s.mu.Unlock()
		select {
		case <-s.quit:
			return chunk{}, false
		case <-s.wake:
		}
	}
}
