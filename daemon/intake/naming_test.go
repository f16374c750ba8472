package intake

import (
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
)

// visitBy is an event about an appointment that goes by SCH-1, SCH-2 or both.
func visitBy(event string, start time.Time, placer, filler string) string {
	return strings.Replace(siu(event, start, ""), "SCH|P1^EPIC|A77^EPIC|", "SCH|"+placer+"|"+filler+"|", 1)
}

// TestVisitByItsOtherID: an appointment is the same one whichever of its ids a message has, once one had both; a series
// under one placer's id is as many as it has filler's ids, and so is what two systems number alike.
func TestVisitByItsOtherID(t *testing.T) {
	at := clock(3, 9)
	const one = "reminder@09/24h reminder@09/2h"
	type step struct{ message, want string }
	for name, steps := range map[string][]step{
		"placer, then both, ended by both": {
			{visitBy("S12", at, "P9^EPIC", ""), one}, {visitBy("S14", at, "P9^EPIC", "F9^CAD"), one}, {visitBy("S15", at, "P9^EPIC", "F9^CAD"), "cancelled@09/cancelled"}},
		"ended by the filler's": {
			{visitBy("S12", at, "P9^EPIC", ""), one}, {visitBy("S14", at, "P9^EPIC", "F9^CAD"), one}, {visitBy("S15", at, "", "F9^CAD"), "cancelled@09/cancelled"}},
		"ended by the placer's": {
			{visitBy("S12", at, "P9^EPIC", ""), one}, {visitBy("S14", at, "P9^EPIC", "F9^CAD"), one}, {visitBy("S15", at, "P9^EPIC", ""), "cancelled@09/cancelled"}},
		"both, ended by the placer's": {
			{visitBy("S12", at, "P9^EPIC", "F9^CAD"), one}, {visitBy("S15", at, "P9^EPIC", ""), "cancelled@09/cancelled"}},
		"ended before it was booked by both": {
			{visitBy("S15", at, "P9^EPIC", ""), ""}, {header("SIU^S12", "OLD", time.Now().Add(-time.Minute)) + strings.TrimPrefix(visitBy("S12", at, "P9^EPIC", "F9^CAD"), "SIU^S12"), ""}},
		"one number in one namespace": {
			{visitBy("S12", at, "P9", ""), one}, {visitBy("S14", at, "P9", "P9"), one}, {visitBy("S15", at, "", "P9"), "cancelled@09/cancelled"}},
		"a series under one placer's id": {
			{visitBy("S12", at, "P9^EPIC", ""), one}, {visitBy("S14", at, "P9^EPIC", "F1^CAD"), one},
			{visitBy("S12", clock(4, 9), "P9^EPIC", "F2^CAD"), one + " " + one}, {visitBy("S17", clock(4, 9), "P9^EPIC", "F2^CAD"), one}},
		"a series that began with both": {
			{visitBy("S12", at, "P9^EPIC", "F1^CAD"), one}, {visitBy("S12", clock(4, 9), "P9^EPIC", "F2^CAD"), one + " " + one},
			{visitBy("S17", at, "P9^EPIC", ""), one + " " + one}},
		"booked anew under one placer's id": {
			{visitBy("S12", at, "P9^EPIC", "F1^CAD"), one}, {visitBy("S17", at, "P9^EPIC", "F1^CAD"), ""},
			{visitBy("S12", clock(4, 9), "P9^EPIC", "F2^CAD"), one}, {visitBy("S17", clock(4, 9), "P9^EPIC", ""), ""}},
		"a filler's number that is a placer's elsewhere": {
			{visitBy("S12", at, "", "P9"), one}, {visitBy("S12", clock(4, 9), "P9", "F9"), one + " " + one}, {visitBy("S17", clock(4, 9), "", "F9"), one}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			for i, s := range steps {
				sendOK(t, b, s.message)
				got := strings.Fields(b.plan())
				if want := strings.Fields(s.want); !sameWords(got, want) {
					t.Fatalf("step %d: waiting are %q, want %q", i, got, want)
				}
			}
		})
	}
	// What is for training names nothing that is real.
	b := newBoxIn(t, Listener{Name: "adt", Mode: contact.Shadow})
	sendOK(t, b, visitBy("S12", at, "P9^EPIC", ""))
	training := strings.Replace(b.message(visitBy("S15", at, "P9^EPIC", "F9^CAD")), "|P|2.5.1", "|T|2.5.1", 1)
	b.raw(training)
	sendOK(t, b, visitBy("S14", at, "P9^EPIC", "F9^CAD"))
	if got := b.last().Did; !strings.Contains(got, "appointment updated") {
		t.Errorf("after a message for training: %q", got)
	}
}

func sameWords(a, b []string) bool {
	count := map[string]int{}
	for _, w := range a {
		count[w]++
	}
	for _, w := range b {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}
