package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// chip is a swtpm process of one test, with its state in an absolute folder of its own.
type chip struct {
	t    testing.TB
	dir  string
	sock string
	cmd  *exec.Cmd
}

func newChip(t testing.TB) *chip {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Fatal("swtpm is not installed: these tests need a real TPM 2.0 emulator (Debian: apt-get install swtpm)")
	}
	// Not t.TempDir: a long test name makes the socket path longer than the 108 bytes that it may have.
	dir, err := os.MkdirTemp("", "swtpm")
	if err != nil {
		t.Fatal(err)
	}
	c := &chip{t: t, dir: dir, sock: filepath.Join(dir, "s")}
	t.Cleanup(func() {
		c.kill()
		os.RemoveAll(dir)
	})
	c.start()
	return c
}

// start starts swtpm over the state of an earlier run: a machine that is switched on.
func (c *chip) start() {
	c.t.Helper()
	os.Remove(c.sock)
	os.Remove(c.sock + ".ctrl")
	c.cmd = exec.Command("swtpm", "socket", "--tpm2",
		"--server", "type=unixio,path="+c.sock, "--ctrl", "type=unixio,path="+c.sock+".ctrl",
		"--tpmstate", "dir="+c.dir, "--flags", "not-need-init,startup-clear")
	var said bytes.Buffer
	c.cmd.Stdout, c.cmd.Stderr = &said, &said
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	for range 500 {
		if answers(c.sock) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.kill()
	c.t.Fatalf("swtpm does not answer: %s", said.String())
}

// answers asks for random bytes. swtpm listens before it has started up its TPM: killed between the two, it counts no reset.
func answers(sock string) bool {
	conn, err := net.Dial("unix", sock)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte{0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 4}); err != nil { // TPM2_GetRandom(4)
		return false
	}
	n, err := io.ReadFull(conn, make([]byte, 10+2+4))
	return err == nil && n == 16
}

// kill ends swtpm as a power cut would.
func (c *chip) kill() {
	if c.cmd != nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
		c.cmd = nil
	}
}

func (c *chip) restart() {
	c.t.Helper()
	c.kill()
	c.start()
}

func (c *chip) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// open opens the chip as the product does.
func (c *chip) open() *Device {
	c.t.Helper()
	return openAt(c.t, c.sock)
}

func openAt(t testing.TB, path string) *Device {
	t.Helper()
	d, err := OpenDevice(path, sysfs(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// sysfs is the kernel's view of a firmware whose SecureBoot variable has this value.
func sysfs(t testing.TB, secureBoot byte) string {
	t.Helper()
	dir := t.TempDir()
	setVariable(t, dir, varSecureBoot, 6, 0, 0, 0, secureBoot)
	return dir
}

func setVariable(t testing.TB, sysfs, name string, content ...byte) {
	t.Helper()
	dir := filepath.Join(sysfs, efiVariables)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// unsealed is Unseal where the state stays as it is.
func unsealed(ctx context.Context, d *Device, st State, passphrase string) (*Keys, error) {
	after, keys, err := Unseal(ctx, d, st, passphrase)
	if err == nil && !after.Equal(st) {
		err = errors.New("unsealing changed the state")
	}
	return keys, err
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// run runs commands that the product has no use for.
func run[T any](t testing.TB, d *Device, fn func(*sequence) (T, error)) T {
	t.Helper()
	v, err := do(testContext(t), d, fn)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var emptyAuth = tpm2.PasswordAuth(nil)

func extend(t testing.TB, d *Device, pcr int) {
	t.Helper()
	run(t, d, func(s *sequence) (*tpm2.PCRExtendResponse, error) {
		return tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: emptyAuth},
			Digests: tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{
				HashAlg: tpm2.TPMAlgSHA256, Digest: bytes.Repeat([]byte{0xa5}, 32),
			}}},
		}.Execute(s)
	})
}

func clearTPM(t testing.TB, d *Device) {
	t.Helper()
	run(t, d, func(s *sequence) (*tpm2.ClearResponse, error) {
		return tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: emptyAuth}}.Execute(s)
	})
}

// advance moves the TPM's clock forward (TPM2_ClockSet, which go-tpm v0.9.8 lacks).
func advance(t testing.TB, d *Device, by time.Duration) {
	t.Helper()
	run(t, d, func(s *sequence) (struct{}, error) {
		now, err := s.clock()
		if err != nil {
			return struct{}{}, err
		}
		cmd := []byte{0x80, 0x02, 0, 0, 0, 0, 0, 0, 0x01, 0x28, 0x40, 0, 0, 0x01}   // header, TPM_RH_OWNER
		cmd = append(cmd, 0, 0, 0, 9, 0x40, 0, 0, 0x09, 0, 0, 1, 0, 0)              // password session, empty
		cmd = binary.BigEndian.AppendUint64(cmd, uint64((now + by).Milliseconds())) // newTime
		binary.BigEndian.PutUint32(cmd[2:], uint32(len(cmd)))                       // commandSize
		rsp, err := s.Send(cmd)
		if err != nil {
			return struct{}{}, err
		}
		if rc := binary.BigEndian.Uint32(rsp[6:]); rc != 0 {
			return struct{}{}, fmt.Errorf("ClockSet: %w", tpm2.TPMRC(rc))
		}
		return struct{}{}, nil
	})
}

// wantEmpty fails if the TPM still holds a session or a transient object.
func wantEmpty(t testing.TB, d *Device) {
	t.Helper()
	for _, first := range []tpm2.TPMHandle{transientFirst, loadedSessionFirst} {
		left := run(t, d, func(s *sequence) ([]tpm2.TPMHandle, error) { return s.handles(first) })
		if len(left) != 0 {
			t.Errorf("the TPM still holds %x", left)
		}
	}
}

func commissioned(t testing.TB, d *Device, o CommissionOptions) (State, Kit, *Keys) {
	t.Helper()
	if o.BoxID == "" {
		o.BoxID = "clinic-7"
	}
	if o.Mode == "" {
		o.Mode = ModeTPM
	}
	st, kit, keys, err := Commission(testContext(t), d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	return st, kit, keys
}

// bus is somebody on the wires: a proxy before a chip that records all bytes and may answer in the chip's place.
type bus struct {
	path string
	chip string

	mu       sync.Mutex
	recorded bytes.Buffer
	// onCommand may return an answer of its own (nil lets the command pass); onResponse may change what comes back.
	onCommand  func(command []byte) []byte
	onResponse func(command, response []byte) []byte

	wg       sync.WaitGroup
	listener net.Listener
	conns    []net.Conn
}

func newBus(t testing.TB, c *chip) *bus {
	t.Helper()
	b := &bus{path: filepath.Join(c.dir, "bus"), chip: c.sock}
	l, err := net.Listen("unix", b.path)
	if err != nil {
		t.Fatal(err)
	}
	b.listener = l
	b.wg.Go(b.accept)
	t.Cleanup(func() {
		l.Close()
		b.mu.Lock()
		for _, c := range b.conns {
			c.Close()
		}
		b.mu.Unlock()
		b.wg.Wait()
	})
	return b
}

func (b *bus) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("unix", b.chip)
		if err != nil {
			conn.Close()
			continue
		}
		b.mu.Lock()
		b.conns = append(b.conns, conn, up)
		b.mu.Unlock()
		b.wg.Go(func() {
			defer conn.Close()
			defer up.Close()
			b.serve(conn, up)
		})
	}
}

func (b *bus) serve(conn, up net.Conn) {
	for {
		command, err := readMessage(conn)
		if err != nil {
			return
		}
		response := b.answer(command)
		if response == nil {
			if _, err := up.Write(command); err != nil {
				return
			}
			if response, err = readMessage(up); err != nil {
				return
			}
		}
		b.mu.Lock()
		b.recorded.Write(command)
		b.recorded.Write(response)
		if b.onResponse != nil {
			response = b.onResponse(command, response)
		}
		b.mu.Unlock()
		if len(response) == 0 {
			return // hang up
		}
		if _, err := conn.Write(response); err != nil {
			return
		}
	}
}

func (b *bus) answer(command []byte) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.onCommand == nil {
		return nil
	}
	return b.onCommand(command)
}

// intercept sets what the bus does from now on.
func (b *bus) intercept(onCommand func([]byte) []byte, onResponse func(command, response []byte) []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.onCommand, b.onResponse = onCommand, onResponse
}

// heard returns all bytes that crossed so far.
func (b *bus) heard() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.recorded.Bytes())
}

func readMessage(r io.Reader) ([]byte, error) {
	msg := make([]byte, headerSize)
	if _, err := io.ReadFull(r, msg); err != nil {
		return nil, err
	}
	rest := make([]byte, int(binary.BigEndian.Uint32(msg[2:]))-headerSize)
	_, err := io.ReadFull(r, rest)
	return append(msg, rest...), err
}

// code is a command's TPM_CC.
func code(command []byte) tpm2.TPMCC { return tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])) }

// refuse is a response that is nothing but a response code.
func refuse(rc tpm2.TPMRC) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x80, 0x01, 0, 0, 0, headerSize}, uint32(rc))
}
