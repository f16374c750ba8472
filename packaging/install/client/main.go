// Command client is a hospital's side of the install test: a portal that asks for codes and reads them on the
// simulator's handsets, an engine that sends HL7 and awaits each ACK, and visitors who each come on a new connection.
//
// It goes on over a restart of the box as a good client does: what got no answer is sent again, under the same
// idempotency key. At the end it says what it saw; packaging/install-test judges that.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

// seen is what the clients lived through. Times are in milliseconds.
type seen struct {
	mu sync.Mutex
	// Visits are requests on a connection of their own; Longest is the longest that one waited for its answer.
	Visits  int   `json:"visits"`
	Longest int64 `json:"longest_ms"`
	// Refused are connections that the box refused; Cut are requests that ended without an answer, and
	// Odd those with another answer than was due.
	Refused int    `json:"refused"`
	Cut     int    `json:"cut"`
	Odd     int    `json:"odd"`
	Why     string `json:"why,omitempty"`     // the last of the odd ones
	WhyCut  string `json:"why_cut,omitempty"` // the last of the others
	// Busy are starts that were not accepted (503), because no modem was ready, and asked again.
	Busy int `json:"busy"`
	// Started are codes that the box took on, Right those that a handset showed and the box found right.
	// LongestText is the longest that one was on its way: a modem that was cut off in a hand-over takes its time.
	Started     int   `json:"started"`
	Right       int   `json:"right"`
	LongestText int64 `json:"longest_text_ms"`
	// Sent are HL7 messages, Acked those that got AA; LongestACK is the longest wait for one.
	Sent       int   `json:"sent"`
	Acked      int   `json:"acked"`
	LongestACK int64 `json:"longest_ack_ms"`
}

// count adds to one figure.
func (s *seen) count(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

// waited keeps the longest wait.
func (s *seen) waited(longest *int64, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*longest = max(*longest, time.Since(since).Milliseconds())
}

// failed sorts what went wrong on the way.
func (s *seen) failed(err error) {
	n := &s.Cut
	if errors.Is(err, syscall.ECONNREFUSED) {
		n = &s.Refused
	}
	s.count(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.WhyCut = err.Error()
}

func (s *seen) because(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Why = why
}

// patience bounds every wait; nothing is expected to take that long. A whole machine that boots takes longer than a daemon.
var patience = 30 * time.Second

func run() error {
	https := flag.String("https", "", "the box's HTTPS `address`")
	mllp := flag.String("mllp", "", "the box's MLLP `address`; empty: no HL7")
	ca := flag.String("ca", "", "PEM `file` of who signed the box's certificate")
	token := flag.String("token", "", "of an API client")
	handsets := flag.String("handsets", "", "`URL` of the simulator")
	first := flag.Int("first", 1000, "the first handset is +1617555 and this `number`")
	once := flag.Bool("once", false, "one code, from its start to its check, and no load")
	visitors := flag.Int("visitors", 4, "how many come, each after its last answer")
	flag.DurationVar(&patience, "patience", patience, "how long a good client waits")
	flag.Parse()
	pem, err := os.ReadFile(*ca)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return errors.New("no certificate in -ca")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	s := &seen{}
	web := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
	p := portal{box: "https://" + *https, handsets: *handsets, token: *token, web: &http.Client{Transport: web, Timeout: patience}, seen: s}
	if *once {
		return p.code(context.Background(), *first)
	}
	var all sync.WaitGroup
	for range *visitors {
		all.Go(func() { p.visit(ctx) })
	}
	all.Go(func() {
		for n := *first; ctx.Err() == nil; n++ {
			if err := p.code(ctx, n); err != nil {
				s.because(err.Error())
			}
			time.Sleep(600 * time.Millisecond) // within what a client may ask for in a minute
		}
	})
	if *mllp != "" {
		all.Go(func() { engine{addr: *mllp, seen: s}.run(ctx) })
	}
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.NewEncoder(os.Stdout).Encode(s)
}
