package daemon

import (
	"slices"
	"testing"
	"time"

	"pinward/daemon/record"
	"pinward/modem"
	"pinward/modem/modemsim"
	"pinward/store"
)

// entries finds those of an action, newest first.
func (f *flow) entries(a store.Action) []store.Record {
	f.t.Helper()
	var page record.Page
	f.must(f.store.View(f.t.Context(), func(tx *store.Tx) (err error) {
		page, err = record.Search(tx, record.Query{Action: string(a)})
		return err
	}))
	return page.Records
}

// until waits in small steps until it is so.
func (f *flow) until(what string, within time.Duration, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("%s: not within %v", what, within)
		}
	}
}

func (f *flow) status() modem.Status { return f.senders[0].modem.Status() }

// troubles are the names of what health has against the first modem.
func (f *flow) troubles() (names []string) {
	f.t.Helper()
	f.must(f.store.View(f.t.Context(), func(tx *store.Tx) error {
		standing, err := standings(tx)
		f.must(err)
		found, err := f.house.troubles(tx, f.senders[0], standing[f.senders[0].port.Name])
		for _, t := range found {
			names = append(names, t.Name)
		}
		return err
	}))
	return names
}

// Reference 3: IMEI and ICCID say which modem and which SIM it is. A SIM that is changed while the box
// runs is noticed, recorded once, told in health, and accepted by a person.
func TestFlowSwapWhileRunning(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		first := f.entries(actSIMFitted)
		if len(first) != 1 || record.Attr(first[0].Entry, "sim") != f.status().ICCID {
			t.Fatalf("the first SIM left %d entries, or names another", len(first))
		}
		was := f.status().ICCID
		f.must(f.modems[0].SwapSIM(modemsim.SIM{}))
		f.until("the swap is noticed", 2*time.Minute, func() bool { return f.status().Swapped && f.status().Ready })
		f.until("the swap is recorded", time.Minute, func() bool { return len(f.entries(actSIMSwapped)) > 0 })
		e := f.entries(actSIMSwapped)
		if len(e) != 1 || e[0].Entry.Object != "modem:m1" || record.Attr(e[0].Entry, "sim_before") != was || record.Attr(e[0].Entry, "sim") != f.status().ICCID {
			t.Fatalf("%d entries of the swap, want one that names both SIMs", len(e))
		}
		if got := f.troubles(); !slices.Equal(got, []string{"sim-swapped", "no-record"}) {
			t.Fatalf("health names %v", got)
		}
		f.accept()
		if got := f.troubles(); !slices.Equal(got, []string{"no-record"}) { // notices wait until it has one
			t.Errorf("after it was accepted health names %v", got)
		}
		if n := len(f.entries(actSIMAccepted)); n != 1 {
			t.Errorf("%d entries of the acceptance", n)
		}
		f.close()
		f.open()
		f.waitReady()
		if f.status().Swapped || len(f.entries(actSIMSwapped)) != 1 {
			t.Error("the accepted SIM is another one after a restart")
		}
	})
}

// accept does what the control socket does for `pinward modem accept`.
func (f *flow) accept() {
	f.t.Helper()
	jane := store.Actor{Kind: "user", ID: "jane"}
	f.must(f.store.Update(f.t.Context(), jane, func(tx *store.Tx) error { return acceptSIM(tx, "m1", f.status().ICCID) }))
	f.senders[0].modem.AcceptSIM()
}

// A SIM that was changed while the box was off is noticed at the next start, and recorded once however
// often the box starts with it.
func TestFlowSwapWhileOff(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.close()
		f.must(f.modems[0].SwapSIM(modemsim.SIM{}))
		for range 2 {
			f.open()
			f.waitReady()
			f.until("the swap is recorded", time.Minute, func() bool { return len(f.entries(actSIMSwapped)) > 0 })
			if !f.status().Swapped {
				t.Fatal("the SIM that came while the box was off is taken for the right one")
			}
			f.close()
		}
		f.open()
		f.waitReady()
		if n := len(f.entries(actSIMSwapped)); n != 1 {
			t.Errorf("%d entries of one swap", n)
		}
		f.must(f.modems[0].SwapSIM(modemsim.SIM{}))
		f.until("a further swap is recorded", 2*time.Minute, func() bool { return len(f.entries(actSIMSwapped)) == 2 })
	})
}

// Another device under the same name, with the same SIM in it, is recorded and no swap.
func TestFlowExchangedModem(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		imei := f.status().IMEI
		sim := f.status().ICCID
		f.close()
		other, err := f.network.AddModem(modemsim.ModemOptions{Name: "spare", ICCID: sim})
		f.must(err)
		f.swapPort("m1", other)
		f.open()
		f.waitReady()
		if n := len(f.entries(actModemFitted)); n != 1 {
			t.Errorf("%d entries of the first meeting", n)
		}
		e := f.entries(actModemChanged)
		if len(e) != 1 || record.Attr(e[0].Entry, "imei_before") != imei || record.Attr(e[0].Entry, "imei") != f.status().IMEI {
			t.Fatalf("%d entries, want that of the exchange", len(e))
		}
		if f.status().Swapped || len(f.entries(actSIMSwapped)) != 0 {
			t.Error("the same SIM in another device counts as swapped")
		}
	})
}

// A patient who rings the number that texted them is hung up and counted, without the number, and a
// code goes out meanwhile.
func TestFlowCallIsCountedAndDelaysNoCode(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.network.Handset("+16175551888").Call("m1"))
		v, err := f.start()
		f.must(err)
		f.texts(1, 5*time.Second)
		f.state(v, "delivered", 10*time.Second)
		f.until("the call is recorded", time.Minute, func() bool { return len(f.entries(actCall)) > 0 })
		e := f.entries(actCall)
		if len(e) != 1 || len(e[0].Entry.Attrs) != 1 || record.Attr(e[0].Entry, "sim") != f.status().ICCID {
			t.Errorf("%d entries of one call, or one with more than the SIM in it", len(e))
		}
		if calls := f.modems[0].IncomingCalls(); len(calls) != 1 || calls[0].End != modemsim.RingHungUp {
			t.Error("the call was not hung up")
		}
	})
}
