package record

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pinward/store"
)

// takeFrame reads one message framed by octet counting.
func takeFrame(r *bufio.Reader) (string, error) {
	var n int
	if _, err := fmt.Fscanf(r, "%d ", &n); err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return string(b), err
}

// logReceiver is a repository on loopback; how each connection is served is the test's.
type logReceiver struct {
	net.Listener
	mu   sync.Mutex
	got  []string // objects in the order of their first arrival
	last chan struct{}
}

func (v *logReceiver) take(c net.Conn, most int) error {
	r := bufio.NewReader(c)
	for n := 0; n < most; n++ {
		m, err := takeFrame(r)
		if err != nil {
			return err
		}
		_, after, _ := strings.Cut(m, "<ParticipantObjectName>")
		name, _, _ := strings.Cut(after, "<")
		v.mu.Lock()
		if !slices.Contains(v.got, name) {
			v.got = append(v.got, name)
		}
		v.mu.Unlock()
		if name == "last" {
			close(v.last)
			return nil
		}
	}
	return nil
}

func receiveLogs(t *testing.T, serve func(v *logReceiver, c net.Conn, n int)) *logReceiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &logReceiver{Listener: l, last: make(chan struct{})}
	var serving sync.WaitGroup
	serving.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(v, c, n)
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return v
}

// TestRepositoryThatGoesAway: a server that closes without reading, one that closes after a few, and one
// that closes while there is nothing to send. Each event comes, in order.
func TestRepositoryThatGoesAway(t *testing.T) {
	b := newBox(t)
	quiet := make(chan struct{}, 1)
	v := receiveLogs(t, func(v *logReceiver, c net.Conn, n int) {
		switch n {
		case 0: // takes the bytes into the kernel and ends without reading them
			time.Sleep(100 * time.Millisecond)
		case 1: // reads one, and goes
			_ = v.take(c, 1)
		case 2: // reads all there is, waits until it is told that, and closes
			_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
			_ = v.take(c, 1000)
			quiet <- struct{}{}
		default:
			_ = v.take(c, 1000)
		}
	})
	for i := range 5 {
		b.add(portal, store.Entry{Action: "site.change", Object: fmt.Sprint("first", i)})
	}
	r := &Repository{Box: "b", Format: FormatDICOM, Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", v.Addr().String())
	}}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx, b.store, portal, slog.New(slog.DiscardHandler)) })
	defer running.Wait()
	defer cancel()
	<-quiet
	b.add(portal, store.Entry{Action: "site.change", Object: "second"}, store.Entry{Action: "site.change", Object: "last"})
	select {
	case <-v.last:
	case <-time.After(60 * time.Second):
		t.Error("the last event does not come")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	i := slices.Index(v.got, "first0")
	if i < 0 || !slices.Equal(v.got[i:], []string{"first0", "first1", "first2", "first3", "first4", "second", "last"}) {
		t.Errorf("got %q", v.got)
	}
}

// TestRepositoryThatHangs: a server that reads nothing is given up, its trouble is told, the cursor stays;
// the next connection gets all. An operator has it all sent once more.
func TestRepositoryThatHangs(t *testing.T) {
	inBubble(t, func(b *box) {
		b.add(portal, store.Entry{Action: "site.change", Object: "one"}, store.Entry{Action: "site.change", Object: "two"})
		var lines []string
		var reading sync.WaitGroup
		dials := 0
		r := &Repository{Box: "b", Format: FormatJSON, Dial: func(context.Context) (net.Conn, error) {
			dials++
			near, far := net.Pipe()
			switch dials {
			case 1:
				return nil, errors.New("nobody is there")
			case 2:
				return near, nil // never read from
			}
			reading.Go(func() {
				for s := bufio.NewScanner(far); s.Scan(); {
					lines = append(lines, s.Text())
				}
			})
			return near, nil
		}}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx, b.store, portal, slog.New(slog.DiscardHandler)) })
		status := func() (st FollowerStatus) {
			if err := b.store.View(context.Background(), func(tx *store.Tx) (err error) { st, err = StatusOf(tx, RepositoryCursor); return err }); err != nil {
				t.Fatal(err)
			}
			return st
		}
		time.Sleep(500 * time.Millisecond)
		if st := status(); st.Next != 0 || st.Backlog == 0 || !strings.Contains(st.Trouble, "nobody is there") || st.Oldest.IsZero() {
			t.Errorf("away: %+v", st)
		}
		time.Sleep(21750 * time.Millisecond)
		if st := status(); st.Next != 0 || !strings.Contains(st.Trouble, "timeout") {
			t.Errorf("hanging: %+v", st)
		}
		time.Sleep(10 * time.Second)
		if st := status(); st.Backlog != 0 || st.Trouble != "" {
			t.Errorf("well: %+v", st)
		}
		if err := b.store.Update(context.Background(), nurse, func(tx *store.Tx) error { return Again(tx, RepositoryCursor, 0) }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		cancel()
		running.Wait()
		reading.Wait()
		if n := strings.Count(strings.Join(lines, "\n"), `"object":"two"`); n != 2 {
			t.Errorf("sent %d times: %q", n, lines)
		}
		if got := b.search(Query{Action: string(ActionAgain)}).Records; len(got) != 1 || got[0].Actor.ID != "mary" {
			t.Errorf("%d entries of who had it sent again", len(got))
		}
	})
}
