package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// engine is an interface engine: one connection, each ACK awaited, and what got none is sent again.
type engine struct {
	addr string
	seen *seen
}

func (e engine) run(ctx context.Context) {
	var c net.Conn
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		e.seen.count(&e.seen.Sent)
		for acked := false; !acked && time.Since(began) < 2*patience; {
			var err error
			if c == nil {
				c, err = net.DialTimeout("tcp", e.addr, patience)
			}
			if err == nil {
				acked, err = e.exchange(c, admit(n))
			}
			if err != nil {
				if c != nil {
					c.Close()
					c = nil
				} else {
					e.seen.failed(err) // a connection that ends between two messages is no fault of the box
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
		e.seen.waited(&e.seen.LongestACK, began)
		time.Sleep(20 * time.Millisecond)
	}
}

// exchange sends one message and tells whether it was accepted.
func (e engine) exchange(c net.Conn, message string) (bool, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return false, err
	}
	if _, err := c.Write([]byte("\x0b" + message + "\x1c\r")); err != nil {
		return false, err
	}
	var got []byte
	for buf := make([]byte, 4096); !bytes.HasSuffix(got, []byte("\x1c\r")); {
		n, err := c.Read(buf)
		if err != nil {
			return false, err
		}
		got = append(got, buf[:n]...)
	}
	if !strings.Contains(string(got), "MSA|AA|") {
		e.seen.count(&e.seen.Odd)
		e.seen.because(strings.ReplaceAll(string(got[1:]), "\r", "; "))
		time.Sleep(time.Second)
		return false, nil
	}
	e.seen.count(&e.seen.Acked)
	return true, nil
}

// admit is the registration of one more patient.
func admit(n int) string {
	now := time.Now().Format("20060102150405-0700")
	return fmt.Sprintf("MSH|^~\\&|EHR|HOSP|PINWARD|HOSP|%s||ADT^A04^ADT_A01|LOAD-%d|P|2.5.1\rEVN|A04|%s\rPID|1||%d^^^HOSP^MR||Test^Patient||19700101|F|||||^PRN^CP^^1^617^555%04d\rPV1|1|O\r",
		now, n, now, 880000+n, 5000+n%4000)
}
