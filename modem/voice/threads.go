package voice

import (
	"runtime"
	"sync"
)

// callThreads is how many goroutines may run at once while a call has sound. With as many as there are processors, whatever computes
// for ten milliseconds (that is when the runtime interrupts it) holds frames up for as long; with more, the kernel shares the
// processors out among them. Eight calls on two processors: p99 of the frames 7 ms late with two, 2 ms with eight.
const callThreads = 8

// threads counts the calls that have sound: GOMAXPROCS is the process's, and costs throughput where nobody calls.
var threads struct {
	sync.Mutex
	calls, before int
}

// promptly has the frames of a call come in time until release is called, which every caller does once.
func promptly() (release func()) {
	threads.Lock()
	defer threads.Unlock()
	if threads.calls++; threads.calls == 1 {
		if threads.before = runtime.GOMAXPROCS(0); threads.before < callThreads {
			runtime.GOMAXPROCS(callThreads)
		}
	}
	return func() {
		threads.Lock()
		defer threads.Unlock()
		if threads.calls--; threads.calls == 0 && threads.before < callThreads {
			runtime.GOMAXPROCS(threads.before)
		}
	}
}
