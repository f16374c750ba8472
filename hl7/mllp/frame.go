package mllp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// The bytes of a frame: VT, payload, FS CR. FS alone is data (connect#1309).
//
// CR FF and FS LF are ends that some senders write (connect#3170), and may be data of others: they end
// a frame where a VT follows at once, where the stream ends, or where the sender then waits.
const (
	startBlock = 0x0b
	endBlock   = 0x1c
	cr         = 0x0d
	lf         = 0x0a
	formFeed   = 0x0c
)

// DefaultMaxFrame is the size of a payload where nothing else is said.
const DefaultMaxFrame = 1 << 20

const (
	// readBuffer holds several ordinary messages; it is what an idle connection costs.
	readBuffer = 16 << 10
	// maxGap is how much may stand between two frames before it is no MLLP.
	maxGap = 64 << 10
	// headLen is how much of a frame that is too large is given to whoever refuses it.
	headLen = 4 << 10
)

var (
	// ErrTooLarge means that a frame is larger than allowed. The stream is in the
	// middle of it and of no further use.
	ErrTooLarge = errors.New("read frame: larger than allowed")
	// ErrNoFrame means that a connection carries no frames at all.
	ErrNoFrame = errors.New("read frame: too many bytes outside of a frame")
	// ErrTLS means that the peer speaks TLS to a plain port.
	ErrTLS = errors.New("read frame: peer opened with a TLS hello on a plain port")
	// ErrHTTP means that the peer speaks HTTP.
	ErrHTTP = errors.New("read frame: peer opened with an HTTP request")
)

// Repairs counts what a Reader put right. Each is a defect of the sender that some
// reader would have lost a message over.
type Repairs struct {
	Junk         uint64 // gaps with other bytes in them, such as log lines (connect#423)
	Filler       uint64 // gaps of only LF, CR, NUL, space or tab (connect#510, connect#249)
	DoubledStart uint64 // frames that began with more than one VT (connect#830)
	DoubledEnd   uint64 // gaps with a further FS (connect#830)
	FormFeed     uint64 // frames that ended with CR FF (connect#3170)
	LineFeed     uint64 // frames that ended with FS LF
	Empty        uint64 // frames without payload, dropped
}

func (r Repairs) total() uint64 {
	return r.Junk + r.Filler + r.DoubledStart + r.DoubledEnd + r.FormFeed + r.LineFeed + r.Empty
}

// Reader reads frames off a stream. However the stream is cut into packets, the
// frames are the same. It is not for concurrent use.
type Reader struct {
	br *bufio.Reader
	// max is the largest payload.
	max int
	// formFeedEnd ends a frame at every CR FF.
	formFeedEnd bool
	// waiting, if set, is called once in a frame, before the first read that may
	// block in the middle of it.
	waiting func()
	// room, if set, is asked before a frame has total bytes in memory; its error ends the frame.
	room func(total int) error
	// pause, if set, sets a short deadline (true) before a read that may block where the frame may be
	// over, and takes it off (false) when the read brought more of the frame. paused tells whether an
	// error of that read means that the sender waits.
	pause  func(begins bool)
	paused func(err error) bool

	repairs Repairs
	opening []byte // the first bytes outside of any frame; nil once one was seen
	framed  bool   // a frame has begun
	inFrame bool   // the last Next ended inside a frame
}

// NewReader reads frames of at most max bytes (0 means DefaultMaxFrame) off r.
func NewReader(r io.Reader, max int) *Reader {
	if max <= 0 {
		max = DefaultMaxFrame
	}
	return &Reader{br: bufio.NewReaderSize(r, readBuffer), max: max}
}

// Repairs gives what was put right so far.
func (r *Reader) Repairs() Repairs { return r.repairs }

// Next gives the payload of the next frame; the caller owns it. At the end of the
// stream the error is io.EOF between frames and io.ErrUnexpectedEOF inside one.
// With ErrTooLarge comes the beginning of the payload, to answer it by.
func (r *Reader) Next() ([]byte, error) {
	for {
		if err := r.skip(); err != nil {
			return nil, err
		}
		r.inFrame = true
		payload, err := r.body()
		r.inFrame = err != nil
		if err != nil || len(payload) > 0 {
			return payload, err
		}
		r.repairs.Empty++
	}
}

// buffered gives what can be had without waiting, and waits only for the first byte.
func (r *Reader) buffered() ([]byte, error) {
	if r.br.Buffered() == 0 {
		if _, err := r.br.Peek(1); err != nil {
			return nil, err
		}
	}
	return r.br.Peek(r.br.Buffered())
}

// skip reads up to and over the next VT.
func (r *Reader) skip() error {
	var junk, filler, end bool
	gap := 0
	for {
		chunk, err := r.buffered()
		if err != nil {
			return err
		}
		n := bytes.IndexByte(chunk, startBlock)
		found := n >= 0
		if !found {
			n = len(chunk)
		}
		if err := r.sniff(chunk[:n]); err != nil {
			return err
		}
		for _, c := range chunk[:n] {
			switch c {
			case endBlock:
				count(&end, &r.repairs.DoubledEnd)
			case '\n', cr, 0, ' ', '\t':
				if !end {
					count(&filler, &r.repairs.Filler)
				}
			default:
				count(&junk, &r.repairs.Junk)
			}
		}
		if gap += n; gap > maxGap {
			return ErrNoFrame
		}
		if found {
			r.framed = true
			_, _ = r.br.Discard(n + 1)
			return nil
		}
		_, _ = r.br.Discard(n)
	}
}

// count counts a thing once in a gap.
func count(seen *bool, n *uint64) {
	if !*seen {
		*seen = true
		*n++
	}
}

// sniff looks at the first bytes of a connection for a protocol that is not ours.
func (r *Reader) sniff(gap []byte) error {
	const enough = 8
	if r.framed || len(r.opening) >= enough {
		return nil
	}
	r.opening = append(r.opening, gap[:min(len(gap), enough-len(r.opening))]...)
	if bytes.HasPrefix(r.opening, []byte{0x16, 0x03}) {
		return ErrTLS
	}
	for _, verb := range [...]string{"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "CONNECT ", "PRI * "} {
		if len(r.opening) >= len(verb) && string(r.opening[:len(verb)]) == verb {
			return ErrHTTP
		}
	}
	return nil
}

// body reads from behind a VT up to and over the end of the frame.
func (r *Reader) body() ([]byte, error) {
	var buf []byte
	var doubled, waited bool
	for {
		if r.br.Buffered() == 0 && !waited && r.waiting != nil {
			waited = true
			r.waiting()
		}
		chunk, over, err := r.more(buf)
		if err != nil {
			return nil, err
		}
		if over > 0 {
			return buf[:len(buf)-over], nil
		}
		if len(buf) == 0 && chunk[0] == startBlock {
			count(&doubled, &r.repairs.DoubledStart)
			_, _ = r.br.Discard(1)
			continue
		}
		n, drop, whole := r.end(buf, chunk)
		if len(buf)+n-drop > r.max {
			buf = append(buf, chunk[:min(n, headLen)]...)
			return buf[:min(len(buf), headLen)], ErrTooLarge
		}
		if r.room != nil {
			if err := r.room(len(buf) + n); err != nil {
				return nil, err
			}
		}
		if whole && buf == nil {
			payload := bytes.Clone(chunk[:n-drop])
			_, _ = r.br.Discard(n)
			return payload, nil
		}
		buf = append(buf, chunk[:n]...)
		_, _ = r.br.Discard(n)
		if whole {
			return buf[:len(buf)-drop], nil
		}
	}
}

// more gives what stands behind buf in a frame. Where nothing comes, and buf ends with what may be the
// end of the frame, it is: over is how much of buf is no payload then.
func (r *Reader) more(buf []byte) (chunk []byte, over int, err error) {
	drop, counter := r.weakEnd(buf, nil)
	pausing := drop > 0 && r.pause != nil && r.br.Buffered() == 0
	if pausing {
		r.pause(true)
	}
	chunk, err = r.buffered()
	switch {
	case err == nil:
		if pausing {
			r.pause(false)
		}
		return chunk, 0, nil
	case drop > 0 && (err == io.EOF || pausing && r.paused(err)):
		*counter++
		return nil, drop, nil
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return nil, 0, err
}

// end finds the end of a frame in chunk, before which buf stood: n bytes up to and with it, of which
// drop (with those of buf) are no payload. Where the frame goes on, n is all of chunk.
func (r *Reader) end(buf, chunk []byte) (n, drop int, whole bool) {
	var last byte
	if len(buf) > 0 {
		last = buf[len(buf)-1]
	}
	var counter *uint64
	n, drop = pair(chunk, last, endBlock, cr), 2
	if r.formFeedEnd {
		// The CR ends the last segment and stays.
		if ff := pair(chunk, last, cr, formFeed); ff > 0 && (n == 0 || ff < n) {
			n, drop, counter = ff, 1, &r.repairs.FormFeed
		}
	}
	if whole = n > 0; !whole {
		n = len(chunk)
	}
	for from := 0; ; from++ {
		i := bytes.IndexByte(chunk[from:n], startBlock)
		if i < 0 {
			break
		}
		from += i
		if d, c := r.weakEnd(buf, chunk[:from]); d > 0 {
			n, drop, whole, counter = from, d, true, c // the VT begins the next frame
			break
		}
	}
	if counter != nil {
		*counter++
	}
	return n, drop, whole
}

// weakEnd tells whether buf and head, one behind the other, end with CR FF, of which the CR ends the
// last segment and stays, or with FS LF: how many bytes are no payload, and what to count it as.
func (r *Reader) weakEnd(buf, head []byte) (drop int, counter *uint64) {
	var a, b byte
	switch h, n := len(head), len(buf); {
	case h > 1:
		a, b = head[h-2], head[h-1]
	case h == 1 && n > 0:
		a, b = buf[n-1], head[0]
	case h == 0 && n > 1:
		a, b = buf[n-2], buf[n-1]
	}
	switch {
	case a == cr && b == formFeed:
		return 1, &r.repairs.FormFeed
	case a == endBlock && b == lf:
		return 2, &r.repairs.LineFeed
	}
	return 0, nil
}

// pair finds a and b next to each other and gives the length up to and with b, or 0.
func pair(chunk []byte, last, a, b byte) int {
	if last == a && chunk[0] == b {
		return 1
	}
	for from := 0; ; {
		i := bytes.IndexByte(chunk[from:], a)
		if i < 0 || from+i+1 >= len(chunk) {
			return 0
		}
		from += i + 1
		if chunk[from] == b {
			return from + 1
		}
	}
}

// AppendFrame appends payload in a frame to dst.
func AppendFrame(dst, payload []byte) []byte {
	dst = append(dst, startBlock)
	dst = append(dst, payload...)
	return append(dst, endBlock, cr)
}
