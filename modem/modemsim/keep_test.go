package modemsim

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// copied copies a state folder as a crash would leave it: the network that
// writes it is still there.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func openWorld(t *testing.T, dir string) (*Network, *Modem) {
	t.Helper()
	n, err := NewNetwork(NetworkOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	m, err := n.AddModem(ModemOptions{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	return n, m
}

func TestStateSurvivesACrash(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n, m := openWorld(t, dir)
		defer n.Close()
		h := newHost(t, m)
		h.ask("ATE0;+CNMI=2,1,0,1,0")
		h.send(plain("Code 482917"), nil)
		texts(t, n, 1)
		h.reportStatus()
		if err := n.Handset(patient).Reply("YES please", ""); err != nil {
			t.Fatal(err)
		}
		h.until("+CMTI: ")
		// Half of a long text, a text that waits for its handset, and one on its way.
		half := plain("")
		half.Body = bodies(strings.Repeat("x", 200), 5)[0]
		h.send(half, nil)
		time.Sleep(time.Second)
		change(t, n.Handset("+16175559876"), HandsetChange{On: new(false), Presses: new("1")})
		waits := plain("waits")
		waits.To = "+16175559876"
		h.send(waits, nil)
		time.Sleep(time.Second)
		h.send(plain("on its way"), nil)

		b, bm := openWorld(t, copied(t, dir))
		defer b.Close()
		hb := newHost(t, bm)
		hb.ask("ATE0")
		list := texts(t, b, 2)
		if len(list) != 2 || list[0].Text != "Code 482917" || list[1].Text != "on its way" {
			t.Errorf("%d texts after the crash", len(list))
		}
		if got := hb.ask("AT+CMGL=4"); strings.Count(got, "+CMGL: 1,0,") != 1 {
			t.Errorf("SIM storage: %q", got)
		}
		other := b.Handset("+16175559876")
		if s := other.State(); s.On || s.Presses != "1" || len(other.Messages()) != 0 {
			t.Errorf("%+v", s)
		}
		change(t, other, HandsetChange{On: new(true)})
		if got := other.Messages(); len(got) != 1 || got[0].Text != "waits" {
			t.Errorf("%d texts waited", len(got))
		}
		half.Body = bodies(strings.Repeat("x", 200), 5)[1]
		hb.send(half, nil)
		if got := texts(t, b, 3)[2]; got.Parts != 2 || len(got.Text) != 200 {
			t.Errorf("%d parts, %d characters", got.Parts, len(got.Text))
		}
	})
	for _, name := range []string{journalFile, keyFile, lockFile} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, clear := range []string{"482917", "5551234", "YES", "\xd9\xf2\x3c", "handset"} {
			if bytes.Contains(b, []byte(clear)) {
				t.Errorf("%s holds %q in clear", name, clear)
			}
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
}

// Between showing a text and settling it the process may die: the journal is cut
// after each of its records in turn, and the text must show exactly once.
func TestTextShowsOnceWhereverTheJournalEnds(t *testing.T) {
	dir := t.TempDir()
	var accepted int64
	journal := filepath.Join(dir, journalFile)
	size := func() int64 {
		info, err := os.Stat(journal)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	synctest.Test(t, func(t *testing.T) {
		n, m := openWorld(t, dir)
		defer n.Close()
		h := newHost(t, m)
		h.ask("ATE0")
		h.send(plain("once"), nil)
		accepted = size()
		texts(t, n, 1)
	})
	whole := size()
	if whole <= accepted {
		t.Fatal("nothing was written after the acceptance")
	}
	for end := accepted; end <= whole; end += 7 {
		cut := copied(t, dir)
		if err := os.Truncate(filepath.Join(cut, journalFile), end); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			n, _ := openWorld(t, cut)
			defer n.Close()
			texts(t, n, 1)
			time.Sleep(time.Minute)
			if got := len(n.Handset(patient).Messages()); got != 1 {
				t.Errorf("cut at %d of %d: %d texts", end, whole, got)
			}
		})
	}
}

func TestDamagedJournalIsRefused(t *testing.T) {
	dir := t.TempDir()
	n, _ := openWorld(t, dir)
	change(t, n.Handset(patient), HandsetChange{Full: new(true)})
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(dir string) error{
		"a flipped bit": func(dir string) error {
			p := filepath.Join(dir, journalFile)
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			b[20] ^= 1
			return os.WriteFile(p, b, 0o600)
		},
		"an impossible length": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, journalFile), []byte("\xff\xff\xff\xffxx"), 0o600)
		},
		"another key": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, keyFile), make([]byte, 32), 0o600)
		},
		"a short key": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, keyFile), []byte("short"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			broken := copied(t, dir)
			if err := damage(broken); err != nil {
				t.Fatal(err)
			}
			if n, err := NewNetwork(NetworkOptions{Dir: broken}); err == nil {
				n.Close()
				t.Error("it was opened")
			}
		})
	}
}

func TestOneNetworkAFolder(t *testing.T) {
	dir := t.TempDir()
	n, _ := openWorld(t, dir)
	if second, err := NewNetwork(NetworkOptions{Dir: dir}); err == nil {
		second.Close()
		t.Error("two networks on one folder")
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n, _ = openWorld(t, dir)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// What cannot be kept must not be accepted.
func TestFullDiskRefusesMessages(t *testing.T) {
	world(t, ModemOptions{}, func(t *testing.T, n *Network, m *Modem, h *host) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer full.Close()
		dir := t.TempDir()
		k, _, err := openKeep(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer k.close()
		n.mu.Lock()
		n.keep = &keep{f: full, aead: k.aead, lock: full}
		n.mu.Unlock()
		h.begin(plain("code"))
		h.until("+CMS ERROR: 41\r\n")
		n.mu.Lock()
		n.keep = &keep{}
		n.mu.Unlock()
	})
}
