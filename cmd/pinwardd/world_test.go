package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// built is the folder of the programs that are not this test binary: pinward and modemsim.
var built string

// TestMain lets this binary be pinwardd, so that tests run the real main, and builds the others once.
func TestMain(m *testing.M) {
	testscript.Main(withPrograms{m}, map[string]func(){"pinwardd": main})
}

type withPrograms struct{ m *testing.M }

func (w withPrograms) Run() int {
	dir, err := os.MkdirTemp("", "pinward-bin")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if out, err := exec.Command("go", "build", "-o", dir, "../pinward", "../modemsim").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build pinward and modemsim: %v\n%s", err, out)
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
	readyWithin   = 30 * time.Second        // bounds every wait; nothing is expected to take that long
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

	procs map[string]*process
	env   []string   // added to the daemon's environment
	files []*os.File // listeners that the daemon gets, as systemd would hand them over: https, mllp
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
		dir: dir, modems: modems, onAir: 20 * time.Millisecond, procs: map[string]*process{},
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
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
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
			"-modems", fmt.Sprint(w.modems), "-latency", w.onAir.String()}
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

// kill ends a process as a power cut would.
func (w *world) kill(name string) {
	if p := w.procs[name]; p != nil {
		_ = p.cmd.Process.Kill() // it may have ended already
		<-p.ended
	}
}

func (w *world) close() {
	for _, name := range []string{theBox, theNetwork, theTPM} {
		w.kill(name)
	}
}

// control is the daemon's control socket as an HTTP client.
func (w *world) control() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", w.path("control"))
		},
	}}
}

// boxStatus is what these tests look at of the daemon's status.
type boxStatus struct {
	State, Cause, Next, Signer string
	Accepts                    bool
	Entries                    uint64
	Modems                     map[string]struct{ Ready bool }
}

func (s boxStatus) ready() int {
	n := 0
	for _, m := range s.Modems {
		if m.Ready {
			n++
		}
	}
	return n
}

func (w *world) status() (st boxStatus, err error) {
	err = call(w.control(), "", http.MethodGet, "http://control/status", nil, &st)
	return st, err
}

// statusError is an answer that is no success.
type statusError struct {
	code int
	body string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.body) }

// call sends a request with a JSON body and decodes the answer into v.
func call(c *http.Client, token, method, url string, body, v any, header ...string) error {
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, url, send)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return &statusError{resp.StatusCode, string(b)}
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(b, v)
}

// web is an HTTPS client that trusts this world's certificate alone.
func (w *world) web() (*http.Client, error) {
	pemBytes, err := os.ReadFile(w.path("cert.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pemBytes)
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8,
	}}, nil
}

// pinward runs the operator's command.
func (w *world) pinward(stdin string, args ...string) (string, error) {
	cmd := exec.Command("pinward", append([]string{"--socket", w.path("control")}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "HOME="+w.dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("pinward %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// account is what a client of the API has.
type account struct{ Account, Secret, Token string }

// commission takes an empty box to live: first person, site, a client without limits of its own.
// Limits of a number stay as shipped. It returns what set-up printed.
func (w *world) commission() (acc account, printed string, err error) {
	printed, err = w.pinward(adminPassword+"\n", "setup", "--name", "Test Hospital", "--brand", "Riverside",
		"--zone", "America/New_York", "--authority", "HOSP", "--help-phone", "617-555-1000", "--area", "617", "--mode", "live",
		"--holder", "Ann", "--holder", "Bo", "--holder", "Cy", "--kit", w.path("kit"))
	if err != nil {
		return acc, printed, err
	}
	token, err := w.login()
	if err != nil {
		return acc, printed, err
	}
	wide := map[string]any{"max": 0, "reserve": 0}
	limits := map[string]any{"client": wide, "actor": wide, "end_user": wide, "prefix": wide}
	if err := call(w.control(), token, http.MethodPut, "http://control/limits", limits, nil); err != nil {
		return acc, printed, err
	}
	client := map[string]any{"name": "portal", "mode": "live", "scopes": []string{"portal", "engine"}}
	if err := call(w.control(), token, http.MethodPost, "http://control/clients", client, &acc); err != nil {
		return acc, printed, err
	}
	return acc, printed, w.goLive(token, acc.Account)
}

// goLive makes a second person known, who agrees that the HL7 listener and a client go live.
func (w *world) goLive(token, client string) error {
	second := map[string]any{"name": "second", "password": adminPassword, "roles": []string{"admin"}}
	if err := call(w.control(), token, http.MethodPost, "http://control/users", second, nil); err != nil {
		return err
	}
	other, err := w.loginAs("second")
	if err != nil {
		return err
	}
	live := map[string]any{"mode": "live"}
	if err := call(w.control(), other, http.MethodPut, "http://control/clients/"+client+"/mode", live, nil); err != nil {
		return err
	}
	for _, who := range []string{token, other} {
		live := map[string]any{"listener": "mllp", "live": true}
		if err := call(w.control(), who, http.MethodPost, "http://control/hl7/live", live, nil); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) login() (token string, err error) { return w.loginAs("admin") }

func (w *world) loginAs(user string) (token string, err error) {
	var s struct{ Token string }
	who := map[string]string{"user": user, "password": adminPassword}
	err = call(w.control(), "", http.MethodPost, "http://control/login", who, &s)
	return s.Token, err
}

// awaitReady waits until the box is open and all its modems can send.
func (w *world) awaitReady() error {
	return w.await(theBox, func() bool {
		st, err := w.status()
		return err == nil && st.State == "open" && st.ready() == w.modems && st.Accepts
	})
}

// text is what a handset shows.
type text struct{ Text, From, Modem string }

// texts lists what the handset of a number shows, oldest first.
func (w *world) texts(number string) (list []text, err error) {
	err = call(http.DefaultClient, "", http.MethodGet, "http://"+w.phones+"/handsets/"+url.PathEscape(number)+"/messages", nil, &list)
	return list, err
}

// awaitTexts waits until the handset shows n texts.
func (w *world) awaitTexts(number string, n int) (list []text, err error) {
	e := w.await(theNetwork, func() bool {
		list, err = w.texts(number)
		return err == nil && len(list) >= n
	})
	return list, errors.Join(e, err)
}

// whole starts TPM, network and daemon, and commissions the box.
func whole(t *testing.T, modems int) (*world, account) {
	t.Helper()
	w := empty(t, modems)
	must(t, w.start(theBox))
	acc, _, err := w.commission()
	must(t, err)
	must(t, w.awaitReady())
	must(t, w.permit())
	return w, acc
}

// permit puts the SIMs on record, with permission to carry all lanes and without caps.
func (w *world) permit() error {
	token, err := w.login()
	if err != nil {
		return err
	}
	for i := range w.modems {
		sim := map[string]any{"permission": map[string]any{"reference": "test"}, "per_minute": -1, "per_day": -1, "port_out_lock": true}
		if err := call(w.control(), token, http.MethodPut, fmt.Sprintf("http://control/modems/modem%d/sim", i+1), sim, nil); err != nil {
			return err
		}
	}
	return nil
}

// empty starts TPM and network of a new world, and ends all of it with the test.
func empty(t *testing.T, modems int) *world {
	t.Helper()
	// Not t.TempDir: its path can be longer than the 108 bytes that the name of a socket may have.
	dir, err := os.MkdirTemp("", "pinward")
	must(t, err)
	w, err := newWorld(dir, modems)
	must(t, err)
	t.Cleanup(func() {
		w.close()
		for _, sign := range []string{"DATA RACE", "panic", "level=ERROR msg=\"http: "} {
			if strings.Contains(w.log(theBox), sign) {
				t.Errorf("the daemon's log holds %q", sign)
			}
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", w.log(theBox))
		}
		must(t, os.RemoveAll(dir))
	})
	must(t, w.start(theTPM))
	must(t, w.start(theNetwork))
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
