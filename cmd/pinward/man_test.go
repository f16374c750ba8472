package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manFolder is where packaging/package wants the pages: the generator is linked into no program.
var manFolder = flag.String("man", "", "write the manual pages into this `folder`")

// TestManPages makes a page for each command, and has man read each without a complaint.
func TestManPages(t *testing.T) {
	folder := *manFolder
	if folder == "" {
		folder = t.TempDir()
	}
	root := newRoot()
	root.InitDefaultCompletionCmd()
	made := time.Unix(0, 0).UTC() // a page has no date of its own: two builds make the same bytes
	if err := doc.GenManTree(root, &doc.GenManHeader{Section: "8", Source: "Pinward", Manual: "Pinward", Date: &made}, folder); err != nil {
		t.Fatal(err)
	}
	var commands []string
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if !c.IsAvailableCommand() && c.HasParent() {
			return
		}
		commands = append(commands, strings.ReplaceAll(c.CommandPath(), " ", "-"))
		if c.Short == "" {
			t.Errorf("%s says nothing of itself", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	if len(commands) < 50 {
		t.Fatalf("%d commands", len(commands))
	}
	pages := make([]string, 0, len(commands))
	for _, c := range commands {
		pages = append(pages, filepath.Join(folder, c+".8"))
	}
	hand, err := filepath.Glob("../../packaging/man/*.[58]")
	if err != nil || len(hand) != 4 {
		t.Fatalf("%d pages written by hand, want 4: %v", len(hand), err)
	}
	for _, page := range append(pages, hand...) {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, want := range []string{".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"} {
			if want = want[4:]; !strings.Contains(string(b), want) {
				t.Errorf("%s has no %s", filepath.Base(page), want)
			}
		}
	}
	out, err := exec.Command("groff", append([]string{"-mandoc", "-Tutf8", "-ww", "-z"}, append(pages, hand...)...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out[:min(len(out), 2000)])
	}
}
