package record

import (
	"slices"
	"strings"

	"pinward/store"
)

// section is a chapter of the evidence for an audit: which entries belong to it.
type section struct {
	name    string
	actions []string // whole, or a prefix that ends in a dot
	refused bool     // only what was refused or failed
}

// sections are what an auditor of the Office for Civil Rights asks for first, by the rule that asks for
// it. An entry stands in the first that it belongs to.
var sections = []section{
	{"failed logins (164.308(a)(5)(ii)(C))", []string{"user.login", "client.refused", "access.forbidden"}, true},
	{"users and roles (164.308(a)(4), 164.312(a)(2)(i))", []string{"user.create", "user.change", "user.password", "client.create", "client.change", "client.key.", "second."}, false},
	{"access reviews (164.308(a)(4)(ii)(C))", []string{"user.review"}, false},
	{"activity reviews (164.308(a)(1)(ii)(D))", []string{"report.", "audit.export", "audit.open"}, false},
	{"settings (164.316(b))", []string{"site.change", "limits.change", "service.save", "template.save", "hl7.policy", "hl7.live", "sim.set", "setup."}, false},
	{"drills, backups and recovery (164.308(a)(7))", []string{"key.", "backup.", "store.restored", "store.rollback.", "sealed.events"}, false},
	{"incidents (164.308(a)(6))", []string{"incident.", string(actionWrongNumber), "clock.stepped"}, false},
	{"retention and holds (164.316(b)(2))", []string{"audit.hold", "audit.hold.", "store.key.", "retention.change", "message.purge", "appointment.purge", "work.purge", "notice.purge", "verification.purge"}, false},
}

func (s section) holds(e store.Entry) bool {
	if s.refused && e.Outcome == store.OK {
		return false
	}
	return slices.ContainsFunc(s.actions, func(a string) bool {
		return string(e.Action) == a || strings.HasSuffix(a, ".") && strings.HasPrefix(string(e.Action), a)
	})
}

// evidence is the history that an audit asks for, by sections: users and their roles, reviews of access,
// failed logins, settings, drills, incidents and holds. Users and roles begin with the box, because who
// may do what today was said then; all else is of the time asked for.
func (r *Report) evidence(tx *store.Tx, a Ask) error {
	r.Title, r.Why = "Evidence for an audit", "45 CFR 164.308, 164.312, 164.316; audit protocol of the Office for Civil Rights"
	r.Columns = []string{"section", "time", "action", "outcome", "actor", "record", "what"}
	rows := make([][][]string, len(sections))
	err := entries(tx, noTime, a.To, func(e store.Record) error {
		n := slices.IndexFunc(sections, func(s section) bool { return s.holds(e.Entry) })
		if n < 0 || sections[n].name != sections[1].name && !a.From.IsZero() && e.Time.Before(a.From) {
			return nil
		}
		if len(rows[n]) > maxRows {
			return nil
		}
		rows[n] = append(rows[n], []string{sections[n].name, clock(e.Time), string(e.Entry.Action), e.Entry.Outcome.String(), who(e), e.Entry.Object, attributes(e.Entry)})
		return nil
	})
	if err != nil {
		return err
	}
	for _, list := range rows {
		for _, row := range list {
			if r.add(row...) != nil {
				return nil // full
			}
		}
	}
	return nil
}

// attributes are those of an entry in one cell, without numbers: the pack goes to people who need none.
func attributes(e store.Entry) string {
	var list []string
	for _, a := range e.Attrs {
		if a.Value == "" || strings.HasPrefix(a.Value, "+") || strings.HasPrefix(a.Key, "ek_certificate") {
			continue
		}
		list = append(list, a.Key+"="+a.Value)
	}
	return strings.Join(list, "; ")
}
