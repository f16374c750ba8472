package mllp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pinward/hl7"
)

// TestAlienProtocols are told and closed: TLS or a browser on the plain port.
func TestAlienProtocols(t *testing.T) {
	for in, want := range map[string]error{
		"\x16\x03\x01\x00\xf8\x01\x00\x00":  ErrTLS,
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n": ErrHTTP,
		strings.Repeat("x", maxGap+1):       ErrNoFrame,
	} {
		refused := make(chan error, 1)
		var log safeBuffer
		s := &Server{Handler: accept, Log: slog.New(slog.NewTextHandler(&log, nil)), Refused: func(_ hl7.Peer, err error) { refused <- err }}
		c := dial(t, start(t, s))
		c.send(in)
		if err := <-refused; !errors.Is(err, want) {
			t.Errorf("refused for %v, want %v", err, want)
		}
		if f, err := c.r.Next(); err == nil {
			t.Errorf("answered %q", f)
		}
		if s.Counts().Alien != 1 || !strings.Contains(log.String(), want.Error()) {
			t.Errorf("counts %+v, log %q", s.Counts(), log.String())
		}
	}
}

// TestTooLargeIsRefused: a frame that is too large gets an AR, even while the sender
// is still sending it; without an answer it would come again for ever.
func TestTooLargeIsRefused(t *testing.T) {
	refused := make(chan error, 1)
	s := &Server{Handler: accept, Limits: Limits{MaxFrame: 100 << 10}, Refused: func(_ hl7.Peer, err error) { refused <- err }}
	c := dial(t, start(t, s))
	c.send(framed(append(message("1"), strings.Repeat("x", 8<<20)...)))
	if err := <-refused; !errors.Is(err, ErrTooLarge) {
		t.Errorf("refused for %v", err)
	}
	c.want(hl7.AR, "1")
	c.wantEOF()
	if n := s.Counts(); n.TooLarge != 1 || n.Frames != 0 {
		t.Errorf("counts %+v", n)
	}
}

// TestTooLargeIsRefusedInTheSitesZone as all other answers are written.
func TestTooLargeIsRefusedInTheSitesZone(t *testing.T) {
	for want, zone := range map[string]func() *time.Location{
		"-0330":                    func() *time.Location { return time.FixedZone("", -(3*60+30)*60) },
		time.Now().Format("-0700"): func() *time.Location { return nil },
	} {
		c := dial(t, start(t, &Server{Handler: accept, Limits: Limits{MaxFrame: 200}, Zone: zone}))
		c.send(framed(append(message("1"), strings.Repeat("x", 1000)...)))
		frame, err := c.r.Next()
		if err != nil {
			t.Fatal(err)
		}
		m, _ := hl7.Parse(frame)
		if at := m.Get("MSH-7"); !strings.HasSuffix(at, want) || m.Get("MSA-1") != "AR" {
			t.Errorf("answered %s at %s, want zone %s", m.Get("MSA-1"), at, want)
		}
	}
}

func TestAllowAndCaps(t *testing.T) {
	var allowed atomic.Bool
	refused := make(chan error, 8)
	s := &Server{
		Handler: accept, Limits: Limits{PerPeer: 2, Total: 3},
		Allow:   func(a netip.Addr) bool { return allowed.Load() && a == netip.MustParseAddr("127.0.0.1") },
		Refused: func(_ hl7.Peer, err error) { refused <- err },
	}
	addr := start(t, s)
	no := dial(t, addr)
	if f, err := no.r.Next(); err == nil {
		t.Fatalf("not allowed, and got %q", f)
	}
	if err := <-refused; !errors.Is(err, ErrNotAllowed) {
		t.Errorf("refused for %v", err)
	}
	allowed.Store(true)
	a, b := dial(t, addr), dial(t, addr)
	for _, c := range []*peer{a, b} {
		c.send(framed(message("1")))
		c.want(hl7.AA, "1")
	}
	if f, err := dial(t, addr).r.Next(); err == nil {
		t.Fatalf("third connection got %q", f)
	}
	if err := <-refused; !errors.Is(err, ErrTooMany) {
		t.Errorf("refused for %v", err)
	}
	// connect#3569 leaked its slots.
	a.Close()
	eventually(t, "the slot is free again", func() bool {
		c := dial(t, addr)
		if _, err := c.Write([]byte(framed(message("2")))); err != nil {
			return false
		}
		_, err := c.r.Next()
		return err == nil
	})
	if n := s.Counts(); n.Refused < 2 {
		t.Errorf("counts %+v", n)
	}
}

// TestFlood: many connections that stall in the middle of a frame do not keep others
// from being served.
func TestFlood(t *testing.T) {
	s := &Server{Handler: accept}
	addr := start(t, s)
	for range 50 {
		dial(t, addr).send(vt, "MSH|^~\\&|stalled")
	}
	c := dial(t, addr)
	for i := range 20 {
		c.send(framed(message(fmt.Sprint(i))))
		c.want(hl7.AA, fmt.Sprint(i))
	}
}

// TestTalliesAreBounded: a scan from many addresses must not fill the memory.
func TestTalliesAreBounded(t *testing.T) {
	var ts tallies
	for i := range 3 * maxTallies {
		a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		ts.of(a).bump(func(n *Counts) *uint64 { return &n.Refused })
	}
	all := ts.all()
	if len(all) > maxTallies+1 {
		t.Errorf("%d tallies", len(all))
	}
	var sum Counts
	for _, n := range all {
		sum.add(n)
	}
	if sum.Refused != 3*maxTallies {
		t.Errorf("%d refusals counted, want %d", sum.Refused, 3*maxTallies)
	}
}

// TestPanicCloses: kardianos/hl7 panics on 4 of 328 samples; one message must not
// end the others, and the log must not show it.
func TestPanicCloses(t *testing.T) {
	var log safeBuffer
	s := &Server{Log: slog.New(slog.NewTextHandler(&log, nil)), Handler: func(ctx context.Context, p hl7.Peer, f []byte) ([]byte, error) {
		if bytes.Contains(f, []byte("PLANTED")) {
			panic(string(f))
		}
		return accept(ctx, p, f)
	}}
	addr := start(t, s)
	other := dial(t, addr)
	c := dial(t, addr)
	c.send(framed(message("PLANTED")))
	if _, err := c.r.Next(); err == nil {
		t.Fatal("a panic was answered")
	}
	other.send(framed(message("1")))
	other.want(hl7.AA, "1")
	if n := s.Counts(); n.Panics != 1 {
		t.Errorf("counts %+v", n)
	}
	if !strings.Contains(log.String(), "handler panicked") || strings.Contains(log.String(), "PLANTED") {
		t.Errorf("log %q", log.String())
	}
}

// TestOtherEndsLoseNoMessage: with the server as it is shipped, and real packets, in plain and over TLS.
func TestOtherEndsLoseNoMessage(t *testing.T) {
	cert := certificate(t, "pinward")
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	for name, config := range map[string]*tls.Config{"plain": nil, "TLS": {Certificates: []tls.Certificate{cert}}} {
		t.Run(name, func(t *testing.T) {
			s := &Server{Handler: accept, TLS: config}
			addr := start(t, s)
			c := dial(t, addr)
			if config != nil {
				tc := tls.Client(c.Conn, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
				c = &peer{t: t, Conn: tc, r: NewReader(tc, 0)}
			}
			c.send(vt, string(message("1")), "\f", framed(message("2")))
			c.send(vt, string(message("3")), "\x1c\n", framed(message("4")))
			c.send(vt, string(message("5")), "\f")
			for _, id := range []string{"1", "2", "3", "4", "5"} {
				c.want(hl7.AA, id)
			}
			c.send(vt, string(message("6")), "\x1c\n") // after a pause the connection works as before
			c.want(hl7.AA, "6")
			c.send(framed(message("7")))
			c.want(hl7.AA, "7")
			if n := s.Counts(); n.Frames != 7 || n.FormFeed != 2 || n.LineFeed != 2 {
				t.Errorf("counts %+v", n)
			}
		})
	}
}

// TestRepairsAreCountedAndLogged: in connect#3170 the loss was seen by pure luck.
func TestRepairsAreCountedAndLogged(t *testing.T) {
	var log safeBuffer
	s := &Server{Handler: accept, Log: slog.New(slog.NewTextHandler(&log, nil)), FormFeedEnd: true}
	c := dial(t, start(t, s))
	c.send("PLANTED log line\n", vt, framed(message("1")), end, vt, string(message("2")), "\f")
	c.want(hl7.AA, "1")
	c.want(hl7.AA, "2")
	want := Repairs{Junk: 1, Filler: 1, DoubledStart: 1, DoubledEnd: 1, FormFeed: 1}
	by := s.CountsByPeer()[netip.MustParseAddr("127.0.0.1")]
	if by.Repairs != want || s.Counts().Repairs != want {
		t.Errorf("repairs %+v, want %+v", by.Repairs, want)
	}
	if !strings.Contains(log.String(), "frames repaired") || strings.Contains(log.String(), "PLANTED") {
		t.Errorf("log %q", log.String())
	}
}
