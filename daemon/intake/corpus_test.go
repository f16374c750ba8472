package intake

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pinward/daemon/contact"
	"pinward/hl7"
)

// corpus are samples of real systems; the folder comes with the project's reference and not with the
// module. packaging/test sets PINWARD_CORPUS where it is there: then its absence fails.
const corpus = "../../../shared/hl7/samples"

// TestCorpus sends every sample, as it is, to a live and to a shadow listener: each gets its answer, no
// answer and no explanation repeats a value, and a repeat gets the same.
func TestCorpus(t *testing.T) {
	files, err := os.ReadDir(corpus)
	if errors.Is(err, os.ErrNotExist) && os.Getenv("PINWARD_CORPUS") == "" {
		t.Skip("the corpus is not beside the module")
	}
	if err != nil {
		t.Fatal(err)
	}
	codes := map[hl7.AckCode]int{}
	for _, mode := range []contact.Mode{contact.Live, contact.Shadow} {
		b := newBoxIn(t, Listener{Name: mode.String(), Mode: mode})
		b.policy(Policy{Releasable: []string{"*"}})
		for _, f := range files {
			frame, err := os.ReadFile(filepath.Join(corpus, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			m, _ := hl7.Parse(frame)
			reply := b.raw(string(frame))
			if m.IsAck() || m.MSH(15).String() == "NE" {
				if reply != "" {
					t.Errorf("%s: answered", f.Name())
				}
				continue
			}
			a := b.parse([]byte(reply))
			codes[a.code]++
			switch {
			case a.code == "":
				t.Errorf("%s: no answer", f.Name())
			case len(reply) > 4095:
				t.Errorf("%s: the answer has %d bytes", f.Name(), len(reply))
			case b.raw(string(frame)) != reply:
				t.Errorf("%s: a repeat got another answer", f.Name())
			}
			_, said, _ := strings.Cut(reply, "\rMSA|")
			said = strings.Replace(said, a.control, "", 1)
			for _, e := range b.explain(m.ControlID()) {
				said += "\n" + e.Did + "\n" + e.Why
			}
			for v := range values(m) {
				if strings.Contains(said, v) {
					t.Errorf("%s: a value of the message is in the answer or the explanation", f.Name())
				}
			}
		}
		for _, q := range b.texts() {
			if q.mode != mode {
				t.Errorf("a text in mode %s on a listener in %s", q.mode, mode)
			}
		}
		if c := b.in.Counts(); c.Acted < 20 || c.Failed != 0 {
			t.Errorf("%s: counted %+v", mode, c)
		}
	}
	t.Logf("answers: %v", codes)
}

// values gives what stands in a message below its header, but for what is too short to tell.
func values(m *hl7.Message) map[string]bool {
	found := map[string]bool{}
	for s := range m.Segments() {
		if s.Name() == "MSH" {
			continue
		}
		for n := 1; n <= 50; n++ {
			for rep := range s.Field(n).Reps() {
				for c := 1; c <= 14; c++ {
					if v := rep.Comp(c).String(); len(v) >= 5 {
						found[v] = true
					}
				}
			}
		}
	}
	return found
}

// TestLintCorpus: every sample gets a verdict, and none of them leaves anything.
func TestLintCorpus(t *testing.T) {
	samples, err := os.ReadDir(corpus)
	if errors.Is(err, os.ErrNotExist) && os.Getenv("PINWARD_CORPUS") == "" {
		t.Skip("the corpus is not beside the module")
	}
	if err != nil || len(samples) == 0 {
		t.Fatal("the corpus is empty", err)
	}
	b := newBox(t)
	before := len(b.Entries())
	for _, name := range samples {
		payload, err := os.ReadFile(filepath.Join(corpus, name.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if v, err := b.in.Lint(context.Background(), operator, payload); err != nil || v.Ack == "" && !strings.HasPrefix(v.Type, "ACK") && !strings.Contains(v.Why, "send again") {
			t.Errorf("%s: %+v, %v", name.Name(), v, err)
		}
	}
	if got := len(b.Entries()); got != before {
		t.Errorf("%d entries, before %d", got, before)
	}
}
