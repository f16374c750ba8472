package modem

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pinward/modem/line"
	"pinward/modem/voice"
)

// The museum: what named devices answer, as their manuals and the threads named in the files have it. A file for each profile; a
// line is "parser | answer => what is read", '/' parts the lines of an answer, and "none" says that nothing can be read.
var parsers = map[string]func(profile, string) string{
	"iccid": func(_ profile, s string) string { return digits([]string{s}) },
	"tries": func(_ profile, s string) string {
		if n, ok := triesIn(s); ok {
			return strconv.Itoa(n)
		}
		return ""
	},
	"reg": func(_ profile, s string) string {
		if r, ok := registrationIn(s); ok {
			return strconv.Itoa(int(r))
		}
		return ""
	},
	"storage": func(_ profile, s string) string {
		if f := fields(s); len(f) >= 3 {
			return f[2]
		}
		return ""
	},
	"number": func(_ profile, s string) string {
		if f := fields(s); len(f) >= 2 {
			return f[1]
		}
		return ""
	},
	"listing": func(_ profile, s string) string {
		var out []string
		for _, e := range listing(strings.Split(s, " / ")) {
			out = append(out, fmt.Sprintf("%d:%d", e.index, len(e.pdu)/2))
		}
		return strings.Join(out, " ")
	},
	"ussd": func(p profile, s string) string {
		a, err := readUSSD(strings.ReplaceAll(s, `\n`, "\n"))
		if err != nil {
			return ""
		}
		amount, _ := p.amount(a.text)
		return amount
	},
	"ccfc": func(_ profile, s string) string { return forwardedTo([]string{"+CCFC: " + s}) },
	"ceer": func(_ profile, s string) string {
		if n := readCause([]string{"+CEER: " + s}); n > 0 {
			return strconv.Itoa(n)
		}
		return ""
	},
	"clcc": func(_ profile, s string) string {
		var out []string
		for _, c := range readCalls(strings.Split(s, " / ")) {
			out = append(out, fmt.Sprintf("%v:%d:%s", c.incoming, c.stat, c.number))
		}
		return strings.Join(out, " ")
	},
	"key": func(p profile, s string) string {
		if p.Voice == nil {
			return ""
		}
		k := &calling{v: p.Voice, keys: voice.NewKeys(), hint: make(chan struct{}, 1)}
		k.hear(s)
		select {
		case key := <-k.keys.C():
			return string(rune(key))
		default:
			return ""
		}
	},
	"cause": func(_ profile, s string) string {
		kind, rest, _ := strings.Cut(strings.TrimPrefix(s, "+"), " ERROR: ")
		r := &line.ResultError{Kind: kind, Code: -1, Words: rest}
		if n, err := strconv.Atoi(rest); err == nil {
			r.Code = n
		}
		var e *CMSError
		_, err := result(nil, r)
		if !errors.As(err, &e) {
			return ""
		}
		return string(e.Class)
	},
}

func TestMuseumOfEachProfile(t *testing.T) {
	for name := range profiles() {
		b, err := os.ReadFile(filepath.Join("testdata/museum", name+".txt"))
		if err != nil {
			t.Errorf("profile %s has no exhibits: %v", name, err)
			continue
		}
		source, cases := false, 0
		for i, l := range strings.Split(strings.TrimSpace(string(b)), "\n") {
			if strings.HasPrefix(l, "#") {
				source = true
				continue
			}
			what, rest, ok := strings.Cut(l, "|")
			parse := parsers[strings.TrimSpace(what)]
			at := strings.LastIndex(rest, "=>")
			if !ok || parse == nil || at < 0 || !source {
				t.Fatalf("%s, line %d: not an exhibit", name, i+1)
			}
			in, want := strings.TrimSpace(rest[:at]), strings.TrimSpace(rest[at+2:])
			if want == "none" {
				want = ""
			}
			if got := parse(profiles()[name], in); got != want {
				t.Errorf("%s, line %d: %q read as %q, want %q", name, i+1, in, got, want)
			}
			cases++
		}
		if cases < 8 {
			t.Errorf("%s: %d exhibits", name, cases)
		}
	}
}

func TestUSSDForms(t *testing.T) {
	for in, want := range map[string]string{
		`0,"Balance: 10.00",15`:      "Balance: 10.00",
		`0,"a, ""b"" and c",15`:      `a, ""b"" and c`,
		`0, "x" , 15`:                "x",
		`0,"1050",15`:                "1050", // digits, not octets
		`0,"D4F29C0E",15`:            "Test",
		`0,"00540065007300740021",0`: "Test!",
		`0,"0422043504410442",72`:    "Тест",
		`0,"C2303BEC1E9775",15`:      "Balance:",
		`0,"C2303BEC1E971B",15`:      "Balance", // CR fills the octet (23.038, 6.1.2.3.1)
		`0,"C2303BEC1E9701",15`:      "Balance",
		`0,"CAFE",15`:                string(unpacked([]byte{0xca, 0xfe})),
		`2,`:                         "",
		`0,"cut`:                     "cut",
		"0,\"two\nlines\",15":        "two\nlines",
		`0,"ABC",15`:                 "ABC", // odd: not octets
	} {
		a, err := readUSSD(in)
		if err != nil || a.text != want {
			t.Errorf("%q: %q, %v; want %q", in, a.text, err, want)
		}
	}
	for _, bad := range []string{"", "x", "6", "-1", `"0"`} {
		if _, err := readUSSD(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func FuzzUSSD(f *testing.F) {
	for _, s := range []string{`0,"Balance: 10.00",15`, `0,"C2303BEC1E9775",15`, `1,"0042",72`, "2", `0,"`, `0,"ÿ",999`, `0,"00",8`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := readUSSD(s)
		if err != nil && a.text != "" {
			t.Fatal("text beside an error")
		}
		for name := range profiles() {
			if amount, ok := profiles()[name].amount(a.text); ok && (amount == "" || strings.Trim(amount, "-.0123456789") != "") {
				t.Fatalf("amount %q", amount)
			}
		}
	})
}

func FuzzListing(f *testing.F) {
	for _, s := range []string{
		"+CMGL: 1,1,,24\n0791", "+CMGL: 1,1,,24\n+CMGL: 2,1,,3\n0011000B", "+CMGL: x\n00", "+CMGL: 1,1\n", "+CMGL: -1,1,,5\n00\n00",
		"+CMGL: 99999999999999999999,1,,1\n00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lines := strings.Split(s, "\n")
		got := listing(lines)
		if len(got) > len(lines)/2 {
			t.Fatalf("%d entries of %d lines", len(got), len(lines))
		}
		for _, e := range got {
			if e.whole() && len(e.pdu) != 2*(1+e.length)+2*hexOctet(e.pdu) {
				t.Fatalf("entry of %d octets is called whole with %d", e.length, len(e.pdu)/2)
			}
			if _, err := decode(e.pdu); err != nil && !errors.Is(err, errPDU) {
				t.Fatal("an error that shows the PDU")
			}
		}
		for _, read := range parsers {
			read(generic(), s+",,")
		}
	})
}

func hexOctet(pdu string) int {
	n, _ := strconv.ParseUint(pdu[:2], 16, 8)
	return int(n)
}
