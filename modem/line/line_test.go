package line

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warthog618/modem/at"
)

// The tests of reference/modem.md section 9, and of what the line adds to the prototype of section 0.1.

func TestSecondPromptWritesThePDUOnce(t *testing.T) {
	s := func(in string, say func(string)) {
		switch {
		case strings.HasPrefix(in, "AT+CMGS="):
			say("\r\n> \r\n> ")
		case strings.HasSuffix(in, "^Z"):
			later(time.Second, say, "\r\n+CMGS: 5\r\n\r\nOK\r\n")
		}
	}
	pdus := func(f *fake) int { return f.count(pdu + "^Z") }
	t.Run("bare", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, f := bareAT(t, s)
			if _, err := a.SMSCommand("+CMGS=24", pdu, at.WithTimeout(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if n := pdus(f); n != 2 {
				t.Fatalf("bare at wrote the PDU %d times; the reference says twice", n)
			}
		})
	})
	t.Run("line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, f := open(t, Options{}, s)
			info, err := sms(l, pdu)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "answer", info, "+CMGS: 5")
			if n := pdus(f); n != 1 {
				t.Fatalf("the PDU was written %d times", n)
			}
		})
	})
}

func TestNoPromptNoPDU(t *testing.T) {
	cases := map[string]script{
		"silence": answers(nil),
		"error":   answers(map[string]string{"AT+CMGS=24": "\r\nERROR\r\n"}),
		"CMS":     answers(map[string]string{"AT+CMGS=24": "\r\n+CMS ERROR: 304\r\n"}),
		"OK":      answers(map[string]string{"AT+CMGS=24": "\r\nOK\r\n"}),
		"prompt too late": func(in string, say func(string)) {
			if in == "AT+CMGS=24" {
				later(11*time.Second, say, "\r\n> ")
			}
		},
		"error right behind the prompt": answers(map[string]string{"AT+CMGS=24": "\r\n> \r\n+CMS ERROR: 310\r\n"}),
	}
	for name, s := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, f := open(t, Options{PromptDelay: 100 * time.Millisecond}, s)
				_, err := sms(l, pdu)
				want(t, name, err, ErrNoPrompt)
				time.Sleep(time.Minute)
				for _, in := range f.heard() {
					if strings.Contains(in, pdu) {
						t.Fatal("the PDU was written without a prompt")
					}
				}
				if l.Limbo() {
					t.Fatal("nothing was written, but the line thinks that an answer may come")
				}
			})
		})
	}
}

// URCs that come all the time extend no deadline.

func TestDeadlineIsAbsolute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, Options{}, func(in string, say func(string)) {
			if in == "AT+COPS?" {
				for i := range 60 {
					later(time.Duration(i)*time.Second, say, "\r\n^RSSI:17\r\n\r\n+COPS: noise\r\n")
				}
			}
		})
		start := time.Now()
		_, err := do(l, "+COPS?", 10*time.Second)
		want(t, "+COPS?", err, ErrTimeout)
		if d := time.Since(start); d != 10*time.Second {
			t.Fatalf("gave up after %v, want 10 s", d)
		}
		time.Sleep(time.Minute)
	})
}

// The order of what waits: hang-up, call control, code, rest. What runs is not interrupted.

func TestOrderOfWaitingCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, f := open(t, Options{}, func(in string, say func(string)) { later(time.Second, say, "\r\nOK\r\n") })
		var wg sync.WaitGroup
		for i, c := range []struct {
			cmd   string
			class Class
		}{{"+CSQ", Rest}, {"+CREG?", Rest}, {"+CSCA?", Code}, {"+CLCC", Call}, {"+CHUP", HangUp}, {"+CPAS", Call}} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if _, err := l.Do(context.Background(), Cmd{Text: c.cmd, Class: c.class}, time.Minute); err != nil {
					t.Errorf("%s: %v", c.cmd, err)
				}
			}()
			if i == 0 {
				time.Sleep(time.Millisecond) // +CSQ is running when the others come
			}
			synctest.Wait()
		}
		wg.Wait()
		same(t, "order", f.heard(), "AT+CSQ", "AT+CHUP", "AT+CLCC", "AT+CPAS", "AT+CSCA?", "AT+CREG?")
	})
}

func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, f := open(t, Options{}, func(in string, say func(string)) { later(10*time.Second, say, "\r\n"+in[2:]+": 1\r\n\r\nOK\r\n") })
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := l.Do(ctx, Cmd{Text: "+CSQ", Class: Rest}, time.Minute)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNotStarted) || time.Since(start) != 3*time.Second {
			t.Fatalf("running command: %v after %v", err, time.Since(start))
		}
		// It still has the line: the next waits, and one whose caller goes while it waits is never written.
		_, err = l.Do(ctx, Cmd{Text: "+GONE", Class: Rest}, time.Minute)
		want(t, "caller gone before", err, ErrNotStarted)
		waiting, cancel2 := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel2()
		_, err = l.Do(waiting, Cmd{Text: "+LEFT", Class: Rest}, time.Minute)
		want(t, "caller gone while it waits", err, ErrNotStarted)
		info, err := do(l, "+CSCA", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "answer", info, "+CSCA: 1")
		same(t, "written", f.heard(), "AT+CSQ", "AT+CSCA")
	})
}

func TestAnswerPrefixIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, Options{}, answers(map[string]string{
			"AT+CPIN?":  "\r\n+COPS: 0,0,\"Carrier\"\r\n\r\n+CPIN: READY\r\n\r\nOK\r\n",
			"AT+CICCID": "\r\n+ICCID: 89490000000000000001\r\n\r\nOK\r\n",
			"AT+CUSD=1": "\r\n+CUSD: 0,\"Balance\",15\r\n\r\nOK\r\n",
		}))
		info, err := do(l, "+CPIN?", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "+CPIN?", info, "+CPIN: READY")
		same(t, "what was no answer", urcs(l), `+COPS: 0,0,"Carrier"`)
		info, err = l.Do(context.Background(), Cmd{Text: "+CICCID", Class: Rest, Answers: []string{"+ICCID"}}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "+CICCID", info, "+ICCID: 89490000000000000001")
		info, err = do(l, "+CUSD=1", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "+CUSD=1", info)
		same(t, "the network's text", urcs(l), `+CUSD: 0,"Balance",15`)
	})
}

func TestRegistrationAnswerOrURC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, Options{}, answers(map[string]string{
			"AT+CREG=2": "\r\n+CREG: 1,\"00C3\",\"01A2\",7\r\n\r\nOK\r\n",
			"AT+CREG?":  "\r\n+CREG: 5\r\n\r\n+CREG: 2,1,\"00C3\",\"01A2\",7\r\n\r\n+CREG: 1,\"00C3\"\r\n\r\nOK\r\n",
		}))
		info, err := do(l, "+CREG=2", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "answer of the set command", info)
		same(t, "URC", urcs(l), `+CREG: 1,"00C3","01A2",7`)
		info, err = do(l, "+CREG?", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "answer of the query", info, `+CREG: 2,1,"00C3","01A2",7`)
		same(t, "URCs around it", urcs(l), "+CREG: 5", `+CREG: 1,"00C3"`)
	})
}

func TestURCsAreBoundedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, f := open(t, Options{URCs: 4}, answers(map[string]string{"AT": "\r\nOK\r\n"}))
		for i := range 10 {
			f.say(fmt.Sprintf("\r\n+CMTI: \"SM\",%d\r\n", i))
		}
		if _, err := do(l, "", time.Second); err != nil {
			t.Fatalf("a full channel stops the line: %v", err)
		}
		if s := l.Stats(); s.URCsDropped != 6 {
			t.Fatalf("%d URCs dropped, want 6", s.URCsDropped)
		}
		same(t, "URCs", urcs(l), `+CMTI: "SM",0`, `+CMTI: "SM",1`, `+CMTI: "SM",2`, `+CMTI: "SM",3`)
	})
}

func TestResyncIsNotFooled(t *testing.T) {
	t.Run("by a late OK", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, f := open(t, Options{}, func(in string, say func(string)) {
				if in == "AT+CGSN" {
					later(5*time.Second, say, "\r\n"+testIMEI+"\r\n\r\nOK\r\n")
				}
			})
			l.Abort()
			f.say("\r\n+CMGS: 9\r\n\r\nOK\r\nOK\r\n")
			start := time.Now()
			if _, err := l.Resync(context.Background(), testIMEI); err != nil {
				t.Fatal(err)
			}
			if time.Since(start) < 5*time.Second {
				t.Fatal("taken for clean before the IMEI came")
			}
			// The modem answers each of the questions that were asked meanwhile: none of them may meet the next command.
			if _, err := do(l, "+CSQ", time.Second); !errors.Is(err, ErrTimeout) {
				t.Fatalf("a command that is not answered got an answer: %v", err)
			}
		})
	})
	t.Run("by another modem", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, _ := open(t, Options{}, answers(nil))
			_, err := l.Resync(context.Background(), "869999999999999")
			want(t, "resync", err, ErrOtherModem)
			if !l.Dirty() {
				t.Fatal("the line of another modem is clean")
			}
		})
	})
	t.Run("and ends with ctx", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, _ := open(t, Options{}, func(string, func(string)) {})
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_, err := l.Resync(ctx, testIMEI)
			want(t, "resync", err, context.DeadlineExceeded)
		})
	})
	t.Run("by a modem that knows +GSN only", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, _ := open(t, Options{}, func(in string, say func(string)) {
				switch in {
				case "AT+CGSN":
					say("\r\nERROR\r\n")
				case "AT+GSN":
					say("\r\n+GSN: \"" + testIMEI + "\"\r\n\r\nOK\r\n")
				}
			})
			if got, err := l.Resync(context.Background(), ""); err != nil || got != testIMEI {
				t.Fatalf("%q, %v", got, err)
			}
		})
	})
}

func TestAbortEndsASendAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, f := open(t, Options{}, func(in string, say func(string)) {
			switch in {
			case "AT+CMGS=24":
				say("\r\n> ")
			case "AT+CGSN":
				say("\r\n" + testIMEI + "\r\n\r\nOK\r\n")
			}
		})
		sent := make(chan error, 1)
		go func() {
			_, err := sms(l, pdu)
			sent <- err
		}()
		time.Sleep(45 * time.Second)
		if !l.Sending() {
			t.Fatal("not sending")
		}
		l.Abort()
		err := <-sent
		want(t, "send", err, ErrAborted)
		if errors.Is(err, ErrNoPrompt) || !l.Limbo() || !l.Dirty() {
			t.Fatalf("%v; limbo %v, dirty %v", err, l.Limbo(), l.Dirty())
		}
		if _, err := l.Resync(context.Background(), testIMEI); err != nil {
			t.Fatal(err)
		}
		if f.count("ESC") == 0 || l.Limbo() || l.Dirty() {
			t.Fatal("resync without ESC, or the line is still dirty")
		}
	})
}

// A modem that stops reading: every caller gets an error within the write limit, and nothing is left behind.

// at behind the line leaks nothing when the port is opened again and again, commands under way or not.

// No error shows an argument: they hold numbers, PINs and PDUs.
