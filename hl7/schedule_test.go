package hl7

import (
	"testing"
	"time"
)

// TestScheduledLength plays the places and units of a length: "text often s, m, Min" in SCH-10.
func TestScheduledLength(t *testing.T) {
	const zoned = "\rTQ1|1||||||20260101100000-0500|20260101104500-0500"
	tests := []struct {
		name, segments string
		want           time.Duration
	}{
		{"SCH-9 and SCH-10", "\rSCH|1||||||||30|MIN", 30 * time.Minute},
		{"SCH-10 as a person writes it", "\rSCH|1||||||||30|Min^Minutes^ISO+", 30 * time.Minute},
		{"m is minutes", "\rSCH|1||||||||30|m", 30 * time.Minute},
		{"s is seconds", "\rSCH|1||||||||1800|s", 30 * time.Minute},
		{"h is hours", "\rSCH|1||||||||2|HR", 2 * time.Hour},
		{"no unit is minutes", "\rSCH|1||||||||20", 20 * time.Minute},
		{"a decimal point", "\rSCH|1||||||||20.0|MIN", 20 * time.Minute},
		{"SCH before TQ1", "\rSCH|1||||||||30|MIN\rTQ1|1|||||45^min", 30 * time.Minute},
		{"TQ1-6", "\rSCH|1\rTQ1|1|||||45^min&minute&ISO+", 45 * time.Minute},
		{"SCH-11.3 with its unit before it", "\rSCH|1||||||||||^^M30^20260101", 30 * time.Minute},
		{"SCH-11.3 without unit", "\rSCH|1||||||||||^^30^20260101", 30 * time.Minute},
		{"AIS", "\rSCH|1\rAIS|1||||||15|MIN", 15 * time.Minute},
		{"AIL", "\rSCH|1\rAIL|1||||||||15|MIN", 15 * time.Minute},
		{"AIG", "\rSCH|1\rAIG|1||||||||||15|MIN", 15 * time.Minute},
		{"AIP", "\rSCH|1\rAIP|1||||||||15|MIN", 15 * time.Minute},
		{"start and end of TQ1", "\rSCH|1" + zoned, 45 * time.Minute},
		{"start and end of SCH-11", "\rSCH|1||||||||||^^^202601011000^202601011020", 20 * time.Minute},
		{"an end before its start", "\rSCH|1||||||||||^^^202601011000^202601010900", 0},
		{"zone at one end only", "\rSCH|1||||||||||^^^202601011000^202601011020-0500", 0},
		{"what is no number is passed over", "\rSCH|1||||||||half an hour|\rAIS|1||||||15|MIN", 15 * time.Minute},
		{"negative", "\rSCH|1||||||||-30|MIN", 0},
		{"longer than a year", "\rSCH|1||||||||4294967295|D", 0},
		{"not told", "\rSCH|1", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, header+tt.segments).ScheduledLength(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
