package port

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// The PCM port is beside the AT port of the same module, never of another of the same kind.
func TestAudioPortOfEachModule(t *testing.T) {
	tr := newTree(t)
	for i, node := range []string{"ttyUSB0", "ttyUSB1", "ttyUSB2", "ttyUSB3", "ttyUSB4"} {
		tr.usb(node, "1-1", "1e0e", "9001", "0"+string(rune('0'+i)))
	}
	for i, node := range []string{"ttyUSB5", "ttyUSB6", "ttyUSB7", "ttyUSB8"} {
		tr.usb(node, "1-2", "2c7c", "0125", "0"+string(rune('0'+i)))
	}
	for i, node := range []string{"ttyUSB9", "ttyUSB10", "ttyUSB11"} {
		tr.usb(node, "1-3", "12d1", "1001", "0"+string(rune('0'+i)))
	}
	tr.usb("ttyUSB12", "1-4", "1bc7", "1201", "04")
	devices, err := List(tr.r)
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]string{}
	for _, d := range devices {
		nodes[d.Path] = d.Node
	}
	dev := tr.r.Dev + "/"
	for at, audio := range map[string]string{"ttyUSB2": "ttyUSB4", "ttyUSB7": "ttyUSB6", "ttyUSB11": "ttyUSB10"} {
		if got := nodes[AudioOf(devices, dev+at)]; got != dev+audio {
			t.Errorf("%s: %q, want %s", at, got, audio)
		}
	}
	for _, none := range []string{"ttyUSB12", "ttyUSB99", ""} {
		if got := AudioOf(devices, dev+none); got != "" {
			t.Errorf("%q: %q", none, got)
		}
	}
}

// A device that takes nothing costs the deadline and not the port; what was not taken can be given again, and nothing is torn.
func TestAudioPortThatStallsIsNotGivenUp(t *testing.T) {
	d := plug(t)
	a, err := OpenAudio(context.Background(), d.path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	given := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7}, 10_000)
	taken, stalls := 0, 0
	got := make(chan []byte, 1)
	for taken < len(given) {
		if err := a.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := a.Write(given[taken:min(taken+320, len(given))])
		taken += n
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			t.Fatal(err)
		default:
			if stalls++; stalls == 3 { // now it reads on
				go func() {
					b := make([]byte, len(given))
					n, _ := io.ReadFull(d.master, b)
					got <- b[:n]
				}()
			}
		}
	}
	if b := <-got; !bytes.Equal(b, given) || stalls < 3 {
		t.Errorf("%d octets of %d, %d stalls", len(b), len(given), stalls)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.Write(given); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// The port keeps the writer's time: it never wakes it too soon, comes at once when the time is over, and closing it ends a wait.
func TestAudioPortKeepsTime(t *testing.T) {
	a, err := OpenAudio(context.Background(), plug(t).path)
	if err != nil {
		t.Fatal(err)
	}
	for k, start := 0, time.Now(); k < 10; k++ {
		next := start.Add(time.Duration(k) * 3 * time.Millisecond)
		if err := a.WaitUntil(next); err != nil || time.Now().Before(next) {
			t.Fatalf("frame %d: %v too soon, %v", k, time.Until(next), err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- a.WaitUntil(time.Now().Add(time.Hour)) }()
	time.Sleep(20 * time.Millisecond) // either before or in the wait, the end is the same
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
