package modemsim

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The PCM port in a tree is the one that the maker uses for it; positions stop when they are told to.
func TestAudioPortInATree(t *testing.T) {
	for profile, number := range map[string]int{"ec25": 1, "sim7600": 4, "e173": 1} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			n, err := NewNetwork(NetworkOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			m, err := n.AddModem(ModemOptions{Name: "a", Profile: profile})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if _, err := m.Tree(dir); err != nil {
				t.Fatal(err)
			}
			change(t, n.Handset(patient), HandsetChange{Answers: new(true), AnswerAfter: new(Duration(10 * time.Millisecond))})
			at, ask := dial(t, filepath.Join(dir, "serial", "by-path", m.tree.path(map[string]int{"ec25": 2, "sim7600": 2, "e173": 2}[profile])))
			defer at.Close()
			order := func(cmd string) { ask(cmd+"\r", "OK") }
			audio, err := os.OpenFile(filepath.Join(dir, "serial", "by-path", m.tree.path(number)), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer audio.Close()
			if profile == "ec25" {
				order(`AT+QGPSCFG="outport","none"`)
				order("AT+QPCMV=1,0")
			}
			order("ATD" + patient + ";")
			for m.InCall() < 150*time.Millisecond {
				time.Sleep(10 * time.Millisecond)
			}
			switch profile {
			case "sim7600":
				order("AT+CPCMREG=1")
			case "e173":
				order("AT^DDSETEX=2")
			}
			sound := tones(frameTime, 4000, 440)
			if _, err := audio.Write(sound); err != nil {
				t.Fatal(err)
			}
			down := make([]byte, 2*frameBytes)
			if _, err := io.ReadFull(audio, down); err != nil || profile != "ec25" && len(bytes.Trim(down, "\x00")) != 0 {
				t.Errorf("%q, %v", down, err)
			}
			for limit := time.Now().Add(5 * time.Second); m.Pacing().Frames == 0 && time.Now().Before(limit); {
				time.Sleep(10 * time.Millisecond)
			}
			order("AT+CHUP")
			if b := n.Recording(n.Handset(patient).Calls()[0].WAV); !bytes.Contains(b, sound) {
				t.Error("what was written is not in the recording")
			}
			if _, err := m.AudioPTY(""); err == nil {
				t.Error("a second PCM port")
			}
		})
	}
}

// A PCM port behind a link comes back with its modem, under another name.
func TestAudioPTYUnplug(t *testing.T) {
	n, err := NewNetwork(NetworkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := n.AddModem(ModemOptions{Name: "a", Profile: "e173", BootTime: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "audio")
	if _, err := m.AudioPTY(link); err != nil {
		t.Fatal(err)
	}
	if _, err := m.AudioPipe(); err == nil {
		t.Error("a second PCM port")
	}
	set(t, m, Faults{Unplugged: true})
	if _, err := os.Lstat(link); !os.IsNotExist(err) {
		t.Errorf("it is there while unplugged: %v", err)
	}
	set(t, m, Faults{})
	if _, err := os.Stat(link); err != nil {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(link); !os.IsNotExist(err) {
		t.Errorf("it is there after the end: %v", err)
	}
	if m, _ := n.AddModem(ModemOptions{Name: "b"}); m != nil {
		t.Error("a modem on a network that is closed")
	}
}
