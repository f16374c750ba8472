package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pinward/hl7"
	"pinward/hl7/mllp"
)

// theRelay is the process by which the box dials.
const theRelay = "relay"

// engine is an interface engine's own port: a real MLLP server that keeps what came, byte for byte, and
// does with each message what the test says, then AA.
type engine struct {
	mu      sync.Mutex
	got     [][]byte
	next    []func(m *hl7.Message) ([]byte, error)
	subject string // of the certificate that sent last
}

func (e *engine) handle(_ context.Context, _ hl7.Peer, frame []byte) ([]byte, error) {
	m, err := hl7.Parse(frame)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.got = append(e.got, bytes.Clone(frame))
	do := func(m *hl7.Message) ([]byte, error) { return hl7.Ack(m, hl7.AckOptions{}), nil }
	if len(e.next) > 0 {
		do, e.next = e.next[0], e.next[1:]
	}
	e.mu.Unlock()
	return do(m)
}

func (e *engine) does(next ...func(m *hl7.Message) ([]byte, error)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next = next
}

// came lists what came: "request STATE", repeats included, and whether each repeat is the same message.
func (e *engine) came() (list []string, same bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	same = true
	byID := map[string][]byte{}
	for _, raw := range e.got {
		m, err := hl7.Parse(raw)
		if err != nil {
			return nil, false
		}
		if before := byID[m.ControlID()]; before != nil {
			same = same && bytes.Equal(before, raw)
		}
		byID[m.ControlID()] = raw
		list = append(list, m.Get("OBR-2.1")+" "+m.Get("OBX-5.1"))
	}
	return list, same && len(byID) > 0
}

// listen serves on address until the test ends; "" is a free port.
func (e *engine) listen(t *testing.T, address string) (string, func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	srv := &mllp.Server{Handler: e.handle, Name: "engine", Limits: mllp.Limits{Drain: 100 * time.Millisecond, Reply: 9 * time.Second}}
	go func() { done <- srv.Serve(ctx, l) }()
	var once sync.Once
	end := func() {
		once.Do(func() {
			stop()
			must(t, <-done)
		})
	}
	t.Cleanup(end)
	return l.Addr().String(), end
}

// relayTo runs the relay with one name on its list.
func (w *world) relayTo(t *testing.T, name, address string) {
	t.Helper()
	must(t, os.WriteFile(w.path("relay.toml"), fmt.Appendf(nil, "[dial]\n%s = %q\n", name, address), 0o600))
	must(t, w.launch(theRelay, "relay", "-config", w.path("relay.toml"), "-socket", w.path("relay.sock")))
	must(t, w.await(theRelay, func() bool {
		_, err := os.Stat(w.path("relay.sock"))
		return err == nil
	}))
	t.Cleanup(func() { w.kill(theRelay) })
}

// configure changes the daemon's configuration.
func (w *world) configure(change func(string) string) error {
	text, err := os.ReadFile(w.path("pinward.toml"))
	if err != nil {
		return err
	}
	return os.WriteFile(w.path("pinward.toml"), []byte(change(string(text))), 0o600)
}

// The way back: an engine that asks is told by ORU^R01 what became of its requests, over a kept connection
// by the relay. Whatever happens between (the line is cut after the message and before its answer, the
// answer is slow, the engine refuses, it is down, the daemon is killed), it gets each state at least
// once, in order, and a repeat is the same message with the same MSH-10.
func TestEngineIsToldWhatBecameOfItsRequests(t *testing.T) {
	t.Parallel()
	e := &engine{}
	w := empty(t, 1)
	// On the world's own host: nobody's outgoing connection gets this port while the engine is down.
	address, down := e.listen(t, w.host+":0")
	must(t, w.configure(func(s string) string {
		s = strings.Replace(s, "\n[[witness]]", "\n[[hl7.peer]]\nname = \"engine\"\naddresses = [\"127.0.0.0/8\"]\nback = \"engine\"\n\n[[witness]]", 1)
		return s + fmt.Sprintf("\n[relay]\nsocket = %q\n", w.path("relay.sock"))
	}))
	w.relayTo(t, "engine", address)
	must(t, w.start(theBox))
	_, _, err := w.commission()
	must(t, err)
	must(t, w.awaitReady())
	must(t, w.permit())
	token, err := w.login()
	must(t, err)
	policy := map[string]any{"peers": map[string]any{"engine": map[string]any{"back": []string{"queued", "sent", "delivered", "failed"}}}}
	must(t, call(w.control(), token, http.MethodPut, "http://control/hl7/policy", policy, nil))
	_, err = w.pinward(adminPassword+"\n", "login", "admin")
	must(t, err)

	c := &crash{world: w, t: t}
	ask := func(request, number string) {
		t.Helper()
		must(t, c.deliver(admit("M"+request, "M"+request, number[2:])+"ZNT|1|OTP^patient-signup|"+request+"|SMS|en\n"))
	}
	until := func(request, state string) []string {
		t.Helper()
		var list []string
		var same bool
		err := eventually(func() bool {
			list, same = e.came()
			return len(list) > 0 && list[len(list)-1] == request+" "+state
		})
		if err != nil || !same {
			t.Fatalf("%s %s: %v, same message at each try: %v, came %q", request, state, err, same, list)
		}
		return list
	}

	ask("REQ1", "+16172301001")
	if got := until("REQ1", "DELIVERED"); strings.Join(got, ",") != "REQ1 QUEUED,REQ1 SENT,REQ1 DELIVERED" {
		t.Errorf("an ordinary request: %q", got)
	}

	cut := func(*hl7.Message) ([]byte, error) { return nil, errors.New("the line is cut") }
	slow := func(m *hl7.Message) ([]byte, error) {
		time.Sleep(1500 * time.Millisecond)
		return hl7.Ack(m, hl7.AckOptions{}), nil
	}
	wrong := func(m *hl7.Message) ([]byte, error) {
		return hl7.Ack(m, hl7.AckOptions{Err: &hl7.Error{Code: hl7.CodeRequiredFieldMissing}}), nil
	}
	e.does(cut, slow, wrong)
	ask("REQ2", "+16172301002")
	if got := until("REQ2", "DELIVERED"); strings.Join(got[3:], ",") != "REQ2 QUEUED,REQ2 QUEUED,REQ2 SENT,REQ2 DELIVERED" {
		t.Errorf("cut, slow and refused: %q", got[3:])
	}
	if out, err := w.pinward("", "hl7", "peers"); err != nil || !strings.Contains(out, `engine is told at "engine" of queued, sent, delivered, failed: 5 taken`) ||
		!strings.Contains(out, "1 refused, last ") || !strings.Contains(out, "with AE 101") {
		t.Errorf("pinward hl7 peers: %v\n%s", err, out)
	}

	// The daemon is killed while it waits for an answer.
	came, killed := make(chan struct{}), make(chan struct{})
	e.does(func(*hl7.Message) ([]byte, error) {
		close(came)
		<-killed
		return nil, errors.New("too late")
	})
	ask("REQ3", "+16172301003")
	<-came
	w.kill(theBox)
	close(killed)
	must(t, w.start(theBox))
	must(t, w.awaitReady())
	got := until("REQ3", "DELIVERED")
	if list := strings.Join(got[7:], ","); list != "REQ3 QUEUED,REQ3 QUEUED,REQ3 SENT,REQ3 DELIVERED" {
		t.Errorf("over the kill: %q", list)
	}

	// The engine is down for a while: what happened meanwhile comes after, in order.
	down()
	ask("REQ4", "+16172301004")
	_, err = w.awaitTexts("+16172301004", 1)
	must(t, err)
	must(t, eventually(func() bool {
		out, err := w.pinward("", "hl7", "peers")
		return err == nil && strings.Contains(out, "entries wait")
	}))
	e.listen(t, address)
	if got := until("REQ4", "DELIVERED"); strings.Join(got[11:], ",") != "REQ4 QUEUED,REQ4 SENT,REQ4 DELIVERED" {
		t.Errorf("after it was down: %q", got[11:])
	}

	// Who has no number gets no code, and the engine hears that. No log names a request or a number.
	must(t, c.deliver(strings.Replace(admit("MREQ5", "MREQ5", "6172301005"), "^PRN^CP^^1^617^2301005", "", 1)+"ZNT|1|OTP^patient-signup|REQ5|SMS|en\n"))
	until("REQ5", "REFUSED")
	for _, process := range []string{theBox, theRelay} {
		if log := w.log(process); strings.Contains(log, "REQ4") || strings.Contains(log, "6172301004") {
			t.Errorf("the log of %s names a request", process)
		}
	}
	must(t, w.stop(theBox))
	if files, err := filepath.Glob(w.path("state/*spool*")); err != nil || len(files) > 0 {
		t.Errorf("a second spool: %q, %v", files, err)
	}
}
