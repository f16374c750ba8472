package modemsim

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

// BenchmarkSend sends parts through a modem whose network takes no time: what
// the simulator itself costs.
func BenchmarkSend(b *testing.B) {
	for name, dir := range map[string]string{"memory": "", "kept": b.TempDir()} {
		b.Run(name, func(b *testing.B) {
			n, err := NewNetwork(NetworkOptions{Dir: dir, Latency: -1})
			if err != nil {
				b.Fatal(err)
			}
			defer n.Close()
			m, err := n.AddModem(ModemOptions{Name: "a"})
			if err != nil {
				b.Fatal(err)
			}
			c, err := m.Pipe()
			if err != nil {
				b.Fatal(err)
			}
			r := bufio.NewReader(c)
			until := func(mark string) {
				var got strings.Builder
				for !strings.HasSuffix(got.String(), mark) {
					o, err := r.ReadByte()
					if err != nil {
						b.Fatal(err)
					}
					got.WriteByte(o)
				}
			}
			write := func(s string) {
				if _, err := io.WriteString(c, s); err != nil {
					b.Fatal(err)
				}
			}
			write("ATE0\r")
			until("OK\r\n")
			s := plain("Your code is 482917")
			s.PID = 0x41 // replaces the last: the handset does not grow
			line, body := pdu(s, nil)
			for b.Loop() {
				write(line)
				until("> ")
				write(body)
				until("\r\n\r\nOK\r\n")
			}
		})
	}
}
