package modemsim

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Drivers that other people wrote judge the modem: gammu, gammu-smsd and
// smstools send a text and receive the reply, over a terminal, in real time.
// They are Debian packages of these names; without them the tests fail.

// program finds a program, or fails.
func program(t *testing.T, name string, places ...string) string {
	t.Helper()
	for _, p := range append([]string{name}, places...) {
		if path, err := exec.LookPath(p); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed: install the packages gammu, gammu-smsd and smstools", name)
	return ""
}

// runs starts a program that runs until the test ends.
func runs(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 3 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it ends by our signal, so with an error
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(name), out.String())
		}
	})
}

// file writes a file into dir.
func file(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// found waits for a file in dir that holds text.
func found(t *testing.T, dir, text string) {
	t.Helper()
	for deadline := time.Now().Add(12 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte(text)) {
				return
			}
		}
	}
	t.Fatalf("no file in %s holds the reply", filepath.Base(dir))
}

// arrives waits until the handset shows text.
func arrives(t *testing.T, n *Network, text string) Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 12*time.Second)
	defer cancel()
	list, err := n.Handset(patient).Wait(ctx, 1)
	if err != nil {
		t.Fatalf("no text arrived: %v", err)
	}
	if list[0].Text != text {
		t.Fatalf("the handset shows %q, want %q", list[0].Text, text)
	}
	return list[0]
}

func TestForeignGammu(t *testing.T) {
	t.Parallel()
	gammu := program(t, "gammu")
	n, _, link := ptyWorld(t)
	rc := file(t, t.TempDir(), "rc", "[gammu]\ndevice="+link+"\nconnection=at115200\n")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	text := strings.Repeat("Long text from gammu {with braces}. ", 6)
	out, err := exec.CommandContext(ctx, gammu, "-c", rc, "sendsms", "TEXT", patient, "-report", "-autolen", "400", "-text", text).CombinedOutput()
	if err != nil || strings.Count(string(out), "OK, message reference=") != 2 {
		t.Fatalf("gammu: %v\n%s", err, out)
	}
	if m := arrives(t, n, text); m.Parts != 2 {
		t.Errorf("%d parts", m.Parts)
	}
	if err := n.Handset(patient).Reply("Sí, grüße ☺", ""); err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(ctx, gammu, "-c", rc, "getallsms")
	list.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err = list.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Sí, grüße ☺") {
		t.Fatalf("gammu: %v\n%s", err, out)
	}
}

func TestForeignGammuSMSD(t *testing.T) {
	t.Parallel()
	smsd, inject := program(t, "gammu-smsd"), program(t, "gammu-smsd-inject")
	n, _, link := ptyWorld(t)
	dir := t.TempDir()
	for _, name := range []string{"inbox", "outbox", "sent", "error"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	rc := file(t, dir, "rc", fmt.Sprintf(`[gammu]
device = %s
connection = at115200
[smsd]
service = files
CheckSecurity = 0
DeliveryReport = log
inboxpath = %[2]s/inbox/
outboxpath = %[2]s/outbox/
sentsmspath = %[2]s/sent/
errorsmspath = %[2]s/error/
LoopSleep = 1
ReceiveFrequency = 1
StatusFrequency = 0
logfile = %[2]s/log
debuglevel = 1
`, link, dir))
	if out, err := exec.Command(inject, "-c", rc, "TEXT", patient, "-report", "-text", "Text from gammu-smsd").CombinedOutput(); err != nil {
		t.Fatalf("gammu-smsd-inject: %v\n%s", err, out)
	}
	runs(t, smsd, "-c", rc)
	arrives(t, n, "Text from gammu-smsd")
	if err := n.Handset(patient).Reply("Reply to gammu-smsd", ""); err != nil {
		t.Fatal(err)
	}
	found(t, filepath.Join(dir, "inbox"), "Reply to gammu-smsd")
	found(t, dir, "Delivery report: ") // it takes no more of one from +CDSI than that there is one
}

func TestForeignSMSTools(t *testing.T) {
	t.Parallel()
	smsd := program(t, "smsd", "/usr/sbin/smsd")
	n, _, link := ptyWorld(t)
	dir := t.TempDir()
	for _, name := range []string{"outgoing", "checked", "incoming", "failed", "sent", "log"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := file(t, dir, "smsd.conf", fmt.Sprintf(`devices = GSM1
logfile = %[1]s/log/smsd.log
outgoing = %[1]s/outgoing
checked = %[1]s/checked
incoming = %[1]s/incoming
failed = %[1]s/failed
sent = %[1]s/sent
pidfile = %[1]s/pid
infofile = %[1]s/info
delaytime = 1
delaytime_mainprocess = 1
[GSM1]
device = %[2]s
rtscts = no
baudrate = 115200
keep_open = yes
report = yes
incoming = yes
init = AT+CNMI=2,0,0,2,0
primary_memory = SM
secondary_memory = SR
secondary_memory_max = 10
`, dir, link))
	file(t, dir, "outgoing/message", "To: "+patient[1:]+"\n\nText from smstools")
	runs(t, smsd, "-c"+conf, "-t")
	arrives(t, n, "Text from smstools")
	if err := n.Handset(patient).Reply("Reply to smstools", ""); err != nil {
		t.Fatal(err)
	}
	found(t, filepath.Join(dir, "incoming"), "Reply to smstools")
	found(t, filepath.Join(dir, "incoming"), "SMS STATUS REPORT")
}
