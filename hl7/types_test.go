package hl7

import (
	"errors"
	"testing"
	"time"
)

func TestTime(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		text string
		want string // RFC 3339, "" for an error
		p    Precision
	}{
		{"2026", "2026-01-01T00:00:00-05:00", PrecisionYear},
		{"202607", "2026-07-01T00:00:00-04:00", PrecisionMonth},
		{"20260704", "2026-07-04T00:00:00-04:00", PrecisionDay},
		{"2026070409", "2026-07-04T09:00:00-04:00", PrecisionHour},
		{"202607040930", "2026-07-04T09:30:00-04:00", PrecisionMinute},
		{"20260704093015", "2026-07-04T09:30:15-04:00", PrecisionSecond},
		{"20260704093015.25", "2026-07-04T09:30:15.25-04:00", PrecisionFraction},
		{"20260704093015.1234+0215", "2026-07-04T09:30:15.1234+02:15", PrecisionFraction},
		{"202601011200-0800", "2026-01-01T12:00:00-08:00", PrecisionMinute},
		{"20260101+0000", "2026-01-01T00:00:00Z", PrecisionDay},
		{"20240229", "2024-02-29T00:00:00-05:00", PrecisionDay},
		{"20260229", "", 0},
		{"20261301", "", 0},
		{"20260100", "", 0},
		{"202601012460", "", 0},
		{"2026010124", "", 0},
		{"00000000", "", 0},
		{"20260", "", 0},
		{"2026-01-01", "", 0},
		{"20260101T1200", "", 0},
		{"20260101.5", "", 0},
		{"20260101120000.", "", 0},
		{"20260101120000.1234567890", "", 0},
		{"20260101+1500", "", 0},
		{"20260101+05", "", 0},
		{"+0500", "", 0},
		{"-0500", "", 0},
		{"tomorrow", "", 0},
		{"2026 101", "", 0},
	}
	for _, tt := range tests {
		got, p, err := TS{text: tt.text}.Time(newYork)
		switch {
		case tt.want == "":
			if !errors.Is(err, ErrTime) {
				t.Errorf("%q: %v, %v, want ErrTime", tt.text, got, err)
			}
		case err != nil || p != tt.p || got.Format(time.RFC3339Nano) != tt.want:
			t.Errorf("%q: %s precision %d, %v; want %s precision %d", tt.text, got.Format(time.RFC3339Nano), p, err, tt.want, tt.p)
		}
	}
	if _, _, err := (TS{}).Time(newYork); !errors.Is(err, ErrNoTime) {
		t.Errorf("empty: %v, want ErrNoTime", err)
	}
	if got, _, err := (TS{text: "2026010112"}).Time(nil); err != nil || got.Location() != time.UTC {
		t.Errorf("no zone given: %v, %v, want UTC", got, err)
	}
	if !(TS{text: "2026+0100"}).HasZone() || (TS{text: "2026"}).HasZone() {
		t.Error("HasZone is wrong")
	}
}

func TestCX(t *testing.T) {
	m := parse(t, header+"\rPID|1||A\\T\\1&x^5^M11^HOSP&1.2.3&ISO^MR^FAC&9&L~22^^^OLD")
	f := m.Segment("PID", 1).Field(3)
	want := CX{ID: "A&1", CheckDigit: "5", CheckScheme: "M11", Authority: HD{"HOSP", "1.2.3", "ISO"}, Type: "MR", Facility: HD{"FAC", "9", "L"}}
	if got := f.Rep(1).CX(); got != want {
		t.Error("first identifier is wrong")
	}
	if got := f.Rep(2).CX(); got != (CX{ID: "22", Authority: HD{NamespaceID: "OLD"}}) {
		t.Error("second identifier is wrong")
	}
	if got := f.Rep(3).CX(); got != (CX{}) {
		t.Error("absent identifier has content")
	}
}

// TestScheduledStart plays the order TQ1-7, SCH-11.4, AIS-4, AIL-6, AIG-8, AIP-6.
func TestScheduledStart(t *testing.T) {
	const (
		sch = "\rSCH|1|||||||||^^30^20260202"
		sc0 = "\rSCH|1"
		tq1 = "\rTQ1|1||||||20260101"
		ais = "\rAIS|1|||20260303"
		ail = "\rAIL|1|||||20260404"
		aig = "\rAIG|1|||||||20260505"
		aip = "\rAIP|1|||||20260606"
	)
	// SCH-11 is the timing, SCH-11.4 its start.
	sch11 := "\rSCH|1||||||||||^^30^20260202^20260203"
	tests := []struct{ name, segments, from, want string }{
		{"TQ1 first", sch11 + tq1 + ais, "TQ1-7", "20260101"},
		{"SCH-11.4", sch11 + ais, "SCH-11.4", "20260202"},
		{"SCH-10 is no start", sch + ais, "AIS-4", "20260303"},
		{"null is no start", "\rSCH|1||||||||||^^^\"\"" + "\rTQ1|1||||||\"\"" + ais, "AIS-4", "20260303"},
		{"AIL", sc0 + aip + aig + ail, "AIL-6", "20260404"},
		{"AIG", sc0 + aip + aig, "AIG-8", "20260505"},
		{"AIP", sc0 + aip, "AIP-6", "20260606"},
		{"none", sc0, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ts, from := parse(t, header+tt.segments).ScheduledStart()
			if ts.text != tt.want || from.String() != tt.from {
				t.Errorf("got %q from %q, want %q from %q", ts.text, from, tt.want, tt.from)
			}
		})
	}
}
