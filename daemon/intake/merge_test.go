package intake

import (
	"strings"
	"testing"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/text"
	"pinward/store"
)

// TestMerge moves what waits to the survivor; the loser's numbers are not used any more.
func TestMerge(t *testing.T) {
	for _, event := range []string{"A40", "A34", "A47"} {
		b := newBox(t)
		sendOK(t, b, siu("S12", time.Now().Add(50*time.Hour), ""))
		sendOK(t, b, "ADT^A08\n"+jane+"\nPD1|||||||||||01")
		sendOK(t, b, "ADT^"+event+"\nPID|1||5000^^^RIV^MR||||||||||6175550000\nMRG|4711^^^RIV^MR~4712^^^RIV^MR~123^^^USA^SS")
		s, known := b.subject("4711")
		if !known || s.ID.MRN != "5000" || len(s.Phones) != 0 || !s.NoTexts {
			t.Errorf("%s: the loser leads to %d numbers, no texts %v", event, len(s.Phones), s.NoTexts)
		}
		if e := b.last(); strings.Count(e.Did, "merged") != 2 {
			t.Errorf("%s: did %q", event, e.Did)
		}
		b.View(func(tx *store.Tx) error {
			list, err := contact.AppointmentsOf(tx, contact.SubjectID{Authority: "RIV", MRN: "5000"})
			if len(list) != 1 {
				t.Errorf("%s: the survivor has %d appointments", event, len(list))
			}
			return err
		})
		sendOK(t, b, "ADT^A08\n"+jane) // the loser again
		if got := b.numbers("5000"); len(got) != 0 {
			t.Errorf("%s: a message about the loser gave the survivor %q", event, got)
		}
	}
}

// TestMergeUnitesOptOuts holds the loser's STOP against the survivor's number.
func TestMergeUnitesOptOuts(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, "ADT^A08\n"+jane)
	sendOK(t, b, "ADT^A08\nPID|1||4712^^^RIV^MR||||||||||6175559999^PRN^CP")
	b.Do(func(tx *store.Tx) error {
		s, _, err := contact.Find(tx, contact.SubjectID{Authority: "RIV", MRN: "4712"})
		if err != nil {
			return err
		}
		return consent.Set(tx, s.Phones[0].Phone, text.Care, consent.Out, consent.SourceSMS)
	})
	sendOK(t, b, "ADT^A40\nPID|1||4711^^^RIV^MR\nMRG|4712^^^RIV^MR")
	sendOK(t, b, siu("S12", time.Now().Add(50*time.Hour), ""))
	if got := b.whats(); got != "" || !strings.Contains(b.last().Why, "opted out") {
		t.Errorf("texts %q, why %q", got, b.last().Why)
	}
}

// TestMergeLeavesAProxysOptOut: who stood for the loser wants no texts; that says nothing of the survivor's own number.
func TestMergeLeavesAProxysOptOut(t *testing.T) {
	b := newBox(t)
	b.policy(Policy{Proxies: []string{"MTH"}})
	sendOK(t, b, "ADT^A04\n"+bob.Replace(jane)+"\nNK1|1|DOE^ANN|MTH||6175552222^PRN^CP")
	sendOK(t, b, "ADT^A04\n"+jane)
	b.Do(func(tx *store.Tx) error {
		return consent.Set(tx, b.phone("+16175552222"), text.Care, consent.Out, consent.SourceSMS)
	})
	sendOK(t, b, "ADT^A40\n"+jane+"\nMRG|4712^^^RIV^MR")
	b.View(func(tx *store.Tx) error {
		said, err := consent.Of(tx, b.phone("+16175551234"))
		if said.Texts == consent.Out {
			t.Errorf("the proxy's STOP holds against the patient's number: %s", b.last().Did)
		}
		return err
	})
}

// TestMergePairs takes each MRG with the PID before it, as A40 repeats them.
func TestMergePairs(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, "ADT^A40\nPID|1||1^^^RIV^MR\nMRG|2^^^RIV^MR\nPID|2||3^^^RIV^MR\nPD1|\nMRG|4^^^RIV^MR\nMRG|3^^^RIV^MR")
	for loser, survivor := range map[string]string{"2": "1", "4": "3"} {
		if s, _ := b.subject(loser); s.ID.MRN != survivor {
			t.Errorf("%s leads to %q", loser, s.ID.MRN)
		}
	}
	if e := b.last(); !strings.Contains(e.Why, "survivor and loser are the same") {
		t.Errorf("why %q", e.Why)
	}
}

func TestRemove(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, siu("S12", time.Now().Add(50*time.Hour), ""))
	sendOK(t, b, "ADT^A29\n"+jane)
	if _, known := b.subject("4711"); known || b.whats() != "" {
		t.Errorf("still known: %v, texts %q", known, b.whats())
	}
}
