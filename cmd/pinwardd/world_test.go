package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pinward/daemon/directory/directorytest"
)

// built is the folder of the programs that are not this test binary: pinward, modemsim and relay.
var built string

// TestMain lets this binary be pinwardd, so that tests run the real main, and builds the others once.
func TestMain(m *testing.M) {
	testscript.Main(withPrograms{m}, map[string]func(){"pinwardd": func() {
		passwordWork = 1000 // the real one takes a fifth of a second of a core, some 250 times; daemon/access tests that
		main()
	}})
}

type withPrograms struct{ m *testing.M }

func (w withPrograms) Run() int {
	// Scripts wait for restarts and clocks more than they compute. -parallel says otherwise.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "pinward-bin")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if out, err := exec.Command("go", "build", "-o", dir, "../pinward", "../modemsim", "../relay").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the other programs: %v\n%s", err, out)
		return 1
	}
	built = dir
	if err := os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		panic(err)
	}
	return w.m.Run()
}

// The processes of a world.
const (
	theTPM     = "tpm"     // swtpm
	theNetwork = "network" // modemsim
	theBox     = "box"     // pinwardd
)

const (
	adminPassword = "correct horse battery" // what the first person of every world logs in with
	readyWithin   = time.Minute             // bounds every wait; what a dead network gave back is due again after 15 to 19 s
)

// world is a box and what stands around it: a TPM, a mobile network with handsets and the daemon,
// each a process that can be killed, all over one folder.
type world struct {
	dir    string
	host   string // a loopback address of this world's own, so that no other world can take its ports
	https  string // host:port
	mllp   string
	phones string // the handsets of the network
	modems int
	onAir  time.Duration // how long the network takes for one part
	kinds  string        // of the modems, in turn, as modemsim -profile

	procs map[string]*process
	ldap  *directorytest.Server // the hospital's directory; nil where there is none
	env   []string              // added to the daemon's environment
	files []*os.File            // listeners that the daemon gets, as systemd would hand them over: https, mllp
}

// process is a program under way, with its output in a file.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
	err   error         // written before ended is closed
}

var worlds atomic.Int32

// newWorld makes certificate and configuration. Nothing runs yet.
func newWorld(dir string, modems int) (*world, error) {
	n := int(worlds.Add(1))
	w := &world{
		dir: dir, modems: modems, onAir: 20 * time.Millisecond, kinds: "generic", procs: map[string]*process{},
		host: fmt.Sprintf("127.%d.%d.%d", 1+os.Getpid()%200, 1+os.Getpid()/200%200, n),
	}
	for _, addr := range []*string{&w.https, &w.mllp, &w.phones} {
		l, err := net.Listen("tcp", w.host+":0")
		if err != nil {
			return nil, err
		}
		*addr = l.Addr().String()
		defer l.Close()
	}
	return w, errors.Join(
		os.Mkdir(w.path("tpm"), 0o700),
		os.Mkdir(w.path("witness"), 0o700),
		os.MkdirAll(w.path("sys/firmware/efi/efivars"), 0o700),
		os.WriteFile(w.path("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"), []byte{6, 0, 0, 0, 1}, 0o600), // on
		w.makeCertificate("first"),
		os.WriteFile(w.path("pinward.toml"), []byte(w.config()), 0o600),
	)
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, `[box]
id = "test"
state = %q

[tpm]
device = %q
sysfs = %q

[https]
listen = %q
certificate = %q
key = %q

[[hl7]]
name = "mllp"
listen = %q
mode = "live"

[[witness]]
name = "share"
kind = "file"
file = %q
off_box = true

[control]
socket = %q
`, w.path("state"), w.path("tpm.sock"), w.path("sys"), w.https, w.path("cert.pem"), w.path("key.pem"), w.mllp, w.path("witness/heads"), w.path("control"))
	for i := range w.modems {
		fmt.Fprintf(&b, "\n[[modem]]\nname = \"modem%d\"\ndevice = %q\n", i+1, w.path(fmt.Sprintf("ports/modem%d", i+1)))
	}
	return b.String()
}

// makeCertificate makes a certificate that is its own authority; name becomes its common name.
func (w *world) makeCertificate(name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.ParseIP(w.host)},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(w.path("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600),
		os.WriteFile(w.path("cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
	)
}

// command is the command line of a process.
func (w *world) command(name string) []string {
	sock := w.path("tpm.sock")
	switch name {
	case theTPM: // the state folder must be absolute, or the TPM fails every command
		return []string{"swtpm", "socket", "--tpm2", "--server", "type=unixio,path=" + sock, "--ctrl", "type=unixio,path=" + sock + ".ctrl",
			"--tpmstate", "dir=" + w.path("tpm"), "--flags", "not-need-init,startup-clear"}
	case theNetwork:
		return []string{"modemsim", "-dir", w.path("network"), "-links", w.path("ports"), "-http", w.phones,
			"-modems", fmt.Sprint(w.modems), "-latency", w.onAir.String(), "-profile", w.kinds}
	default:
		args := []string{"pinwardd", "-config", w.path("pinward.toml"), "-allow-root"}
		if w.files != nil { // LISTEN_PID must name the process itself: the shell becomes it
			args = append([]string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=https:mllp exec "$0" "$@"`}, args...)
		}
		return args
	}
}

// start starts a process and waits until it answers. The daemon answers in each of its states.
func (w *world) start(name string) error {
	if name == theTPM { // what a killed one left is no sign of life
		os.Remove(w.path("tpm.sock"))
		os.Remove(w.path("tpm.sock.ctrl"))
	}
	if err := w.launch(name, w.command(name)...); err != nil {
		return err
	}
	return w.await(name, func() bool {
		switch name {
		case theTPM:
			_, err := os.Stat(w.path("tpm.sock"))
			return err == nil
		case theNetwork:
			resp, err := http.Get("http://" + w.phones + "/modems")
			if err == nil {
				resp.Body.Close()
			}
			return err == nil
		default:
			st, err := w.status()
			return err == nil && st.State != "starting"
		}
	})
}

// launch starts a process and does not wait for it. Its output is added to NAME.log.
func (w *world) launch(name string, args ...string) error {
	out, err := os.OpenFile(w.path(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	p := &process{cmd: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if name == theBox {
		p.cmd.Env, p.cmd.ExtraFiles = append(os.Environ(), w.env...), w.files
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	w.procs[name] = p
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return nil
}

// await waits until a process is as wanted, and gives up when it ends.
func (w *world) await(name string, ok func() bool) error {
	var ended error
	err := eventually(func() bool {
		select {
		case <-w.procs[name].ended:
			ended = fmt.Errorf("%s ended: %v\n%s", name, w.procs[name].err, w.log(name))
			return true
		default:
			return ok()
		}
	})
	if err != nil {
		err = fmt.Errorf("wait for %s: %w\n%s", name, err, w.log(name))
	}
	return errors.Join(ended, err)
}

// eventually asks again and again until it is so.
func eventually(ok func() bool) error {
	for end := time.Now().Add(readyWithin); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("not so within %s", readyWithin)
		}
	}
	return nil
}

func (w *world) log(name string) string {
	b, _ := os.ReadFile(w.path(name + ".log")) // it may not have begun
	return string(b)
}

// stop asks a process to end, as systemd does, and wants an ordered end within 10 s: then the unit
// would kill it.
func (w *world) stop(name string) error {
	p := w.procs[name]
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines are in the log then
		<-p.ended
		return fmt.Errorf("%s did not stop within 10 s\n%s", name, w.log(name))
	}
	if name == theBox && p.err != nil {
		return fmt.Errorf("the daemon's stop was not clean: %w\n%s", p.err, w.log(name))
	}
	return nil
}

// gone waits for a process to end by itself, with an error.
func (w *world) gone(name string) error {
	p := w.procs[name]
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		return fmt.Errorf("%s goes on\n%s", name, w.log(name))
	}
	if p.err == nil {
		return fmt.Errorf("%s ended as if all were well\n%s", name, w.log(name))
	}
	return nil
}

// kill ends a process as a power cut would.
func (w *world) kill(name string) {
	if p := w.procs[name]; p != nil {
		_ = p.cmd.Process.Kill() // it may have ended already
		<-p.ended
	}
}

// freeze lets a process stand still, as one that hangs; thaw lets it go on.
func (w *world) freeze(name string) error { return w.procs[name].cmd.Process.Signal(syscall.SIGSTOP) }
func (w *world) thaw(name string) error   { return w.procs[name].cmd.Process.Signal(syscall.SIGCONT) }

func (w *world) close() {
	for _, name := range []string{theTracer, theBox, theNetwork, theTPM} {
		w.kill(name)
	}
}
