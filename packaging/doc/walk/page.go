// Package walk runs what the pages of packaging/doc tell people to type, and holds what comes against what the page prints.
//
// It knows how a page is written and how a shell is talked to. It knows no command of Pinward and no set-up: whoever walks a page
// brings the box it is walked on. It is for tests alone.
package walk

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Mark says on what a block is walked: the word after ```console.
type Mark string

// The marks. A block without a word is walked on the demo.
const (
	Demo    Mark = ""        // cmd/demo: simulated modems, keys from a file
	Box     Mark = "box"     // cmd/pinwardd: the real daemon with a TPM and a simulated network
	Install Mark = "install" // packaging/install-test: an installed package under systemd
)

// Block is one fenced block of a page that is walked.
type Block struct {
	Page    string
	Section string // the nearest heading above it
	Line    int    // where its fence begins
	Mark    Mark
	File    string // for a block ```LANGUAGE FILE: the name under which its text is saved; it has no steps
	Text    string
	Steps   []Step
}

// Step is one command and what it prints.
type Step struct {
	Line    int
	Command string
	Want    []string // lines; "…" in one stands for anything, a line of it alone for any lines
	Exit    int      // a last line "[exit N]" tells it
}

var (
	fence   = regexp.MustCompile("^```(\\S*) ?(\\S*)$")
	heading = regexp.MustCompile(`^##+ (.+)$`)
	exited  = regexp.MustCompile(`^\[exit ([0-9]+)\]$`)
)

// Parse reads a page. It is an error if a block has a mark that nobody walks, or lines before its first command.
func Parse(page, text string) ([]Block, error) {
	var out []Block
	section := ""
	var in *Block
	outside := true
	for i, line := range strings.Split(text, "\n") {
		at := func(what string) error { return fmt.Errorf("%s:%d: %s", page, i+1, what) }
		m := fence.FindStringSubmatch(line)
		switch {
		case outside && m != nil:
			outside = false
			switch lang, word := m[1], m[2]; {
			case lang == "console":
				in = &Block{Page: page, Section: section, Line: i + 1, Mark: Mark(word)}
				if in.Mark != Demo && in.Mark != Box && in.Mark != Install {
					return nil, at("nobody walks blocks of the mark " + word)
				}
			case word != "":
				in = &Block{Page: page, Section: section, Line: i + 1, File: word}
			}
		case !outside && line == "```":
			outside = true
			if in != nil {
				if in.File == "" && len(in.Steps) == 0 {
					return nil, at("a block without a command")
				}
				out, in = append(out, *in), nil
			}
		case !outside && in != nil && in.File != "":
			in.Text += line + "\n"
		case !outside && in != nil:
			if err := in.add(line, i+1); err != nil {
				return nil, at(err.Error())
			}
		case outside:
			if m := heading.FindStringSubmatch(line); m != nil {
				section = m[1]
			}
		}
	}
	if !outside {
		return nil, fmt.Errorf("%s: a fence is left open", page)
	}
	return out, nil
}

// add takes one line of a console block.
func (b *Block) add(line string, at int) error {
	if command, ok := strings.CutPrefix(line, "$ "); ok {
		b.Steps = append(b.Steps, Step{Line: at, Command: command})
		return nil
	}
	if len(b.Steps) == 0 {
		return errors.New("output before the first command")
	}
	s := &b.Steps[len(b.Steps)-1]
	if more, ok := strings.CutPrefix(line, "> "); ok && len(s.Want) == 0 {
		s.Command += "\n" + more
		return nil
	}
	if m := exited.FindStringSubmatch(line); m != nil {
		n, err := strconv.Atoi(m[1])
		s.Exit = n
		return err
	}
	s.Want = append(s.Want, line)
	return nil
}

// loose lets a space beside "…" be part of it.
var loose = strings.NewReplacer(" … ", "…", " …", "…", "… ", "…")

// Fits tells whether got is what a page wants, line by line.
func Fits(want []string, got string) bool {
	var re strings.Builder
	re.WriteString(`(?s)\A`)
	for _, line := range want {
		if strings.TrimSpace(line) == "…" {
			re.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		line = loose.Replace(strings.Join(strings.Fields(line), " "))
		for i, part := range strings.Split(line, "…") {
			if i > 0 {
				re.WriteString(`[^\n]*`)
			}
			re.WriteString(regexp.QuoteMeta(part))
		}
		re.WriteString(`\n`)
	}
	re.WriteString(`\z`)
	return regexp.MustCompile(re.String()).MatchString(plain(got))
}

// plain has single spaces, no spaces at the end of lines, no empty lines and one end of line at the end: how wide a column is tells nothing.
// The bytes around an MLLP frame, which a terminal does not show, are not there.
func plain(s string) string {
	s = strings.NewReplacer("\x0b", "", "\x1c", "").Replace(s)
	var b strings.Builder
	for line := range strings.Lines(s) {
		if f := strings.Fields(line); len(f) > 0 {
			b.WriteString(strings.Join(f, " ") + "\n")
		}
	}
	return b.String()
}
