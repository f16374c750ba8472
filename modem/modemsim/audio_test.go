package modemsim

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// sayAll gives sound to the PCM port at its pace, and takes what comes until the port is closed.
func sayAll(c net.Conn, pcm []byte) (down *bytes.Buffer, done chan struct{}) {
	down, done = &bytes.Buffer{}, make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(down, c)
	}()
	for ; len(pcm) > 0; time.Sleep(frameTime) {
		n := min(frameBytes, len(pcm))
		if _, err := c.Write(pcm[:n]); err != nil {
			return down, done
		}
		pcm = pcm[n:]
	}
	return down, done
}

// answered is a call from an EC25 to the patient, whose sound is on.
func answered(t *testing.T, n *Network, h *host, c HandsetChange) *Handset {
	t.Helper()
	p := n.Handset(patient)
	change(t, p, c)
	h.ask("AT+QPCMV=1,0;+QTONEDET=1;D" + patient + ";")
	h.rest(1500 * time.Millisecond)
	return p
}

// What the modem sent is recorded sample by sample, silence as zeros, from the answer to the end; how evenly it came is counted; the key
// is pressed after the first prompt, as a code and as the tone itself.
func TestCallIsRecorded(t *testing.T) {
	world(t, ModemOptions{Profile: "ec25"}, func(t *testing.T, n *Network, m *Modem, h *host) {
		c := carries(t, m)
		p := answered(t, n, h, HandsetChange{Answers: new(true), Presses: new("1#")})
		prompt := tones(2*time.Second, 4000, 440)
		down, done := sayAll(c, prompt)
		h.until("+QTONEDET: 49\r\n")
		h.until("+QTONEDET: 35\r\n")
		h.rest(time.Second)
		h.ask("AT+CHUP")
		c.Close()
		<-done
		call := p.Calls()[0]
		b := n.Recording(call.WAV)
		if len(b) < 44 || !bytes.Equal(b[:44], wav(b[44:])[:44]) || binary.LittleEndian.Uint32(b[24:]) != 8000 {
			t.Fatalf("%d octets", len(b))
		}
		at := bytes.Index(b, prompt)
		if at < 0 || len(bytes.Trim(b[44:at], "\x00")) != 0 || len(bytes.Trim(b[at+len(prompt):], "\x00")) != 0 {
			t.Error("it is not the prompt between silence")
		}
		if want := 44 + bytesOf(time.Duration(call.Seconds)); len(b) < want-2 || len(b) > want+frameBytes {
			t.Errorf("%d octets for %v", len(b), time.Duration(call.Seconds))
		}
		if !bytes.Contains(down.Bytes(), dtmf('1', toneTime)) || !bytes.Contains(down.Bytes(), dtmf('#', toneTime)) {
			t.Error("the tones are not in what the far side sends")
		}
		pace := m.Pacing()
		if pace.Frames != 100 || pace.Gaps[20] != 99 || pace.P99 > Duration(time.Millisecond) || pace.Worst != 0 || pace.Starved != 0 {
			t.Errorf("%d frames, %d gaps of 20 ms, p99 %v, worst %v, starved %v", pace.Frames, pace.Gaps[20], time.Duration(pace.P99), time.Duration(pace.Worst), time.Duration(pace.Starved))
		}
	})
}

// Uneven sound shows in the figures, and a hole in the recording.
func TestPacingTellsOfBursts(t *testing.T) {
	world(t, ModemOptions{Profile: "ec25"}, func(t *testing.T, n *Network, m *Modem, h *host) {
		c := carries(t, m)
		p := answered(t, n, h, HandsetChange{Answers: new(true)})
		go io.Copy(io.Discard, c)
		sound := tones(frameTime, 4000, 440)
		for range 50 {
			c.Write(append(append([]byte(nil), sound...), sound...)) // two frames each 40 ms
			time.Sleep(2 * frameTime)
		}
		time.Sleep(time.Second)
		c.Write(sound)
		synctest.Wait()
		pace := m.Pacing()
		if pace.Frames != 101 || pace.Gaps[0] != 50 || pace.Gaps[40] != 49 || pace.Gaps[200] != 1 || pace.P50 < Duration(19*time.Millisecond) ||
			pace.Worst < Duration(time.Second) || pace.Starved < Duration(700*time.Millisecond) {
			t.Errorf("%d frames, gaps %d, %d, %d, p50 %v, worst %v, starved %v", pace.Frames, pace.Gaps[0], pace.Gaps[40], pace.Gaps[200],
				time.Duration(pace.P50), time.Duration(pace.Worst), time.Duration(pace.Starved))
		}
		h.ask("AT+CHUP")
		if b := n.Recording(p.Calls()[0].WAV); bytes.Count(b, sound) < 101 {
			t.Errorf("%d frames of 101", bytes.Count(b, sound))
		}
	})
}

// Whoever does not lift: a voicemail after 15 s, or at once where the phone is off; a false answer that nobody hears; a busy and a
// rejecting phone.
func TestPhonesThatDoNotLift(t *testing.T) {
	world(t, ModemOptions{Profile: "ec25"}, func(t *testing.T, n *Network, m *Modem, h *host) {
		h.ask(`AT+QURCCFG="urcport","usbat"`)
		p := n.Handset(patient)
		call := func(c HandsetChange, d time.Duration) string {
			t.Helper()
			change(t, p, c)
			h.ask("ATD" + patient + ";")
			h.rest(d)
			return h.ask("AT+CLCC")
		}
		off := new(false)
		if got := call(HandsetChange{Voicemail: new(true)}, 14*time.Second); !strings.Contains(got, "0,3,0") {
			t.Errorf("it rings: %q", got)
		}
		h.rest(2 * time.Second)
		if got := h.ask("AT+CLCC"); !strings.Contains(got, "0,0,0") {
			t.Errorf("the voicemail answers: %q", got)
		}
		h.ask("AT+CHUP")
		if got := call(HandsetChange{On: off}, 2*time.Second); !strings.Contains(got, "0,0,0") {
			t.Errorf("off: %q", got)
		}
		h.ask("AT+CHUP")
		if got := call(HandsetChange{On: new(true), Voicemail: off, FalseAnswer: new(true)}, time.Second); !strings.Contains(got, "0,0,0") {
			t.Errorf("false answer: %q", got)
		}
		h.ask("AT+CHUP")
		calls := p.Calls()
		if len(calls) != 3 || !calls[0].Answered || !calls[1].Answered || calls[2].Answered {
			t.Errorf("%+v", calls)
		}
		change(t, p, HandsetChange{FalseAnswer: off, Rejects: new(true)})
		h.ask("ATD" + patient + ";")
		h.until("NO CARRIER\r\n")
		h.say("AT+CEER", "\r\n+CEER: Call rejected\r\n\r\nOK\r\n")
		change(t, p, HandsetChange{Busy: new(true)})
		h.ask("ATD" + patient + ";")
		h.until("BUSY\r\n")
		if calls := p.Calls(); len(calls) != 4 { // it did not ring
			t.Errorf("%d calls", len(calls))
		}
	})
}

// Files lie in the module until they are deleted, through a restart too; they and words are said only in a call.
func TestFilesAndWords(t *testing.T) {
	for profile, f := range map[string]struct{ upload, list, play, end, remove, speak string }{
		"ec25": {`AT+QFUPL="c.wav",%d`, "AT+QFLST=\"*\"", `AT+QPSND=1,"c.wav",0,1,1`, "+QPSND: 0\r\n", `AT+QFDEL="c.wav"`, `AT+QWTTS=1,1,2,"hello"`},
		"sim7600": {`AT+CFTRANRX="C:/c.wav",%d`, "AT+FSLS", `AT+CCMXPLAY="C:/c.wav",1,0`, "+AUDIOSTATE: audio play stop\r\n", `AT+FSDEL="C:/c.wav"`,
			`AT+CTTS=2,"hello"`},
	} {
		t.Run(profile, func(t *testing.T) {
			world(t, ModemOptions{Profile: profile}, func(t *testing.T, n *Network, m *Modem, h *host) {
				sound := tones(time.Second, 3000, 500)
				file := wav(sound)
				h.write(fmt.Sprintf(f.upload, len(file)) + "\r")
				h.rest(100 * time.Millisecond)
				h.write(string(file[:1000]))
				h.write(string(file[1000:]) + "AT\r") // what follows is a command again
				if got := h.until("OK\r\n") + h.until("OK\r\n"); strings.Count(got, "OK") != 2 {
					t.Errorf("%q", got)
				}
				m.Reboot()
				h.rest(2 * time.Second)
				h.ask("ATE0")
				if got := h.ask(f.list); !strings.Contains(got, "c.wav") || len(m.Files()) != 1 {
					t.Errorf("%q", got)
				}
				for _, early := range []string{f.play, f.speak} {
					h.write(early + "\r")
					if got := h.rest(time.Second); !strings.Contains(got, "ERROR") {
						t.Errorf("without a call: %q", got)
					}
				}
				p := lifts(t, n)
				h.ask("ATD" + patient + ";")
				h.rest(3 * time.Second)
				h.ask(f.play)
				h.write(f.play + "\r")
				if got := h.rest(100 * time.Millisecond); !strings.Contains(got, "ERROR") {
					t.Errorf("two at once: %q", got)
				}
				h.until(f.end)
				h.ask(f.speak)
				h.until(": 0\r\n")
				h.ask("AT+CHUP")
				if b := n.Recording(p.Calls()[0].WAV); !bytes.Contains(b, sound) {
					t.Error("the file is not in the recording")
				}
				if got := m.Spoken(); len(got) != 1 || got[0] != "hello" {
					t.Errorf("said %q", got)
				}
				h.ask(f.remove)
				if len(m.Files()) != 0 {
					t.Error("it is still there")
				}
			})
		})
	}
}

// Recordings live through the death of the process, sealed; the oldest are forgotten.
func TestRecordingsAreKept(t *testing.T) {
	dir := t.TempDir()
	sound := tones(40*time.Second, 9000, 440, 1000, 2345) // more than one record of the journal
	for i := range sound[:len(sound)/2] {
		sound[2*i] ^= byte(i * 7 >> 3)
	}
	var path string
	synctest.Test(t, func(t *testing.T) {
		n, err := NewNetwork(NetworkOptions{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		n.mu.Lock()
		defer n.mu.Unlock()
		n.handset(patient).ended(Call{At: time.Now(), Answered: true, Seconds: 1}, sound)
		path = n.handset(patient).calls[0].WAV
	})
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil || bytes.Contains(b, sound[:64]) {
			t.Errorf("%s: in clear, or %v", f.Name(), err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		n, err := NewNetwork(NetworkOptions{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		if b := n.Recording(path); !bytes.Equal(b[44:], sound) || n.Handset(patient).Calls()[0].WAV != path {
			t.Errorf("%d octets of %d", len(b), len(sound))
		}
		n.mu.Lock()
		for range maxRecordings {
			n.handset(patient).ended(Call{At: time.Now()}, make([]byte, 320))
		}
		n.mu.Unlock()
		if n.Recording(path) != nil || len(n.wavs) != maxRecordings {
			t.Errorf("%d are kept", len(n.wavs))
		}
		for _, none := range []string{"", "/recordings/x.wav", "/recordings/1", "/recordings/-1.wav", "1.wav"} {
			if n.Recording(none) != nil {
				t.Errorf("%q is a recording", none)
			}
		}
	})
}

// Over HTTP a call has the URL of its WAV, and the page plays it; handsets take all that a phone may do.
func TestHTTPRecordings(t *testing.T) {
	n, _, do := served(t)
	sound := tones(time.Second, 4000, 440)
	n.mu.Lock()
	n.handset(patient).ended(Call{At: time.Now(), Answered: true, Seconds: Duration(time.Second)}, sound)
	n.mu.Unlock()
	_, body := do("GET", "/handsets/+16175551234/calls", "")
	url, _ := objects(t, body)[0]["wav"].(string)
	scheme, rest, found := strings.Cut(url, "://")
	_, path, _ := strings.Cut(rest, "/")
	if !found || scheme != "http" {
		t.Fatalf("%q is no URL", url)
	}
	if status, b := do("GET", "/"+path, ""); status != 200 || b != string(wav(sound)) {
		t.Errorf("%d, %d octets", status, len(b))
	}
	if status, _ := do("GET", "/recordings/999.wav", ""); status != 404 {
		t.Errorf("none: %d", status)
	}
	if _, page := do("GET", "/", ""); !strings.Contains(page, `src="/`+path+`"`) {
		t.Error("the page does not play it")
	}
	status, body := do("PUT", "/handsets/+16175551234", `{"busy":true,"rejects":true,"voicemail":true,"false_answer":true,"answer_after":2,"press_after":1.5,"hangs_up":"3s"}`)
	want := HandsetState{On: true, Busy: true, Rejects: true, Voicemail: true, FalseAnswer: true, AnswerAfter: Duration(2 * time.Second),
		PressAfter: Duration(1500 * time.Millisecond), HangsUp: Duration(3 * time.Second)}
	if status != 200 || n.Handset(patient).State() != want {
		t.Errorf("%d %s", status, body)
	}
	var pace Pacing
	if status, body := do("GET", "/modems/modem1/pacing", ""); status != 200 || json.Unmarshal([]byte(body), &pace) != nil || len(pace.Gaps) == 0 {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := do("GET", "/modems/none/pacing", ""); status != 404 {
		t.Errorf("%d", status)
	}
}
