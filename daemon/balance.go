package daemon

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/daemon/outbox"
	"pinward/store"
)

const actBalance store.Action = "modem.balance"

// balance is what the carrier last told of a prepaid SIM.
type balance struct {
	At     time.Time
	Amount string // "" where it told none
}

var balances = store.NewTable[balance]("modem.balances", store.Blinded(0)) // by SIM

// balanceCode is the code on record for a SIM. Three sends in a row that failed make the driver ask by
// it: a SIM without credit fails in any way there is.
func (h *house) balanceCode(iccid string) string {
	var sim outbox.SIM
	if err := h.store.View(context.Background(), func(tx *store.Tx) (err error) {
		sim, _, err = outbox.SIMOf(tx, iccid)
		return err
	}); err != nil {
		h.log.Error("read balance code", "error", err)
	}
	return sim.Balance.Code
}

// askBalances asks for the balance of each SIM that has a code for it on record, once a day, until ctx ends. A
// modem that has something on air is asked later: a code is never held up. After failed sends the driver
// asks by itself.
func (h *house) askBalances(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, s := range h.senders {
			if err := h.askBalance(ctx, s); err != nil && ctx.Err() == nil {
				h.log.Error("ask balance", "modem", s.port.Name, "error", err)
			}
		}
	}
}

func (h *house) askBalance(ctx context.Context, s *sender) error {
	st := s.modem.Status()
	if !st.Ready || st.ICCID == "" || !s.pulse.idle() {
		return nil
	}
	due := false
	if err := h.store.View(ctx, func(tx *store.Tx) error {
		sim, _, err := outbox.SIMOf(tx, st.ICCID)
		if err != nil || sim.Balance.Code == "" {
			return err
		}
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		last, _, err := balances.Get(tx, testedKey(tx, st.ICCID))
		at, now := night(site, tx.Now()), tx.Now()
		tonight := !now.Before(at) && now.Before(at.Add(nightLength)) && last.At.Before(at)
		due = tonight || now.Sub(last.At) > testOverdue && time.Since(st.Since) > readyBefore
		return err
	}); err != nil || !due {
		return err
	}
	amount, err := s.modem.Balance(ctx)
	outcome := store.OK
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		amount, outcome = "", store.Failed
	}
	return h.store.Update(ctx, self, func(tx *store.Tx) error {
		if err := balances.Put(tx, testedKey(tx, st.ICCID), balance{At: tx.Now(), Amount: amount}); err != nil {
			return fmt.Errorf("keep balance: %w", err)
		}
		attrs := []store.Attr{{Key: "sim", Value: st.ICCID}, {Key: "balance", Value: amount}}
		return tx.Record(store.Entry{Action: actBalance, Outcome: outcome, Object: "modem:" + s.port.Name, Attrs: attrs})
	})
}

// balanceTrouble tells of a balance that is low, or that the carrier does not tell.
func balanceTrouble(tx *store.Tx, s *sender) (*admin.Trouble, error) {
	iccid := s.modem.Status().ICCID
	sim, _, err := outbox.SIMOf(tx, iccid)
	if err != nil || sim.Balance.Code == "" {
		return nil, err
	}
	last, ok, err := balances.Get(tx, testedKey(tx, iccid))
	if err != nil || !ok {
		return nil, err
	}
	if last.Amount == "" {
		return &admin.Trouble{Name: "balance", State: health.Warn, Cause: "the carrier told no balance", Next: "ask it for its code, then run: pinward modem sim set " + s.port.Name + " --balance-code CODE"}, nil
	}
	left, err := strconv.ParseFloat(last.Amount, 64)
	if err != nil {
		return nil, errors.New("read balance: not an amount")
	}
	if left > sim.Balance.Low {
		return nil, nil
	}
	return &admin.Trouble{Name: "balance", State: health.Warn, Cause: "balance of the SIM is " + last.Amount, Next: "top the SIM up"}, nil
}
