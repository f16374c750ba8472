package walk

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	page := strings.Join([]string{
		"# A page", "## First", "```console", "$ pinward status", "state  open", "…", "$ cat <<E", "> x", "> E", "x", "[exit 3]", "```",
		"```toml", "[box]", "```", "### Second", "```hl7 a.hl7", "MSH|", "```", "```console box", "$ true", "```", "```console install", "$ id", "```", "",
	}, "\n")
	got, err := Parse("p.md", page)
	want := []Block{
		{Page: "p.md", Section: "First", Line: 3, Steps: []Step{
			{Line: 4, Command: "pinward status", Want: []string{"state  open", "…"}},
			{Line: 7, Command: "cat <<E\nx\nE", Want: []string{"x"}, Exit: 3},
		}},
		{Page: "p.md", Section: "Second", Line: 17, File: "a.hl7", Text: "MSH|\n"},
		{Page: "p.md", Section: "Second", Line: 20, Mark: Box, Steps: []Step{{Line: 21, Command: "true"}}},
		{Page: "p.md", Section: "Second", Line: 23, Mark: Install, Steps: []Step{{Line: 24, Command: "id"}}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v\nwant %+v", got, err, want)
	}
}

func TestPagesThatNobodyCouldWalk(t *testing.T) {
	for name, page := range map[string]string{
		"unknown mark":            "```console laptop\n$ true\n```\n",
		"no command":              "```console\n```\n",
		"output before a command": "```console\nopen\n```\n",
		"fence left open":         "```console\n$ true\n",
	} {
		if got, err := Parse("p.md", page); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestFits(t *testing.T) {
	for _, v := range []struct {
		want []string
		got  string
		fits bool
	}{
		{nil, "", true},
		{nil, "x\n", false},
		{[]string{"open"}, "open\n", true},
		{[]string{"open"}, "opened\n", false},
		{[]string{"a  b"}, "a b   \n\n", true},
		{[]string{"since … UTC"}, "since 2026-11-22 14:00 UTC\n", true},
		{[]string{"since … UTC"}, "since\nUTC\n", false},
		{[]string{"next: setup …"}, "next: setup\n", true},
		{[]string{"…", "end"}, "one\ntwo\nend\n", true},
		{[]string{"…", "end"}, "end\n", true},
		{[]string{"first", "…"}, "first\nsecond\n", true},
		{[]string{"first", "…"}, "second\n", false},
		{[]string{"a.c"}, "abc\n", false},
	} {
		if Fits(v.want, v.got) != v.fits {
			t.Errorf("%q over %q: want %v", v.want, v.got, v.fits)
		}
	}
}

// What a page says must happen; anything else is told with the line of the page.
func TestWalk(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, []string{"PATH=/usr/bin:/bin"}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.WriteFile(filepath.Join(dir, "answer"), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Type("read", "nowhere")
	s.Type("read", "answer")
	blocks, err := Parse("p.md", strings.Join([]string{
		"```text note.txt", "hello", "```", "```console", "$ cat note.txt", "hello", "$ read X; Y=$X", "$ echo $Y; false", "secret", "[exit 1]", "```",
		"```console", "$ echo one", "two", "```", "```console", "$ exit 4", "```", "",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i, wrong := range []string{"", "", "p.md:13: $ echo one\nexit 0, and it printed:\none\n", "p.md:17"} {
		err := s.Walk(blocks[i])
		if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.HasPrefix(err.Error(), wrong)) {
			t.Errorf("block %d: %v, want %q", i, err, wrong)
		}
	}
	if !s.Walked(blocks[0]) || s.Walked(Block{Page: "p.md", Line: 99}) {
		t.Error("what was walked is not remembered")
	}
}
