package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// TestHostileServer: whatever it answers, nobody comes in, nobody waits longer than the time that is set, and what it sends
// without end is not kept.
func TestHostileServer(t *testing.T) {
	flood := func(c net.Conn) { // a bind is answered, then entries without end
		f := &fake{}
		for id := int64(1); ; id++ {
			if _, err := ber.ReadPacket(c); err != nil {
				return
			}
			if id == 1 {
				f.answer(c, id, ldap.ApplicationBindResponse, 0, "")
				continue
			}
			for _, err := c.Write(nil); err == nil; {
				one := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
				one.AppendChild(text("ldap://elsewhere.example/" + strings.Repeat("x", 4000)))
				_, err = c.Write(message(id, one))
			}
			return
		}
	}
	for what, raw := range map[string]func(net.Conn){
		"says nothing": func(c net.Conn) { io.Copy(io.Discard, c) },
		"hangs up":     func(net.Conn) {},
		"talks HTTP":   func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); io.Copy(io.Discard, c) },
		"a length of 2 GB": func(c net.Conn) {
			c.Write([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x02, 0x01, 0x01})
			io.Copy(io.Discard, c)
		},
		"depth without end":  func(c net.Conn) { c.Write([]byte(strings.Repeat("\x30\x80", 100_000))); io.Copy(io.Discard, c) },
		"references, no end": flood,
		"slow bytes":         func(c net.Conn) { slowly(c) },
		"answers of others": func(c net.Conn) {
			f := &fake{}
			ber.ReadPacket(c)
			f.answer(c, 99, ldap.ApplicationBindResponse, 0, "")
			io.Copy(io.Discard, c)
		},
		"an answer of no bind": func(c net.Conn) { ber.ReadPacket(c); c.Write(message(1, text("success"))); io.Copy(io.Discard, c) },
	} {
		t.Run(what, func(t *testing.T) {
			f := newFake(t)
			f.raw = raw
			f.opts.Timeout = 500 * time.Millisecond
			began := time.Now()
			p, err := New(f.opts).Login(t.Context(), "jdoe", "right")
			if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUndecided) {
				t.Errorf("%v, %v", p, err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// slowly answers a byte each 50 ms, for ever: each read has an answer in time, the whole never comes.
func slowly(c net.Conn) {
	for _, err := c.Write([]byte{0x30, 0x82, 0x10, 0x00}); err == nil; time.Sleep(50 * time.Millisecond) {
		_, err = c.Write([]byte{0x04})
	}
}

// TestCloseInMidBind: the password has left, and nobody knows whether it counted.
func TestCloseInMidBind(t *testing.T) {
	for _, code := range []int64{-1, int64(ldap.LDAPResultBusy), int64(ldap.LDAPResultUnavailable), int64(ldap.LDAPResultReferral)} {
		f := newFake(t)
		f.search = domain(jane(nil), nil)
		f.bind = func(dn, _ string) (int64, string) {
			if strings.HasPrefix(dn, "CN=Doe") {
				return code, ""
			}
			return 0, ""
		}
		f.opts.Servers = append(f.opts.Servers, f.opts.Servers[0])
		if _, err := New(f.opts).Login(t.Context(), "jdoe", "typed"); !errors.Is(err, ErrUndecided) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("%d: %v", code, err)
		}
		if len(f.loggedIn()) != 2 { // it is not shown to the next server as well: that would count twice
			t.Errorf("%d: logged in were %q", code, f.loggedIn())
		}
	}
}

// TestSuccessToAnything: a server that says yes to whatever it is asked still never sees a login without a password, nor one
// without a name.
func TestSuccessToAnything(t *testing.T) {
	f := newFake(t)
	f.search = func(string, string) ([]entry, int64) {
		e := jane(nil)
		e.dn = ""
		return []entry{e}, 0
	}
	c := New(f.opts)
	for _, typed := range []string{"", "\x00", "right"} {
		if _, err := c.Login(t.Context(), "jdoe", typed); err == nil {
			t.Errorf("password of %d bytes: she is in", len(typed))
		}
	}
	if strings.Contains(strings.Join(f.loggedIn(), "\n"), "Doe") || strings.Join(f.loggedIn(), "") != f.opts.User {
		t.Errorf("logged in were %q", f.loggedIn())
	}
}

// TestStartTLSIsNotStripped: who takes the wish for TLS away, or answers it with no or nonsense, hears nothing more.
func TestStartTLSIsNotStripped(t *testing.T) {
	for what, answer := range map[string]func(net.Conn){
		"no": func(c net.Conn) {
			(&fake{}).answer(c, 1, ldap.ApplicationExtendedResponse, int64(ldap.LDAPResultProtocolError), "")
		},
		"a bind":    func(c net.Conn) { (&fake{}).answer(c, 1, ldap.ApplicationBindResponse, 0, "") },
		"another's": func(c net.Conn) { (&fake{}).answer(c, 2, ldap.ApplicationExtendedResponse, 0, "") },
		"yes, and plain": func(c net.Conn) { // a yes, then what looks like the answer to a bind
			f := &fake{}
			f.answer(c, 1, ldap.ApplicationExtendedResponse, 0, "")
			f.answer(c, 2, ldap.ApplicationBindResponse, 0, "")
		},
		"nothing":  func(net.Conn) {},
		"nonsense": func(c net.Conn) { c.Write([]byte{0x30, 0x03, 0x02, 0x01, 0x01}) },
	} {
		t.Run(what, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			heard := make(chan string, 1)
			serving.Go(func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				if _, err := ber.ReadPacket(c); err != nil {
					return
				}
				answer(c)
				rest, _ := io.ReadAll(c)
				heard <- string(rest)
			})
			defer serving.Wait()
			defer l.Close()
			f := newFake(t)
			f.opts.StartTLS, f.opts.Servers[0].Dial, f.opts.Timeout = true, at(l.Addr().String()), time.Second
			if _, err := New(f.opts).Login(t.Context(), "jdoe", "right"); !errors.Is(err, ErrUnavailable) {
				t.Errorf("login: %v", err)
			}
			// At most a ClientHello: never a name or a password.
			if got := <-heard; strings.Contains(got, "service") || strings.Contains(got, "pinward@") || strings.Contains(got, "right") {
				t.Errorf("the server heard %q", got)
			}
		})
	}
}

// TestTheLineIsShort: who is many is told so, and the rest is served in turn.
func TestTheLineIsShort(t *testing.T) {
	release := make(chan struct{})
	f := newFake(t)
	f.search = domain(jane(nil), nil)
	f.bind = func(string, string) (int64, string) { <-release; return 0, "" }
	c := New(f.opts)
	done := make(chan error, atOnce+waiting)
	for range atOnce + waiting {
		go func() { _, err := c.Login(t.Context(), "jdoe", "right"); done <- err }()
	}
	for len(c.line) < atOnce+waiting {
		time.Sleep(time.Millisecond)
	}
	if _, err := c.Login(t.Context(), "jdoe", "right"); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	close(release)
	for range atOnce + waiting {
		if err := <-done; err != nil {
			t.Errorf("who waited: %v", err)
		}
	}
	if _, err := c.Login(ctx, "jdoe", "right"); !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone: %v", err)
	}
	if _, why := c.Status(); why != nil {
		t.Errorf("that counts as trouble: %v", why)
	}
}

// TestNothingIsLeftRunning: connections and goroutines of the library end with each exchange.
func TestNothingIsLeftRunning(t *testing.T) {
	f := newFake(t)
	f.search = domain(jane(nil), nil)
	c := New(f.opts)
	login := func() {
		if _, err := c.Login(t.Context(), "jdoe", "right"); err != nil {
			t.Fatal(err)
		}
	}
	login()
	before := runtime.NumGoroutine()
	for range 20 {
		login()
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before+2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// FuzzFilters: whatever is typed, the filter stays one comparison with just that value.
func FuzzFilters(f *testing.F) {
	for _, s := range []string{"jdoe", "*", "x)(uid=*", `\2a`, "é", "\x00", "CN=Doe\\, Jane (RN) *,OU=People"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, filter := range []string{"(uid=" + ldap.EscapeFilter(s) + ")", "(uid=" + escapeBytes([]byte(s)) + ")"} {
			p, err := ldap.CompileFilter(filter)
			if s == "" && err == nil && len(p.Children) == 2 {
				continue
			}
			if err != nil || p.Tag != ldap.FilterEqualityMatch || len(p.Children) != 2 || p.Children[1].Data.String() != s {
				t.Errorf("%q became %q, %v", s, filter, err)
			}
		}
		for _, filter := range []string{memberFilter(s, s), chainFilter(s)} {
			if s == "" {
				continue
			}
			p, err := ldap.CompileFilter(filter)
			if err != nil || p.Tag == ldap.FilterOr && len(p.Children) != 3 {
				t.Errorf("%q became %q, %v", s, filter, err)
			}
		}
	})
}

// FuzzServer: no bytes of a server let anybody in or bring us down.
func FuzzServer(f *testing.F) {
	var good strings.Builder
	(&fake{}).answer(&good, 1, ldap.ApplicationBindResponse, 0, "")
	f.Add([]byte(good.String()))
	(&fake{}).entry(&good, 2, jane(nil))
	(&fake{}).answer(&good, 2, ldap.ApplicationSearchResultDone, 0, "")
	f.Add([]byte(good.String()))
	f.Add([]byte{0x30, 0x80, 0x02, 0x01, 0x01, 0x61, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00, 0x00, 0x00})
	f.Fuzz(func(t *testing.T, answer []byte) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go io.Copy(io.Discard, theirs)
		go func() { theirs.Write(answer); theirs.Close() }()
		s := &session{Conn: ldap.NewConn(ours, true), raw: ours, stop: func() bool { return true }, c: New(Options{Kind: AD, Timeout: time.Second, Groups: []string{nobodyIn}})}
		s.SetTimeout(time.Second)
		s.Start()
		defer s.close()
		if err := s.Bind("x", "y"); err != nil {
			return
		}
		if p, err := s.find("jdoe"); err == nil && p.Name != "jdoe" {
			t.Errorf("found %q", p.Name)
		}
	})
}

// TestTooMuchIsTooMuch: a connection that has given enough gives nothing more.
func TestTooMuchIsTooMuch(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		for _, err := theirs.Write(make([]byte, 64)); err == nil; {
			_, err = theirs.Write(make([]byte, 64))
		}
	}()
	n, err := io.Copy(io.Discard, &limited{Conn: ours, left: 1000})
	if n != 1000 || !errors.Is(err, errTooMuch) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
