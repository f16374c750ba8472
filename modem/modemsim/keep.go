package modemsim

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"golang.org/x/sys/unix"
)

const (
	keyFile     = "handsets.key"
	journalFile = "handsets.journal"
	lockFile    = "handsets.lock"
	maxRecord   = 1 << 20
)

// keep is the network's memory: named values, each change appended to one
// journal before it shows in the world. Each record is sealed with AES-256-GCM
// under a random key that lies beside it: that keeps texts and numbers out of
// backups, greps and screens, not out of the hands of who holds the folder.
//
// A record is length (4 octets, big endian), nonce (12), sealed JSON; its place
// in the journal is its additional data. There is no fsync: what was written
// survives the death of the process, not of the machine.
type keep struct {
	f     *os.File // nil: memory only
	lock  *os.File // held while the folder is ours
	aead  cipher.AEAD
	place uint64
}

// record is one change; a nil Value removes the name.
type record struct {
	Name  string          `json:"n"`
	Value json.RawMessage `json:"v,omitempty"`
}

// openKeep opens or makes the journal in dir and returns what it holds, by name.
// An unfinished last record (the process died in writing it) is cut off; damage
// elsewhere is an error.
func openKeep(dir string) (*keep, map[string]json.RawMessage, error) {
	if dir == "" {
		return &keep{}, nil, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make state folder: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, nil, err
	}
	k, values, err := openJournal(dir)
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	k.lock = lock
	return k, values, nil
}

// lockFolder keeps a second network out of the folder, for as long as the file
// is open; the kernel lets go of it when the process dies.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock state folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, errors.New("lock state folder: another network has it")
	}
	return f, nil
}

func openJournal(dir string) (*keep, map[string]json.RawMessage, error) {
	key, err := readOrMakeKey(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, fmt.Errorf("use state key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, fmt.Errorf("use state key: %w", err)
	}
	path := filepath.Join(dir, journalFile)
	values, err := readJournal(path, aead)
	if err != nil {
		return nil, nil, err
	}
	k, err := rewriteJournal(path, aead, values)
	if err != nil {
		return nil, nil, err
	}
	return k, values, nil
}

func readOrMakeKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	switch {
	case err == nil && len(key) == 32:
		return key, nil
	case err == nil:
		return nil, errors.New("read state key: it is not 32 bytes")
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read state key: %w", err)
	}
	key = make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make state key: %w", err)
	}
	if err := os.WriteFile(path+".new", key, 0o600); err != nil {
		return nil, fmt.Errorf("write state key: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, fmt.Errorf("write state key: %w", err)
	}
	return key, nil
}

func readJournal(path string, aead cipher.AEAD) (map[string]json.RawMessage, error) {
	values := map[string]json.RawMessage{}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return values, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for place := uint64(0); ; place++ {
		sealed, err := readSealed(r)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return values, nil // all whole records are read; a torn last one never happened
		}
		if err != nil {
			return nil, fmt.Errorf("read journal record %d: %w", place, err)
		}
		n := aead.NonceSize()
		plain, err := aead.Open(nil, sealed[:n], sealed[n:], additional(place))
		if err != nil {
			return nil, fmt.Errorf("open journal record %d: it was damaged, or sealed under another key", place)
		}
		var rec record
		if err := json.Unmarshal(plain, &rec); err != nil {
			return nil, fmt.Errorf("decode journal record %d: its form is unknown", place)
		}
		if rec.Value == nil {
			delete(values, rec.Name)
		} else {
			values[rec.Name] = rec.Value
		}
	}
}

func readSealed(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 28 || n > maxRecord {
		return nil, errors.New("its length is impossible")
	}
	sealed := make([]byte, n)
	if _, err := io.ReadFull(r, sealed); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return sealed, nil
}

// rewriteJournal writes the values as a new journal and puts it in the old one's
// place. If we die before the rename, the old journal stands untouched.
func rewriteJournal(path string, aead cipher.AEAD, values map[string]json.RawMessage) (*keep, error) {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make journal: %w", err)
	}
	k := &keep{f: f, aead: aead}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if err := k.write(record{name, values[name]}); err != nil {
			f.Close()
			return nil, err
		}
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.Close()
		return nil, fmt.Errorf("put journal in place: %w", err)
	}
	return k, nil
}

// put keeps value under name.
func (k *keep) put(name string, value any) error {
	if k.f == nil {
		return nil
	}
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	return k.write(record{name, b})
}

// drop forgets name.
func (k *keep) drop(name string) error {
	if k.f == nil {
		return nil
	}
	return k.write(record{Name: name})
}

func (k *keep) write(rec record) error {
	plain, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	nonce := make([]byte, k.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return fmt.Errorf("seal state: %w", err)
	}
	b := make([]byte, 4, 4+len(nonce)+len(plain)+k.aead.Overhead())
	b = append(b, nonce...)
	b = k.aead.Seal(b, nonce, plain, additional(k.place))
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if _, err := k.f.Write(b); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	k.place++
	return nil
}

func (k *keep) close() error {
	if k.f == nil {
		return nil
	}
	return errors.Join(k.f.Close(), k.lock.Close())
}

func additional(place uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte("modemsim/1 "), place)
}
