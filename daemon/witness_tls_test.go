package daemon_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinward/daemon"
	"pinward/daemon/record"
	"pinward/store"
	"pinward/store/audit"
	"pinward/store/storetest"
)

// TestSyslogWitnessOverTLS: heads go by the real relay to a real rsyslog over TLS, and a bundle verifies
// against the file that rsyslog wrote. A server with another name or another CA gets nothing.
func TestSyslogWitnessOverTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	server := newLogServer(t, ca, false)
	server.start(t)
	relay := daemon.RelayDial(startRelay(t, map[string]string{"siem": server.address}))
	s := storetest.OpenIn(t, filepath.Join(t.TempDir(), "store"), storetest.Options(storetest.NewKeys(t)))
	send := func(name, ca string) error {
		w := daemon.WitnessTarget{Name: "siem", Kind: "syslog", Relay: "siem", TLS: name, CA: ca}
		return record.SyslogWitness(w.DialBy(relay))(t.Context(), signedHead(t, s))
	}
	if err := send("other.test", ca.file); err == nil {
		t.Error("a server of another name gets the head")
	}
	if err := send("siem.test", other.file); err == nil {
		t.Error("a server of another CA gets the head")
	}
	const n = 3
	for range n {
		if err := send("siem.test", ca.file); err != nil {
			t.Fatal(err)
		}
	}
	waitHeads(t, server, n)
	r, err := verifyAgainst(t, s, server.file)
	if err != nil || r.Witnessed != n {
		t.Errorf("%d heads witnessed, %v", r.Witnessed, err)
	}
}

// waitHeads waits until the log server has n heads in its file.
func waitHeads(t *testing.T, l *logServer, n int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(l.file)
		if err == nil && strings.Count(string(text), "pinward-head") >= n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("rsyslog has %q; %v", text, err)
		}
	}
}

// verifyAgainst exports the log and holds it against a log server's file.
func verifyAgainst(t *testing.T, s *store.Store, file string) (audit.Report, error) {
	t.Helper()
	var b bytes.Buffer
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := s.Export(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if err := audit.Unpack(&b, dir); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return audit.Verify(t.Context(), dir, audit.VerifyOptions{Signer: s.Fingerprint(), Witness: f})
}

// signedHead makes an entry and gives the head over it, as a witness gets it.
func signedHead(t *testing.T, s *store.Store) (line string) {
	t.Helper()
	storetest.Update(t, s, func(tx *store.Tx) error { return tx.Record(store.Entry{Action: "tick", Outcome: store.OK}) })
	if err := s.Export(t.Context(), io.Discard); err != nil { // signs a head
		t.Fatal(err)
	}
	storetest.View(t, s, func(tx *store.Tx) error {
		note, _, err := tx.HeadSince(0)
		if err == nil {
			line, err = audit.HeadLine(note)
		}
		return err
	})
	return line
}

// TestSyslogWitness sends heads to a real rsyslog over plain TCP and by its datagram socket.
func TestSyslogWitness(t *testing.T) {
	server := newLogServer(t, nil, false)
	server.start(t)
	s := storetest.OpenIn(t, filepath.Join(t.TempDir(), "store"), storetest.Options(storetest.NewKeys(t)))
	for i, dial := range []func(context.Context) (net.Conn, error){
		func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", server.address)
		},
		func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unixgram", server.socket)
		},
	} {
		if err := record.SyslogWitness(dial)(t.Context(), signedHead(t, s)); err != nil {
			t.Fatalf("by way %d: %v", i, err)
		}
		waitHeads(t, server, i+1)
		if r, err := verifyAgainst(t, s, server.file); err != nil || r.Witnessed != i+1 {
			t.Fatalf("by way %d: %d heads witnessed, %v", i, r.Witnessed, err)
		}
	}
}
