package store

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// bus is the way to a swtpm of one test. Everybody's commands go through it one by one, and meddle may
// hold one up or answer it in the chip's place.
type bus struct {
	t    *testing.T
	path string

	mu     sync.Mutex // over the chip and meddle
	chip   net.Conn
	meddle func(code tpm2.TPMCC) (answer []byte)
}

func newBus(t *testing.T) *bus {
	t.Helper()
	// Not t.TempDir: a socket's path has at most 108 bytes.
	dir, err := os.MkdirTemp("", "swtpm")
	if err != nil {
		t.Fatal(err)
	}
	sock := filepath.Join(dir, "s")
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--server", "type=unixio,path="+sock, "--ctrl", "type=unixio,path="+sock+".ctrl",
		"--tpmstate", "dir="+dir, "--flags", "not-need-init,startup-clear")
	if err := cmd.Start(); err != nil {
		t.Fatalf("swtpm is needed (Debian: apt-get install swtpm): %v", err)
	}
	b := &bus{t: t, path: filepath.Join(dir, "bus")}
	for range 500 {
		if b.chip, err = net.Dial("unix", sock); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	listener, err2 := net.Listen("unix", b.path)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var conns []net.Conn
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			conns = append(conns, conn)
			b.mu.Unlock()
			wg.Go(func() { b.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		b.mu.Lock()
		for _, c := range append(conns, b.chip) {
			c.Close()
		}
		b.mu.Unlock()
		wg.Wait()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		os.RemoveAll(dir)
	})
	return b
}

func (b *bus) serve(conn net.Conn) {
	defer conn.Close()
	for {
		command, err := tpmMessage(conn)
		if err != nil {
			return
		}
		answer, err := b.ask(command)
		if err != nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

func (b *bus) ask(command []byte) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.meddle != nil {
		if answer := b.meddle(tpm2.TPMCC(binary.BigEndian.Uint32(command[6:]))); answer != nil {
			return answer, nil
		}
	}
	return b.Send(command)
}

// Send makes a bus a transport of go-tpm, for what a test itself has to say to the chip.
func (b *bus) Send(command []byte) ([]byte, error) {
	if _, err := b.chip.Write(command); err != nil {
		return nil, err
	}
	return tpmMessage(b.chip)
}

var _ transport.TPM = (*bus)(nil)

// tpmMessage reads one command or response: its size stands at the third byte.
func tpmMessage(r io.Reader) ([]byte, error) {
	head := make([]byte, 10)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[2:])
	if size < 10 || size > 4096 {
		return nil, errors.New("no TPM message")
	}
	whole := append(head, make([]byte, size-10)...)
	_, err := io.ReadFull(r, whole[10:])
	return whole, err
}

// meddling sets what the bus does with the commands from now on.
func (b *bus) meddling(fn func(tpm2.TPMCC) []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.meddle = fn
}

// owner runs commands of the TPM's owner, who has no password here.
func (b *bus) owner(fn func(tpm transport.TPM, owner tpm2.AuthHandle) error) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := fn(b, tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}); err != nil {
		b.t.Fatal(err)
	}
}

// hour moves the TPM's clock on (TPM2_ClockSet, which go-tpm v0.9.8 lacks).
func (b *bus) hour() {
	b.t.Helper()
	b.owner(func(tpm transport.TPM, _ tpm2.AuthHandle) error {
		now, err := tpm2.ReadClock{}.Execute(tpm)
		if err != nil {
			return err
		}
		cmd := []byte{0x80, 0x02, 0, 0, 0, 0, 0, 0, 0x01, 0x28, 0x40, 0, 0, 0x01, 0, 0, 0, 9, 0x40, 0, 0, 0x09, 0, 0, 1, 0, 0}
		cmd = binary.BigEndian.AppendUint64(cmd, now.CurrentTime.ClockInfo.Clock+3601_000)
		binary.BigEndian.PutUint32(cmd[2:], uint32(len(cmd)))
		rsp, err := tpm.Send(cmd)
		if err != nil {
			return err
		}
		if rc := tpm2.TPMRC(binary.BigEndian.Uint32(rsp[6:])); rc != 0 {
			return rc
		}
		return nil
	})
}
