package intake

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/text"
	"pinward/store"
)

// Policy is what the site decides about its messages. It lives in the store; each change is an entry.
type Policy struct {
	// Places are the names that patients read, of at most text.MaxSite characters, by HL7 location:
	// "FACILITY/POINT OF CARE", "POINT OF CARE" or "FACILITY" of a PL such as AIL-3, the first that
	// is there. A location without a name is printed as the site's brand, never as it was sent.
	Places map[string]string `json:"places"`
	// Releasable are the kinds of results (OBR-4.1) whose arrival patients are told of, because the
	// portal shows them; "*" is every kind. None is none.
	Releasable []string `json:"releasable"`
	// Portal is where results are read; "" is the first of the site's link hosts.
	Portal string `json:"portal"`
	// Video are the types (SCH-8), services (AIS-3) and places (AIL-3) of visits that patients join by a
	// link; Join is where, "" is Portal.
	Video []string `json:"video,omitempty"`
	Join  string   `json:"join,omitempty"`
	// Leads are how long before an appointment its reminders go, the longest first, in nanoseconds;
	// none is 24 and 2 hours.
	Leads []time.Duration `json:"leads"`
	// Gather is how long a text that would go at once waits for others about the patient's same day, so
	// that one tells of all; 0 is DefaultGather.
	Gather Span `json:"gather,omitzero"`
	// WorkPhones lets numbers at work (PID-14, use WPN) be texted.
	WorkPhones bool `json:"work_phones"`
	// Landlines are the uses and equipments (XTN-2^XTN-3, as "PRN^PH") that this site's senders give to landlines alone: no
	// text goes there, and a code goes by voice. None as shipped: many register a mobile as their telephone at home.
	Landlines []string `json:"landlines,omitempty"`
	// Proxies are the relationships (NK1-3, table 0063) and contact roles (NK1-7, table 0131) of those who
	// are told in a patient's place: of a minor always, of others who have no number of their own. None,
	// as shipped, is nobody: who may hear of a patient is for the site to say (45 CFR 164.502(g)).
	Proxies []string `json:"proxies,omitempty"`
	// ZSegment is the name of the segment that asks for a code or a text; "" is ZNT.
	ZSegment string `json:"z_segment"`
	// ShareYes takes PD1-12 = Y for "may be shared", as immunisation registries do (CDC 2.3.1). As
	// shipped, Y means protected, and no text goes: the two readings are opposites.
	ShareYes bool `json:"share_yes"`
	// Peers are the senders' own settings, by the name that the box's configuration gives them.
	Peers map[string]PeerPolicy `json:"peers,omitempty"`
	// Changed are the rules that are not, or not so, among the shipped ones.
	Changed []Rule `json:"changed_rules,omitempty"`
	// BreakerFloor is how many texts a rule may cause in 15 minutes, however few are usual of it; 0 is
	// DefaultBreakerFloor.
	BreakerFloor int `json:"breaker_floor,omitempty"`
}

// ActionPolicy is recorded when the policy changes.
const ActionPolicy store.Action = "hl7.policy"

var policies = store.NewTable[Policy]("intake.policy", store.Policy(), store.Cached())

var policyKey = []byte("policy")

// PolicyOf returns the site's policy, the shipped one where none was set. It is the caller's own, to
// change and give to SetPolicy.
func PolicyOf(tx *store.Tx) (Policy, error) {
	p, _, err := policies.Get(tx, policyKey)
	if err != nil {
		return Policy{}, fmt.Errorf("read hl7 policy: %w", err)
	}
	p.Places, p.Releasable, p.Leads = maps.Clone(p.Places), slices.Clone(p.Releasable), slices.Clone(p.Leads)
	p.Landlines = slices.Clone(p.Landlines)
	p.Proxies, p.Video = slices.Clone(p.Proxies), slices.Clone(p.Video)
	p.Peers, p.Changed = maps.Clone(p.Peers), slices.Clone(p.Changed)
	return p, nil
}

// ErrPolicy is in the chain of what SetPolicy finds wrong with a policy; the text says what.
var ErrPolicy = errors.New("hl7 policy")

// SetPolicy checks and keeps the policy. It holds within a second.
func SetPolicy(tx *store.Tx, p Policy) error {
	if err := p.validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	if err := policies.Put(tx, policyKey, p); err != nil {
		return fmt.Errorf("keep hl7 policy: %w", err)
	}
	return tx.Record(store.Entry{Action: ActionPolicy, Outcome: store.OK, Attrs: []store.Attr{
		{Key: "places", Value: strconv.Itoa(len(p.Places))},
		{Key: "releasable", Value: strconv.Itoa(len(p.Releasable))},
		{Key: "work_phones", Value: strconv.FormatBool(p.WorkPhones)},
		{Key: "share_yes", Value: strconv.FormatBool(p.ShareYes)},
		{Key: "rules", Value: clip(p.changes())},
		{Key: "peers", Value: strconv.Itoa(len(p.Peers))},
	}})
}

// changes names the rules that are the site's own.
func (p Policy) changes() string {
	var names []string
	for _, r := range p.Changed {
		name := r.Name
		switch {
		case r.Off:
			name += " (off)"
		case r.Paused:
			name += " (paused)"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// maxLeads bounds what one appointment writes.
const maxLeads = 4

func (p Policy) validate() error {
	for _, name := range p.Places {
		if err := text.CheckLabel(name, text.MaxSite); err != nil {
			return fmt.Errorf("name of a place: %w", err)
		}
	}
	for name, peer := range p.Peers {
		if err := peer.validate(); err != nil {
			return fmt.Errorf("peer %s: %w", safe(name), err)
		}
	}
	if err := validateRules(p.Changed); err != nil {
		return err
	}
	if p.BreakerFloor < 0 {
		return errors.New("breaker_floor is negative")
	}
	if p.Gather < 0 || time.Duration(p.Gather) > maxGather {
		return fmt.Errorf("gather is not between 0 and %s", maxGather)
	}
	if len(p.Leads) > maxLeads {
		return fmt.Errorf("more than %d reminders", maxLeads)
	}
	for i, l := range p.Leads {
		if l < soonest || l > notBefore || i > 0 && l >= p.Leads[i-1] {
			return fmt.Errorf("leads are not falling, or one is not between %s and %s", soonest, notBefore)
		}
	}
	if z := p.ZSegment; z != "" && (len(z) != 3 || z[0] != 'Z') {
		return errors.New("name of the segment for requests is not of the form Zxx")
	}
	return nil
}

func (p Policy) releases(kind string) bool {
	return slices.Contains(p.Releasable, "*") || slices.Contains(p.Releasable, kind)
}

func (p Policy) leads() []time.Duration {
	if len(p.Leads) == 0 {
		return []time.Duration{24 * time.Hour, 2 * time.Hour}
	}
	return p.Leads
}

func (p Policy) zSegment() string {
	if p.ZSegment == "" {
		return "ZNT"
	}
	return p.ZSegment
}

func (p Policy) portal(site contact.Site) string {
	if p.Portal == "" && len(site.LinkHosts) > 0 {
		return "https://" + site.LinkHosts[0] + "/"
	}
	return p.Portal
}

// Shown is the policy as it is exported and applied: with all rules in force, shipped ones included.
type Shown struct {
	Policy
	Rules []Rule `json:"rules"`
}

// Show gives the policy with all of its rules.
func (p Policy) Show() Shown {
	s := Shown{Policy: p, Rules: p.Rules()}
	s.Changed = nil
	return s
}

// Take is the policy that was shown, with what was changed in it.
func (s Shown) Take() Policy { return s.Policy.WithRules(s.Rules) }

// Pause holds the texts of a rule ("rule", its name) or a peer ("peer", its name), or lets new ones go
// again; what is held stays until it is released or dropped.
func Pause(tx *store.Tx, kind, name string, on bool) error {
	p, err := PolicyOf(tx)
	if err != nil {
		return err
	}
	switch kind {
	case "peer":
		if p.Peers == nil {
			p.Peers = map[string]PeerPolicy{}
		}
		peer := p.Peers[name]
		peer.Paused = on
		p.Peers[name] = peer
	case "rule":
		list := p.Rules()
		i := slices.IndexFunc(list, func(r Rule) bool { return r.Name == name })
		if i < 0 {
			return fmt.Errorf("%w: there is no rule of this name", ErrPolicy)
		}
		list[i].Paused = on
		p = p.WithRules(list)
	default:
		return fmt.Errorf("%w: neither a rule nor a peer can be paused by this name", ErrPolicy)
	}
	return SetPolicy(tx, p)
}
