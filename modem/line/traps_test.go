package line

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warthog618/modem/at"
)

// What a modem says at any moment (reference 4): none of it is part of an answer that is on its way, and none is lost.
var anyMoment = []string{
	"RDY", "+CFUN: 1", "+CPIN: READY", "+CPIN: NOT READY", "+CPIN: SIM PIN", "+QUSIM: 1", "+QIND: SMS DONE", "+QIND: PB DONE", "Call Ready",
	"SMS Ready", "SMS DONE", "PB DONE", "START", "*ATREADY: 1", "NORMAL POWER DOWN", "POWERED DOWN", "^BOOT:20117468,0,0,0,75", "^RSSI:17",
	`^HCSQ:"LTE",50,46,141,20`, "^MODE:5,4", "^SRVST:2", "^SIMST:1", "^STIN: 25", "^DSFLOWRPT:0000000C,00000000,00000000", `^SMMEMFULL: "SM"`,
	"^SMMEMFULL", "+CUSATP: D0", "+CREG: 1", `+CREG: 1,"00C3","01A2B3C4",7`, "+CGREG: 1", "+CEREG: 1", "+CIEV: 2,4", "+CTZV: +8",
	`+CUSD: 0,"Balance: 10.00",15`, `*PSUTTZ: 26,11,22,8,0,0,"+0",0`, "RING", "+CRING: VOICE", `+CLIP: "",128`, "NO CARRIER", `+CMTI: "ME",3`,
	`+CDSI: "SR",1`, "MISSED_CALL: 08:00AM", "VOICE CALL: END: 000041", "UNDER-VOLTAGE WARNNING",
}

func TestCodesAtAnyMoment(t *testing.T) {
	for _, code := range anyMoment {
		t.Run("bare/"+code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _ := bareAT(t, answers(map[string]string{"AT+CSQ": "\r\n" + code + "\r\n\r\n+CSQ: 20,99\r\n\r\nOK\r\n"}))
				got, err := a.Command("+CSQ")
				if err != nil || len(got) != 2 || got[0] != code {
					t.Fatalf("bare at: %q, %v; the reference says that the code is in the answer", got, err)
				}
			})
		})
		for name, cmd := range map[string]struct{ text, answer string }{
			"a query": {"+CSQ", "+CSQ: 20,99"}, "a setting": {"+CNMI=2,1,0,1,0", ""}, "a listing": {"+CMGL=4", "+CMGL: 0,1,,24|" + pdu},
		} {
			t.Run(name+"/"+code, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					answer := "\r\n" + code + "\r\n"
					for i, part := range strings.Split(cmd.answer, "|") {
						answer += "\r\n" + part + "\r\n"
						if i == 0 {
							answer += "\r\n" + code + "\r\n" // also between a line and its PDU
						}
					}
					l, f := open(t, Options{}, answers(map[string]string{"AT" + cmd.text: answer + "\r\n" + code + "\r\n\r\nOK\r\n"}))
					got, err := do(l, cmd.text, time.Second)
					if err != nil || strings.Join(got, "|") != cmd.answer {
						t.Fatalf("%q, %v", got, err)
					}
					f.say("\r\n" + code + "\r\n")
					synctest.Wait()
					same(t, "codes", urcs(l), code, code, code, code)
				})
			})
		}
	}
}

// In the time between the PDU and the network's answer, which may be minutes, they are as little of it.
func TestCodesBetweenPDUAndAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, Options{}, func(in string, say func(string)) {
			switch {
			case strings.HasPrefix(in, "AT+CMGS="):
				say("\r\n> ")
			case strings.HasSuffix(in, "^Z"):
				say("\r\n" + strings.Join(anyMoment, "\r\n\r\n") + "\r\n\r\n+CMGS: 24\r\n\r\nOK\r\n")
			}
		})
		got, err := sms(l, pdu)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "answer", got, "+CMGS: 24")
		same(t, "codes", urcs(l), anyMoment...)
	})
}

// Reference 0.1 (e): a LF behind the CR is a character of the PDU's prompt on some modems, and two ends of a line on others.
func TestCommandsEndWithCR(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := plugRaw(t)
			a := at.New(ours)
			go a.Command("+CSQ", at.WithTimeout(time.Millisecond))
			expect(t, theirs, "AT+CSQ\r\n")
		})
	})
	t.Run("line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := plugRaw(t)
			l := New(ours, Options{})
			done := make(chan error, 1)
			go func() {
				_, err := do(l, "+CSQ", time.Second)
				done <- err
			}()
			expect(t, theirs, "AT+CSQ\r")
			if err := <-done; !errors.Is(err, ErrTimeout) { // and not a byte more: nobody reads it
				t.Fatal(err)
			}
			l.Close()
		})
	})
}

// swallows is a module that loses what comes within the pause after its prompt or its answer, as a slow one does (reference 5.1).
func swallows(pause time.Duration) script {
	var last time.Time
	return func(in string, say func(string)) {
		soon := time.Since(last) < pause
		defer func() { last = time.Now() }()
		switch {
		case soon && !strings.HasSuffix(in, "^Z"):
		case strings.HasPrefix(in, "AT+CMGS="):
			say("\r\n> ")
		case strings.HasSuffix(in, "^Z") && soon:
			say("\r\n+CMGS: 1\r\n\r\nOK\r\n") // it says so, and sends something else
		case strings.HasSuffix(in, "^Z"):
			say("\r\n+CMGS: 2\r\n\r\nOK\r\n")
		default:
			say("\r\nOK\r\n")
		}
	}
}

func TestPromptRace(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, _ := bareAT(t, swallows(90*time.Millisecond))
			got, err := a.SMSCommand("+CMGS=24", pdu, at.WithTimeout(time.Minute))
			if err != nil || got[0] != "+CMGS: 1" {
				t.Fatalf("bare at: %q, %v; the reference says that the PDU comes too soon", got, err)
			}
		})
	})
	t.Run("line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, _ := open(t, Options{PromptDelay: 100 * time.Millisecond}, swallows(90*time.Millisecond))
			got, err := sms(l, pdu)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "answer", got, "+CMGS: 2")
		})
	})
}

// Telit wants 20 ms between an answer and the next command.
func TestPauseBetweenCommands(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, _ := bareAT(t, swallows(20*time.Millisecond))
			if _, err := a.Command("+CSQ"); err != nil {
				t.Fatal(err)
			}
			if _, err := a.Command("+CSQ"); err != at.ErrDeadlineExceeded {
				t.Fatalf("bare at: %v; the reference says that the second command is lost", err)
			}
		})
	})
	t.Run("line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, _ := open(t, Options{}, swallows(20*time.Millisecond))
			l.SetPace(20*time.Millisecond, 0)
			for range 20 {
				if _, err := do(l, "+CSQ", time.Second); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}

// A hang-up that comes during a send waits for it, goes before everything else that waits, and never into the PDU (reference 9).
func TestHangUpDuringASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, f := open(t, Options{}, func(in string, say func(string)) {
			switch {
			case strings.HasPrefix(in, "AT+CMGS="):
				say("\r\n> ")
			case strings.HasSuffix(in, "^Z"):
				later(2900*time.Millisecond, say, "\r\n+CMGS: 9\r\n\r\nOK\r\n")
			default:
				say("\r\nOK\r\n")
			}
		})
		sent := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := sms(l, pdu)
				sent <- err
			}()
		}
		synctest.Wait()
		start := time.Now()
		if _, err := l.Do(context.Background(), Cmd{Text: "+CHUP", Class: HangUp}, time.Second); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Fatalf("hung up after %v: behind the second send", d)
		}
		for range 2 {
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
		same(t, "order", f.heard(), "AT+CMGS=24", pdu+"^Z", "AT+CHUP", "AT+CMGS=24", pdu+"^Z")
	})
}
