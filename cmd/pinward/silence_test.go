package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSilenceIsExplained: where nobody answers, as on systemd's socket of a daemon that cannot start, a person is told where to
// look and still gets the answer when it comes; where the daemon only works on something long, nothing is said.
func TestSilenceIsExplained(t *testing.T) {
	for name, answers := range map[string]bool{"a daemon that does not start": false, "a daemon at work": true} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			told := make(chan struct{})
			doors := http.NewServeMux()
			doors.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {
				defer close(told) // that it was asked is all that a daemon at work sees
			})
			doors.HandleFunc("GET /modems", func(w http.ResponseWriter, _ *http.Request) {
				if answers {
					<-told
				}
				io.WriteString(w, "[]")
			})
			srv := &http.Server{Handler: doors}
			var serving sync.WaitGroup
			defer serving.Wait()
			defer srv.Close()
			said := captureStderr(t)
			if answers {
				serving.Go(func() { _ = srv.Serve(l) })
			}
			c := &client{socket: socket, silence: 50 * time.Millisecond}
			var got []any
			asked := make(chan error, 1)
			go func() { asked <- c.get(t.Context(), http.MethodGet, "/modems", nil, &got) }()
			if !answers {
				said.await(t, "systemctl status pinward.service")
				serving.Go(func() { _ = srv.Serve(l) })
			}
			if err := <-asked; err != nil {
				t.Fatal(err)
			}
			if answers && said.String() != "" {
				t.Errorf("said: %s", said)
			}
		})
	}
}

// stderr is what was written to it.
type stderr struct {
	mu sync.Mutex
	b  strings.Builder
	in chan struct{}
}

func captureStderr(t *testing.T) *stderr {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s, real := &stderr{in: make(chan struct{}, 1)}, os.Stderr
	os.Stderr = w
	var reading sync.WaitGroup
	reading.Go(func() {
		for b := make([]byte, 4096); ; {
			n, err := r.Read(b)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.b.Write(b[:n])
			s.mu.Unlock()
			select {
			case s.in <- struct{}{}:
			default:
			}
		}
	})
	t.Cleanup(func() { os.Stderr = real; w.Close(); reading.Wait(); r.Close() })
	return s
}

func (s *stderr) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *stderr) await(t *testing.T, words string) {
	t.Helper()
	for !strings.Contains(s.String(), words) {
		select {
		case <-s.in:
		case <-t.Context().Done():
			t.Fatal("nothing is said")
		}
	}
}
