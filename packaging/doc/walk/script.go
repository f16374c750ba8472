package walk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Script lets a testscript walk pages:
//
//	walk PAGE [SECTION [N]]  the blocks of a page that have the mark, or those of a section, or the Nth of these
//	typed COMMAND FILE...  what is typed when a command that begins so asks
//	walked PAGE...         fails if a block of these pages was passed by
//
// The script's $SOCKET is the control socket that the page's pinward talks to.
type Script struct {
	Mark Mark
	Dir  string // of the pages
}

const shellKey = "walk.shell"

// Commands are the three, for testscript.Params.
func (p Script) Commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"walk": func(ts *testscript.TestScript, _ bool, args []string) {
			n := 0
			var wrong []error
			for _, b := range p.blocks(ts, args[0]) {
				if len(args) > 1 && b.Section != args[1] {
					continue
				}
				if n++; len(args) < 3 || args[2] == strconv.Itoa(n) {
					wrong = append(wrong, p.shell(ts).Walk(b))
				}
			}
			ts.Check(errors.Join(wrong...))
			if n == 0 {
				ts.Fatalf("nothing to walk: %s", strings.Join(args, ", "))
			}
		},
		"typed": func(ts *testscript.TestScript, _ bool, args []string) {
			p.shell(ts).Type(args[0], args[1:]...)
		},
		"walked": func(ts *testscript.TestScript, _ bool, args []string) {
			for _, page := range args {
				for _, b := range p.blocks(ts, page) {
					if b.File == "" && !p.shell(ts).Walked(b) {
						ts.Fatalf("%s:%d was not walked: %s", b.Page, b.Line, b.Section)
					}
				}
			}
		},
	}
}

// blocks are those of a page that have the mark, and the files to save.
func (p Script) blocks(ts *testscript.TestScript, page string) (out []Block) {
	text, err := os.ReadFile(filepath.Join(p.Dir, page))
	ts.Check(err)
	all, err := Parse(page, string(text))
	ts.Check(err)
	for _, b := range all {
		if b.Mark == p.Mark || b.File != "" {
			out = append(out, b)
		}
	}
	return out
}

// holder keeps the shell of a script between its commands.
type holder struct{ shell *Shell }

// Begin is for testscript.Params.Setup. It puts the zone for a box that is left alone into $ZONE.
func Begin(env *testscript.Env) {
	env.Values[shellKey] = new(holder)
	env.Setenv("ZONE", earlyZone(time.Now()))
}

// earlyZone is where it is five in the morning: at night a box tests its SIMs, and by day once a week its alarms.
func earlyZone(now time.Time) string {
	east := (5 - now.UTC().Hour() + 24) % 24
	if east > 12 {
		east -= 24
	}
	return fmt.Sprintf("Etc/GMT%+d", -east) // their signs are those of POSIX: west is +
}

// shell is that of the script, started at its first use with what the script's environment holds then.
func (p Script) shell(ts *testscript.TestScript) *Shell {
	h := ts.Value(shellKey).(*holder)
	if h.shell == nil {
		ts.Check(ts.Exec("env", "-0"))
		env := strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\x00"), "\x00")
		var program string
		for dir := range strings.SplitSeq(ts.Getenv("PATH"), string(os.PathListSeparator)) {
			if path, err := exec.LookPath(filepath.Join(dir, "pinward")); err == nil && program == "" {
				program = path
			}
		}
		var err error
		h.shell, err = Open(ts.MkAbs("."), env, program, ts.Getenv("SOCKET"))
		ts.Check(err)
		ts.Defer(h.shell.Close)
	}
	return h.shell
}
