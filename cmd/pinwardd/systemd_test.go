package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is what systemd hears of the daemon.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newManager(t *testing.T, w *world) *manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: w.path("notify")})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	w.env = append(w.env, "NOTIFY_SOCKET="+w.path("notify"))
	return &manager{t, c}
}

// hear reads what comes until something has all the lines wanted, and returns it. A line that ends
// with * stands for all that begin so.
func (m *manager) hear(want ...string) string {
	m.t.Helper()
	must(m.t, m.conn.SetReadDeadline(time.Now().Add(readyWithin)))
	var heard []string
	for buf := make([]byte, 4096); ; {
		n, err := m.conn.Read(buf)
		if err != nil {
			m.t.Fatalf("systemd did not hear %q but %q: %v", want, heard, err)
		}
		heard = append(heard, string(buf[:n]))
		if says(string(buf[:n]), want) {
			return string(buf[:n])
		}
	}
}

func says(said string, want []string) bool {
	for _, line := range want {
		begin, open := strings.CutSuffix(line, "*")
		found := false
		for l := range strings.Lines(said) {
			l = strings.TrimSuffix(l, "\n")
			found = found || l == line || open && strings.HasPrefix(l, begin)
		}
		if !found {
			return false
		}
	}
	return true
}

// TestNotify: systemd hears that it is ready in each state, what it waits for, that it lives, that it
// reads its certificates again, and that it stops.
func TestNotify(t *testing.T) {
	t.Parallel()
	w := empty(t, 1)
	m := newManager(t, w)
	w.env = append(w.env, "WATCHDOG_USEC=400000")
	must(t, w.start(theBox))
	m.hear("READY=1", "STATUS=empty: *")
	for range 3 {
		m.hear("WATCHDOG=1", "STATUS=empty: *")
	}
	_, _, err := w.commission()
	must(t, err)
	m.hear("WATCHDOG=1", "STATUS=open")
	must(t, w.procs[theBox].cmd.Process.Signal(syscall.SIGHUP))
	m.hear("RELOADING=1", "MONOTONIC_USEC=*")
	m.hear("READY=1")
	must(t, w.stop(theBox))
	m.hear("STOPPING=1")

	// A restart is ready only when the TPM has been asked.
	must(t, w.start(theBox))
	m.hear("READY=1", "STATUS=open")
	must(t, w.stop(theBox))
	m.hear("STOPPING=1")
	w.kill(theTPM)
	must(t, w.start(theBox))
	m.hear("READY=1", "STATUS=sealed: *")
}

// TestNotifyEnds: a daemon that cannot start never says that it is ready.
func TestNotifyEnds(t *testing.T) {
	t.Parallel()
	w := empty(t, 1)
	m := newManager(t, w)
	l, err := net.Listen("tcp", w.https)
	must(t, err)
	defer l.Close()
	if err := w.start(theBox); err == nil || !strings.Contains(err.Error(), "listen for https") {
		t.Errorf("start on a port that is taken: %v", err)
	}
	must(t, m.conn.SetReadDeadline(time.Now()))
	if n, err := m.conn.Read(make([]byte, 64)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("systemd heard %d bytes, %v", n, err)
	}
}

// activated hands the daemon its listeners as systemd does, and takes away the addresses of its
// configuration, so that it could not open them itself.
func activated(t *testing.T, w *world) {
	t.Helper()
	for _, addr := range []*string{&w.https, &w.mllp} {
		taken, err := net.Listen("tcp", *addr)
		must(t, err)
		t.Cleanup(func() { taken.Close() })
		l, err := net.Listen("tcp", w.host+":0")
		must(t, err)
		f, err := l.(*net.TCPListener).File()
		must(t, err)
		l.Close() // f is the socket now
		t.Cleanup(func() { f.Close() })
		w.files = append(w.files, f)
		*addr = l.Addr().String()
	}
}

// TestSocketActivation: the ports are systemd's, so a restart refuses nobody. Who comes while the
// daemon is down waits, and is served when it is back, keys and all.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	w := empty(t, 1)
	activated(t, w)
	must(t, w.start(theBox))
	acc, _, err := w.commission()
	must(t, err)
	must(t, w.awaitReady())
	web, err := w.web()
	must(t, err)
	services := func() error {
		return call(web, acc.Token, http.MethodGet, "https://"+w.https+"/v1/services", nil, nil)
	}
	must(t, services())
	_, err = w.send(admit("A04-1", "77001", "6175551270"))
	must(t, err)

	for i := range 2 {
		if i == 0 {
			must(t, w.stop(theBox))
		} else {
			w.kill(theBox)
		}
		web.CloseIdleConnections()
		served, acked := make(chan error, 1), make(chan error, 1)
		go func() { served <- services() }()
		go func() {
			reply, err := w.send(admit(fmt.Sprint("A04-2", i), "77002", "6175551271"))
			if err == nil && !strings.Contains(reply, "MSA|AA|") {
				err = errors.New(reply)
			}
			acked <- err
		}()
		waiting(t, w.https, w.mllp)
		must(t, w.start(theBox))
		if err := <-served; err != nil {
			t.Errorf("a request that came while the daemon was down: %v", err)
		}
		if err := <-acked; err != nil {
			t.Errorf("a message that came while the daemon was down: %v", err)
		}
	}
}

// waiting waits until a connection stands in the queue of each listener.
func waiting(t *testing.T, addrs ...string) {
	t.Helper()
	for _, addr := range addrs {
		at, err := netip.ParseAddrPort(addr)
		must(t, err)
		ip := at.Addr().As4()
		slices.Reverse(ip[:]) // proc_net_tcp(5): in the order of this machine's bytes
		local, established := fmt.Sprintf("%X:%04X", ip[:], at.Port()), "01"
		must(t, eventually(func() bool {
			table, err := os.ReadFile("/proc/net/tcp")
			must(t, err)
			for line := range strings.Lines(string(table)) {
				if f := strings.Fields(line); len(f) > 3 && f[1] == local && f[3] == established {
					return true
				}
			}
			return false
		}))
	}
}

// admit is an ADT^A04, one segment a line.
func admit(id, mrn, phone string) string {
	now := time.Now().Format("20060102150405-0700")
	return `MSH|^~\&|EHR|HOSP|PINWARD|HOSP|` + now + `||ADT^A04^ADT_A01|` + id + "|P|2.5.1\nEVN|A04|" + now +
		"\nPID|1||" + mrn + "^^^HOSP^MR||Quackenbush^Zebulon||19700101|F|||||^PRN^CP^^1^" + phone[:3] + "^" + phone[3:] + "\nPV1|1|O\n"
}

// TestSocketActivate starts it by the very program that systemd brings for that.
func TestSocketActivate(t *testing.T) {
	t.Parallel()
	w := empty(t, 1)
	conf := strings.NewReplacer(w.https, w.host+":1", w.mllp, w.host+":2").Replace(w.config()) // ports that it could not use
	must(t, os.WriteFile(w.path("pinward.toml"), []byte(conf), 0o600))
	must(t, w.launch(theBox, append([]string{"systemd-socket-activate", "--listen", w.https, "--listen", w.mllp, "--listen", w.path("passed"),
		"--fdname=https:mllp:control", "--setenv=PATH"}, w.command(theBox)...)...))
	web, err := w.web()
	must(t, err)
	must(t, w.await(theBox, func() bool { // the first to come starts it
		return call(web, "", http.MethodGet, "https://"+w.https+"/healthz", nil, nil) == nil
	}))
	if _, err := w.send(admit("A04-1", "77001", "6175551270")); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("HL7 to an empty box: %v, want that it closes", err)
	}
	// The control socket is the one that was handed over, whose group systemd has set, and no other is made.
	out, err := exec.Command("pinward", "--socket", w.path("passed"), "status").CombinedOutput()
	if !strings.Contains(string(out), "state    empty") {
		t.Errorf("the control socket that was handed over says %q, %v", out, err)
	}
	if _, err := os.Stat(w.path("control")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it made a control socket of its own: %v", err)
	}
	must(t, w.stop(theBox))
}

// TestStop: with clients that hold on, a message on air and the answer to it not in sight, SIGTERM
// ends the daemon in order within 10 s; the code goes out after the next start, and the audit verifies.
func TestStop(t *testing.T) {
	t.Parallel()
	w, acc := whole(t, 1)
	st, err := w.status()
	must(t, err)

	// A client that sends half a request, one that sends nothing, an engine that only stays connected.
	half := dialTLS(t, w)
	_, err = io.WriteString(half, "POST /v1/verifications HTTP/1.1\r\nHost: box\r\nAuthorization: Bearer "+acc.Token+"\r\nContent-Length: 400\r\n\r\n{")
	must(t, err)
	idle := dialTLS(t, w)
	healthy(t, idle, bufio.NewReader(idle))
	engine, err := net.Dial("tcp", w.mllp)
	must(t, err)
	defer engine.Close()

	must(t, call(http.DefaultClient, "", http.MethodPut, "http://"+w.phones+"/modems/modem1", map[string]any{"latency": 120}, nil))
	web, err := w.web()
	must(t, err)
	var v struct {
		ID    string
		Sends []struct{ Status string }
	}
	start := map[string]string{"service": "portal-login", "to": "+16175551234", "channel": "sms"}
	must(t, call(web, acc.Token, http.MethodPost, "https://"+w.https+"/v1/verifications", start, &v))
	must(t, w.await(theBox, func() bool {
		err := call(web, acc.Token, http.MethodGet, "https://"+w.https+"/v1/verifications/"+v.ID, nil, &v)
		return err == nil && v.Sends[0].Status == "sending"
	}))

	began := time.Now()
	must(t, w.stop(theBox))
	t.Logf("the stop took %v", time.Since(began).Round(time.Millisecond))
	w.kill(theNetwork) // the modem that was in the middle of it comes back as one that was switched on
	must(t, w.start(theNetwork))
	must(t, w.start(theBox))
	list, err := w.awaitTexts("+16175551234", 1)
	must(t, err)
	var checked struct{ Valid bool }
	code := map[string]string{"code": sixDigits.FindString(list[0].Text)}
	must(t, call(web, acc.Token, http.MethodPost, "https://"+w.https+"/v1/verifications/"+v.ID+"/check", code, &checked))
	if !checked.Valid {
		t.Error("the code that went out after the restart is not right")
	}
	_, err = w.pinward(adminPassword+"\n", "login", "admin")
	must(t, err)
	_, err = w.pinward("", "audit", "verify", "--signer", st.Signer)
	must(t, err)
	found, err := w.pinward("", "audit", "search", "--action", "daemon.stop")
	must(t, err)
	if !strings.Contains(found, "daemon.stop") {
		t.Error("the stop left no entry: it was not in order")
	}
}
