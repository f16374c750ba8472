package record

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pinward/store"
)

// activity counts what each actor did (45 CFR 164.308(a)(1)(ii)(D)): a person who reads it once a week
// sees at a glance who did much, who was refused, and who looked at patients.
func (r *Report) activity(tx *store.Tx, a Ask) error {
	r.Title, r.Why = "Information system activity review", "45 CFR 164.308(a)(1)(ii)(D)"
	r.Columns = []string{"actor", "action", "ok", "refused", "failed", "first", "last"}
	type key struct{ actor, action string }
	type tally struct {
		n           [store.Failed + 1]uint64
		first, last time.Time
	}
	all := map[key]*tally{}
	err := entries(tx, a.From, a.To, func(e store.Record) error {
		k := key{who(e), string(e.Entry.Action)}
		if e.Actor.Kind == store.KindPatient {
			k.actor = string(store.KindPatient) // each is an id of its own, and no colleague
		}
		t := all[k]
		if t == nil {
			t = &tally{first: e.Time}
			all[k] = t
		}
		t.n[e.Entry.Outcome]++
		t.last = e.Time
		return nil
	})
	if err != nil {
		return err
	}
	keys := slices.SortedFunc(maps.Keys(all), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.actor, b.actor), cmp.Compare(a.action, b.action))
	})
	for _, k := range keys {
		t := all[k]
		err := r.add(k.actor, k.action, fmt.Sprint(t.n[store.OK]), fmt.Sprint(t.n[store.Refused]), fmt.Sprint(t.n[store.Failed]), clock(t.first), clock(t.last))
		if err != nil {
			return nil // full
		}
	}
	return nil
}

// incident is a class of entries that somebody has to look at, and what they mean.
type incident struct {
	match func(store.Entry) bool
	what  string
}

func refusedOr(prefix string) func(store.Entry) bool {
	return func(e store.Entry) bool {
		return strings.HasPrefix(string(e.Action), prefix) && e.Outcome != store.OK
	}
}

func acted(actions ...store.Action) func(store.Entry) bool {
	return func(e store.Entry) bool { return slices.Contains(actions, e.Action) }
}

// incidents are looked through in order; the first that matches names the entry.
var incidents = []incident{
	{acted("store.rollback.accepted"), "an older copy of the store was taken"},
	{acted("store.restored"), "the store came out of a backup"},
	{acted("store.counter"), "the audit was bound to a counter"},
	{acted("store.anchor.late", "store.anchor.lost"), "the TPM did not anchor the audit"},
	{acted("store.unwritten"), "entries of the audit could not be written"},
	{acted("clock.stepped"), "the clock was set or stood still"},
	{acted("consent.wrong_number"), "a text reached somebody else: it may be a breach"},
	{acted("verification.deny"), "somebody who was called had not asked for the code"},
	{acted("client.refused"), "a program was refused: wrong or old key"},
	{acted("access.forbidden"), "somebody asked for what their role does not include"},
	{refusedOr("user.login"), "a login failed, or was locked out"},
	{acted("hl7.peer.refused"), "an unknown HL7 sender was turned away"},
	{refusedOr("verification.check"), "a wrong code"},
	{refusedOr("verification.start"), "a code was refused: a limit, or policy"},
	{refusedOr("key."), "a key was asked for in vain"},
	{acted("key.unseal", "sealed.events"), "the box was closed, and opened by people"},
	{acted("sim.swapped", "modem.exchanged"), "another SIM or modem was put in"},
	{acted("audit.hold", "audit.hold.lifted"), "a hold was placed or lifted"},
}

// incidents lists what may be, or may become, a security incident or a breach, each with its time: the
// clocks of 45 CFR 164.404 and 164.408 run from the day on which somebody could have known.
func (r *Report) incidents(tx *store.Tx, a Ask) error {
	r.Title, r.Why = "Incidents and possible breaches", "45 CFR 164.308(a)(6), 164.404, 164.408"
	r.Columns = []string{"time", "what", "action", "outcome", "actor", "patient", "record", "cause", "tell patients by"}
	return entries(tx, a.From, a.To, func(e store.Record) error {
		i := slices.IndexFunc(incidents, func(i incident) bool { return i.match(e.Entry) })
		if i < 0 {
			return nil
		}
		by := ""
		if e.Entry.Action == "consent.wrong_number" {
			by = e.Time.UTC().AddDate(0, 0, breachDays).Format(time.DateOnly)
		}
		return r.add(clock(e.Time), incidents[i].what, string(e.Entry.Action), e.Entry.Outcome.String(), who(e), e.Entry.Subject, e.Entry.Object,
			cmp.Or(Attr(e.Entry, "cause"), Attr(e.Entry, "why"), Attr(e.Entry, "reason")), by)
	})
}

// breachDays is the outer limit of 45 CFR 164.404(b): 60 calendar days after discovery.
const breachDays = 60
