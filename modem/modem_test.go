package modem

import (
	"testing"
	"time"

	"pinward/modem/modemsim"
)

func TestBringUpSendReport(t *testing.T) {
	for _, profile := range []string{"generic", "ec25", "sim7600", "e173", "le910"} {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
				st := w.ready()
				if st.IMEI != w.sim.IMEI() || st.ICCID != w.sim.ICCID() || st.Operator == "" || st.SMSC == "" {
					w.t.Fatalf("status of a ready modem: %+v", st)
				}
				sent, err := w.send("Your code is 482917")
				if err != nil {
					w.t.Fatalf("send: %v\n%s", err, w.log)
				}
				e := w.event(time.Minute)
				if e.Report == nil || e.Report.Ref != sent.Ref || e.Report.To != patient || e.Report.Status != 0 {
					w.t.Fatalf("report %+v of a send with reference %d", e.Report, sent.Ref)
				}
				e.Done(nil)
				if got := w.shown(patient); len(got) != 1 || got[0] != "Your code is 482917" {
					w.t.Fatalf("handset shows %q", got)
				}
				w.quietAbout("482917")
			})
		})
	}
}
