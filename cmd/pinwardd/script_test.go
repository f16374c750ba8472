package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pinward/hl7/mllp"
	"pinward/packaging/doc/walk"
	"pinward/tpm"
)

// TestScripts is what an operator lives through with the real programs: pinwardd, pinward, a TPM and
// a network with handsets.
func TestScripts(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/script")
}

// faults asks for the scripts of faults, which take a minute; packaging/test does.
var faults = flag.Bool("faults", false, "run the scripts of faults as well")

// TestFaults cuts off the long works of a box, set-up, rotation and its end, at each of their writes: by kill -9 there, and by a call
// that fails.
func TestFaults(t *testing.T) {
	if !*faults {
		t.Skip("a minute of killed daemons: -faults")
	}
	runScripts(t, "testdata/faults")
}

// TestPages walks the pages of packaging/doc that need a box with a TPM.
func TestPages(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/pages")
}

func runScripts(t *testing.T, dir string) {
	t.Helper()
	cmds := map[string]func(*testscript.TestScript, bool, []string){
		"up": onProcess((*world).start), "gone": onProcess((*world).gone), "down": onProcess((*world).stop),
		"reload": onProcess(func(w *world, name string) error { return w.procs[name].cmd.Process.Signal(syscall.SIGHUP) }),
		"crash":  onProcess(func(w *world, name string) error { w.kill(name); return nil }),
		"begin":  onProcess(func(w *world, name string) error { return w.launch(name, w.command(name)...) }),
		"freeze": onProcess((*world).freeze), "thaw": onProcess((*world).thaw),
		"ready":    func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(worldOf(ts).awaitReady()) },
		"sessions": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(worldOf(ts).useUpSessions()) },
		"kinds":    func(ts *testscript.TestScript, _ bool, args []string) { worldOf(ts).kinds = args[0] },
		"raise":    func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(worldOf(ts).raise()) },
		"fault":    fault, "faultless": faultless,
		"let": let, "code": code, "hl7": sendHL7, "take": take, "hospital": hospital, "feed": feed, "launch": launch,
	}
	maps.Copy(cmds, walk.Script{Mark: walk.Box, Dir: "../../packaging/doc"}.Commands())
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			walk.Begin(env)
			w, err := newWorld(env.WorkDir, 2)
			if err != nil {
				return err
			}
			env.Defer(w.close)
			env.Values["world"] = w
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TPM", w.path("tpm.sock"))
			env.Setenv("EFI", w.path("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"))
			env.Setenv("SOCKET", w.path("control"))
			env.Setenv("HOST", w.host)
			env.Setenv("HTTPS", w.https)
			env.Setenv("MLLP", w.mllp)
			env.Setenv("HANDSETS", w.phones)
			speech, err := filepath.Abs("../demo/speech") // the hospital's name, as a site records it
			if err != nil {
				return err
			}
			env.Setenv("SPEECH", speech)
			mail, err := filepath.Abs("../../daemon/testdata/smtpd.py")
			if err != nil {
				return err
			}
			env.Setenv("SMTPD", mail)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Getuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: cmds,
	})
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value("world").(*world) }

// onProcess is a command with the name of a process: tpm, network or box.
func onProcess(do func(*world, string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(do(worldOf(ts), args[0])) }
}

// let NAME PATTERN FILE puts what the pattern's group matches in a file into the environment.
func let(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(`(?m)` + args[1]).FindStringSubmatch(ts.ReadFile(args[2]))
	if m == nil {
		ts.Fatalf("%s: nothing matches %s", args[2], args[1])
	}
	ts.Setenv(args[0], m[1])
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// code NUMBER N waits for the Nth text of a handset and puts the code in it into $CODE, and another
// one into $WRONG.
func code(ts *testscript.TestScript, _ bool, args []string) {
	n := 0
	fmt.Sscan(args[1], &n)
	list, err := worldOf(ts).awaitTexts(args[0], n)
	ts.Check(err)
	if len(list) != n {
		ts.Fatalf("the handset shows %d texts, want %d", len(list), n)
	}
	groups := sixDigits.FindAllString(list[n-1].Text, -1)
	if len(groups) != 1 {
		ts.Fatalf("the text %q holds %d groups of six digits", list[n-1].Text, len(groups))
	}
	ts.Setenv("CODE", groups[0])
	wrong := "000000"
	if groups[0] == wrong {
		wrong = "000001"
	}
	ts.Setenv("WRONG", wrong)
}

// sendHL7 FILE sends a message, one segment a line, and prints the answer; with ! the box must close
// without one.
func sendHL7(ts *testscript.TestScript, neg bool, args []string) {
	reply, err := worldOf(ts).send(ts.ReadFile(args[0]))
	if neg {
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			ts.Fatalf("it was not closed without an answer: %v, %q", err, reply)
		}
		return
	}
	ts.Check(err)
	fmt.Fprintln(ts.Stdout(), strings.ReplaceAll(reply, "\r", "\n"))
}

// send sends a message, one segment a line, on a connection of its own and waits for the answer.
func (w *world) send(message string) (reply string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", w.mllp)
	if err != nil {
		return "", err
	}
	defer c.Close()
	end, _ := ctx.Deadline()
	frame := mllp.AppendFrame(nil, []byte(strings.ReplaceAll(message, "\n", "\r")))
	_, err = c.Write(frame)
	if err := errors.Join(err, c.SetDeadline(end)); err != nil {
		return "", err
	}
	var got []byte
	for buf := make([]byte, 4096); !bytes.HasSuffix(got, []byte{0x1c, '\r'}); {
		n, err := c.Read(buf)
		if err != nil {
			return "", fmt.Errorf("wait for acknowledgment: %w", err)
		}
		got = append(got, buf[:n]...)
	}
	return string(got), nil
}

// launch NAME PROGRAM ARG... starts a program that ends with the script, if `crash NAME` has not ended it before. What
// it prints is in NAME.log.
func launch(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	ts.Check(w.launch(args[0], args[1:]...))
	ts.Defer(func() { w.kill(args[0]) })
}

// feed N registers so many patients by HL7, over eight connections.
func feed(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	const lines = 8
	ended := make(chan error, lines)
	for i := range lines {
		go func() {
			c := &mllp.Client{Dial: func(ctx context.Context) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "tcp", worldOf(ts).mllp)
			}}
			var err error
			for k := i; k < n && err == nil; k += lines {
				m := strings.ReplaceAll(admit(fmt.Sprint("F", k), fmt.Sprint(k), fmt.Sprint("617", 2302000+k)), "\n", "\r")
				// A box that cannot answer in time closes, and an engine sends the same again.
				for range 5 {
					if _, err = c.Send(context.Background(), []byte(m)); err == nil {
						break
					}
				}
			}
			ended <- errors.Join(err, c.Close())
		}()
	}
	for range lines {
		ts.Check(<-ended)
	}
}

// take ADDRESS lets somebody else listen there until the script ends.
func take(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", args[0])
	ts.Check(err)
	ts.Defer(func() { l.Close() })
}

// raise raises the TPM's counter with the box's own keys, as a state of its store does that is not
// here any more.
func (w *world) raise() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	st, err := tpm.LoadState(w.path("state/tpm.json"))
	if err != nil {
		return err
	}
	dev, err := tpm.OpenDevice(w.path("tpm.sock"), "/sys")
	if err != nil {
		return err
	}
	defer dev.Close()
	_, keys, err := tpm.Unseal(ctx, dev, st, "")
	if err != nil {
		return err
	}
	defer keys.Close()
	_, err = keys.Anchor(ctx, [32]byte{1})
	return err
}

// useUpSessions begins sessions until the TPM has no room for one more, as a program does that never
// flushes its own. No resource manager stands between it and the chip here.
func (w *world) useUpSessions() error {
	c, err := net.Dial("unix", w.path("tpm.sock"))
	if err != nil {
		return err
	}
	defer c.Close()
	// TPM2_StartAuthSession (TPM 2.0 Part 3, section 11.1): a policy session, neither salted nor bound.
	const begin = "\x80\x01\x00\x00\x00\x2b\x00\x00\x01\x76" + "\x40\x00\x00\x07" + "\x40\x00\x00\x07" +
		"\x00\x10" + "0123456789abcdef" + "\x00\x00" + "\x01" + "\x00\x10" + "\x00\x0b"
	const full = "\x00\x00\x09\x03" // TPM_RC_SESSION_MEMORY
	answer := make([]byte, 4096)
	for range 64 {
		if _, err := io.WriteString(c, begin); err != nil {
			return err
		}
		n, err := c.Read(answer)
		if err != nil || n < 10 {
			return fmt.Errorf("answer of %d bytes: %w", n, err)
		}
		if string(answer[6:10]) == full {
			return nil
		}
	}
	return errors.New("the TPM has room for 64 sessions")
}
