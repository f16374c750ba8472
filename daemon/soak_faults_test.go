package daemon

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"pinward/daemon/outbox"
	"pinward/modem/modemsim"
	"pinward/store"
)

// soakFault gives a fault of the list, with values that do harm and pass. A modem that says with a code that proves it that nothing
// was sent, and sends, is not among them: nobody could tell.
func soakFault(rng *rand.Rand, f modemsim.FaultInfo) string {
	seconds := func(most float64) string { return fmt.Sprintf("%.3f", 0.001+most*rng.Float64()*rng.Float64()) }
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	codes := []string{"38", "41", "42", "47", "50", "8", "10", "21", "27", "28", "30", "69", "96", "111", "208", "300", "314", "322", "331", "332", "500", "512", "513", "515"}
	switch f.Name {
	case "chunk_gap":
		return `0.001,"chunk":` + fmt.Sprint(1+rng.IntN(6))
	case "late":
		return seconds(8)
	case "prompt":
		return pick(`"\r\n>\r\n"`, `"\r\n>"`, `"\r\n\r\n> "`, `">"`)
	case "prompt_delay":
		return seconds(15)
	case "prompt_race":
		return seconds(0.2)
	case "send_errors":
		return `["+CMS ERROR: ` + pick(codes...) + `","+CMS ERROR: ` + pick(codes...) + `"]`
	case "sent_anyway":
		return `true,"send_errors":["` + pick("+CMS ERROR: 500", "+CMS ERROR: 332", "+CMS ERROR: 512", "ERROR", "+CME ERROR: 100") + `"]`
	case "send_delay":
		return seconds(400)
	case "unplug_for":
		return seconds(60) + `,"unplug_at":"` + pick("prompt", "pdu", "answer") + `"`
	case "registration":
		return fmt.Sprint(2 + rng.IntN(10))
	case "signal":
		return pick("2", "99")
	case "no_credit_as":
		return `"` + pick("+CMS ERROR: 69", "+CMS ERROR: 21", "+CMS ERROR: 500", "silence") + `","no_credit":true`
	case "barred_to", "filter_to":
		return `"` + pick("+1617", "+1857555", "+") + `"`
	case "max_per_minute":
		return fmt.Sprint(1 + rng.IntN(5))
	case "give_up":
		return fmt.Sprint(0x40 + rng.IntN(0x40))
	case "store_claim":
		return `255,"store_full":` + pick("true", "false")
	case "dial_errors":
		return `["` + pick("ERROR", "NO CARRIER", "+CME ERROR: 3") + `"]`
	case "refuse_command":
		return pick(`"+CLCC"`, `"+CEER"`, `"+QWTTS"`, `"+DDET"`)
	case "ussd":
		return `"+CUSD: 0,\"cut"`
	case "urc_every", "babble":
		return seconds(5)
	}
	switch f.Kind {
	case "true":
		return "true"
	case "seconds":
		return seconds(120)
	case "prompt, pdu or answer":
		return pick(`"prompt"`, `"pdu"`, `"answer"`)
	}
	return fmt.Sprint(1 + rng.IntN(4)) // a count or a number
}

// trouble is one to three faults of the whole list at once.
func (s *soak) trouble() modemsim.Faults {
	list := modemsim.FaultList()
	for {
		var set []string
		for range 1 + s.rng.IntN(3) {
			f := list[s.rng.IntN(len(list))]
			set = append(set, fmt.Sprintf("%q:%s", f.Name, soakFault(s.rng, f)))
		}
		var f modemsim.Faults
		s.must(json.Unmarshal([]byte("{"+strings.Join(set, ",")+"}"), &f))
		if f.SentAnyway && len(f.SendErrors) == 2 {
			continue // errors of a fault that does not go with it
		}
		return f
	}
}

// mischief does one thing to the world.
func (s *soak) mischief() {
	m := s.modems[s.rng.IntN(len(s.modems))]
	handset := s.network.Handset(s.number(1 + s.rng.IntN(max(1, len(s.all)))))
	switch s.rng.IntN(14) {
	case 0:
		m.Reboot()
	case 1:
		s.must(handset.Set(modemsim.HandsetChange{On: new(s.rng.IntN(3) > 0), Full: new(s.rng.IntN(4) == 0), NoReceipts: new(s.rng.IntN(3) == 0)}))
	case 2:
		// The handset may be off, and who texts a SIM may be anybody.
		_ = handset.Reply([]string{"STOP", "Yes please", "HELP", strings.Repeat("why? ", 60)}[s.rng.IntN(4)], m.Name())
	case 3:
		_ = handset.Call(m.Name()) // likewise
	case 4:
		if s.rng.IntN(8) == 0 {
			s.must(m.SwapSIM(modemsim.SIM{}))
			s.permit(m, soakCaps{10, -1})
		}
	case 5, 6:
		s.cancel()
	default:
		s.must(m.SetFaults(s.trouble()))
		lasts := time.Duration(10+s.rng.IntN(240)) * time.Second
		s.house.rest.Go(func() {
			time.Sleep(lasts)
			_ = m.SetFaults(modemsim.Faults{}) // they are valid
		})
	}
}

// cancel stops a message, if it can be stopped.
func (s *soak) cancel() {
	if len(s.all) == 0 {
		return
	}
	m := s.all[len(s.all)-1-s.rng.IntN(min(len(s.all), 8))]
	s.must(s.store.Update(s.t.Context(), self, func(tx *store.Tx) error {
		if err := outbox.Cancel(tx, m.id); err != nil && err != outbox.ErrOver {
			return err
		}
		return tx.Record(store.Entry{Action: "soak.cancel", Outcome: store.OK, Object: m.id})
	}))
}
