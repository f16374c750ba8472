package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestOwnQuestion: the server behind a door knows the daemon's own questions from those of others, which alone are
// counted and logged as requests.
func TestOwnQuestion(t *testing.T) {
	l, err := listen(nil, "test", Address{HostPort: "127.0.0.1:0"})
	must(t, err)
	own := make(chan bool, 2)
	s := newDrained(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own <- ownQuestion(r)
		fmt.Fprintln(w, "ok")
	})}, newDoor(l, nil))
	served := make(chan error, 1)
	go func() { served <- s.serve(s.Serve) }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	must(t, s.door.ask(ctx, false))
	if !<-own {
		t.Error("a question of the daemon is taken for somebody's request")
	}
	c, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer c.Close()
	if _, _, err := one(c, "/healthz"); err != nil || <-own {
		t.Errorf("somebody's request is taken for a question of the daemon, %v", err)
	}
	c.Close()
	must(t, s.drain(ctx))
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
