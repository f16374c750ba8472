package main

import (
	"crypto/tls"
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestRestartCutsNobody: while the daemon is restarted again and again behind systemd's sockets, everybody who comes on a
// new connection is answered, by HTTP/1.1 and by HTTP/2: none is refused, and none is cut off after its handshake.
func TestRestartCutsNobody(t *testing.T) {
	t.Parallel()
	w := empty(t, 1)
	activated(t, w)
	must(t, w.start(theBox))
	acc, _, err := w.commission()
	must(t, err)

	stop := make(chan struct{})
	var visitors sync.WaitGroup
	visits := make(chan int, 8)
	for i := range cap(visits) {
		visitors.Go(func() {
			n := 0
			defer func() { visits <- n }()
			for ; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				web := &http.Client{Timeout: readyWithin, Transport: &http.Transport{
					TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: i%2 == 0,
				}}
				err := call(web, acc.Token, http.MethodGet, "https://"+w.https+"/v1/services", nil, nil)
				web.CloseIdleConnections()
				if err != nil {
					t.Errorf("visitor %d, visit %d: %v", i, n, err)
				}
			}
		})
	}
	for range 4 {
		time.Sleep(200 * time.Millisecond) // of load, not for something
		must(t, w.stop(theBox))
		must(t, w.start(theBox))
	}
	close(stop)
	visitors.Wait()
	close(visits)
	for n := range visits {
		if n < 4 {
			t.Errorf("a visitor came %d times", n)
		}
	}
}
