package line

import (
	"testing"
	"testing/synctest"
	"time"
)

// What a module says of a call is never taken for the answer of a command, not even of the command that has its name; the answer to a
// question of that name is one.
func TestCodesOfCallsAreNoAnswers(t *testing.T) {
	for cmd, code := range map[string]string{
		"+QPSND=0": "+QPSND: 0", `+QWTTS=1,1,2,"one"`: "+QWTTS: 0", "+QPCMV=1,0": "+QPCMV: 0", "+CTTS=0": "+CTTS: 0", "+CCMXSTOP": "+AUDIOSTATE: audio play stop",
		"+QTONEDET=1": "+QTONEDET: 49", "+DDET=1": "+RXDTMF: 1", "^DDSETEX=2": "^DDTMF: 1", "+CHUP": "VOICE CALL: END: 000041",
		"+CLCC": "^DSCI: 1,0,3,0,0", "^CVOICE=0": "^CEND:1,41,104,16", "+CSQ": "NO CARRIER", "+CEER": `+QIND: "ccinfo",1,0,-1`,
	} {
		t.Run(cmd, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := open(t, Options{}, answers(map[string]string{"AT" + cmd: "\r\n" + code + "\r\n\r\nOK\r\n"}))
				if got, err := do(l, cmd, time.Second); err != nil || len(got) != 0 {
					t.Errorf("answer %q, %v", got, err)
				}
				if u := <-l.URCs(); u.Line != code {
					t.Errorf("code %q", u.Line)
				}
			})
		})
	}
	for cmd, answer := range map[string]string{"+QPCMV?": "+QPCMV: 1,0", "+CTTS?": "+CTTS: 0", "+CLCC": `+CLCC: 1,0,3,0,0,"",129`, "+CEER": "+CEER: User busy"} {
		synctest.Test(t, func(t *testing.T) {
			l, _ := open(t, Options{}, answers(map[string]string{"AT" + cmd: "\r\n" + answer + "\r\n\r\nOK\r\n"}))
			if got, err := do(l, cmd, time.Second); err != nil || len(got) != 1 || got[0] != answer {
				t.Errorf("%s: answer %q, %v", cmd, got, err)
			}
		})
	}
	for cmd, want := range map[string]string{
		"D+16175551234;": "ATD***", `+QWTTS=1,1,2,"4 8 2"`: `AT+QWTTS=1,1,2,"***"`, `+CTTS=1,"00340038"`: `AT+CTTS=1,"***"`, "^DDSETEX=2": "AT^DDSETEX=2",
		`+QFUPL="UFS:pinward1.wav",64044`: `AT+QFUPL="***",***`,
	} {
		if got := maskCommand(cmd); got != want {
			t.Errorf("shown as %q, want %q", got, want)
		}
	}
	for said, want := range map[string]string{
		`+CLCC: 1,0,3,0,0,"+16175551234",145`: `+CLCC: 1,0,3,0,0,"***",145`, `+COLP: "6175551234",129`: `+COLP: "***",129`,
	} {
		if got := maskLine(said, "+CLCC"); got != want {
			t.Errorf("shown as %q, want %q", got, want)
		}
	}
}
