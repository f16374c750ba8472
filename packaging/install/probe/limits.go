package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
)

// limit asks for more than the unit allows: "memory" for so many MiB, "threads" for so many. It comes back when it got them;
// where a limit holds, the kernel or Go's runtime ends the program, and says why.
func limit(what, much string) error {
	n, err := strconv.Atoi(much)
	if err != nil {
		return err
	}
	switch what {
	case "memory":
		m := make([]byte, n<<20)
		for i := 0; i < len(m); i += os.Getpagesize() {
			m[i] = 1
		}
		runtime.KeepAlive(m)
	case "threads":
		var all sync.WaitGroup
		all.Add(n)
		for range n {
			go func() {
				runtime.LockOSThread()
				all.Done()
				all.Wait() // until each has its own
			}()
		}
		all.Wait()
	default:
		return fmt.Errorf("no limit %q", what)
	}
	fmt.Println("got", n, what)
	return nil
}
