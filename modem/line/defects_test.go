package line

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warthog618/modem/at"
)

// Each test carries the number of its defect in reference/modem.md 1.2: "bare" shows that warthog618's at has it, "line" that the
// line takes it away.

func TestDefect01_URCLeaksIntoAnswer(t *testing.T) {
	s := answers(map[string]string{"AT+CSQ": "\r\n+CMTI: \"SM\",3\r\n\r\n+CSQ: 20,99\r\n\r\n+CREG: 1\r\n\r\nOK\r\n"})
	t.Run("bare", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, _ := bareAT(t, s, at.WithIndication("+CMTI:", func([]string) {}))
			got, err := a.Command("+CSQ")
			if err != nil || len(got) != 3 {
				t.Fatalf("bare at: %q, %v; the reference says that the URCs are in the answer", got, err)
			}
		})
	})
	t.Run("line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, _ := open(t, Options{}, s)
			got, err := do(l, "+CSQ", time.Second)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "answer", got, "+CSQ: 20,99")
			same(t, "URCs", urcs(l), `+CMTI: "SM",3`, "+CREG: 1")
		})
	})
}

func TestDefect02_OrderOfURCs(t *testing.T) {
	const n = 200
	var all strings.Builder
	var wanted []string
	for i := range n {
		fmt.Fprintf(&all, "\r\n+CMTI: \"SM\",%03d\r\n", i)
		wanted = append(wanted, fmt.Sprintf(`+CMTI: "SM",%03d`, i))
	}
	s := func(in string, say func(string)) { say(all.String() + "\r\nOK\r\n") }
	t.Run("bare", func(t *testing.T) {
		// Real goroutines: a bubble would not schedule them as a machine does.
		for range 50 {
			var mu sync.Mutex
			var got []string
			var wg sync.WaitGroup
			wg.Add(n)
			a, _ := bareAT(t, s, at.WithIndication("+CMTI:", func(info []string) {
				mu.Lock()
				got = append(got, info[0])
				mu.Unlock()
				wg.Done()
			}))
			a.Command("")
			wg.Wait()
			if !sort.StringsAreSorted(got) {
				return
			}
		}
		t.Fatal("bare at kept the order 50 times; the reference says that it loses it")
	})
	t.Run("line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, _ := open(t, Options{}, s)
			if _, err := do(l, "", time.Second); err != nil {
				t.Fatal(err)
			}
			same(t, "URCs", urcs(l), wanted...)
		})
	})
}

// late answers +COPS=? after 60 s.
func late(in string, say func(string)) {
	switch in {
	case "AT+COPS=?":
		later(time.Minute, say, "\r\n+COPS: (2,\"Carrier\",\"C\",\"31026\")\r\n\r\nOK\r\n")
	case "AT+CPIN?":
		later(time.Minute, say, "\r\n+CPIN: READY\r\n\r\nOK\r\n")
	case "AT+CGSN":
		say("\r\n" + testIMEI + "\r\n\r\nOK\r\n")
	}
}

func TestDefect03_LateAnswerGoesToTheNextCommand(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, _ := bareAT(t, late)
			if _, err := a.Command("+COPS=?", at.WithTimeout(30*time.Second)); err != at.ErrDeadlineExceeded {
				t.Fatal(err)
			}
			got, err := a.Command("+CPIN?", at.WithTimeout(40*time.Second))
			if err != nil || len(got) != 1 || !strings.HasPrefix(got[0], "+COPS:") {
				t.Fatalf("bare at: %q, %v; the reference says that the late answer is taken", got, err)
			}
		})
	})
	t.Run("line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, f := open(t, Options{}, late)
			_, err := do(l, "+COPS=?", 30*time.Second)
			want(t, "+COPS=?", err, ErrTimeout)
			_, err = do(l, "+CPIN?", 40*time.Second)
			want(t, "command on a dirty line", err, ErrDirty)
			want(t, "command on a dirty line", err, ErrNotStarted)
			if f.count("AT+CPIN?") != 0 {
				t.Fatal("a dirty line wrote the command")
			}
			time.Sleep(31 * time.Second) // the late answer comes
			if _, err := l.Resync(context.Background(), testIMEI); err != nil {
				t.Fatal(err)
			}
			got, err := do(l, "+CPIN?", 70*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "answer", got, "+CPIN: READY")
			if s := l.Stats(); s.Strays == 0 {
				t.Error("the late answer was not counted")
			}
		})
	})
}

// lateCMGS sends every PDU and says so after a minute.
func lateCMGS() script {
	ref := 6
	return func(in string, say func(string)) {
		switch {
		case strings.HasPrefix(in, "AT+CMGS="):
			say("\r\n> ")
		case strings.HasSuffix(in, "^Z"):
			ref++
			answer := fmt.Sprintf("\r\n+CMGS: %d\r\n\r\nOK\r\n", ref)
			later(time.Minute, say, answer)
		case in == "AT+CGSN":
			say("\r\n" + testIMEI + "\r\n\r\nOK\r\n")
		}
	}
}

func TestDefect04_LateReferenceGoesToTheNextMessage(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, f := bareAT(t, lateCMGS())
			if _, err := a.SMSCommand("+CMGS=24", pdu, at.WithTimeout(40*time.Second)); err != at.ErrDeadlineExceeded {
				t.Fatal(err)
			}
			got, err := a.SMSCommand("+CMGS=24", pdu, at.WithTimeout(40*time.Second))
			if err != nil || !slices.Contains(got, "+CMGS: 7") {
				t.Fatalf("bare at: %q, %v; the reference says that the second message gets the first one's reference", got, err)
			}
			if f.count("ESC") == 0 {
				t.Fatal("bare at wrote no ESC after the timeout")
			}
		})
	})
	t.Run("line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, f := open(t, Options{}, lateCMGS())
			send := func() ([]string, error) {
				return l.SMS(context.Background(), Cmd{Text: "+CMGS=24", Class: Code}, pdu, 10*time.Second, 30*time.Second)
			}
			_, err := send()
			want(t, "send", err, ErrTimeout)
			if errors.Is(err, ErrNoPrompt) {
				t.Fatal("the PDU was written, but the error says it was not")
			}
			if f.count("ESC") != 0 {
				t.Fatal("ESC into a modem that is sending")
			}
			// The modem answers the resync at once although it is still sending: then its late answer must be nobody's.
			if _, err := l.Resync(context.Background(), testIMEI); err != nil {
				t.Fatal(err)
			}
			got, err := do(l, "+CMGF=0", 25*time.Second)
			want(t, "the command that meets the late answer", err, ErrTimeout)
			if got != nil || l.Stats().Strays != 2 {
				t.Fatalf("answer %q, %d strays; want none and both lines of the late answer", got, l.Stats().Strays)
			}
		})
	})
}

func TestDefect05_UnknownFinalResults(t *testing.T) {
	s := answers(map[string]string{
		"AT^CVOICE?":   "\r\nCOMMAND NOT SUPPORT\r\n",
		"AT+CPMS=1":    "\r\nTOO MANY PARAMETERS\r\n",
		"AT+X":         "\r\nMODEM ERROR: 4\r\n",
		"ATD16175551;": "\r\nNO DIAL TONE\r\n",
		"ATA":          "\r\nNO CARRIER\r\n",
		"AT+CSQ":       "\r\n+CSQ: 20,99\r\n\r\nOK\r\n",
	})
	cases := []struct{ cmd, words string }{
		{"^CVOICE?", "COMMAND NOT SUPPORT"}, {"+CPMS=1", "TOO MANY PARAMETERS"}, {"+X", "MODEM ERROR: 4"},
		{"D16175551;", "NO DIAL TONE"}, {"A", "NO CARRIER"},
	}
	t.Run("bare", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, _ := bareAT(t, s)
			for _, c := range cases {
				if got, err := a.Command(c.cmd); err != at.ErrDeadlineExceeded {
					t.Errorf("bare at, %s: %q, %v; the reference says timeout", c.cmd, got, err)
				}
			}
		})
	})
	t.Run("line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, _ := open(t, Options{}, s)
			for _, c := range cases {
				_, err := do(l, c.cmd, time.Second)
				var r *ResultError
				if !errors.As(err, &r) || r.Words != c.words {
					t.Fatalf("%s: %v, want the result %q", c.cmd, err, c.words)
				}
				if strings.Contains(err.Error(), "16175551") {
					t.Fatalf("the error shows the number: %v", err)
				}
			}
			if got, err := do(l, "+CSQ", time.Second); err != nil || got[0] != "+CSQ: 20,99" {
				t.Fatalf("next command: %q, %v", got, err)
			}
		})
	})
}

func TestDefect05_CallResultsAfterDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, f := open(t, Options{}, answers(map[string]string{"ATD16175551234;": "\r\nOK\r\n"}))
		if _, err := l.Do(context.Background(), Cmd{Text: "D16175551234;", Class: Call}, time.Second); err != nil {
			t.Fatal(err)
		}
		f.say("\r\nNO ANSWER\r\n")
		synctest.Wait()
		same(t, "URCs", urcs(l), "NO ANSWER")
	})
}

func TestDefect06_PromptOnlyWhenDue(t *testing.T) {
	s := answers(map[string]string{"AT+CGMI": "\r\n> a banner\r\n\r\n>\r\n\r\nOK\r\n"})
	t.Run("bare", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, _ := bareAT(t, s)
			got, err := a.Command("+CGMI")
			if err != nil || len(got) == 0 || strings.HasPrefix(got[0], ">") {
				t.Fatalf("bare at: %q, %v; the reference says that every '>' is cut off as a prompt", got, err)
			}
		})
	})
	t.Run("line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, _ := open(t, Options{}, s)
			got, err := do(l, "+CGMI", time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 0 || !strings.HasPrefix(got[0], ">") && !strings.Contains(strings.Join(got, ""), "a banner") {
				t.Fatalf("answer %q", got)
			}
		})
	})
}

func TestDefect14_TrailingLineMissing(t *testing.T) {
	hex := "0006070B916171551532F4620211812345806202118123458000"
	t.Run("bare/empty", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			got := make(chan []string, 1)
			a, f := bareAT(t, nil, at.WithIndication("+CDS:", func(i []string) { got <- i }, at.WithTrailingLine))
			_ = a
			f.say("\r\n+CDS: 25\r\n\r\n" + hex + "\r\n")
			if i := <-got; i[1] != "" {
				t.Fatalf("bare at: %q; the reference says that it takes the empty line", i)
			}
		})
	})
	t.Run("bare/missing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, _ := bareAT(t, answers(map[string]string{"AT": "+CDS: 25\r\nOK\r\n"}),
				at.WithIndication("+CDS:", func([]string) {}, at.WithTrailingLine))
			if _, err := a.Command(""); err != at.ErrDeadlineExceeded {
				t.Fatalf("bare at: %v; the reference says that the OK is eaten", err)
			}
		})
	})
	t.Run("line/empty", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, f := open(t, Options{}, nil)
			f.say("\r\n+CDS: 25\r\n\r\n" + hex + "\r\n")
			synctest.Wait()
			same(t, "URCs", urcs(l), "+CDS: 25 "+hex)
		})
	})
	t.Run("line/missing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, _ := open(t, Options{}, answers(map[string]string{"AT": "\r\n+CDS: 25\r\nOK\r\n"}))
			if _, err := do(l, "", time.Second); err != nil {
				t.Fatal(err)
			}
			if s := l.Stats(); s.Orphans != 1 || len(urcs(l)) != 0 {
				t.Fatalf("stats %+v: the PDU that never came was not counted, or was made up", s)
			}
		})
	})
	t.Run("line/never", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, f := open(t, Options{}, answers(map[string]string{"AT+CSCA?": "\r\nABCDEF01\r\n\r\nOK\r\n"}))
			f.say("\r\n+CDS: 25\r\n")
			time.Sleep(3 * time.Second) // beyond TrailTimeout
			got, err := do(l, "+CSCA?", time.Second)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "an answer that looks like a PDU, long after", got, "ABCDEF01")
			if s := l.Stats(); s.Orphans != 1 {
				t.Fatalf("stats %+v", s)
			}
		})
	})
}

func TestDefect15_Framing(t *testing.T) {
	for name, ends := range map[string]string{"CRLF": "\r\n", "CRCRLF": "\r\r\n", "CR": "\r", "LF": "\n"} {
		s := answers(map[string]string{"AT+CSQ": ends + "+CSQ: 20,99" + ends + ends + "OK" + ends})
		if name == "CRCRLF" || name == "CR" {
			t.Run("bare/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, _ := bareAT(t, s)
					if got, err := a.Command("+CSQ"); err != at.ErrDeadlineExceeded {
						t.Fatalf("bare at: %q, %v; the reference says that OK is not recognised", got, err)
					}
				})
			})
		}
		t.Run("line/"+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := open(t, Options{}, s)
				got, err := do(l, "+CSQ", time.Second)
				if err != nil {
					t.Fatal(err)
				}
				same(t, "answer", got, "+CSQ: 20,99")
			})
		})
	}
}

func TestDefect18_LineWithoutEnd(t *testing.T) {
	babble := strings.Repeat("$GPGSV,4,1,13,", 6<<10) // more than at's scanner takes
	t.Run("bare", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, f := bareAT(t, nil)
			f.conn.SetWriteDeadline(time.Now().Add(time.Second))
			f.say(babble)
			<-a.Closed()
			if _, err := a.Command(""); err != at.ErrClosed {
				t.Fatalf("bare at: %v; the reference says that it stops for good", err)
			}
		})
	})
	t.Run("line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, f := open(t, Options{}, answers(map[string]string{"AT": "\r\nOK\r\n"}))
			f.say(babble)
			f.say("\r\n")
			if _, err := do(l, "", time.Second); err != nil {
				t.Fatalf("command after babble: %v", err)
			}
			if s := l.Stats(); s.LinesDropped != 1 {
				t.Fatalf("stats %+v", s)
			}
		})
	})
}
