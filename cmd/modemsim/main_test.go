package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the program itself, so that it can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("MODEMSIM_TEST_CHILD") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

// start runs the program on dir and returns it with the URL of its handsets,
// once it has said where all is.
func start(t *testing.T, dir string) (cmd *exec.Cmd, handsets string) {
	t.Helper()
	cmd = exec.Command(os.Args[0], "-dir", filepath.Join(dir, "state"), "-links", filepath.Join(dir, "ports"), "-http", "127.0.0.1:0", "-modems", "2", "-profile", "generic, ec25", "-latency", "20ms")
	cmd.Env = append(os.Environ(), "MODEMSIM_TEST_CHILD=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended already
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "handsets\t"); ok {
			return cmd, url
		}
	}
	t.Fatal("the program ended without saying where its handsets are")
	return nil, ""
}

// send sends "hellohello" to +46708251358 by hand, over the terminal behind the link.
func send(t *testing.T, link string) {
	t.Helper()
	tty, err := os.OpenFile(link, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	for _, step := range [][2]string{
		{"ATE0\r", "OK\r\n"}, {"AT+CMGF=0\r", "OK\r\n"}, {"AT+CMGS=23\r", "> "},
		{"0011000B916407281553F80000AA0AE8329BFD4697D9EC37\x1a", "\r\n\r\nOK\r\n"},
	} {
		if _, err := tty.WriteString(step[0]); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for b := make([]byte, 1); !strings.HasSuffix(string(got), step[1]); got = append(got, b[0]) {
			if _, err := tty.Read(b); err != nil {
				t.Fatalf("read %q, then %v", got, err)
			}
		}
	}
}

// texts waits for count texts of the handset and returns them.
func texts(t *testing.T, handsets string, count int) []string {
	t.Helper()
	var list []struct{ Text string }
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get(handsets + "handsets/+46708251358/messages")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &list); err != nil {
			t.Fatal(err)
		}
		if len(list) >= count {
			break
		}
	}
	var out []string
	for _, m := range list {
		out = append(out, m.Text)
	}
	return out
}

func TestTextsSurviveKill(t *testing.T) {
	dir := t.TempDir()
	cmd, handsets := start(t, dir)
	send(t, filepath.Join(dir, "ports", "modem1"))
	if got := texts(t, handsets, 1); len(got) != 1 || got[0] != "hellohello" {
		t.Fatalf("%q", got)
	}
	send(t, filepath.Join(dir, "ports", "modem2")) // accepted, perhaps not delivered yet
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	_, handsets = start(t, dir)
	if got := texts(t, handsets, 2); len(got) != 2 {
		t.Errorf("after kill -9: %q", got)
	}
}

func TestTerminationIsClean(t *testing.T) {
	dir := t.TempDir()
	cmd, _ := start(t, dir)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "ports"))
	if err != nil || len(left) != 0 {
		t.Errorf("links left: %v, %v", left, err)
	}
}

func TestDevLaysOutEveryPort(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-dir", "", "-http", "127.0.0.1:0", "-modems", "2", "-profile", "ec25,e173", "-dev", dir}, in)
		in.Close()
	}()
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "handsets\t") {
	}
	ports, err := os.ReadDir(filepath.Join(dir, "serial", "by-path"))
	if err != nil || len(ports) != 4+3 {
		t.Errorf("%d ports, %v", len(ports), err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "tty*")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestFlagsAreChecked(t *testing.T) {
	for _, args := range [][]string{
		{"-http", "0.0.0.0:0"}, {"-http", "example.org:80"}, {"-http", "8088"}, {"-modems", "0"}, {"-nonsense"},
		{"-http", "127.0.0.1:0", "-dir", "", "-profile", "generic,none", "-links", t.TempDir()},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := run(ctx, args, io.Discard); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
