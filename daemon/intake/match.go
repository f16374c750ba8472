package intake

import (
	"slices"

	"pinward/hl7"
)

// rules finds the rule of an event.
type rules struct {
	byEvent map[string]*Rule // "ADT^A04", "ADT^" for every event of ADT
	any     []*Rule
}

func newRules(list []Rule) rules {
	r := rules{byEvent: map[string]*Rule{}}
	put := func(key string, rule *Rule) {
		if r.byEvent[key] == nil {
			r.byEvent[key] = rule
		}
	}
	for i := range list {
		rule := &list[i]
		switch {
		case rule.Off:
			continue
		case rule.Type == Any:
			r.any = append(r.any, rule)
		case len(rule.Events) == 0:
			put(rule.Type+"^", rule)
		}
		for _, e := range rule.Events {
			put(rule.Type+"^"+e, rule)
		}
	}
	return r
}

// match gives the message's rule, or the reason why nothing is to be done.
func (r rules) match(m *hl7.Message, p Policy) (*Rule, string) {
	code, event, _ := m.Type()
	rule := r.byEvent[code+"^"+event]
	if rule == nil {
		rule = r.byEvent[code+"^"]
	}
	if rule != nil {
		why, ok := rule.holds(m, p)
		if ok {
			return rule, ""
		}
		if other, _ := r.matchAny(m, p); other != nil {
			return other, why
		}
		return nil, why
	}
	return r.matchAny(m, p)
}

func (r rules) matchAny(m *hl7.Message, p Policy) (*Rule, string) {
	why := noRule
	for _, rule := range r.any {
		w, ok := rule.holds(m, p)
		if ok {
			return rule, ""
		}
		why = w
	}
	return nil, why
}

func (r *Rule) holds(m *hl7.Message, p Policy) (why string, ok bool) {
	for _, c := range r.When {
		if !c.holds(m, p) {
			return c.Why, false
		}
	}
	return "", true
}

func (r *Rule) does(e Effect) bool { return r != nil && slices.Contains(r.Do, e) }

func (c Condition) holds(m *hl7.Message, p Policy) bool {
	if c.Test == Dead {
		dead := readDeath(m)
		return dead != nil && *dead
	}
	is := func(v string) bool { return slices.Contains(c.In, v) }
	if c.List == Releasable {
		is = p.releases
	}
	found, in := 0, 0
	for s := range m.All(c.Segment) {
		for rep := range s.Field(c.Field).Reps() {
			v := rep.Comp(max(c.Comp, 1)).Sub(1)
			if !v.Valued() {
				continue
			}
			found++
			if is(v.String()) {
				in++
			}
		}
	}
	switch c.Test {
	case Every:
		return found > 0 && in == found
	case Only:
		return in == found
	case None:
		return in == 0
	case Some:
		return in > 0
	case Blank:
		return found == 0
	}
	return false
}
