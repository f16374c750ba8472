package daemon_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"pinward/daemon"
	"pinward/daemon/record"
	"pinward/store"
	"pinward/store/storetest"
)

// feeding runs a repository's follower until stop, which waits for its end.
func feeding(t *testing.T, s *store.Store, a daemon.ATNATarget, relay daemon.Dial) (stop func()) {
	t.Helper()
	r := a.RepositoryBy("box-1", relay)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		r.Run(ctx, s, store.Actor{Kind: "daemon", ID: "test"}, slog.New(slog.DiscardHandler))
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

func changeSites(t *testing.T, s *store.Store, kind string, n int) {
	t.Helper()
	storetest.Update(t, s, func(tx *store.Tx) error {
		for i := range n {
			e := store.Entry{Action: "subject.update", Outcome: store.OK, Object: fmt.Sprintf("%s-%d.", kind, i), Subject: "HOSP|12345",
				Attrs: []store.Attr{{Key: "phone", Value: "+16175551234"}, {Key: "note", Value: "planted"}}}
			if err := tx.Record(e); err != nil {
				return err
			}
		}
		return nil
	})
}

func repositoryStatus(t *testing.T, s *store.Store) (st record.FollowerStatus) {
	t.Helper()
	storetest.View(t, s, func(tx *store.Tx) (err error) {
		st, err = record.StatusOf(tx, record.RepositoryCursor)
		return err
	})
	return st
}

// waitTrouble waits until the follower says why it does not go on.
func waitTrouble(t *testing.T, s *store.Store, want string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		st := repositoryStatus(t, s)
		if strings.Contains(st.Trouble, want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("trouble is %q, want %q", st.Trouble, want)
		}
	}
}

// TestAuditRepositoryOverTLS: events go by the real relay to a real rsyslog that asks for our certificate
// (RFC 5425, IHE ITI-20). The server is away, is back, is killed and is back; the follower is stopped and
// begun again: no event is lost, and each message is valid.
func TestAuditRepositoryOverTLS(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.sign(t, "pinward.test")
	server := newLogServer(t, ca, true)
	relay := daemon.RelayDial(startRelay(t, map[string]string{"atna": server.address}))
	s := storetest.OpenIn(t, filepath.Join(t.TempDir(), "store"), storetest.Options(storetest.NewKeys(t)))
	target := daemon.ATNATarget{Relay: "atna", TLS: "siem.test", CA: ca.file, Certificate: cert, Key: key, Site: "HOSP"}

	changeSites(t, s, "away", 300)
	stop := feeding(t, s, target, relay)
	waitTrouble(t, s, "relay")
	if st := repositoryStatus(t, s); st.Backlog < 300 || st.Oldest.IsZero() {
		t.Errorf("status while it is away %+v", st)
	}
	server.start(t)
	server.wait(t, ">away-299.<")
	changeSites(t, s, "up", 20)
	server.wait(t, ">up-19.<")

	server.kill()
	changeSites(t, s, "killed", 20)
	waitTrouble(t, s, "relay")
	stop() // and the box goes down as well
	server.start(t)
	changeSites(t, s, "again", 20)
	feeding(t, s, target, relay)
	text := server.wait(t, ">again-19.<")

	for kind, n := range map[string]int{"away": 300, "up": 20, "killed": 20, "again": 20} {
		for i := range n {
			if !strings.Contains(text, fmt.Sprintf(">%s-%d.<", kind, i)) {
				t.Errorf("%s-%d is lost", kind, i)
			}
		}
	}
	if strings.Contains(text, "16175551234") || strings.Contains(text, "planted") {
		t.Error("what must not leave is in the log server's file")
	}
	held(t, text)
}

// header is that of each message: facility 10, severity 5, MSGID of IHE, BOM, XML.
var header = regexp.MustCompile(`^<85>1 [0-9T:.-]+Z [!-~]+ pinward - IHE\+RFC-3881 - \x{feff}(<\?xml .*</AuditMessage>)$`)

// held holds what a log server got against the schema, message by message.
func held(t *testing.T, text string) {
	t.Helper()
	dir, files := t.TempDir(), []string{"--noout", "--relaxng", "record/testdata/audit-message.rng"}
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		m := header.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("message %d is %.300q", i, line)
		}
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, []byte(m[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	if out, err := exec.Command("xmllint", files...).CombinedOutput(); err != nil {
		t.Errorf("%v: %.1000s", err, out)
	}
}

// TestAuditRepositoryRefuses: a server of another name or another CA, and one that does not take our
// certificate (which TLS 1.3 tells only afterwards), get no event, and the cursor stays.
func TestAuditRepositoryRefuses(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	cert, key := ca.sign(t, "pinward.test")
	strange, strangeKey := other.sign(t, "pinward.test")
	server := newLogServer(t, ca, true)
	server.start(t)
	relay := daemon.RelayDial(startRelay(t, map[string]string{"atna": server.address}))
	s := storetest.OpenIn(t, filepath.Join(t.TempDir(), "store"), storetest.Options(storetest.NewKeys(t)))
	changeSites(t, s, "first", 3)
	for why, target := range map[string]daemon.ATNATarget{
		"siem.test":          {Relay: "atna", TLS: "other.test", CA: ca.file, Certificate: cert, Key: key},
		"unknown authority":  {Relay: "atna", TLS: "siem.test", CA: other.file, Certificate: cert, Key: key},
		"read ca":            {Relay: "atna", TLS: "siem.test", CA: key, Certificate: cert, Key: key},
		"own certificate":    {Relay: "atna", TLS: "siem.test", CA: ca.file, Certificate: cert, Key: strangeKey},
		"repository":         {Relay: "atna", TLS: "siem.test", CA: ca.file, Certificate: strange, Key: strangeKey},
		"by relay: relay re": {Relay: "nobody", TLS: "siem.test", CA: ca.file, Certificate: cert, Key: key},
	} {
		stop := feeding(t, s, target, relay)
		if why == "repository" {
			waitTroubleAny(t, s)
		} else {
			waitTrouble(t, s, why)
		}
		stop()
		if st := repositoryStatus(t, s); st.Next != 0 {
			t.Errorf("%s: the cursor moved to %d", why, st.Next)
		}
		storetest.Update(t, s, func(tx *store.Tx) error { return record.ForgetFollowers(tx, "", func(string) bool { return false }) })
	}
	if b, err := os.ReadFile(server.raw); err == nil && strings.Contains(string(b), "first-") {
		t.Error("an event was taken all the same")
	}
}

// waitTroubleAny waits for any trouble: of a certificate that is not taken each library says another thing.
func waitTroubleAny(t *testing.T, s *store.Store) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); repositoryStatus(t, s).Trouble == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no trouble with a certificate of another CA")
		}
	}
}

// TestAuditRepositoryLines: the plain choice, one JSON object a line.
func TestAuditRepositoryLines(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.sign(t, "pinward.test")
	server := newLogServer(t, ca, true)
	server.start(t)
	relay := daemon.RelayDial(startRelay(t, map[string]string{"atna": server.address}))
	s := storetest.OpenIn(t, filepath.Join(t.TempDir(), "store"), storetest.Options(storetest.NewKeys(t)))
	changeSites(t, s, "line", 5)
	feeding(t, s, daemon.ATNATarget{Relay: "atna", Format: "json", TLS: "siem.test", CA: ca.file, Certificate: cert, Key: key}, relay)
	text := server.wait(t, `"object":"line-4."`)
	line := regexp.MustCompile(`(?m)^\{"box":"box-1","seq":\d+,"at":"[^"]+","action":"subject.update","outcome":"ok","event":"Patient Record",.*"subject":"HOSP\|12345".*\}$`)
	if n := len(line.FindAllString(text, -1)); n != 5 {
		t.Errorf("%d lines in %s", n, text)
	}
	if strings.Contains(text, "16175551234") || strings.Contains(text, "planted") {
		t.Error("what must not leave is in the log server's file")
	}
}
