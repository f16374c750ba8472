package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/store"
	"pinward/tpm"
)

// TestClockBeforeTheLastEntry: the box comes up with a clock that stands two days before its last entry,
// as after a dead battery. Health says so, codes go out and are checked, what is recorded has the time of
// the last entry and says that it is not to be trusted, and the audit verifies.
func TestClockBeforeTheLastEntry(t *testing.T) {
	t.Parallel()
	w, acc := whole(t, 1)
	st, err := w.status()
	must(t, err)
	must(t, w.stop(theBox))
	later := time.Now().Add(48 * time.Hour).UTC()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(later)) // a bubble begins in the year 2000
		w.recordNow(t)
	})
	must(t, w.start(theBox))
	must(t, w.awaitReady())
	shown, err := w.pinward("", "status")
	must(t, err)
	if !strings.Contains(shown, "clock: warn, the clock of this machine stands 48h") {
		t.Errorf("status does not tell of the clock:\n%s", shown)
	}

	web, err := w.web()
	must(t, err)
	var v struct{ ID string }
	start := map[string]string{"service": "portal-login", "to": "+16175551234", "channel": "sms"}
	must(t, call(web, acc.Token, http.MethodPost, "https://"+w.https+"/v1/verifications", start, &v))
	list, err := w.awaitTexts("+16175551234", 1)
	must(t, err)
	var checked struct{ Valid bool }
	code := map[string]string{"code": sixDigits.FindString(list[0].Text)}
	must(t, call(web, acc.Token, http.MethodPost, "https://"+w.https+"/v1/verifications/"+v.ID+"/check", code, &checked))
	if !checked.Valid {
		t.Error("the code is not right")
	}
	_, err = w.pinward(adminPassword+"\n", "login", "admin")
	must(t, err)
	found, err := w.pinward("", "audit", "search", "--action", "verification.start")
	must(t, err)
	if !strings.Contains(found, "clock=untrusted") || !strings.Contains(found, later.Local().Format(time.DateOnly)) {
		t.Errorf("entries do not say that their time is doubtful:\n%s", found)
	}
	_, err = w.pinward("", "audit", "verify", "--signer", st.Signer)
	must(t, err)
}

// recordNow opens the store of a stopped box with its own keys and records an entry.
func (w *world) recordNow(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	state, err := tpm.LoadState(w.path("state/tpm.json"))
	must(t, err)
	dev, err := tpm.OpenDevice(w.path("tpm.sock"), w.path("sys"))
	must(t, err)
	defer dev.Close()
	_, keys, err := tpm.Unseal(ctx, dev, state, "")
	must(t, err)
	s, err := store.Open(ctx, w.path("state/store"), store.Options{Origin: "pinward/test", Keys: keys, Existing: true})
	must(t, err)
	must(t, s.Update(ctx, store.Actor{Kind: store.KindRoot, ID: "test"}, func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: "test.later", Outcome: store.OK})
	}))
	must(t, s.Close())
}
