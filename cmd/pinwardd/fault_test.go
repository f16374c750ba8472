package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// theTracer is the process that makes the daemon's system calls fail: strace.
const theTracer = "tracer"

// fault WHAT CALL PATH lets the next of the daemon's system calls of a kind on a file of its folder end
// as wanted: "kill" ends the process before the call is done, as kill -9 does, and an errno such as EIO
// lets the call fail. It lasts until faultless, or until the daemon is dead.
func fault(ts *testscript.TestScript, _ bool, args []string) {
	what := "error=" + args[0]
	if args[0] == "kill" {
		what = "signal=KILL"
	}
	ts.Check(worldOf(ts).trace(what, args[1], args[2]))
}

func faultless(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(worldOf(ts).untrace()) }

// trace attaches strace to the daemon and waits until it has all its threads. The daemon is at rest first: what the
// store still has to move into its tables would meet the fault before what the script does.
func (w *world) trace(what, call, path string) error {
	if err := eventually(w.rests); err != nil {
		return fmt.Errorf("wait for a store at rest: %w", err)
	}
	if err := os.WriteFile(w.path(theTracer+".log"), nil, 0o600); err != nil {
		return err
	}
	err := w.launch(theTracer, "strace", "-f", "-o", w.path("trace"), "-P", w.path(path), "-e", "trace="+call, "-e", "inject="+call+":"+what,
		"-p", fmt.Sprint(w.procs[theBox].cmd.Process.Pid))
	if err != nil {
		return err
	}
	return w.await(theTracer, func() bool { return strings.Contains(w.log(theTracer), " attached") })
}

// rests tells whether the store has written nothing for longer than it waits until it merges.
func (w *world) rests() bool {
	files, _ := filepath.Glob(w.path("state/store/*")) // the pattern is good; there may be no store yet
	for _, name := range files {
		if fi, err := os.Stat(name); err == nil && time.Since(fi.ModTime()) < 400*time.Millisecond {
			return false
		}
	}
	return true
}

// untrace lets go of the daemon. A daemon that was killed has ended the tracer already, with its own end.
func (w *world) untrace() error {
	p := w.procs[theTracer]
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil && !strings.Contains(err.Error(), "already finished") {
		return err
	}
	<-p.ended
	if _, ok := p.err.(*exec.ExitError); p.err != nil && !ok {
		return p.err
	}
	return nil
}
