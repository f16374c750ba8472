package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// mailServer is Debian's aiosmtpd, and what it took.
type mailServer struct {
	address string
	mu      sync.Mutex
	took    []tookMail
}

type tookMail struct {
	From, Data string
	To         []string
	TLS, Login bool
}

func newMailServer(t *testing.T, how, user, password, cert, key string) *mailServer {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "testdata/smtpd.py", "0", cert, key, how, user, password)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &mailServer{}
	lines := bufio.NewScanner(out)
	var reading sync.WaitGroup
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		reading.Wait()
		_ = cmd.Wait() // it was killed
	})
	var began struct{ Port int }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &began) != nil || began.Port == 0 {
		t.Fatal("the mail server (python3-aiosmtpd) does not come up")
	}
	s.address = "127.0.0.1:" + strconv.Itoa(began.Port)
	reading.Go(func() {
		for lines.Scan() {
			var m tookMail
			if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
				t.Error(err)
			}
			s.mu.Lock()
			s.took = append(s.took, m)
			s.mu.Unlock()
		}
	})
	return s
}

func (s *mailServer) last(t *testing.T) tookMail {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		n := len(s.took)
		s.mu.Unlock()
		if n > 0 {
			return s.took[n-1]
		}
	}
	t.Fatal("the mail server took nothing")
	return tookMail{}
}

// straight dials an address whatever the name: the relay has tests of its own.
func straight(address string) Dial {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
}

// setCredential gives the program one of systemd's credentials.
func setCredential(t *testing.T, name, value string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A mail leaves over STARTTLS with a login, over TLS from the first byte, and plain where that is said.
func TestMailLeaves(t *testing.T) {
	ca, cert, key := testServerFiles(t, "mail.test")
	setCredential(t, "mail", "correct horse\n")
	for how, target := range map[string]MailTarget{
		"starttls": {TLS: "mail.test", CA: ca, User: "pinward", Password: "mail"},
		"tls":      {Security: "tls", TLS: "mail.test", CA: ca},
		"none":     {Security: "none"},
	} {
		t.Run(how, func(t *testing.T) {
			password := ""
			if target.User != "" {
				password = "correct horse"
			}
			s := newMailServer(t, how, target.User, password, cert, key)
			target.Relay, target.From = "mail", "pinward@hospital.example"
			if err := target.check(); err != nil {
				t.Fatal(err)
			}
			_, err := target.send(t.Context(), straight(s.address), post{ID: "box-1-raised-7", To: "it@hospital.example", Subject: "[box-1] alarm 1: größer", Body: "alarm 1\n.\nend\n", At: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			m := s.last(t)
			if m.From != "pinward@hospital.example" || len(m.To) != 1 || m.To[0] != "it@hospital.example" || m.TLS != (how != "none") || m.Login != (target.User != "") {
				t.Errorf("it took %+v", m)
			}
			for _, want := range []string{"Subject: =?utf-8?q?", "Message-ID: <box-1-raised-7.", "Auto-Submitted: auto-generated\r\n", "\r\n\r\nalarm 1\r\n.\r\nend\r\n"} {
				if !strings.Contains(m.Data, want) {
					t.Errorf("the mail has no %q:\n%s", want, m.Data)
				}
			}
		})
	}
}

// What goes wrong is told in words without addresses, and a refusal for good is known as one.
func TestMailFails(t *testing.T) {
	ca, cert, key := testServerFiles(t, "mail.test")
	other, _, _ := testServerFiles(t, "mail.test")
	s := newMailServer(t, "starttls", "pinward", "right", cert, key)
	plain := newMailServer(t, "none", "", "", cert, key)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := dead.Addr().String() // it takes connections and says nothing
	defer dead.Close()
	setCredential(t, "mail", "right")
	good := MailTarget{Relay: "mail", TLS: "mail.test", CA: ca, From: "pinward@hospital.example", User: "pinward", Password: "mail"}
	for _, c := range []struct {
		name    string
		change  func(*MailTarget)
		to, at  string
		final   bool
		want    string
		instant bool
	}{
		{name: "unknown recipient", to: "nobody@hospital.example", at: s.address, final: true, want: "refused with 550"},
		{name: "greylisted", to: "later@hospital.example", at: s.address, want: "refused with 451"},
		{name: "wrong certificate", change: func(m *MailTarget) { m.CA = other }, at: s.address, want: "its certificate is not the one that was expected"},
		{name: "another name", change: func(m *MailTarget) { m.TLS = "mx.test" }, at: s.address, want: "its certificate is not the one that was expected"},
		{name: "no STARTTLS", at: plain.address, want: "does not offer STARTTLS"},
		{name: "no credential", change: func(m *MailTarget) { m.Password = "gone" }, at: s.address, want: "the credential with the password cannot be read"},
		{name: "nobody answers", at: silent, want: "deadline exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, to := good, c.to
			if c.change != nil {
				c.change(&m)
			}
			if to == "" {
				to = "it@hospital.example"
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			final, err := m.send(ctx, straight(c.at), post{ID: "x", To: to, Subject: "s", Body: "b\n", At: time.Now()})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "@") {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
			if final != c.final {
				t.Errorf("final is %v", final)
			}
		})
	}
	setCredential(t, "mail", "wrong")
	if final, err := good.send(t.Context(), straight(s.address), post{ID: "x", To: "it@hospital.example", Subject: "s", Body: "b\n", At: time.Now()}); err == nil || !final || !strings.Contains(err.Error(), "535") {
		t.Errorf("a wrong password: %v, final %v", err, final)
	}
}
