package modem

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warthog618/modem/at"
	"github.com/warthog618/modem/gsm"
	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/gsm7/charset"

	"pinward/modem/modemsim"
)

// The defects of reference/modem.md 1.2 that show in what is sent and taken in; those of the stream are in package line. "bare" shows
// that the library has it.

// bareGSM is gsm on a modem that answers as the table says; what it is told comes out of heard.
func bareGSM(t *testing.T, answers map[string]string, o ...gsm.Option) (g *gsm.GSM, f *fake) {
	t.Helper()
	ours, theirs := net.Pipe()
	f = &fake{t: t, answers: answers, conn: theirs}
	go f.serve(theirs)
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return gsm.New(at.New(ours), o...), f
}

func TestDefect07_EmptyTextPanics(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		g, _ := bareGSM(t, least())
		defer func() {
			if recover() == nil {
				t.Fatal("gsm did not panic; the reference says that it does")
			}
		}()
		_, _ = g.SendShortMessage(patient, "")
	})
	t.Run("modem", func(t *testing.T) {
		if ts, err := New(nil, Options{}).Encode(SMS{To: patient}); !errors.Is(err, ErrUnsendable) || ts != nil {
			t.Fatal(err)
		}
	})
}

// With three encoder options or more, each call of gsm writes its recipient into the same place of one array: two calls at once
// address one text to the other's number.
func TestDefect08_CrossDelivery(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		same := gsm.WithEncoderOption(sms.AsSubmit)
		g, _ := bareGSM(t, least(), same, same, same)
		shared := func() string {
			options := reflect.ValueOf(g).Elem().FieldByName("eOpts")
			if options.Cap() <= options.Len() {
				t.Fatal("no spare capacity: the defect is mended")
			}
			return fmt.Sprint(options.Slice(0, options.Len()+1).Index(options.Len()))
		}
		if _, err := g.SendShortMessage(patient, "for one"); err != nil {
			t.Fatal(err)
		}
		first := shared()
		if _, err := g.SendShortMessage(other, "for another"); err != nil {
			t.Fatal(err)
		}
		if second := shared(); first == second || first == "<nil>" {
			t.Fatalf("%s, then %s: the recipients do not share a place", first, second)
		}
	})
	t.Run("modem", TestDefect08_09_ConcurrentEncoding)
}

// sms fills its tables when they are first asked for, without a lock: what is filled before anybody asks is only read. The race
// detector is the proof, in TestDefect08_09_ConcurrentEncoding.
func TestDefect09_TablesAreFilledBeforehand(t *testing.T) {
	New(nil, Options{})
	for nli := charset.Default; nli <= charset.Urdu; nli++ {
		for name, table := range map[string]func() any{
			"decoder": func() any { return charset.NewDecoder(nli) }, "extension": func() any { return charset.NewExtDecoder(nli) },
		} {
			if a, b := reflect.ValueOf(table()), reflect.ValueOf(table()); a.Pointer() != b.Pointer() {
				t.Errorf("%s %v is made anew for each call", name, nli)
			}
		}
	}
}

func TestDefect12_ReportsAreAskedFor(t *testing.T) {
	const srr = 0x20
	t.Run("bare", func(t *testing.T) {
		ts, err := sms.Encode([]byte("hi"), sms.To(patient))
		if err != nil || byte(ts[0].FirstOctet)&srr != 0 {
			t.Fatalf("%#x, %v; the reference says that nothing asks for a report", ts[0].FirstOctet, err)
		}
	})
	t.Run("modem", func(t *testing.T) {
		for _, report := range []bool{true, false} {
			pdu := encodeOne(t, SMS{To: patient, Text: "hi", Report: report, Validity: 5 * time.Minute})
			if want := map[bool]string{true: "31", false: "11"}[report]; pdu[2:4] != want {
				t.Fatalf("first octet %s, want %s", pdu[2:4], want)
			}
		}
	})
}

func TestDefect13_CapabilitiesAreNotAskedFor(t *testing.T) {
	for name, gcap := range map[string]string{"a space": "+GCAP: +DS, +CGSM|OK", "none": "OK"} {
		t.Run("bare/"+name, func(t *testing.T) {
			answers := least()
			answers["Z"], answers["E0"], answers["+GCAP"] = "OK", "OK", gcap
			g, _ := bareGSM(t, answers)
			if err := g.Init(); !errors.Is(err, gsm.ErrNotGSMCapable) {
				t.Fatalf("gsm.Init: %v; the reference says not capable", err)
			}
		})
		t.Run("modem/"+name, func(t *testing.T) {
			onFake(t, map[string]string{"+GCAP": gcap}, Options{}, func(f *fake, w *world) {
				w.ready()
				if f.count("+GCAP") != 0 {
					w.t.Fatal("it was asked")
				}
			})
		})
	}
}

func TestDefect16_HexIsUpperCase(t *testing.T) {
	pdus := func(f *fake) []string {
		f.mu.Lock()
		defer f.mu.Unlock()
		var out []string
		for _, h := range f.heard {
			if strings.HasPrefix(h, "00") {
				out = append(out, h)
			}
		}
		return out
	}
	t.Run("bare", func(t *testing.T) {
		g, f := bareGSM(t, least())
		if _, err := g.SendShortMessage(patient, "hello"); err != nil {
			t.Fatal(err)
		}
		if got := pdus(f); len(got) != 1 || got[0] == strings.ToUpper(got[0]) {
			t.Fatalf("%q; the reference says lower case", got)
		}
	})
	t.Run("modem", func(t *testing.T) {
		onFake(t, nil, Options{}, func(f *fake, w *world) {
			w.ready()
			if _, err := w.send("hello"); err != nil {
				w.t.Fatal(err)
			}
			if got := pdus(f); len(got) != 1 || got[0] != strings.ToUpper(got[0]) {
				w.t.Fatalf("%d PDUs, or lower case", len(got))
			}
		})
	})
}

// gsm knows +CMT only, acknowledges behind a running send, minutes after the network has given up (27.005, 3.4.4), and a PDU that it
// cannot read never. Ours leaves texts in storage, has nothing to acknowledge, and hears of them in the middle of a send.
func TestDefect17_ReceptionDuringASend(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			answers := least()
			answers["+CSMS=1"], answers["+CNMI=1,2,0,0,0"], answers["+CNMA"] = "OK", "OK", "OK"
			answers["+CMGS"] = "-" // the network takes its time
			g, f := bareGSM(t, answers)
			var got atomic.Int32
			if err := g.StartMessageRx(func(gsm.Message) { got.Add(1) }, func(error) {}); err != nil {
				t.Fatal(err)
			}
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = g.SendShortMessage(patient, "hello", at.WithTimeout(5*time.Minute))
			}()
			time.Sleep(time.Second)
			f.say("\r\n+CMTI: \"SM\",1\r\n\r\n+CDS: 25\r\n0006070B916171551532F4620211812345806202118123458000\r\n")
			f.say("\r\n+CMT: ,28\r\n07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37\r\n")
			time.Sleep(time.Minute)
			if f.count("+CNMA") != 0 || got.Load() != 0 {
				t.Fatal("gsm acknowledged within the minute; the reference says that it waits for the send")
			}
			<-sent
			time.Sleep(time.Second)
			if f.count("+CNMA") != 1 || got.Load() != 1 {
				t.Fatalf("%d acknowledgements, %d texts", f.count("+CNMA"), got.Load())
			}
		})
	})
	t.Run("modem", func(t *testing.T) {
		inWorld(t, setup{faults: modemsim.Faults{SendDelay: modemsim.Duration(4 * time.Minute)}}, func(w *world) {
			w.ready()
			done := make(chan error, 1)
			go func() {
				_, err := w.send("hello")
				done <- err
			}()
			time.Sleep(10 * time.Second)
			w.reply("STOP")
			if err := <-done; err != nil {
				w.t.Fatal(err)
			}
			for texts := 0; texts == 0; { // the report of the send may come first
				e := w.event(10 * time.Second)
				if e.Text != nil && e.Text.Body == "STOP" {
					texts++
				}
				e.Done(nil)
			}
			if w.traced("AT+CNMA") != 0 {
				w.t.Fatal("something was acknowledged that needs no acknowledgement")
			}
			if got := w.tells("+CNMI?"); got != "+CNMI: 2,1,0,1,0" {
				w.t.Fatalf("routing is %q", got)
			}
		})
	})
}
