package hl7

import (
	"testing"
	"unicode/utf8"
)

func TestEscapes(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"none", "plain", "plain"},
		{"delimiters", `\F\\S\\R\\T\\E\`, `|^~&\`},
		{"in text", `Smith \T\ Sons`, "Smith & Sons"},
		{"line break", `one\.br\two`, "one\ntwo"},
		{"highlighting", `\H\loud\N\ voice`, "loud voice"},
		{"python-hl7#84 the tail of E R stays", `\E\R\`, `\R\`},
		{"HL7-dotnetcore#77 lone backslash", `BSV 4\5 re.`, `BSV 4\5 re.`},
		{"two lone backslashes around a real one", `4\5 a \T\ b`, `4\5 a & b`},
		{"at the end", `C:\`, `C:\`},
		{"connect#4097 doubled", `a\\T\\b`, `a\&\b`},
		{"empty sequence", `a\\b`, `a\\b`},
		{"HL7-dotnetcore#53 hex, mixed", `a\X000d\\X0A\b`, "a\r\nb"},
		{"hex, both bytes", `\X0D0A\`, "\r\n"},
		{"hex of one character over two sequences", `\XC3\\XA9\`, "é"},
		{"hex Latin-1", `\XE9\`, "é"},
		{"hex as UTF-16 unit", `\X00E9\`, "é"},
		{"hex odd", `\X0\`, `\X0\`},
		{"hex empty", `\X\`, `\X\`},
		{"hex no hex", `\XGG\`, `\XGG\`},
		{"hex without end", `\X41`, `\X41`},
		{"unknown kept whole", `\Zabc\T\`, `\Zabc\T\`},
		{"character set kept whole", `\C2842\x\M244242\`, `\C2842\x\M244242\`},
		{"formatting kept whole", `\.sp+2\x`, `\.sp+2\x`},
		{"what cannot be a sequence", `\Z a\T\`, `\Z a&`},
		{"truncation not declared", `\P\`, `\P\`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := parse(t, header+"\rNTE|1||"+tt.raw)
			f := m.Segment("NTE", 1).Field(3)
			if f.String() != tt.want {
				t.Errorf("%q decodes to %q, want %q", tt.raw, f.String(), tt.want)
			}
			if f.Raw() != tt.raw {
				t.Errorf("raw is %q, want %q", f.Raw(), tt.raw)
			}
		})
	}
	if got := parse(t, "MSH|^~\\&#|\rNTE|1||\\P\\").Get("NTE-3"); got != "#" {
		t.Errorf("declared truncation decodes to %q", got)
	}
	if got := parse(t, "MSH|^~`&|\rNTE|1||`F`\\F\\").Get("NTE-3"); got != `|\F\` {
		t.Errorf("other escape character decodes to %q", got)
	}
}

func TestCharsets(t *testing.T) {
	msg := func(msh18, value string) string {
		return "MSH|^~\\&|A|B|C|D|||ADT^A04|1|P|2.5||||||" + msh18 + "\rPID|1||" + value
	}
	tests := []struct{ name, charset, payload, want string }{
		{"UTF-8, nothing said", "", msg("", "Zoë"), "Zoë"},
		{"Windows-1252, nothing said", "", msg("", "Zo\xeb \x80"), "Zoë €"},
		{"0211 name", "", msg("UNICODE UTF-8", "Zoë"), "Zoë"},
		{"camel#10880 UTF-8", "", msg("UTF-8", "Zoë"), "Zoë"},
		{"declared UTF-8 and is not", "", msg("UNICODE UTF-8", "Zo\xeb"), "Zoë"},
		{"8859/1", "", msg("8859/1", "Zo\xeb"), "Zoë"},
		{"ISO-8859-1", "", msg("ISO-8859-1", "Zo\xeb"), "Zoë"},
		{"ISO_8859-2", "", msg("ISO_8859-2", "\xb1"), "ą"},
		{"8859/15", "", msg("8859/15", "\xa4"), "€"},
		{"8859/7", "", msg("8859/7", "\xe1"), "α"},
		{"8859/5", "", msg("8859/5", "\xd0"), "а"},
		{"first of several", "", msg("8859/15~UNICODE", "\xa4"), "€"},
		{"unknown name", "", msg("ISO IR87", "Zoë"), "Zoë"},
		{"default of the peer", "8859/2", msg("", "\xb1"), "ą"},
		{"MSH-18 before the default", "8859/2", msg("8859/1", "\xb1"), "±"},
		{"byte order mark before MSH-18", "", "\ufeff" + msg("8859/1", "Zoë"), "Zoë"},
		{"connect#6048 UTF-16 little endian", "", utf16of(msg("", "Zoë"), 0), "Zoë"},
		{"UTF-16 big endian", "", utf16of(msg("", "Zoë"), 1), "Zoë"},
		{"escape among Latin-1", "8859/1", msg("", "\xe9 \\T\\ \xe9"), "é & é"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Options{Charset: tt.charset}.Parse([]byte(tt.payload))
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Get("PID-3"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// utf16of writes s, which has no character beyond U+FFFF, with a byte order mark.
func utf16of(s string, low int) string {
	var b []byte
	for _, r := range "\ufeff" + s {
		pair := [2]byte{}
		pair[low], pair[1-low] = byte(r), byte(r>>8)
		b = append(b, pair[:]...)
	}
	return string(b)
}

func TestEveryCharsetDecodesEveryByte(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for c := range charset(len(charmaps)) {
		if got := c.text(string(all)); !utf8.ValidString(got) || utf8.RuneCountInString(got) != 256 {
			t.Errorf("charset %d gives %d characters, valid %v", c, utf8.RuneCountInString(got), utf8.ValidString(got))
		}
	}
}
