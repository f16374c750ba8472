package daemon

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes keeps what a webhook at the other end of pipes of the process took.
type pipes struct {
	mu   sync.Mutex
	took []webhookBody
}

// handle is the webhook.
func (p *pipes) handle(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	var b webhookBody
	if err != nil || json.Unmarshal(text, &b) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took = append(p.took, b)
	w.WriteHeader(http.StatusNoContent)
}

func (p *pipes) types() (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.took {
		out = append(out, b.Type)
	}
	return out
}

func (p *pipes) first() webhookBody {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.took[0]
}

// A box that stays sealed tells of it by webhook after two minutes and each hour, and that it is open again;
// one that is sealed for a moment, or empty, tells nobody.
func TestSealedBoxTells(t *testing.T) {
	ca, cert, key := testServerFiles(t, "pager.test")
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{}
		server, dial := pipeServer(t, http.HandlerFunc(p.handle), cert, key)
		b := closedBox(t, State{Name: Empty, Since: time.Now()})
		o := outlets{box: "box-1", out: dial, log: slog.New(slog.DiscardHandler), hooks: []WebhookTarget{{Name: "pager", Relay: "pager", URL: "https://pager.test/", CA: ca}}}
		ctx, stop := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { b.watchClosed(ctx, o) })
		be := func(name string, d time.Duration) {
			b.state.Store(&State{Name: name, Cause: "PCR 7 changed", Since: time.Now()})
			time.Sleep(d)
		}
		time.Sleep(time.Hour)
		be(Sealed, time.Minute)
		be(Open, time.Minute)
		if got := p.types(); len(got) != 0 {
			t.Errorf("it told %v", got)
		}
		be(Sealed, 2*time.Minute+20*time.Second)
		if got := p.types(); len(got) != 1 || got[0] != "box.closed" {
			t.Errorf("it told %v", got)
		} else if d := p.first().Data; d.Box != "box-1" || d.Cause != "PCR 7 changed" || !strings.Contains(d.Text, "pinward status") {
			t.Errorf("it told %+v", d)
		}
		time.Sleep(time.Hour)
		be(Open, time.Minute)
		if got := strings.Join(p.types(), " "); got != "box.closed box.closed box.opened" {
			t.Errorf("it told %s", got)
		}
		stop()
		watching.Wait()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
}

// pipeServer is an HTTPS server whose connections are pipes, and the way to it.
func pipeServer(t *testing.T, h http.Handler, cert, key string) (*http.Server, Dial) {
	t.Helper()
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.ServeTLS(l, cert, key) }() // ends with Close
	return s, func(ctx context.Context, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case l.conns <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
