package hl7

import "testing"

// TestPhone plays what PID-13 holds in real feeds. The numbers are of the ranges
// for fiction, or made up and without an area.
func TestPhone(t *testing.T) {
	tests := []struct {
		name, raw string
		want      Phone
		none      bool
	}{
		{name: "parts", raw: "^PRN^PH^^^202^5550123",
			want: Phone{Class: PhonePrimary, Source: FromParts, Digits: "2025550123", Area: "202", Local: "5550123"}},
		{name: "parts with country", raw: "^PRN^CP^^1^202^555-0123^9",
			want: Phone{Class: PhoneCell, Source: FromParts, Digits: "12025550123", Country: "1", Area: "202", Local: "5550123", Extension: "9"}},
		{name: "parts with a plus", raw: "^PRS^PH^^+44^20^79460123",
			want: Phone{Class: PhonePersonal, Source: FromParts, Plus: true, Digits: "442079460123", Country: "44", Area: "20", Local: "79460123"}},
		{name: "unformatted first", raw: "(202)555-0100^PRN^PH^^^202^5550111^^^^^+12025550122",
			want: Phone{Class: PhonePrimary, Source: FromUnformatted, Plus: true, Digits: "12025550122"}},
		{name: "unformatted without digits is passed over", raw: "2025550100^^PH^^^^^^^^^n/a",
			want: Phone{Class: PhoneOther, Source: FromText, Digits: "2025550100"}},
		{name: "parts before text", raw: "2025550100^ORN^PH^^^202^5550111",
			want: Phone{Class: PhoneOther, Source: FromParts, Digits: "2025550111", Area: "202", Local: "5550111"}},
		{name: "area apart from the text", raw: "555-0123^PRN^CP^^^202",
			want: Phone{Class: PhoneCell, Source: FromParts, Digits: "2025550123", Area: "202", Local: "5550123"}},
		{name: "area apart from the unformatted", raw: "^PRN^CP^^1^202^^^^^^5550123",
			want: Phone{Class: PhoneCell, Source: FromParts, Digits: "12025550123", Country: "1", Area: "202", Local: "5550123"}},
		{name: "US notation", raw: "(202)555-0123",
			want: Phone{Class: PhoneOther, Source: FromText, Digits: "2025550123"}},
		{name: "seven digits are given as they are", raw: "5550123^^CP",
			want: Phone{Class: PhoneCell, Source: FromText, Digits: "5550123"}},
		{name: "Epic's own example, no area", raw: "271-9000",
			want: Phone{Class: PhoneOther, Source: FromText, Digits: "2719000"}},
		{name: "German slash", raw: "0170/4711",
			want: Phone{Class: PhoneOther, Source: FromText, Digits: "01704711"}},
		{name: "simhospital HOME", raw: "020 7946 0123^HOME",
			want: Phone{Class: PhonePrimary, Source: FromText, Digits: "02079460123"}},
		{name: "Patients Know Best PRS is mobile", raw: "07700900123^PRS",
			want: Phone{Class: PhonePersonal, Source: FromText, Digits: "07700900123"}},
		{name: "MOBILE in the use", raw: "07700900123^Mobile",
			want: Phone{Class: PhonePersonal, Source: FromText, Digits: "07700900123"}},
		{name: "null written out", raw: "555-1^null^CP",
			want: Phone{Class: PhoneCell, Source: FromText, Digits: "5551"}},
		{name: "international with trunk prefix", raw: "+44 (0)20 7946 0123",
			want: Phone{Class: PhoneOther, Source: FromText, Plus: true, Digits: "442079460123"}},
		{name: "x extension", raw: "(202)555-0123x45",
			want: Phone{Class: PhoneOther, Source: FromText, Digits: "2025550123", Extension: "45"}},
		{name: "ext. extension", raw: "202.555.0123 Ext. 45^WPN^PH",
			want: Phone{Class: PhoneWork, Work: true, Source: FromText, Digits: "2025550123", Extension: "45"}},
		{name: "work mobile", raw: "2025550123^WPN^CP",
			want: Phone{Class: PhoneCell, Work: true, Source: FromText, Digits: "2025550123"}},
		{name: "escaped", raw: `202\S\5550123`, none: true},
		{name: "a letter for none", raw: "N", none: true},
		{name: "letters in it", raw: "202-555-CALL", none: true},
		{name: "a remark behind it", raw: "2025550123 ask for Bob", none: true},
		{name: "extension that is none", raw: "2025550123 x", none: true},
		{name: "extension without number", raw: "x45", none: true},
		{name: "two numbers", raw: "2025550123;2025550124", none: true},
		{name: "fax", raw: "2025550123^WPN^FX", none: true},
		{name: "pager", raw: "2025550123^BPN^BP", none: true},
		{name: "modem", raw: "2025550123^PRN^MD", none: true},
		{name: "text telephone is kept and not called", raw: "2025550123^PRN^TDD",
			want: Phone{Class: PhonePrimary, Source: FromText, Digits: "2025550123", NoVoice: true}},
		{name: "teletypewriter", raw: "2025550123^ORN^tty",
			want: Phone{Class: PhoneOther, Source: FromText, Digits: "2025550123", NoVoice: true}},
		{name: "internet by equipment", raw: "2025550123^PRN^Internet", none: true},
		{name: "e-mail by use", raw: "anna1@example.org^NET", none: true},
		{name: "e-mail without use", raw: "anna1@example.org", none: true},
		{name: "e-mail in its place", raw: "^NET^X.400^anna1@example.org", none: true},
		{name: "empty", raw: "^PRN^PH", none: true},
		{name: "letters in the area", raw: "^PRN^PH^^^2o2^5550123", none: true},
		{name: "area without local number", raw: "^PRN^PH^^1^202", none: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := parse(t, header+"\rPID|1||||||||||||"+tt.raw)
			x := m.Segment("PID", 1).Field(14).Rep(1).XTN()
			if x != (XTN{}) {
				t.Fatal("the test reads the wrong field")
			}
			got, ok := m.Segment("PID", 1).Field(13).Rep(1).XTN().Phone()
			if ok == tt.none {
				t.Fatalf("found %v, want %v", ok, !tt.none)
			}
			if got != tt.want {
				t.Errorf("got %s %s|%s|%s ext %s class %d source %d plus %v work %v",
					got.Digits, got.Country, got.Area, got.Local, got.Extension, got.Class, got.Source, got.Plus, got.Work)
			}
		})
	}
}

func TestXTNComponents(t *testing.T) {
	m := parse(t, header+"\rPID|1||||||||||1^2^3^4^5^6^7^8^9^10^11^12")
	want := XTN{Text: "1", Use: "2", Equipment: "3", Email: "4", Country: "5", Area: "6", Local: "7", Extension: "8", AnyText: "9", ExtPrefix: "10", SpeedDial: "11", Unformatted: "12"}
	if got := m.Segment("PID", 1).Field(11).Rep(1).XTN(); got != want {
		t.Error("components are in the wrong places")
	}
}
