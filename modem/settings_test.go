package modem

import (
	"testing"
	"time"

	"pinward/modem/modemsim"
)

// What a modem loses without a word is set again within the hour: PDU mode, the service without acknowledgements, the storage.
func TestSettingsAreReadBack(t *testing.T) {
	for lose, back := range map[string]struct{ ask, want string }{
		"+CMGF=1":                {"+CMGF?", "+CMGF: 0"},
		"+CSMS=1":                {"+CSMS?", "+CSMS: 0,1,1,1"},
		`+CPMS="SM","SM","SM"`:   {"+CPMS?", `+CPMS: "ME",0,50,"ME",0,50,"ME",0,50`},
		"+CNMI=0,0,0,0,0":        {"+CNMI?", "+CNMI: 2,1,0,1,0"},
		"+CMGF=1;+CSMS=1;+CMGF?": {"+CMGF?", "+CMGF: 0"},
	} {
		t.Run(lose, func(t *testing.T) {
			inWorld(t, setup{}, func(w *world) {
				w.ready()
				w.m.mu.Lock()
				s := w.m.cur
				w.m.mu.Unlock()
				if _, err := s.do(lose); err != nil {
					w.t.Fatal(err)
				}
				time.Sleep(time.Hour + time.Minute)
				if info, err := s.do(back.ask); err != nil || len(info) != 1 || info[0] != back.want {
					w.t.Fatalf("%q, %v; want %s", info, err, back.want)
				}
				if _, err := w.send("hello"); err != nil {
					w.t.Fatal(err)
				}
				if e := w.event(time.Minute); e.Report == nil {
					w.t.Fatalf("%+v", e)
				}
			})
		})
	}
}

// 27.005, 3.4.4: a modem whose +CNMA does not come switches its routing off; reports come again within the minute.
func TestRoutingLostComesBack(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
				w.ready()
				w.faults(modemsim.Faults{RoutingLost: true})
				time.Sleep(61 * time.Second)
				sent, err := w.send("hello")
				if err != nil {
					w.t.Fatal(err)
				}
				if e := w.event(30 * time.Second); e.Report == nil || e.Report.Ref != sent.Ref {
					w.t.Fatalf("%+v", e)
				}
			})
		})
	}
}

// A modem that refuses to give reports directly stores them: +CDSI: "SR",n, read from a memory that is not the selected one, and
// deleted there once they are kept. The EC25 announces "SM",0 and has nothing; the SIM7600 a place that cannot be read: then
// there is no report, and nothing else breaks.
func TestReportsByWayOfTheStorage(t *testing.T) {
	for profile, kept := range map[string]bool{"generic": true, "e173": true, "le910": true, "ec25": false, "sim7600": false} {
		t.Run(profile, func(t *testing.T) {
			s := setup{sim: modemsim.ModemOptions{Profile: profile}, faults: modemsim.Faults{NoDirectReports: true}}
			inWorld(t, s, func(w *world) {
				w.ready()
				for range 3 {
					sent, err := w.send("hello")
					if err != nil {
						w.t.Fatal(err)
					}
					if !kept {
						w.noEvent(3 * time.Minute)
						continue
					}
					e := w.event(30 * time.Second)
					if e.Report == nil || e.Report.Ref != sent.Ref || e.Report.To != patient || e.Report.Status != 0 {
						w.t.Fatalf("event %+v", e)
					}
					e.Done(nil)
				}
				w.reply("YES") // texts come from the other memory meanwhile
				e := w.event(2 * time.Minute)
				if e.Text == nil || e.Text.Body != "YES" {
					w.t.Fatalf("event %+v", e)
				}
				e.Done(nil)
				time.Sleep(2 * time.Minute)
				w.m.mu.Lock()
				cur := w.m.cur
				w.m.mu.Unlock()
				info, err := cur.do(`+CPMS="SR"`)
				if err != nil || fields(field(info, "+CPMS"))[0] != "0" {
					w.t.Fatalf("reports left in storage: %q, %v", info, err)
				}
			})
		})
	}
}

// Texts: told or not, twice or with a part lost, each part that arrived comes once for each copy, and the storage ends empty.
func TestTextsOnBadDays(t *testing.T) {
	for name, v := range map[string]struct {
		faults modemsim.Faults
		text   string
		events int
	}{
		"untold":     {modemsim.Faults{NoCMTI: true}, "YES", 1},
		"twice":      {modemsim.Faults{TextTwice: true}, "YES", 1}, // offered again only under the same hash
		"lost":       {modemsim.Faults{LoseText: 1}, "YES", 0},
		"a part":     {modemsim.Faults{LoseText: 1}, string(make160()), 1},
		"URC within": {modemsim.Faults{URCInside: true}, "YES", 1},
		"in pieces":  {modemsim.Faults{Chunk: 3, ChunkGap: modemsim.Duration(time.Millisecond)}, "YES", 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, setup{faults: v.faults}, func(w *world) {
				w.ready()
				w.reply(v.text)
				offered := map[[32]byte]bool{}
				for range v.events {
					e := w.event(2 * time.Minute)
					if e.Text == nil || e.Text.From != patient {
						w.t.Fatalf("event %+v", e)
					}
					offered[e.Text.Hash] = true
					e.Done(nil)
				}
				// The driver has no memory: a second copy that is stored after the first was deleted comes
				// under its hash, by which whoever keeps texts knows it.
				for again := true; again; {
					select {
					case e := <-w.m.Events():
						if e.Text == nil || !offered[e.Text.Hash] {
							w.t.Fatalf("event %+v", e)
						}
						e.Done(nil)
					case <-time.After(3 * time.Minute):
						again = false
					}
				}
				if st := w.m.Status(); st.StorageUsed != 0 {
					w.t.Fatalf("%d texts left", st.StorageUsed)
				}
			})
		})
	}
}

// make160 is a text of two parts.
func make160() []byte {
	b := make([]byte, 200)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return b
}
