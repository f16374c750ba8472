package hl7

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpus is the folder of real samples, which is not part of the module. packaging/test sets
// PINWARD_CORPUS where it is there: then its absence fails.
const corpus = "../../shared/hl7"

// TestCorpus reads every sample of the corpus to its last subcomponent and holds
// type and version against the corpus' own index.
func TestCorpus(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(corpus, "INDEX.tsv"))
	if os.IsNotExist(err) && os.Getenv("PINWARD_CORPUS") == "" {
		t.Skip("the corpus is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(index)), "\n")[1:]
	if len(lines) == 0 {
		t.Fatal("the index is empty")
	}
	for _, line := range lines {
		col := strings.Split(line, "\t")
		payload, err := os.ReadFile(filepath.Join(corpus, "samples", col[0]))
		if err != nil {
			t.Fatal(err)
		}
		m, err := Parse(payload)
		if head := string(payload[:3]); head == "FHS" || head == "BHS" {
			// Batches are refused as such; nothing else is.
			var e *Error
			if !errors.As(err, &e) || e.Code != CodeMessageType || e.Segment != head {
				t.Errorf("%s: %v, want a refused batch", col[0], err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", col[0], err)
			continue
		}
		if got := m.MSH(9).Raw(); got != col[3] {
			t.Errorf("%s: MSH-9 %q, want %q", col[0], got, col[3])
		}
		if got := m.MSH(12).Raw(); got != col[4] {
			t.Errorf("%s: MSH-12 %q, want %q", col[0], got, col[4])
		}
		if walk(m) == 0 {
			t.Errorf("%s: nothing in it", col[0])
		}
		if back := Ack(m, AckOptions{}); (back == nil) != m.IsAck() {
			t.Errorf("%s: acknowledged %q", col[0], back)
		} else if back != nil {
			if _, id, ok := parse(t, string(back)).Acknowledgment(); !ok || id != m.ControlID() {
				t.Errorf("%s: acknowledgment is for %q, want %q", col[0], id, m.ControlID())
			}
		}
	}
}

// walk reads all of a message and gives the number of values in it.
func walk(m *Message) int {
	n := 0
	for s := range m.Segments() {
		last := strings.Count(s.Raw(), string(m.enc.field)) + 1
		for i := 1; i <= last; i++ {
			for r := range s.Field(i).Reps() {
				_, _ = r.XTN().Phone()
				_, _, _ = r.TS().Time(nil)
				_ = r.CX()
				for c := 1; ; c++ {
					comp := r.Comp(c)
					if comp.Presence() == Absent {
						break
					}
					for u := 1; comp.Sub(u).Presence() != Absent; u++ {
						if comp.Sub(u).String() != "" {
							n++
						}
					}
				}
			}
		}
	}
	m.ScheduledStart()
	m.ScheduledLength()
	_ = m.CheckHeader()
	return n
}
