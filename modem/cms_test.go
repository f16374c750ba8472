package modem

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pinward/modem/line"
	"pinward/modem/modemsim"
)

// The table of reference 5.2 once more, code by code, written from that page and not from the program.
var reference52 = map[string]Class{
	"22 38 41 42 47 192 194 211 301 314 331 514 515": ClassTransient,
	"300 332 500 512 513":                            ClassAmbiguous,
	"1 10 21 27 28 30 111 127 195 196 197":           ClassRecipient,
	"69 81 95 96 97 98 99 128 129 130 143 144 145 159 160 161 175 176 198 199 302 303 304 305 321 330 340": ClassFault,
	"8 29 50 193 310 311 312 313 315 316 317 318":                                                          ClassSIM,
	"208 209 320 322": ClassStorage,
}

// The one outcome of each class, for an answer that came after the PDU; nil is unknown.
var outcomes = map[Class]error{
	ClassTransient: ErrNotSent, ClassAmbiguous: nil, ClassRecipient: ErrRefused, ClassFault: ErrNotSent, ClassSIM: ErrNotSent,
	ClassStorage: ErrNotSent,
}

// Every code there can be has exactly one class, and a code that the table does not know is ambiguous: a wrong guess there would send
// a text twice, or never.
func TestEveryCMSCodeHasOneClass(t *testing.T) {
	want := map[int]Class{}
	for codes, class := range reference52 {
		for _, f := range strings.Fields(codes) {
			var n int
			if _, err := fmt.Sscan(f, &n); err != nil {
				t.Fatal(err)
			}
			if was, twice := want[n]; twice {
				t.Fatalf("%d is %s and %s", n, was, class)
			}
			want[n] = class
		}
	}
	for code := range 1024 {
		class, known := want[code]
		if !known {
			class = ClassAmbiguous
		}
		_, err := result(nil, &line.ResultError{Kind: "CMS", Code: code})
		var e *CMSError
		if !errors.As(err, &e) || e.Class != class || e.Code != code {
			t.Fatalf("+CMS ERROR %d: %v, want %s", code, err, class)
		}
		target := outcomes[class]
		if got := errors.Is(err, ErrNotSent); got != (target == ErrNotSent) {
			t.Errorf("+CMS ERROR %d (%s): not sent %v", code, class, got)
		}
		if got := errors.Is(err, ErrRefused); got != (target == ErrRefused) {
			t.Errorf("+CMS ERROR %d (%s): refused %v", code, class, got)
		}
	}
	for code, class := range map[int]Class{10: ClassSIM, 11: ClassSIM, 12: ClassSIM, 13: ClassSIM, 14: ClassTransient, 30: ClassTransient,
		515: ClassTransient, 100: ClassAmbiguous, 0: ClassAmbiguous, 38: ClassAmbiguous} {
		if got := classOf("CME", code); got != class {
			t.Errorf("+CME ERROR %d: %s, want %s", code, got, class)
		}
	}
}

// What the driver does about each class, besides the outcome: nothing, a look at the storage, a modem taken out.
func TestActionOfEachClass(t *testing.T) {
	for class, c := range map[Class]struct {
		answer  string
		after   int // sends until the modem is taken out; 0: never
		cleared bool
	}{
		ClassTransient: {"+CMS ERROR: 42", 3, false},
		ClassAmbiguous: {"+CMS ERROR: 513", 3, false},
		ClassRecipient: {"+CMS ERROR: 28", 0, false},
		ClassFault:     {"+CMS ERROR: 304", 0, false},
		ClassSIM:       {"+CMS ERROR: 8", 1, false},
		ClassStorage:   {"+CMS ERROR: 322", 3, true},
	} {
		t.Run(string(class), func(t *testing.T) {
			answers := strings.Split(strings.Repeat(c.answer+"|", 5), "|")[:5]
			inWorld(t, setup{faults: modemsim.Faults{SendErrors: answers}}, func(w *world) {
				w.ready()
				time.Sleep(time.Second) // the first look at the storage is over
				before, out := w.traced("AT+CMGL"), 0
				for i := 1; i <= 5 && out == 0; i++ {
					_, err := w.send("hello")
					w.want(c.answer, err, outcomes[class])
					time.Sleep(time.Second)
					if w.m.Status().Phase == PhaseQuarantined {
						out = i
					}
				}
				if out != c.after {
					w.t.Errorf("taken out after %d sends, want %d", out, c.after)
				}
				if got := w.traced("AT+CMGL") > before; got != c.cleared {
					w.t.Errorf("the storage was looked at: %v", got)
				}
			})
		})
	}
}
