package store

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMonthlyUnderStepsOfTheClock: a roll comes once with each month, whatever the clock does: set back and forth
// over the end of a month, far back at each start as without a battery, far ahead and corrected, or wrong for
// good.
func TestMonthlyUnderStepsOfTheClock(t *testing.T) {
	const restart = "restart"
	for name, steps := range map[string][]string{ // an instant; with a star: it rolls then
		"over the end of a month": {"2026-11-30 23:59", "2026-12-01 00:01*", "2026-11-30 23:58", "2026-12-01 00:00", "2026-12-01 00:02", "2026-12-31 23:59", "2027-01-01 00:01*"},
		"back by days":            {"2026-12-01 00:01*", "2026-11-28 12:00", "2026-11-30 23:59", restart, "2026-12-02 00:00", "2026-12-31 12:00", "2027-01-02 00:01*", "2027-01-02 00:02"},
		"no battery":              {"2026-12-01 00:01*", restart, "2000-01-01 00:01", "2026-12-05 12:00", restart, "2000-01-01 00:01", "2026-12-09 12:00", "2027-01-01 00:01*"},
		"ahead by years":          {"2031-05-01 00:01*", "2031-05-01 00:02", "2026-12-03 00:01", restart, "2026-12-20 00:01", "2027-01-02 00:02*", "2027-01-02 00:03", "2027-01-31 00:01", "2027-02-01 00:01*"},
		"back for good":           {"2026-12-01 00:01*", "2019-06-10 00:01", restart, "2019-07-09 00:01", "2019-07-10 00:01*", "2019-07-31 00:01", "2019-08-01 00:01*"},
		"back, and further back":  {"2026-12-01 00:01*", "2019-06-10 00:01", "2018-06-10 00:01", "2018-07-09 00:01", "2018-07-10 00:01*"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, k := t.TempDir(), newTestKeys(t)
			s := open(t, dir, k)
			since := time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)
			for n, step := range steps {
				if step == restart {
					closeStore(t, s)
					s = open(t, dir, k)
					begunAt(s, since)
					continue
				}
				begunAt(s, since)
				mustSave(t, s, n, "x")
				now, err := time.Parse("2006-01-02 15:04", strings.TrimSuffix(step, "*"))
				if err != nil {
					t.Fatal(err)
				}
				before := len(s.Stats().Segments)
				if err := s.rollIfDue(context.Background(), now); err != nil {
					t.Fatal(err)
				}
				rolled := len(s.Stats().Segments) - before
				if want := strings.HasSuffix(step, "*"); (rolled == 1) != want {
					t.Fatalf("at %s it rolled %d times", step, rolled)
				}
				if rolled > 0 {
					since = now
				}
			}
			whole(t, s, 0)
		})
	}
}

// begunAt has the live file stand as begun at an instant.
func begunAt(s *Store, at time.Time) {
	d := *s.durable.Load()
	f := *d.file
	f.place.Since, d.file = at, &f
	s.durable.Store(&d)
}

// upkeepEnv makes a child open a store and let the upkeep run.
const upkeepEnv = "PINWARD_STORE_TEST_UPKEEP"

// upkeepChild logs to its output, writes rows, and says when a scrub is finished and its damage recorded.
func upkeepChild(dir string) {
	die := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	s, err := Open(context.Background(), dir, Options{
		Keys: keysFrom(&testing.B{}, crashRoot[:]), Free: plenty, upkeep: 5 * time.Millisecond, Log: slog.New(slog.NewTextHandler(os.Stdout, nil)),
	})
	if err != nil {
		die(err)
	}
	for n := 1000; ; n++ {
		if err := save(s, n, "x"); err != nil {
			die(err)
		}
		r, err := s.LastScrub()
		if err != nil {
			die(err)
		}
		told := 0
		for _, g := range s.Stats().Damaged {
			told += int(g.Number)
		}
		fmt.Printf("tick finished=%v entries=%d findings=%d damaged=%d\n", !r.Finished.IsZero(), r.Entries, len(r.Findings), told)
		time.Sleep(5 * time.Millisecond)
	}
}

// TestScrubAfterALongTime: a store is started again after weeks, and one of its old segments has rotted
// meanwhile. The scrub that is due runs by itself, or goes on where it was; what it finds is an error that
// names the segment, and an entry; the segment is put aside, and the process goes on.
func TestScrubAfterALongTime(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	s := open(t, base, keysFrom(t, crashRoot[:]))
	for n := range 90 {
		mustSave(t, s, n, "x")
		if n%30 == 29 {
			if err := s.Roll(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	began := time.Now().UTC().Add(-40 * 24 * time.Hour).Round(0)
	reports := map[string]ScrubReport{
		"due":         {Started: began, Finished: began.Add(time.Hour)},
		"interrupted": {Started: began, Values: 90, Entries: 7, At: cursor{Seq: 7}},
	}
	second := s.Stats().Segments[1]
	for name, r := range reports {
		if err := s.keepScrub(context.Background(), &r); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := s.Sign(context.Background()); err != nil {
			t.Fatal(err)
		}
		copyStore(t, base, dir)
		path := filepath.Join(dir, fmt.Sprintf(segmentName, second.Number))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		clear(data[3*4096 : len(data)-len(data)%4096]) // all but its first pages, at its full length
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		writeSparse(t, path, data)
		t.Run(name, func(t *testing.T) { t.Parallel(); scrubsInAChild(t, dir, path, r) })
	}
}

func scrubsInAChild(t *testing.T, dir, path string, was ScrubReport) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, upkeepEnv+"=yes")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, after := "", 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "time="):
			said += line + "\n"
		case strings.Contains(line, "finished=true") && !strings.Contains(line, "findings=0") && strings.Contains(line, "damaged=2"):
			if after++; after == 30 { // it goes on, and the next look of the upkeep has come
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := cmd.Wait(); err == nil || after < 30 {
		t.Fatalf("the child ended by itself: %v\n%s", err, said)
	}
	for _, want := range []string{"level=ERROR", "scrub found damage", "segment is damaged and out of use", filepath.Base(path)} {
		if !strings.Contains(said, want) {
			t.Errorf("the log does not say %q:\n%s", want, said)
		}
	}
	if aside, _ := filepath.Glob(path + asideMark + "*"); len(aside) != 1 {
		t.Errorf("put aside: %v", aside)
	}
	s := open(t, dir, keysFrom(t, crashRoot[:]))
	r, err := s.LastScrub()
	if err != nil || len(r.Findings) != 1 || !strings.Contains(r.Findings[0].What, filepath.Base(path)) {
		t.Errorf("the report: %+v, %v", r, err)
	}
	resumed := was.Finished.IsZero()
	if resumed != (r.Started.Equal(was.Started) && r.Values == was.Values) {
		t.Errorf("it began anew, or did not: %+v", r)
	}
	told := map[Action]string{}
	err = s.View(context.Background(), func(tx *Tx) error {
		return tx.Entries(s.durable.Load().file.place.Base, func(r Record) error {
			if a := r.Entry.Action; r.Entry.Outcome == Failed && (a == ActionDamaged || a == ActionScrubbed) {
				told[a] += r.Entry.Attrs[0].Value + " "
			}
			return nil
		})
	})
	if err != nil || !strings.HasPrefix(told[ActionDamaged], "000002-") || told[ActionScrubbed] != strconv.FormatUint(r.Values, 10)+" " {
		t.Errorf("entries %v, %v", told, err)
	}
	for n := range 90 {
		if v, ok := read(t, s, n); !ok || v.Count != n {
			t.Fatalf("row %d: %v, %v", n, v, ok)
		}
	}
}
