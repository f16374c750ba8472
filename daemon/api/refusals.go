package api

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// refusals keeps a flood of refused requests off the disk before a transaction is opened. Of one
// source and minute the first few are written, and then the 100th, the 1,000th and so on, which tell
// how big the flood was.
type refusals struct {
	mu    sync.Mutex
	since time.Time      // guarded by mu
	count map[string]int // by source since then; guarded by mu
}

const (
	refusalsKept  = 10
	refusalsFrom  = 1024 // sources a minute; beyond them none is told from another
	refusalWindow = time.Minute
)

// again counts one more refusal of a source within the minute, and says whether it is to be written.
func (f *refusals) again(source string) (tries int, write bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); f.count == nil || now.Sub(f.since) > refusalWindow {
		f.since, f.count = now, map[string]int{}
	}
	if _, known := f.count[source]; !known && len(f.count) >= refusalsFrom {
		source = ""
	}
	f.count[source]++
	n := f.count[source]
	return n, n <= refusalsKept || isPowerOfTen(n)
}

func isPowerOfTen(n int) bool {
	for n >= 10 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// sourceOf is the address that a request came from. An IPv6 network counts as one source, because a
// single host can have all of its addresses.
func sourceOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return oneSource(a)
	}
	return "unknown"
}

func oneSource(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}
