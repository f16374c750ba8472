package mllp

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkReader reads frames of 2 KB off memory.
func BenchmarkReader(b *testing.B) {
	frame := AppendFrame(nil, append(message("1"), strings.Repeat("x", 1900)...))
	in := bytes.Repeat(frame, 1000)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	r := NewReader(bytes.NewReader(in), 0)
	for b.Loop() {
		if _, err := r.Next(); err == io.EOF {
			r = NewReader(bytes.NewReader(in), 0)
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkServer is DESIGN section 10 without the store: each connection waits for
// each ACK. Client and server share the processors.
func BenchmarkServer(b *testing.B) {
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			addr := start(b, &Server{Handler: accept})
			frame := AppendFrame(nil, append(message("1"), "NTE|1||"+strings.Repeat("x", 1800)+"\r"...))
			var left atomic.Int64
			left.Store(int64(b.N))
			var clients sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range conns {
				clients.Go(func() {
					c, err := net.Dial("tcp", addr)
					if err != nil {
						b.Error(err)
						return
					}
					defer c.Close()
					r := NewReader(c, 0)
					for left.Add(-1) >= 0 {
						if _, err := c.Write(frame); err != nil {
							b.Error(err)
							return
						}
						if _, err := r.Next(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			clients.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
