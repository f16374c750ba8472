package line

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The museum: what named devices say, as the reference and its sources have it, garbage included. Each file of testdata/museum is
// one device; in it a line
//
//	> AT+CSQ        the command
//	< \r\n+CSQ...   what comes, as a Go string without quotes
//	= +CSQ: 20,99   a line of the answer
//	! ERROR         the result, if it is not OK
//	~ ^RSSI:17      an unsolicited code
//
// and an empty line ends the case.
type exhibit struct {
	cmd, in string
	answer  []string
	failure string
	urcs    []string
}

func readMuseum(t *testing.T, path string) []exhibit {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []exhibit
	var e exhibit
	flush := func() {
		if e.cmd != "" {
			out = append(out, e)
		}
		e = exhibit{}
	}
	unquote := strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\0`, "\x00", `\z`, "\x1a", `\xff`, "\xff")
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		if line == "" {
			flush()
			continue
		}
		kind, rest := line[0], strings.TrimPrefix(line[1:], " ")
		switch kind {
		case '#':
		case '>':
			e.cmd = rest
		case '<':
			e.in += unquote.Replace(rest)
		case '=':
			e.answer = append(e.answer, rest)
		case '!':
			e.failure = rest
		case '~':
			e.urcs = append(e.urcs, rest)
		default:
			t.Fatalf("%s: line begins with %q", path, kind)
		}
	}
	flush()
	return out
}

func TestMuseumOfDeviceAnswers(t *testing.T) {
	files, err := filepath.Glob("testdata/museum/*.txt")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d exhibits, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			for _, e := range readMuseum(t, file) {
				t.Run(e.cmd, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						l, _ := open(t, Options{}, answers(map[string]string{e.cmd: e.in}))
						info, err := do(l, strings.TrimPrefix(e.cmd, "AT"), 10*time.Second)
						switch {
						case err == nil && e.failure != "":
							t.Fatalf("no error, want %s", e.failure)
						case err != nil && (e.failure == "" || !strings.HasSuffix(err.Error(), ": "+e.failure)):
							t.Fatalf("error %v, want %q", err, e.failure)
						}
						time.Sleep(time.Second)
						same(t, "answer", info, e.answer...)
						same(t, "URCs", urcs(l), e.urcs...)
					})
				})
			}
		})
	}
}

func FuzzSplitter(f *testing.F) {
	for _, s := range []string{
		"\r\n+CSQ: 20,99\r\n\r\nOK\r\n", "AT+CGSN\r\r\n", "\r\n> ", "\r\n>\r\n", "\x00\x00\xffRDY\r\n", "ERROR+CNUM: ,\"1\",129\r\n",
		strings.Repeat("a", maxLine+10) + "\rOK\r", ">>>>", "\n\n\r\r",
	} {
		f.Add([]byte(s), uint8(3), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, piece uint8, prompt bool) {
		cut := func(n int) []string {
			var s splitter
			var out []string
			for rest := in; len(rest) > 0; {
				k := min(n, len(rest))
				s.add(rest[:k])
				rest = rest[k:]
				for {
					line, ok := s.next(prompt)
					if !ok {
						break
					}
					if line == "" || len(line) > maxLine || strings.ContainsAny(line, "\r\n\x00") {
						t.Fatalf("line %q", line)
					}
					out = append(out, line)
				}
				if len(s.buf) > 2*maxLine+k {
					t.Fatalf("%d bytes kept", len(s.buf))
				}
			}
			return out
		}
		// Where the pieces are cut makes no difference, but for a prompt, which is taken as it comes, and for what is too long.
		if prompt || len(in) > maxLine {
			cut(int(piece) + 1)
			return
		}
		same(t, "in pieces", cut(int(piece)+1), cut(len(in)+1)...)
	})
}

// Whatever a modem says while a command runs, the line neither panics nor stalls, and the next resync works.
func FuzzLine(f *testing.F) {
	for _, s := range []string{
		"\r\n+CSQ: 20,99\r\n\r\nOK\r\n", "+CDS: 25\r\nOK\r\n", "+CDS: 25\r\n0011\r\nERROR", "+CMGS: 1\r\nOK\r\nOK\r\n", "> > > \r\n+CMS ERROR: x\r\n",
		"RDY\r\n+CREG: 1\r\n", "+CME ERROR: \r\n", "AT+CSQ\r\r\n+CSQ\r\n", ":\r\n+:\r\n^:\r\n*\r\n", "OK",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, in string, send bool) {
		synctest.Test(t, func(t *testing.T) {
			l, _ := open(t, Options{}, func(cmd string, say func(string)) {
				switch {
				case cmd == "AT+CGSN":
					say("\r\n" + testIMEI + "\r\n\r\nOK\r\n")
				case strings.HasPrefix(cmd, "AT"):
					say(in)
				}
			})
			if send {
				sms(l, pdu)
			} else {
				do(l, "+CSQ", time.Second)
			}
			l.Abort()
			if _, err := l.Resync(t.Context(), testIMEI); err != nil {
				t.Fatalf("resync: %v", err)
			}
			urcs(l)
		})
	})
}

func BenchmarkCommand(b *testing.B) {
	ours, theirs := netPipe(b)
	l := New(ours, Options{})
	defer l.Close()
	go func() {
		buf := make([]byte, 64)
		for {
			if _, err := theirs.Read(buf); err != nil {
				return
			}
			theirs.Write([]byte("\r\n+CSQ: 20,99\r\n\r\nOK\r\n"))
		}
	}()
	for b.Loop() {
		if _, err := do(l, "+CSQ", time.Second); err != nil {
			b.Fatal(err)
		}
	}
}
