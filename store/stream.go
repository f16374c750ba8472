package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A backup is: magic, length of the header (4 bytes), header (JSON, in clear), then frames. A frame is
// its length (4 bytes) and a sealed piece of a tar stream. The additional data of a piece is the hash
// of all that came before the frames, its number, and whether it is the last: so no frame can be
// altered, left out, moved, or taken from another backup, and a stream that was cut does not end.
const (
	backupMagic  = "pinward backup 1\n"
	backupPiece  = 1 << 20
	maxBackupTop = 16 << 20 // of the header; what the caller adds is small
)

// ErrBackup means that a stream is no backup, or was cut or altered.
var ErrBackup = errors.New("backup is damaged or no backup")

// newAEAD makes the cipher of a backup from its key.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// writeTop writes what comes before the frames and returns its hash and size.
func writeTop(w io.Writer, h *BackupHeader) (sum [sha256.Size]byte, n int, err error) {
	header, err := json.Marshal(h)
	if err != nil {
		return sum, 0, fmt.Errorf("encode header: %w", err)
	}
	if len(header) > maxBackupTop {
		return sum, 0, errors.New("encode header: what the caller adds is too large")
	}
	top := append([]byte(backupMagic), binary.BigEndian.AppendUint32(nil, uint32(len(header)))...)
	top = append(top, header...)
	if _, err := w.Write(top); err != nil {
		return sum, 0, fmt.Errorf("write header: %w", err)
	}
	return sha256.Sum256(top), len(top), nil
}

// readTop is the inverse of writeTop.
func readTop(r io.Reader) (h BackupHeader, sum [sha256.Size]byte, err error) {
	top := make([]byte, len(backupMagic)+4)
	if _, err := io.ReadFull(r, top); err != nil || string(top[:len(backupMagic)]) != backupMagic {
		return h, sum, fmt.Errorf("%w: it does not begin like one", ErrBackup)
	}
	n := binary.BigEndian.Uint32(top[len(backupMagic):])
	if n > maxBackupTop {
		return h, sum, fmt.Errorf("%w: header", ErrBackup)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(r, header); err != nil {
		return h, sum, fmt.Errorf("%w: header is cut", ErrBackup)
	}
	if err := json.Unmarshal(header, &h); err != nil {
		return h, sum, fmt.Errorf("%w: header", ErrBackup)
	}
	if h.Format > backupFormat {
		return h, sum, fmt.Errorf("%w: backup format %d, known is %d", ErrNewer, h.Format, backupFormat)
	}
	return h, sha256.Sum256(append(top, header...)), nil
}

// frameAAD is the additional data of a frame.
func frameAAD(top *[sha256.Size]byte, n uint64, last bool) []byte {
	b := append([]byte("frame/v1\x00"), top[:]...)
	b = binary.BigEndian.AppendUint64(b, n)
	if last {
		return append(b, 1)
	}
	return append(b, 0)
}

// sealer writes frames.
type sealer struct {
	w     io.Writer
	aead  cipher.AEAD
	top   [sha256.Size]byte
	n     uint64
	piece []byte
	bytes int64 // written, of frames
}

func (s *sealer) Write(p []byte) (int, error) {
	done := 0
	for len(p) > 0 {
		n := min(len(p), backupPiece-len(s.piece))
		s.piece = append(s.piece, p[:n]...)
		p, done = p[n:], done+n
		if len(s.piece) == backupPiece {
			if err := s.frame(false); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// Close writes the last frame, which may be empty.
func (s *sealer) Close() error { return s.frame(true) }

func (s *sealer) frame(last bool) error {
	b := make([]byte, 4, 4+len(s.piece)+sealRest)
	b = s.aead.Seal(b, nil, s.piece, frameAAD(&s.top, s.n, last))
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	s.piece = s.piece[:0]
	s.n++
	s.bytes += int64(len(b))
	if _, err := s.w.Write(b); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	return nil
}

// opener reads frames. It ends with io.EOF only behind the last one, with nothing after it.
type opener struct {
	r    io.Reader
	aead cipher.AEAD
	top  [sha256.Size]byte
	n    uint64
	rest []byte
	done bool
}

func (o *opener) Read(p []byte) (int, error) {
	for len(o.rest) == 0 {
		if o.done {
			return 0, io.EOF
		}
		if err := o.frame(); err != nil {
			return 0, err
		}
	}
	n := copy(p, o.rest)
	o.rest = o.rest[n:]
	return n, nil
}

func (o *opener) frame() error {
	var size [4]byte
	if _, err := io.ReadFull(o.r, size[:]); err != nil {
		return fmt.Errorf("%w: it was cut: %w", ErrBackup, err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < sealRest || n > backupPiece+sealRest {
		return fmt.Errorf("%w: frame %d", ErrBackup, o.n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(o.r, b); err != nil {
		return fmt.Errorf("%w: it was cut: %w", ErrBackup, err)
	}
	plain, err := o.aead.Open(nil, nil, b, frameAAD(&o.top, o.n, false))
	if err != nil {
		if plain, err = o.aead.Open(nil, nil, b, frameAAD(&o.top, o.n, true)); err != nil {
			return fmt.Errorf("%w: frame %d does not open", ErrBackup, o.n)
		}
		o.done = true
		if m, _ := io.ReadFull(o.r, size[:1]); m != 0 {
			return fmt.Errorf("%w: something follows its end", ErrBackup)
		}
	}
	o.n++
	o.rest = plain
	return nil
}
