package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/term"

	"pinward/packaging/doc/walk"
)

// TestMain lets scripts run the real demo, and the real pinward beside it.
func TestMain(m *testing.M) {
	// Scripts wait for timers of minutes more than they compute. -parallel says otherwise.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"demo": main})
}

// TestScripts runs what a person can do with the demo, as the README shows it.
func TestScripts(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/script")
}

// calls asks for the scripts of calls in real time, which take two minutes; packaging/test does.
var calls = flag.Bool("calls", false, "run the scripts of calls as well")

func TestCalls(t *testing.T) {
	if !*calls {
		t.Skip("two minutes of calls in real time: -calls")
	}
	runScripts(t, "testdata/calls")
}

// TestBrowser uses the console in Debian's Chromium, driven by playwright-core. packaging/test brings both, and says by PINWARD_NODE where
// the modules are: then none may be missing. SHOTS is a folder for pictures of the pages, where somebody wants to look at them.
func TestBrowser(t *testing.T) {
	if !*calls || os.Getenv("PINWARD_NODE") == "" {
		t.Skip("a call in real time: -calls; and playwright-core and axe-core, which packaging/test installs")
	}
	runScripts(t, "testdata/browser")
}

// TestPages walks the pages of packaging/doc: what they tell people to type on the demo, and what comes.
func TestPages(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/pages")
}

func runScripts(t *testing.T, dir string) {
	t.Helper()
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "../pinward", "../modemsim").CombinedOutput(); err != nil {
		t.Fatalf("build pinward and modemsim: %v\n%s", err, out)
	}
	speech, err := filepath.Abs("speech")
	if err != nil {
		t.Fatal(err)
	}
	cmds := map[string]func(*testscript.TestScript, bool, []string){
		"up": up, "text": text, "call": call, "hl7": hl7Message, "within": within, "grepdir": grepDir, "killed": killed, "grepenv": grepEnv, "deadport": deadPort,
	}
	maps.Copy(cmds, walk.Script{Mark: walk.Demo, Dir: "../../packaging/doc"}.Commands())
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			walk.Begin(env)
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("RECORDINGS", speech)
			for _, name := range []string{"PINWARD_NODE", "SHOTS"} {
				env.Setenv(name, os.Getenv(name))
			}
			for _, name := range []string{"HTTPS", "MLLP", "LISTEN", "SPARE"} {
				addr, err := freePort()
				if err != nil {
					return err
				}
				env.Setenv(name, addr)
				_, port, _ := net.SplitHostPort(addr)
				env.Setenv(name+"PORT", port)
			}
			return nil
		},
		Cmds: cmds,
	})
}

// freePort is an address that nobody listens on, of ports that the kernel gives to nobody who asks for any: until the demo has it,
// no connection of the tests beside this one takes it.
func freePort() (string, error) {
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000)))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", errors.New("no free port from 10000 to 29999")
}

// up waits for DIR/demo.json and puts its members into the environment, in capitals.
func up(ts *testscript.TestScript, _ bool, args []string) {
	var d map[string]string
	eventually(ts, 60*time.Second, "demo.json", func() bool {
		b, err := os.ReadFile(ts.MkAbs(args[0] + "/demo.json"))
		return err == nil && json.Unmarshal(b, &d) == nil
	})
	for k, v := range d {
		ts.Setenv(strings.ToUpper(k), v)
	}
}

// handsetMessage is what GET /handsets/{number}/messages lists.
type handsetMessage struct {
	At, From, Text, Modem string
	Parts                 int
	PID                   int `json:"pid"`
	Validity              float64
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// text NUMBER N [PATTERN] waits until the handset has N texts and the last one matches, and puts it
// into $TEXT and its only group of six digits, if it has one, into $CODE; $WRONG is another code.
func text(ts *testscript.TestScript, _ bool, args []string) {
	var list []handsetMessage
	n := 0
	fmt.Sscan(args[1], &n)
	eventually(ts, 30*time.Second, "text", func() bool {
		list = handset(ts, args[0])
		return len(list) >= n
	})
	if len(list) != n {
		ts.Fatalf("the handset has %d texts, want %d", len(list), n)
	}
	if n == 0 {
		return
	}
	last := list[n-1]
	if len(args) > 2 && !regexp.MustCompile(args[2]).MatchString(last.Text) {
		ts.Fatalf("the text %q does not match %q", last.Text, args[2])
	}
	ts.Setenv("TEXT", last.Text)
	if groups := sixDigits.FindAllString(last.Text, -1); len(groups) == 1 {
		ts.Setenv("CODE", groups[0])
		wrong := "000000"
		if groups[0] == wrong {
			wrong = "000001"
		}
		ts.Setenv("WRONG", wrong)
	}
}

func handset(ts *testscript.TestScript, number string) (list []handsetMessage) {
	resp, err := http.Get(ts.Getenv("HANDSETS") + "/handsets/" + url.PathEscape(number) + "/messages")
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || json.Unmarshal(b, &list) != nil {
		return nil
	}
	return list
}

// hl7 FROM TO puts times into a message with one segment a line: {now}, and {+DURATION} from now, in
// HL7's form with zone. mllp_send --loose makes segments of the lines.
func hl7Message(ts *testscript.TestScript, _ bool, args []string) {
	const form = "20060102150405-0700"
	raw := ts.ReadFile(args[0])
	out := regexp.MustCompile(`\{(now|\+[^}]+)\}`).ReplaceAllStringFunc(raw, func(m string) string {
		d := time.Duration(0)
		if m != "{now}" {
			var err error
			d, err = time.ParseDuration(m[2 : len(m)-1])
			ts.Check(err)
		}
		return time.Now().Add(d).Format(form)
	})
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(out), 0o600))
}

// within DURATION CMD ARGS... repeats a command until it succeeds.
func within(ts *testscript.TestScript, _ bool, args []string) {
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	// What looks is a shell with curl and jq, and others need the processor: seldom.
	every(ts, 300*time.Millisecond, limit, strings.Join(args[1:], " "), func() bool { return ts.Exec(args[1], args[2:]...) == nil })
}

// grepdir fails (or with ! succeeds) if any file below a folder holds a string.
func grepDir(ts *testscript.TestScript, neg bool, args []string) {
	found := ""
	err := filepath.Walk(ts.MkAbs(args[1]), func(path string, fi os.FileInfo, err error) error {
		if err != nil || !fi.Mode().IsRegular() {
			return nil // a socket, a PTY's link, a file that went
		}
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), args[0]) {
			found = path
		}
		return nil
	})
	ts.Check(err)
	if neg != (found == "") {
		ts.Fatalf("%q is in a file: %q", args[0], found)
	}
}

// grepenv fails (or with ! succeeds) unless a variable of the environment holds a string.
func grepEnv(ts *testscript.TestScript, neg bool, args []string) {
	if strings.Contains(ts.Getenv(args[0]), args[1]) == neg {
		ts.Fatalf("%s: %q", args[0], ts.Getenv(args[0]))
	}
}

// deadport LINK makes a serial port behind which nothing answers.
func deadPort(ts *testscript.TestScript, _ bool, args []string) {
	master, slave, err := pty.Open()
	ts.Check(err)
	ts.Defer(func() { master.Close(); slave.Close() })
	_, err = term.MakeRaw(int(slave.Fd())) // or it would echo what is asked
	ts.Check(err)
	ts.Check(os.Symlink(slave.Name(), ts.MkAbs(args[0])))
}

// killed kills a background command as a power cut would.
func killed(ts *testscript.TestScript, _ bool, args []string) {
	for _, c := range ts.BackgroundCmds() {
		if c.Process != nil && strings.Contains(strings.Join(c.Args, " "), args[0]) {
			ts.Check(c.Process.Kill())
		}
	}
}

func eventually(ts *testscript.TestScript, limit time.Duration, what string, ok func() bool) {
	every(ts, 50*time.Millisecond, limit, what, ok)
}

// every is eventually with its pause between two looks.
func every(ts *testscript.TestScript, pause, limit time.Duration, what string, ok func() bool) {
	for end := time.Now().Add(limit); ; time.Sleep(pause) {
		if ok() {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s: not within %s", what, limit)
		}
	}
}
