package record

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"pinward/store"
	"pinward/store/storetest"
)

// killEnv makes this test binary the box that is killed: "DIR ADDRESS".
const killEnv = "PINWARD_RECORD_TEST_BOX"

// killedBox writes entries without end and sends them.
func killedBox(t *testing.T, dir, address string) {
	s, err := store.Open(t.Context(), dir, store.Options{Origin: "pinward/test", Keys: storetest.SameKeys(t), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r := &Repository{Box: "b", Format: FormatDICOM, Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}}
	go r.Run(t.Context(), s, portal, slog.New(slog.DiscardHandler))
	for i := 0; ; i++ {
		err := s.Update(t.Context(), portal, func(tx *store.Tx) error {
			return tx.Record(store.Entry{Action: "site.change", Outcome: store.OK, Object: fmt.Sprintf("%d-%d", os.Getpid(), i)})
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestRepositoryOfABoxThatIsKilled kills the box, with SIGKILL, whenever the server has got some more: each
// entry that is in the log comes, none before one that is older.
func TestRepositoryOfABoxThatIsKilled(t *testing.T) {
	if box := os.Getenv(killEnv); box != "" {
		dir, address, _ := strings.Cut(box, " ")
		killedBox(t, dir, address)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	got := map[string]int{}
	have := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(got)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(c) // to its end before the next: what comes first is older
			for {
				m, err := takeFrame(r)
				if err != nil {
					break
				}
				_, after, _ := strings.Cut(m, "<ParticipantObjectName>")
				name, _, _ := strings.Cut(after, "<")
				mu.Lock()
				if _, known := got[name]; !known {
					got[name] = len(got)
				}
				mu.Unlock()
			}
			c.Close()
		}
	})
	defer serving.Wait()
	defer l.Close()
	dir := t.TempDir()
	for range 4 {
		box := exec.Command(os.Args[0], "-test.run=^TestRepositoryOfABoxThatIsKilled$", "-test.timeout=60s")
		box.Env = append(os.Environ(), killEnv+"="+dir+" "+l.Addr().String())
		box.Stdout, box.Stderr = os.Stderr, os.Stderr
		if err := box.Start(); err != nil {
			t.Fatal(err)
		}
		// In the middle of a batch or between two, as it comes.
		for from, end := have(), time.Now().Add(30*time.Second); have() < from+20; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d entries come, not 20", have()-from)
			}
		}
		_ = box.Process.Kill()
		_ = box.Wait()
	}
	s, err := store.Open(t.Context(), dir, store.Options{Origin: "pinward/test", Keys: storetest.SameKeys(t), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	r := &Repository{Box: "b", Format: FormatDICOM, Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}}
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx, s, portal, slog.New(slog.DiscardHandler)) })
	defer running.Wait() // before the listener ends
	defer cancel()
	var st FollowerStatus
	var written []store.Record
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err := s.View(t.Context(), func(tx *store.Tx) (err error) {
			if st, err = StatusOf(tx, RepositoryCursor); err == nil && st.Backlog == 0 {
				written, err = between(tx, 0, st.Next)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if st.Backlog == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("status %+v", st)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	last, n := -1, 0
	for _, w := range written {
		if w.Entry.Action != "site.change" {
			continue
		}
		n++
		at, ok := got[w.Entry.Object]
		if !ok {
			t.Errorf("entry %d never came", w.Seq)
		} else if at < last {
			t.Errorf("entry %d came before an older one", w.Seq)
		}
		last = at
	}
	if n < 80 {
		t.Errorf("only %d entries", n)
	}
}
