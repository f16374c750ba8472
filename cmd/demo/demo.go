package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"pinward/daemon"
	"pinward/modem/modemsim"
)

// Demo is what DIR/demo.json tells a program that wants to use the demo. It is written last: who
// finds it finds everything up.
type Demo struct {
	API      string `json:"api"`      // base URL of the native API and of the Twilio Verify shape
	CA       string `json:"ca"`       // PEM file of the authority that signed the server's certificate
	Account  string `json:"account"`  // AC..., user name of HTTP Basic
	Secret   string `json:"secret"`   // its password
	Service  string `json:"service"`  // VA..., the verification service to use
	Token    string `json:"token"`    // bearer token of the native API
	MLLP     string `json:"mllp"`     // host:port
	Handsets string `json:"handsets"` // base URL of the simulated handsets
	Console  string `json:"console"`  // URL of the pages
	User     string `json:"user"`     // who may log in there
	Password string `json:"password"`
	Socket   string `json:"socket"` // control socket of `pinward`
	Signer   string `json:"signer"` // fingerprint of the audit's signer
}

// partTime is what the simulated networks take for a part, give or take a quarter; the driver's own
// pause at the prompt comes on top, and 0.3 s are not passed.
const partTime = 150 * time.Millisecond

// upWithin is how long the demo gives itself to come up.
const upWithin = 60 * time.Second

type demo struct {
	options
	log     *slog.Logger
	lock    *os.File // held while the folder is ours; the kernel lets go when we end
	keys    *demoKeys
	network *modemsim.Network
	web     net.Listener // the handsets' page
	cfg     daemon.Config
	sims    []string // ICCIDs
}

// newDemo makes what is there before the daemon starts: keys, certificate, modems.
func newDemo(o options, log *slog.Logger) (*demo, error) {
	d := &demo{options: o, log: log}
	var err error
	if d.lock, err = lock(o.dir); err != nil {
		return nil, err
	}
	// A demo.json of an earlier run would promise what is not up yet.
	if err := os.Remove(filepath.Join(o.dir, "demo.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old demo.json: %w", err)
	}
	if d.keys, err = loadDemoKeys(filepath.Join(o.dir, "demo-key")); err != nil {
		return nil, err
	}
	if err := makeCertificates(o.dir); err != nil {
		return nil, err
	}
	if d.web, err = net.Listen("tcp", o.handsets); err != nil {
		return nil, fmt.Errorf("listen for handsets: %w", err)
	}
	d.cfg = daemon.Defaults()
	d.cfg.Box = daemon.Box{ID: "demo", State: filepath.Join(o.dir, "state")}
	d.cfg.HTTPS = daemon.HTTPS{
		Listen: daemon.Address{HostPort: o.https}, Certificate: filepath.Join(o.dir, "server.pem"), Key: filepath.Join(o.dir, "server-key.pem"),
	}
	d.cfg.HL7 = []daemon.HL7Listener{{Name: "mllp", Listen: daemon.Address{HostPort: o.mllp}, Mode: "live"}}
	d.cfg.Speech.Folder = filepath.Join(o.dir, "speech")
	if err := d.keepSpeech(); err != nil {
		return nil, err
	}
	d.cfg.Control.Socket = filepath.Join(o.dir, "pinward.sock")
	return d, d.addModems()
}

// speech has the name of the demo's hospital in each language, which a site records or has made (packaging/speech/build).
//
//go:embed speech
var speech embed.FS

// keepSpeech puts the recordings where the daemon looks for a site's own.
func (d *demo) keepSpeech() error {
	if err := os.RemoveAll(d.cfg.Speech.Folder); err != nil { // CopyFS overwrites nothing
		return fmt.Errorf("remove old recordings: %w", err)
	}
	own, err := fs.Sub(speech, "speech")
	if err != nil {
		return fmt.Errorf("read recordings: %w", err)
	}
	if err := os.CopyFS(d.cfg.Speech.Folder, own); err != nil {
		return fmt.Errorf("keep recordings: %w", err)
	}
	return nil
}

// lock takes the folder: a second demo on it must not touch what the first has promised.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "demo.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another demo runs in %s", dir)
	}
	return f, nil
}

// addModems makes simulated modems on pseudo-terminals: the daemon opens them as it opens real ones.
func (d *demo) addModems() error {
	var err error
	d.network, err = modemsim.NewNetwork(modemsim.NetworkOptions{
		Dir: filepath.Join(d.dir, "handsets"), Latency: partTime, Jitter: d.jitter, Log: d.log,
	})
	if err != nil {
		return fmt.Errorf("make network: %w", err)
	}
	carriers := [...]string{"Northern", "Southern"}
	profiles := [...]string{"ec25", "sim7600", "ec25", "generic"}
	for i := range d.modems {
		name := fmt.Sprintf("modem%d", i+1)
		carrier := carriers[i%len(carriers)]
		m, err := d.network.AddModem(modemsim.ModemOptions{Name: name, Carrier: carrier, Profile: profiles[i%len(profiles)]})
		if err != nil {
			return fmt.Errorf("add %s: %w", name, err)
		}
		link := filepath.Join(d.dir, "modems", name)
		if _, err := m.PTY(link); err != nil {
			return fmt.Errorf("plug %s in: %w", name, err)
		}
		port := daemon.ModemPort{Name: name, Device: link}
		if m.Calls() {
			port.Audio = link + "-audio"
			if _, err := m.AudioPTY(port.Audio); err != nil {
				return fmt.Errorf("plug %s in: %w", name, err)
			}
		}
		d.sims = append(d.sims, m.ICCID())
		d.cfg.Modems = append(d.cfg.Modems, port)
	}
	return nil
}

// run serves until ctx ends. The daemon stops before its modems vanish.
func (d *demo) run(ctx context.Context) error {
	defer d.network.Close()
	web := &http.Server{Handler: d.network.Handler(), ReadHeaderTimeout: 10 * time.Second}
	webEnded := make(chan error, 1)
	go func() { webEnded <- web.Serve(d.web) }()
	defer func() { web.Close(); <-webEnded }()

	stopping, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- daemon.Run(stopping, d.cfg, daemon.Options{Keys: d.keys, Owner: "demo", Version: "demo", Log: d.log})
	}()
	up := make(chan error, 1)
	go func() { up <- d.bringUp(stopping) }()

	select {
	case err := <-ended: // it never came up
		stop()
		<-up
		return err
	case err := <-up:
		if err != nil {
			stop()
			return errors.Join(err, <-ended)
		}
	}
	return <-ended
}

// bringUp acts as the operator of the new box, over its control socket, then waits until every
// modem is registered and a start would be accepted.
func (d *demo) bringUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, upWithin, errors.New("the demo did not come up in time; -v shows the daemon's log"))
	defer cancel()
	op := newOperator(d.cfg.Control.Socket)
	if err := op.waitOpen(ctx); err != nil {
		return err
	}
	acc, err := d.accounts(ctx, op)
	if err != nil {
		return err
	}
	if err := d.permit(ctx, op); err != nil {
		return err
	}
	st, err := op.waitReady(ctx, d.modems)
	if err != nil {
		return err
	}
	out := Demo{
		API: "https://" + d.https, CA: filepath.Join(d.dir, "ca.pem"),
		Account: acc.Account, Secret: acc.Secret, Service: acc.Service, Token: acc.Token,
		MLLP: d.mllp, Handsets: "http://" + d.web.Addr().String(), Console: "https://" + d.https + "/",
		User: acc.User, Password: acc.Password, Socket: d.cfg.Control.Socket, Signer: st.Signer,
	}
	if err := writeJSON(filepath.Join(d.dir, "demo.json"), out); err != nil {
		return err
	}
	d.tell(out)
	return nil
}

func (d *demo) tell(o Demo) {
	fmt.Printf(`Pinward is up, with %d simulated modems. Everything is on this machine; stop it with Ctrl-C.

  handsets   %s
  console    %s   (user %s, password in demo.json)
  API        %s   (certificate authority: %s)
  HL7/MLLP   %s
  control    %s
  the rest   %s

Send a code, read it, check it:

  D=%s; v() { curl -s --cacert $D/ca.pem -u "$(jq -r .account $D/demo.json):$(jq -r .secret $D/demo.json)" "$@"; echo; }
  v --data-urlencode To=+16175550199 -d Channel=sms %s/v2/Services/%s/Verifications
  curl -s %s/handsets/+16175550199/messages
  v --data-urlencode To=+16175550199 -d Code=123456 %s/v2/Services/%s/VerificationCheck
`, d.modems, o.Handsets, o.Console, o.User, o.API, o.CA, o.MLLP, o.Socket, filepath.Join(d.dir, "demo.json"),
		d.dir, o.API, o.Service, o.Handsets, o.API, o.Service)
}

// writeJSON replaces a file at once: who reads it sees the old one or the new one, whole.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}
