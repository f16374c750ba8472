package modem

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// obedient answers OK to every command, and what a bring-up needs to the others; say puts unsolicited lines on the line.
func obedient(t *testing.T) (host net.Conn, say func(string)) {
	host, device := net.Pipe()
	t.Cleanup(func() { device.Close() })
	go func() {
		r := bufio.NewReader(device)
		for {
			s, err := r.ReadString('\r')
			if err != nil {
				return
			}
			s = strings.Trim(s, "\r\n\x1b")
			info := map[string]string{
				"AT+CGSN": "861536030196001", "AT+CPIN?": "+CPIN: READY", "AT+CSCA?": `+CSCA: "+12025550199",145`,
				"AT+CREG?": "+CREG: 2,1", "AT+CSQ": "+CSQ: 20,99",
			}[s]
			if info != "" {
				info = "\r\n" + info + "\r\n"
			}
			device.Write([]byte(info + "\r\nOK\r\n"))
		}
	}()
	return host, func(s string) { device.Write([]byte("\r\n" + s + "\r\n")) }
}

func TestIncomingCallIsHungUpAndToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, say := obedient(t)
		var chups atomic.Int32
		m := New(func(context.Context) (io.ReadWriteCloser, error) { return host, nil }, Options{
			Name: "modem1", Log: slog.New(slog.DiscardHandler),
			Trace: func(e string) {
				if e == "AT+CHUP" {
					chups.Add(1)
				}
			},
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		for !m.Status().Ready {
			<-m.Changed()
		}
		for range 3 { // one call, ringing on
			say("RING")
			say(`+CLIP: "` + patient + `",145,"",0,"",0`)
			time.Sleep(4 * time.Second)
		}
		e := <-m.Events()
		if e.Ring == nil || e.Ring.From != patient {
			t.Errorf("event %+v", e)
		}
		e.Done(nil)
		if n := chups.Load(); n != 1 {
			t.Errorf("hung up %d times", n)
		}
		time.Sleep(time.Minute)
		say("RING") // another one, number withheld
		time.Sleep(3 * time.Second)
		if e := <-m.Events(); e.Ring == nil || e.Ring.From != "" {
			t.Errorf("event %+v", e)
		}
		if n := chups.Load(); n != 2 {
			t.Errorf("hung up %d times", n)
		}
		select {
		case e := <-m.Events():
			t.Errorf("one more event: %+v", e)
		default:
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
