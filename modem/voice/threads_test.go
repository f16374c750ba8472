package voice

import (
	"context"
	"io"
	"runtime"
	"testing"
)

// While any call has sound there are threads for its frames, and none more when the last has ended.
func TestThreadsAreForCallsAlone(t *testing.T) {
	before := runtime.GOMAXPROCS(2)
	defer runtime.GOMAXPROCS(before)
	ended := make(chan error)
	var hangUp []context.CancelFunc
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		hangUp = append(hangUp, cancel)
		begun := make(chan struct{})
		go func() { ended <- NewPacer(&firstWrite{Writer: io.Discard, done: begun}).Run(ctx) }()
		<-begun
	}
	for i, want := range []int{callThreads, 2} {
		hangUp[i]()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if n := runtime.GOMAXPROCS(0); n != want {
			t.Errorf("after %d calls %d threads, want %d", i+1, n, want)
		}
	}
}

// firstWrite tells of the first frame.
type firstWrite struct {
	io.Writer
	done chan struct{}
}

func (w *firstWrite) Write(b []byte) (int, error) {
	if w.done != nil {
		close(w.done)
		w.done = nil
	}
	return w.Writer.Write(b)
}
