package record

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// openSegments counts the segments that this process has open, and those that it has mapped.
func openSegments(t testing.TB) (open, mapped int) {
	t.Helper()
	list, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if name, err := os.Readlink(f); err == nil && strings.Contains(name, "segment-") {
			open++
		}
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return open, strings.Count(string(maps), "segment-")
}

// TestSixYears: a patient was texted once in each of 72 months, each month is a file, and the index is behind
// when some of them end. The accounting has every month, or those that are asked for; pages join without a
// gap; and however many files are looked into, few are open.
func TestSixYears(t *testing.T) {
	const months = 72
	inBubble(t, func(b *box) {
		var begins []time.Time
		for n := range months {
			begins = append(begins, time.Now())
			time.Sleep(time.Minute)
			b.add(portal, store.Entry{Action: "verification.start", Object: fmt.Sprintf("VE%d", n), Subject: mary.Key(), Attrs: []store.Attr{a("phone", "+16175551234")}})
			b.add(nurse, store.Entry{Action: "verification.start", Object: "VEx", Subject: "RIV|7"}, store.Entry{Action: "user.login"})
			b.add(portal, store.Entry{Action: "message.sent", Object: "SM", Attrs: []store.Attr{a("ref", fmt.Sprintf("VE%d", n))}})
			if n%5 != 0 {
				b.indexAll()
			}
			b.roll()
			time.Sleep(time.Hour)
		}
		if got := len(b.store.Stats().Segments); got != months {
			t.Fatalf("%d segments", got)
		}
		rows := b.report(Ask{Kind: KindDisclosures, Subjects: []contact.SubjectID{mary}}).Rows
		if len(rows) != 2*months {
			t.Errorf("%d rows of %d months", len(rows), months)
		}
		rows = b.report(Ask{Kind: KindDisclosures, Subjects: []contact.SubjectID{mary}, From: begins[10], To: begins[21]}).Rows
		if len(rows) != 22 || rows[0][10] != "VE10" || rows[20][10] != "VE20" {
			t.Errorf("rows of eleven months: %q", rows)
		}
		var got, want []string
		for q := (Query{Phone: phone("+16175551234"), Limit: 7}); ; {
			p := b.search(q)
			for _, r := range p.Records {
				got = append(got, r.Entry.Object)
			}
			if q.Before = p.Next; q.Before == 0 {
				break
			}
		}
		for n := range months {
			want = append(want, fmt.Sprintf("VE%d", months-1-n))
		}
		if !slices.Equal(got, want) {
			t.Errorf("over pages: %v", got)
		}
		if p := b.search(Query{Subject: contact.SubjectID{Authority: "RIV", MRN: "nobody"}}); len(p.Records) != 0 || p.Next != 0 {
			t.Errorf("nobody: %d, on from %d", len(p.Records), p.Next)
		}
		time.Sleep(time.Second) // what is closed is closed beside us
		if open, mapped := openSegments(t); open == 0 || open > 4 || mapped > 4 {
			t.Errorf("%d segments are open and %d mapped", open, mapped)
		}
	})
}

// tenMillion takes a minute or two and some gigabytes of disk.
var tenMillion = flag.Bool("ten-million", false, "benchmark the search among ten million entries, too")

// BenchmarkSearch looks for one of many patients, who has 20 entries all over the years, and for one who has
// none, where a month's file has a million entries. It measures as well what the index costs: its time
// and bytes an entry, what is left in the live file after a roll, and what a roll costs those who wait.
func BenchmarkSearch(b *testing.B) {
	sizes := []int{1_000_000}
	if *tenMillion {
		sizes = append(sizes, 10_000_000)
	}
	for _, n := range sizes {
		box := newBox(b)
		began, indexing := time.Now(), box.fill(n, 1_000_000)
		filled := time.Since(began)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var there, nobody []time.Duration
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				if p := box.search(Query{Subject: contact.SubjectID{Authority: "RIV", MRN: fmt.Sprint(i * 7919 % (n / 20))}}); len(p.Records) != 20 {
					b.Fatalf("%d entries", len(p.Records))
				}
				there = append(there, time.Since(start))
				start = time.Now()
				if p := box.search(Query{Subject: contact.SubjectID{Authority: "RIV", MRN: fmt.Sprint("none", i)}}); len(p.Records) != 0 {
					b.Fatal("somebody was found")
				}
				nobody = append(nobody, time.Since(start))
			}
			for name, took := range map[string][]time.Duration{"": there, "none-": nobody} {
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, name+"p50-ms")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, name+"p99-ms")
			}
			runtime.GC()
			runtime.GC()
			var mem runtime.MemStats
			runtime.ReadMemStats(&mem)
			open, _ := openSegments(b)
			b.ReportMetric(float64(mem.HeapAlloc)/1024, "heap-KB")
			b.ReportMetric(float64(open), "open-segments")
			b.ReportMetric(float64(indexing.Nanoseconds())/float64(n)/1000, "index-us/entry")
			b.ReportMetric(float64(n)/filled.Seconds(), "filled/s")
			box.roll()
			b.ReportMetric(float64(box.store.Stats().Size)/1024, "live-KB")
		})
	}
}

// fill records and indexes n entries about n/20 patients in large steps, and rolls after each month; it
// returns how long the indexing took.
func (b *box) fill(n, month int) (indexing time.Duration) {
	b.t.Helper()
	const step = 10_000
	for i := 0; i < n; i += step {
		list := make([]store.Entry, 0, step)
		for k := i; k < i+step; k++ {
			list = append(list, store.Entry{Action: "verification.start", Outcome: store.OK, Object: fmt.Sprint(k), Subject: fmt.Sprintf("RIV|%d", k%(n/20))})
		}
		b.add(portal, list...)
		start := time.Now()
		b.indexAll()
		indexing += time.Since(start)
		if i > 0 && i%month == 0 {
			b.roll()
		}
	}
	if err := b.store.Sign(context.Background()); err != nil {
		b.t.Fatal(err)
	}
	return indexing
}
