package walk

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	stepWithin  = 5 * time.Minute        // bounds a command
	readsWithin = time.Minute            // for how long a command that only looks is repeated until it shows what the page does
	lookEvery   = 300 * time.Millisecond // between two looks
)

// looks are the commands that change nothing: a person who types one a moment too early types it again.
var looks = regexp.MustCompile(`^(pinward (--json )?(status|check|top|doctor|modem list|modem sim list|outbox$|alarm list|maintenance status|audit (search|witnesses)|hl7 (peers|explain|held)) ?|(curl|texts|calls) [^|]*/?\+1)`)

// Shell is a bash that lives as long as a page, so that variables and functions stay.
type Shell struct {
	dir   string
	cmd   *exec.Cmd
	to    *os.File
	from  *bufio.Reader
	typed []typed
	done  map[string]bool // page:line of blocks that were walked
}

// typed is what a person types in answer to the questions of a command: what stands in these files when it asks.
type typed struct {
	command string
	files   []string
}

// loop reads a file for the input and a command, and tells the command's status behind its output.
const loop = `while IFS= read -r -d '' in <&3 && IFS= read -r -d '' c <&3; do eval "$c" <"$in" 2>&1 3<&-; printf '\0%d\n' "$?"; done`

// Open starts one in dir. pinward in it is the program with the control socket of this box.
func Open(dir string, env []string, program, socket string) (*Shell, error) {
	bin := filepath.Join(dir, ".walk")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return nil, err
	}
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' --socket '%s' \"$@\"\n", program, socket)
	if program != "" {
		if err := os.WriteFile(filepath.Join(bin, "pinward"), []byte(script), 0o700); err != nil {
			return nil, err
		}
	}
	commands, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer commands.Close()
	s := &Shell{dir: dir, to: to, done: map[string]bool{}}
	s.cmd = exec.Command("bash", "-c", loop)
	s.cmd.Dir, s.cmd.ExtraFiles = dir, []*os.File{commands}
	s.cmd.Env = append(env, "COLUMNS=200", "TERM=dumb")
	for i, e := range s.cmd.Env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			s.cmd.Env[i] = "PATH=" + bin + string(os.PathListSeparator) + path
		}
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.from = bufio.NewReader(out)
	return s, s.cmd.Start()
}

// Close ends it, and what it left running.
func (s *Shell) Close() {
	s.to.Close()
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	s.cmd.Wait()
}

// Type answers the questions of each later command that begins so with files of the shell's folder, one after the other; the
// last that was told for a command counts.
func (s *Shell) Type(command string, files ...string) {
	s.typed = append([]typed{{command, files}}, s.typed...)
}

// input writes what is typed for a command into one file.
func (s *Shell) input(command string) (string, error) {
	i := slices.IndexFunc(s.typed, func(t typed) bool { return strings.HasPrefix(command, t.command) })
	if i < 0 {
		return os.DevNull, nil
	}
	var all []byte
	for _, name := range s.typed[i].files {
		b, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			return "", err
		}
		all = append(all, b...)
	}
	name := filepath.Join(s.dir, ".walk", "typed")
	return name, os.WriteFile(name, all, 0o600)
}

// Walk does what a block says, and tells each place where something else happened than the page says.
func (s *Shell) Walk(b Block) error {
	s.done[fmt.Sprintf("%s:%d", b.Page, b.Line)] = true
	if b.File != "" {
		return os.WriteFile(filepath.Join(s.dir, filepath.Base(b.File)), []byte(b.Text), 0o600)
	}
	var wrong []error
	for _, step := range b.Steps {
		for end := time.Now().Add(readsWithin); ; time.Sleep(lookEvery) {
			got, status, err := s.run(step.Command)
			if err != nil {
				return fmt.Errorf("%s:%d: $ %s: %w", b.Page, step.Line, step.Command, err)
			}
			if status == step.Exit && Fits(step.Want, got) {
				break
			}
			if !looks.MatchString(step.Command) || time.Now().After(end) {
				wrong = append(wrong, fmt.Errorf("%s:%d: $ %s\nexit %d, and it printed:\n%s\nthe page has exit %d, and:\n%s",
					b.Page, step.Line, step.Command, status, got, step.Exit, strings.Join(step.Want, "\n")))
				break
			}
		}
	}
	return errors.Join(wrong...)
}

// Walked tells whether a block was walked.
func (s *Shell) Walked(b Block) bool { return s.done[fmt.Sprintf("%s:%d", b.Page, b.Line)] }

// run gives a command to the shell and waits for its output and status.
func (s *Shell) run(command string) (out string, status int, err error) {
	input, err := s.input(command)
	if err != nil {
		return "", 0, err
	}
	late := time.AfterFunc(stepWithin, func() { syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	defer late.Stop()
	if _, err := io.WriteString(s.to, input+"\x00"+command+"\x00"); err != nil {
		return "", 0, err
	}
	out, err = s.from.ReadString(0)
	if err != nil {
		return "", 0, fmt.Errorf("the shell ended, or took %v: %w, %q", stepWithin, err, out)
	}
	end, err := s.from.ReadString('\n')
	if err != nil {
		return "", 0, err
	}
	status, err = strconv.Atoi(strings.TrimSpace(end))
	return strings.TrimSuffix(out, "\x00"), status, err
}
