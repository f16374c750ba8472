package modem

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever a modem says unasked, the driver neither panics nor stalls nor logs it, and ends when it is told to.
func FuzzURCs(f *testing.F) {
	for _, s := range []string{
		"RING\r\n+CLIP: \"+16175551234\",145\r\n", "+CDS: 25\r\n0006", "+CDS: 25\r\n07911326040000F006D80B911346610089F6", "+CMTI: \"ME\",3\r\n",
		"+CDSI: \"SR\",x\r\n", "+CUSD: 0,\"Violet\r\n", "+CPIN: NOT INSERTED\r\n", "RDY\r\n", "^BOOT:1\r\n", "+QIND: \"smsfull\",\"ME\"\r\n",
		"+CLIP:\r\n", "+CMTI:\r\n", "+CREG: 1\r\n", "^SMMEMFULL\r\n", "#QSS: 0\r\n", "+CMT: ,25\r\n00\r\n", ":\r\n\"\r\n",
	} {
		f.Add("\r\n" + s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		synctest.Test(t, func(t *testing.T) {
			var log safeBuffer
			host, device := net.Pipe()
			m := New(func(context.Context) (io.ReadWriteCloser, error) { return host, nil }, Options{
				Name: "modem1", Log: slog.New(slog.NewTextHandler(&log, nil)),
			})
			s := newSession(m, host)
			go io.Copy(io.Discard, device)
			device.SetWriteDeadline(time.Now().Add(time.Minute))
			if _, err := io.WriteString(device, in); err != nil {
				t.Fatalf("the driver stopped reading: %v", err)
			}
			time.Sleep(10 * time.Second)
			s.close()
			device.Close()
			for _, l := range m.Tail() {
				if strings.Contains(l.Text, "Violet") {
					t.Fatal("the trace shows a text")
				}
			}
			if strings.Contains(log.String(), "Violet") || strings.Contains(log.String(), "6175551234") {
				t.Fatal("the log shows what came")
			}
		})
	})
}
