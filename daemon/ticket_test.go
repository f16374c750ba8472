package daemon

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTicketIsGoodOnceAndForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k ticket
		if _, ok := k.redeem(""); ok {
			t.Fatal("no code was issued, and the empty one was taken")
		}
		code, _ := k.issue()
		session, ok := k.redeem(strings.ToLower(strings.ReplaceAll(code, "-", " ")))
		if !ok {
			t.Fatal("the code was not taken as a person types it")
		}
		if _, ok := k.redeem(code); ok {
			t.Fatal("the code was taken twice")
		}
		time.Sleep(ticketLife - time.Second)
		if !k.holds(session) || k.holds("") || k.holds(session+"x") {
			t.Fatal("the session is known by something else than its own token")
		}
		time.Sleep(ticketLife - time.Second)
		if !k.holds(session) {
			t.Fatal("a session in use ended")
		}
		time.Sleep(ticketLife + time.Second)
		if k.holds(session) {
			t.Fatal("a session that nobody used did not end")
		}
		code, _ = k.issue()
		time.Sleep(ticketLife + time.Second)
		if _, ok := k.redeem(code); ok {
			t.Fatal("an old code was taken")
		}
	})
}

func TestTicketIsNotGuessed(t *testing.T) {
	var k ticket
	code, _ := k.issue()
	for range ticketTries {
		if _, ok := k.redeem("AAAA-AAAA-AAAA-AAAA"); ok {
			t.Fatal("a wrong code was taken")
		}
	}
	if _, ok := k.redeem(code); ok {
		t.Fatal("the code is still good after too many wrong ones")
	}
	first, _ := k.issue()
	session, _ := k.redeem(first)
	k.issue()
	if k.holds(session) {
		t.Fatal("a new code left the old session in place")
	}
	k.end()
	if k.holds("") {
		t.Fatal("no session is a session")
	}
}
