package line

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMaskCommands(t *testing.T) {
	for cmd, want := range map[string]string{
		"":                                "AT",
		"E0":                              "ATE0",
		"+CSQ":                            "AT+CSQ",
		"+CPIN?":                          "AT+CPIN?",
		`+CPIN="4711"`:                    "AT+CPIN=***",
		`+CPIN=4711`:                      "AT+CPIN=***",
		`+CLCK="SC",1,"4711"`:             "AT+CLCK=***",
		`+CPMS="ME","ME","ME"`:            `AT+CPMS="ME","ME","ME"`,
		"+CMGS=24":                        "AT+CMGS=24",
		`+CMGS="+16175551234"`:            `AT+CMGS="***"`,
		"+CNMI=2,1,0,1,0":                 "AT+CNMI=2,1,0,1,0",
		"D+16175551234;":                  "ATD***",
		`+CUSD=1,"*100#",15`:              "AT+CUSD=***",
		`+CCFC=0,3,"+16175551234",145,1`:  `AT+CCFC=0,3,"***",145,1`,
		`+CMEE=1;+CREG=2;+CPIN="4711"`:    "AT+CMEE=1;+CREG=2;+CPIN=***",
		`+QURCCFG="urcport","usbat"`:      `AT+QURCCFG="urcport","usbat"`,
		`+QWTTS=1,1,2,"Your code is 482"`: `AT+QWTTS=1,1,2,"***"`,
		"+16175551234?":                   "AT***",
		"#PCT":                            "AT#PCT",
	} {
		if got := maskCommand(cmd); got != want {
			t.Errorf("AT%s is shown as %s, want %s", cmd, got, want)
		}
	}
}

func TestMaskLines(t *testing.T) {
	for _, v := range []struct{ s, cmd, want string }{
		{"OK", "+CSQ", "OK"}, {">", "", ">"}, {"RDY", "", "RDY"}, {"NO CARRIER", "", "NO CARRIER"},
		{"+CMS ERROR: 38", "+CMGS=24", "+CMS ERROR: 38"},
		{"+CMS ERROR: Network timeout", "", "+CMS ERROR: Network timeout"},
		{"+CME ERROR: call 6175551234", "", "+CME ERROR: ***"},
		{"COMMAND NOT SUPPORT", "", "COMMAND NOT SUPPORT"},
		{"+CSQ: 20,99", "+CSQ", "+CSQ: 20,99"},
		{`+CREG: 2,1,"1A2B","01C3D4E5",7`, "+CREG?", `+CREG: 2,1,"1A2B","01C3D4E5",7`},
		{"+CREG: 2,1, 2B67, 5FC2", "+CREG?", "+CREG: 2,1,2B67,5FC2"},
		{`+COPS: 0,0,"T-Mobile",7`, "+COPS?", `+COPS: 0,0,"T-Mobile",7`},
		{"+CPIN: SIM PIN", "+CPIN?", "+CPIN: SIM PIN"},
		{"861536030196001", "+CGSN", "<15 characters>"},
		{`+CGSN: "861536030196001"`, "+CGSN=1", `+CGSN: "***"`},
		{"+QCCID: 89490200001009500000", "+QCCID", "+QCCID: ***"},
		{"EC25EFAR06A03M4G", "+CGMR", "EC25EFAR06A03M4G"},
		{"IMEI: 861536030196001", "I", "IMEI: ***"},
		{"EC25EFAR06A03M4G", "+CSQ", "<16 characters>"},
		{`+CNUM: "Violet","+16175551234",145`, "+CNUM", `+CNUM: "***","***",145`},
		{`+CLIP: "+16175551234",145,"",0,"",0`, "", `+CLIP: "***",145,"",0,"",0`},
		{`+CMTI: "ME",3`, "", `+CMTI: "ME",3`},
		{"+CDS: 27", "", "+CDS: 27"},
		{"07911326040000F0040B911346610089F600", "", "<PDU, 18 octets>"},
		{"> 0031000B913316325476F80000010B\x1a", "+CMGS=24", "<PDU, 15 octets>"},
		{"+CMGL: 1,1,\"Violet\",24", "+CMGL=4", `+CMGL: 1,1,"***",24`},
		{`+CUSD: 0,"Balance 10.00, number 6175551234",15`, "", "+CUSD: 0,***"},
		{"AT+CPIN=\"4711\"", "", "AT+CPIN=***"},
		{"ATTENTION 6175551234", "", "AT***"},
		{"STOP", "", "<4 characters>"},
		{"+16175551234: hello", "", "<19 characters>"},
		{"*Info: hello", "", "<12 characters>"},
		{"^HCSQ:\"LTE\",47,50,161,24", "", "^HCSQ: \"LTE\",47,50,161,24"},
		{"^BOOT:20117468,0,0,0,75", "", "^BOOT: ***,0,0,0,75"},
		{"VOICE CALL: END: 000041", "", "<23 characters>"},
	} {
		if got := maskLine(v.s, v.cmd); got != v.want {
			t.Errorf("%q after AT%s is shown as %q, want %q", v.s, v.cmd, got, v.want)
		}
	}
}

// numbers are five digits or more in a row: what a phone number, a code, a serial number has, and nothing that may be shown.
var numbers = regexp.MustCompile(`[0-9]{5}`)

func FuzzMask(f *testing.F) {
	for _, s := range []string{
		`+CNUM: "Violet","+16175551234",145`, "+CMGL: 1,1,,24", "0791132604", "AT+CPIN=4711", "+COPS: 0,0,\"12345\"", "D12345;", "IMEI: 86153603",
		"+A12345: 1", "+CSQ: 12345", "\"12345", "+CMS ERROR: 12345",
	} {
		f.Add(s, "+CSQ")
		f.Add(s, "I")
	}
	f.Fuzz(func(t *testing.T, s, cmd string) {
		for _, got := range []string{maskCommand(s), maskLine(s, cmd), maskLine(`+CUSD: 0,"`+s, cmd)} {
			got = regexp.MustCompile(`^<[^>]*>$`).ReplaceAllString(got, "")
			if numbers.MatchString(got) {
				t.Fatalf("%q is shown as %q", s, got)
			}
		}
		secret := "Vq" + strings.Map(func(r rune) rune { // a text within quotes is not shown
			if r == '"' || r == '\n' || r == '\r' {
				return -1
			}
			return r
		}, s) + "qV"
		if got := maskLine(`+CLIP: "`+secret+`",145`, cmd); strings.Contains(got, "Vq") {
			t.Fatalf("a quoted text is shown in %q", got)
		}
		if got := maskLine(secret, "+CSQ"); strings.Contains(got, "Vq") {
			t.Fatalf("a text is shown in %q", got)
		}
	})
}

// A USSD text goes on over line ends: one code, shown nowhere, and no answer of a command that runs meanwhile is lost.
func TestUSSDTextOverSeveralLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown []string
		l, f := open(t, Options{Tap: func(_ bool, s string) { shown = append(shown, s) }}, func(cmd string, say func(string)) {
			if cmd == "AT+CSQ" {
				say("\r\n+CUSD: 0,\"Balance: 10.00\r\nOK Violet\r\n\r\nNumber 6175551234\",15\r\n\r\n+CSQ: 20,99\r\n\r\nOK\r\n")
			}
		})
		info, err := do(l, "+CSQ", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "answer", info, "+CSQ: 20,99")
		same(t, "URCs", urcs(l), "+CUSD: 0,\"Balance: 10.00\nOK Violet\nNumber 6175551234\",15")
		if s := strings.Join(shown, "\n"); strings.Contains(s, "Violet") || strings.Contains(s, "10.00") || strings.Contains(s, "617") {
			t.Fatalf("the text is shown:\n%s", s)
		}
		// Cut off on its way: what came is given on, and the answer behind it is the command's.
		f.say("\r\n+CUSD: 0,\"cut\r\n")
		if _, err := do(l, "+CSQ", time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if got := urcs(l); len(got) == 0 || !strings.HasPrefix(got[0], `+CUSD: 0,"cut`) {
			t.Fatalf("%q", got)
		}
	})
}
