package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// slow gives a stream piece by piece, as a disk or a network does.
type slow struct{ left int }

func (s *slow) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(5 * time.Millisecond)
	n := min(len(b), s.left, 50_000)
	s.left -= n
	return n, nil
}

// onStderr runs f with another standard error.
func onStderr(t *testing.T, to *os.File, f func()) {
	t.Helper()
	before := os.Stderr
	os.Stderr = to
	defer func() { os.Stderr = before }()
	f()
}

// TestProgressOnATerminal: with its end known a bar moves forward, and is taken away at the end; broken off it ends as well.
func TestProgressOnATerminal(t *testing.T) {
	const size = 2_000_000
	for name, read := range map[string]int64{"whole": size, "broken off": size / 2} {
		t.Run(name, func(t *testing.T) {
			master, tty, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 120}); err != nil {
				t.Fatal(err)
			}
			var shown bytes.Buffer
			var reading sync.WaitGroup
			reading.Go(func() { _, _ = io.Copy(&shown, master) }) // ends with an error when the terminal is closed
			onStderr(t, tty, func() {
				r, finish := watched(&slow{size}, "writing", size)
				if n, err := io.CopyN(io.Discard, r, read); n != read {
					t.Errorf("%d bytes came through, %v", n, err)
				}
				finish()
			})
			tty.Close()
			reading.Wait()
			master.Close()
			var at []float64
			for _, m := range regexp.MustCompile(`writing .*?([0-9.]+) (K?M?)B / 2\.0 MB`).FindAllSubmatch(shown.Bytes(), -1) {
				v, err := strconv.ParseFloat(string(m[1]), 64)
				if err != nil {
					t.Fatal(err)
				}
				at = append(at, v*map[string]float64{"": 1, "K": 1e3, "M": 1e6}[string(m[2])])
			}
			if len(at) < 2 || at[0] >= at[len(at)-1] {
				t.Fatalf("the bar does not move: %v\n%q", at, shown.String())
			}
			for i := range at[1:] {
				if at[i+1] < at[i] {
					t.Errorf("the bar goes back: %v", at)
				}
			}
		})
	}
}

// TestProgressWithoutATerminal: a log or a pipe gets nothing of it, and the stream is the same.
func TestProgressWithoutATerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	onStderr(t, f, func() {
		r, finish := watched(&slow{200_000}, "writing", 200_000)
		n, err := io.Copy(io.Discard, r)
		if finish(); n != 200_000 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
	if fi, err := f.Stat(); err != nil || fi.Size() != 0 {
		t.Errorf("%d bytes were shown, %v", fi.Size(), err)
	}
}
