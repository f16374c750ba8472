package port

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// descriptors counts the process's open files.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// A port that is stuck is abandoned and opened anew, again and again: neither goroutines nor descriptors grow over 1,000 times.
func TestThousandReopeningsLeaveNothing(t *testing.T) {
	d := plug(t)
	warm := ours(t, d.path, Options{})
	if err := warm.Close(); err != nil {
		t.Fatal(err)
	}
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	for i := range 1000 {
		p, err := Open(context.Background(), d.path, Options{ReadTimeout: readTimeout, WriteTimeout: time.Millisecond})
		if err != nil {
			t.Fatalf("open %d: %v", i+1, err)
		}
		var read <-chan result
		if i%100 == 0 { // one that is read as well, as by the driver
			read = start(func() (int, error) { return p.Read(make([]byte, 8)) })
		}
		if i%2 == 0 {
			if _, err := p.Write(flood); !errors.Is(err, ErrStuck) {
				t.Fatalf("write %d: %v", i+1, err)
			}
		} else if err := p.Close(); err != nil {
			t.Fatalf("close %d: %v", i+1, err)
		}
		if read != nil {
			if r := wait(t, read); !errors.Is(r.err, os.ErrClosed) {
				t.Fatalf("read %d: %v", i+1, r.err)
			}
		}
	}
	if n := descriptors(t); n > files {
		t.Errorf("%d descriptors before, %d after", files, n)
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
		}
	}
}

// second names, in its environment, the port that a second process tries to open.
const second = "PORT_TEST_SECOND_PROCESS"

// A real second process is told plainly that another one holds the port.
func TestSecondProcessGetsAClearError(t *testing.T) {
	if path := os.Getenv(second); path != "" {
		p, err := Open(context.Background(), path, Options{})
		if err == nil {
			p.Close()
		}
		fmt.Printf("second: %v, busy %v\n", err, errors.Is(err, ErrBusy))
		return
	}
	d := plug(t)
	p := ours(t, d.path, Options{})
	try := func() string {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestSecondProcessGetsAClearError$", "-test.v")
		cmd.Env = append(os.Environ(), second+"="+d.path)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if out := try(); !strings.Contains(out, "serial port is used by another process, busy true") {
		t.Fatalf("while the port is held: %s", out)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if out := try(); !strings.Contains(out, "second: <nil>") {
		t.Fatalf("after it was given back: %s", out)
	}
}
