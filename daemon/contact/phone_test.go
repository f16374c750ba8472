package contact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

func TestParsePhone(t *testing.T) {
	home := Plan{}
	withArea := Plan{Area: "617"}
	wider := Plan{Allowed: []string{"CA", "44"}}
	for _, c := range []struct {
		raw    string
		plan   Plan
		e164   string
		reason Reason
	}{
		{"+16175551234", home, "+16175551234", ""},
		{"(617) 555-1234", home, "+16175551234", ""},
		{"617.555.1234", home, "+16175551234", ""},
		{"1-617-555-1234", home, "+16175551234", ""},
		{" tel:+1-617-555-1234 ", home, "+16175551234", ""},
		{"617\u00a0555\u20111234", home, "+16175551234", ""},
		{"617-555-1234 x22", home, "+16175551234", ""},
		{"617-555-1234 ext. 22", home, "+16175551234", ""},
		{"+16175551234;ext=5", home, "+16175551234", ""},
		{"555-1234", withArea, "+16175551234", ""},
		{"+17875551234", home, "+17875551234", ""}, // Puerto Rico is home
		{"+16715551234", home, "+16715551234", ""}, // Guam too
		{"+14165551234", wider, "+14165551234", ""},
		{"+447400123456", wider, "+447400123456", ""},
		{"+12025550143", home, "+12025550143", ""}, // fictitious, and accepted

		{"555-1234", home, "", TooShort}, // never guess an area
		{"271-9000", home, "", TooShort}, // so in Epic's own sample
		{"911", home, "", Short},
		{"72345", home, "", Short},
		{"+911", home, "", Invalid},
		{"+19005551234", home, "", Premium},
		{"617-976-1234", home, "", Premium},
		{"800-555-1234", home, "", Premium},
		{"+14165551234", home, "", Foreign},
		{"+18765551234", home, "", Foreign}, // Jamaica dials like a neighbour and is billed otherwise
		{"+447400123456", home, "", Foreign},
		{"+18095551234", wider, "", Foreign},
		{"1-800-FLOWERS", home, "", Invalid},
		{"0170/4711", home, "", Invalid},
		{"555-1^null^CP", home, "", Invalid},
		{"N", home, "", Invalid},
		{"", home, "", Invalid},
		{"+", home, "", Invalid},
		{"617+5551234", home, "", Invalid},
		{"1111111111", home, "", Invalid},
		{"6666666666", home, "", Invalid},
		{"+15555551234", home, "", Invalid},
		{"jane@example.org", home, "", Invalid},
		{strings.Repeat("1", 100), home, "", Invalid},
	} {
		p, err := ParsePhone(c.raw, c.plan)
		var ne *NumberError
		if errors.As(err, &ne) {
			if ne.Reason != c.reason {
				t.Errorf("ParsePhone(%q) refused as %s, want %s", c.raw, ne.Reason, c.reason)
			}
			if !p.IsZero() {
				t.Errorf("ParsePhone(%q) gave a number and an error", c.raw)
			}
			continue
		}
		if err != nil || c.reason != "" || p.E164() != c.e164 {
			t.Errorf("ParsePhone(%q) = %s, %v, want %s or reason %q", c.raw, p.E164(), err, c.e164, c.reason)
		}
	}
}

func phone(t testing.TB, e164 string) Phone {
	t.Helper()
	p, err := ParsePhone(e164, Plan{Allowed: []string{"GB"}})
	if err != nil {
		t.Fatalf("%q: %v", e164, err)
	}
	return p
}

func TestPhoneParts(t *testing.T) {
	p := phone(t, "+16175551234")
	if p.Prefix() != "1617555" || p.Country() != "US" || p.Line() != LineUnknown || p.Fictitious() {
		t.Errorf("prefix %s, country %s, line %q, fictitious %t", p.Prefix(), p.Country(), p.Line(), p.Fictitious())
	}
	gb := phone(t, "+447400123456")
	if gb.Prefix() != "4474001" || gb.Country() != "GB" || gb.Line() != LineMobile {
		t.Errorf("prefix %s, country %s, line %q", gb.Prefix(), gb.Country(), gb.Line())
	}
	if !phone(t, "+12025550143").Fictitious() || phone(t, "+12025550243").Fictitious() {
		t.Error("only 555-0100 to 555-0199 are kept for fiction")
	}
	if (Phone{}).E164() != "" || (Phone{}).Prefix() != "" || (Phone{}).Country() != "" || (Phone{}).Fictitious() {
		t.Error("the zero Phone is a number")
	}
	if phone(t, "617-555-1234") != p {
		t.Error("two writings of a number are not equal")
	}
}

// TestPhoneNeverShowsItself prints a number in every way that a log or an error could, unexported
// fields of other structs among them.
func TestPhoneNeverShowsItself(t *testing.T) {
	p := phone(t, "+16175551234")
	holder := struct {
		To     Phone
		hidden Phone
		list   []Phone
		id     SubjectID
		byKey  map[Phone]SubjectID
	}{p, p, []Phone{p}, SubjectID{"HOSP", "MRN777"}, map[Phone]SubjectID{p: {"HOSP", "MRN777"}}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+"\n", p)
		fmt.Fprintf(&out, verb+"\n", holder.To)
		fmt.Fprintf(&out, verb+"\n", holder.list)
		fmt.Fprintf(&out, verb+"\n", SubjectID{"HOSP", "MRN777"})
		fmt.Fprintf(&out, verb+"\n", Subject{ID: SubjectID{"HOSP", "MRN777"}, Phones: []Number{{Phone: p}}})
	}
	fmt.Fprintf(&out, "%v %+v %#v\n", holder.hidden, struct{ p Phone }{p}, struct{ p Phone }{p})
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "phone", p, "id", SubjectID{"HOSP", "MRN777"}, slog.Group("g", "p", p),
			"subject", Subject{ID: SubjectID{"HOSP", "MRN777"}, Phones: []Number{{Phone: p}}},
			"contact", Contact{Phone: p}, "number", Number{Phone: p},
			"appointment", Appointment{Subject: SubjectID{"HOSP", "MRN777"}}, "change", Change{Old: p},
			"update", SubjectUpdate{ID: SubjectID{"HOSP", "MRN777"}}, "site", Site{Pilot: []Phone{p}})
	}
	_, err := ParsePhone("+19005551234", Plan{})
	fmt.Fprintln(&out, err)
	for _, planted := range []string{"5551234", "617555", "MRN777", fmt.Sprintf("%x", "5551234"), "9005551234"} {
		if strings.Contains(out.String(), planted) {
			t.Errorf("%q shows in:\n%s", planted, out.String())
		}
	}
	if !strings.Contains(out.String(), "tel:..34") {
		t.Error("nobody can tell two numbers apart")
	}
}

func TestPhoneKeepsItsTextForm(t *testing.T) {
	p := phone(t, "+16175551234")
	b, err := json.Marshal(map[string]any{"to": p, "none": Phone{}})
	if err != nil || !bytes.Contains(b, []byte(`"to":"+16175551234"`)) || !bytes.Contains(b, []byte(`"none":""`)) {
		t.Fatalf("%s, %v", b, err)
	}
	var got struct{ To, None Phone }
	if err := json.Unmarshal(b, &got); err != nil || got.To != p || !got.None.IsZero() {
		t.Fatalf("%v %v, %v", got.To == p, got.None.IsZero(), err)
	}
	for _, bad := range []string{"6175551234", "+", "+0617555", "+1617555123a", "+12345678901234567"} {
		if err := new(Phone).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzParsePhone(f *testing.F) {
	for _, s := range []string{"+16175551234", "(617) 555-1234 x9", "5551234", "\x00", "+++", "１２３", "tel:", "ext"} {
		f.Add(s, "617")
	}
	f.Fuzz(func(t *testing.T, raw, area string) {
		p, err := ParsePhone(raw, Plan{Area: area, Allowed: []string{"GB", "49"}})
		if err != nil {
			var ne *NumberError
			if !errors.As(err, &ne) || !p.IsZero() {
				t.Fatalf("an error that is no *NumberError, or a number with it: %v", err)
			}
			return
		}
		var q Phone
		if b, err := p.MarshalText(); err != nil || q.UnmarshalText(b) != nil || q != p {
			t.Fatal("an accepted number does not survive its own text form")
		}
		if again, err := ParsePhone(p.E164(), Plan{Allowed: []string{"GB", "49"}}); err != nil || again != p {
			t.Fatal("an accepted number is not accepted in E.164")
		}
	})
}

// TestShortcutAgreesWithTheLibrary holds our reading of plain North American numbers to the
// library's, over every area code.
func TestShortcutAgreesWithTheLibrary(t *testing.T) {
	for area := range 1000 {
		s := fmt.Sprintf("+1%03d5551234", area)
		want := ""
		n, err := phonenumbers.Parse(s, "US")
		if err == nil && phonenumbers.IsValidNumber(n) && !premium(n, phonenumbers.GetNationalSignificantNumber(n), phonenumbers.GetNumberType(n)) {
			want = phonenumbers.GetRegionCodeForNumber(n)
		}
		got := ""
		everywhere := Plan{Allowed: []string{"1"}}
		if p, err := ParsePhone(s, everywhere); err == nil {
			got = p.Country()
		}
		if got != want {
			t.Errorf("area %03d is of %q, the library says %q", area, got, want)
		}
	}
}

func BenchmarkParsePhone(b *testing.B) {
	for b.Loop() {
		if _, err := ParsePhone("(617) 555-1234", Plan{}); err != nil {
			b.Fatal(err)
		}
	}
}
