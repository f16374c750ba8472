package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// look is the box at one moment.
type look struct {
	at      time.Time
	status  status
	figures scrape
}

// rates are what happened between two looks, by the minute.
type rates struct {
	Started  float64            `json:"codes_asked_for"`
	Approved float64            `json:"codes_typed_in"`
	Refused  float64            `json:"codes_refused"`
	Sent     map[string]float64 `json:"sent"`   // by modem
	Failed   map[string]float64 `json:"failed"` // by modem: not sent, refused, unknown
	HL7      map[string]float64 `json:"hl7"`    // by acknowledgment
	HL7Lost  float64            `json:"hl7_not_taken"`
	Requests float64            `json:"requests"` // to the API
}

// ratesOf tells them; a counter that began anew, as after a restart, counts from zero.
func ratesOf(a, b look) (r rates) {
	minutes := b.at.Sub(a.at).Minutes()
	between := func(name string, labels ...string) float64 {
		was, is := a.figures.sum(name, labels...), b.figures.sum(name, labels...)
		if is < was {
			was = 0
		}
		if minutes <= 0 {
			return 0
		}
		return (is - was) / minutes
	}
	const actions = "pinward_audit_actions_total"
	r.Started = between(actions, "action", "verification.start", "outcome", "ok")
	r.Approved = between(actions, "action", "verification.approve", "outcome", "ok")
	r.Refused = between(actions, "action", "verification.start", "outcome", "refused")
	r.Sent, r.Failed, r.HL7 = map[string]float64{}, map[string]float64{}, map[string]float64{}
	for name := range b.status.Modems {
		r.Sent[name] = between("pinward_modem_handovers_total", "modem", name, "outcome", "sent")
		for _, outcome := range []string{"notsent", "refused", "unknown"} {
			r.Failed[name] += between("pinward_modem_handovers_total", "modem", name, "outcome", outcome)
		}
	}
	for _, ack := range []string{"AA", "AE", "AR", "none"} {
		r.HL7[ack] = between("pinward_hl7_messages_total", "ack", ack)
	}
	r.HL7Lost = between("pinward_hl7_failed_total")
	r.Requests = between("pinward_http_requests_total")
	return r
}

// painter writes lines of a view, cut to the width of the terminal.
type painter struct {
	bytes.Buffer
	width  int
	colour bool
}

func (p *painter) line(colour, format string, args ...any) {
	text := []rune(fmt.Sprintf(format, args...))
	if len(text) > p.width {
		text = text[:p.width]
	}
	if p.colour && colour != "" {
		fmt.Fprintf(p, "\x1b[%sm%s\x1b[0m\n", colour, string(text))
		return
	}
	p.WriteString(strings.TrimRight(string(text), " ") + "\n")
}

// The colours of a view: SGR parameters.
const (
	plain = ""
	bold  = "1"
	green = "32"
	amber = "33"
	red   = "31"
)

// render is one view. height 0 is as long as it takes.
func render(first, now look, width, height int, colour bool) []byte {
	p := painter{width: max(width, 40), colour: colour}
	st, r := now.status, ratesOf(first, now)
	verdict, tone := "takes codes", green
	if !st.Accepts {
		verdict, tone = "TAKES NO CODES", red
	}
	p.line(bold, "pinward %s  %s  %s  %s%s", st.Box, st.State, st.Mode, now.at.Format(time.TimeOnly), map[bool]string{true: "   q quits"}[colour])
	p.line(tone, "%s, %d audit entries, rates of the last %s", verdict, st.Entries, now.at.Sub(first.at).Round(time.Second))
	if st.Next != "" {
		p.line(amber, "next     %s", st.Next)
	}
	if st.Maintenance != nil {
		p.line(amber, "planned  %s", st.Maintenance)
	}
	p.alarms(st.Alarms)
	p.health(st.Health)
	p.line(plain, "")
	success := "-"
	if r.Started > 0 {
		success = fmt.Sprintf("%.0f %%", 100*r.Approved/r.Started)
	}
	p.line(plain, "codes    %s asked for a minute, %s typed in right (%s), %s refused; %s requests a minute", rate(r.Started), rate(r.Approved), success, rate(r.Refused), rate(r.Requests))
	p.lanes(now)
	if len(now.figures["pinward_hl7_messages_total"]) > 0 {
		tone := plain
		if r.HL7["AE"]+r.HL7["AR"]+r.HL7Lost > 0 {
			tone = amber
		}
		p.line(tone, "hl7      %s AA, %s AE, %s AR a minute, %s without an answer wanted; %s not taken", rate(r.HL7["AA"]), rate(r.HL7["AE"]), rate(r.HL7["AR"]), rate(r.HL7["none"]), rate(r.HL7Lost))
	}
	p.line(plain, "")
	p.modems(now, r)
	lines := bytes.SplitAfter(p.Bytes(), []byte("\n"))
	if height > 0 && len(lines) > height {
		lines = lines[:height]
	}
	return bytes.Join(lines, nil)
}

// rate is a number by the minute as people read it.
func rate(v float64) string {
	if v > 0 && v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// health names what is not well and stands on what is, at most six of it.
func (p *painter) health(n node) {
	var walk func(n node, depth int)
	told := 0
	walk = func(n node, depth int) {
		if n.State != "ok" && depth > 0 {
			if told++; told <= 6 {
				p.line(map[string]string{"fail": red, "warn": amber}[n.State], "%-8s %s: %s", n.State, n.Name, n.Cause)
			}
		}
		if n.State == "fail" || n.State == "unknown" {
			return // what stands on it is not judged
		}
		for _, c := range n.Children {
			walk(c, depth+1)
		}
	}
	walk(n, 0)
	switch {
	case told == 0:
		p.line(green, "health   ok")
	case told > 6:
		p.line(amber, "         and %d more: pinward status", told-6)
	}
}

// alarms names those that are open, at most four of them; they come the most severe first.
func (p *painter) alarms(open []openAlarm) {
	for i, a := range open {
		if i == 4 {
			p.line(amber, "         and %d more alarms: pinward alarm list", len(open)-4)
			return
		}
		p.line(map[string]string{"critical": red, "warning": amber}[a.Severity], "alarm    %s", a)
	}
}

// lanes shows what is in line, the most urgent first.
func (p *painter) lanes(now look) {
	depth, air := now.figures.by("pinward_queue_depth", "lane"), now.figures.by("pinward_on_air", "lane")
	oldest, held := now.figures.by("pinward_queue_oldest_seconds", "lane"), now.figures.by("pinward_lane_paused", "lane")
	order := []string{"otp", "notice", "bulk"}
	for _, lane := range ordered(depth) {
		if !slices.Contains(order, lane) {
			order = append(order, lane)
		}
	}
	for _, lane := range order {
		if _, there := depth[lane]; !there {
			continue
		}
		tone, note := plain, ""
		if held[lane] > 0 {
			tone, note = amber, "  HELD"
		}
		if lane == "otp" && oldest[lane] > 10 {
			tone = red
		}
		p.line(tone, "%-8s %4.0f in line, the oldest for %s; %.0f on air%s", lane, depth[lane], time.Duration(oldest[lane]*float64(time.Second)).Round(time.Second), air[lane], note)
	}
}

// modems shows each with what it does and what is wrong with it.
func (p *painter) modems(now look, r rates) {
	p.line(bold, "%-12s %-12s %-14s %5s %8s %8s %10s  %s", "MODEM", "PHASE", "NETWORK", "DBM", "SENT/MIN", "FAIL/MIN", "TODAY", "WHAT IS WRONG")
	trouble := map[string][]string{}
	for _, f := range now.figures["pinward_modem_trouble"] {
		trouble[f.labels["modem"]] = append(trouble[f.labels["modem"]], f.labels["trouble"])
	}
	for _, name := range slices.Sorted(maps.Keys(now.status.Modems)) {
		m := now.status.Modems[name]
		used, _ := now.figures.one("pinward_sim_budget_used", "modem", name, "per", "day")
		today := fmt.Sprintf("%.0f", used)
		if limit, capped := now.figures.one("pinward_sim_budget", "modem", name, "per", "day"); capped {
			today += fmt.Sprintf("/%.0f", limit)
		}
		signal := "-"
		if m.SignalDBm != 0 {
			signal = fmt.Sprint(m.SignalDBm)
		}
		tone := plain
		if !m.Ready {
			tone = red
		} else if len(trouble[name]) > 0 {
			tone = amber
		}
		wrong := m.Cause
		if wrong == "" {
			wrong = strings.Join(slices.Sorted(slices.Values(trouble[name])), ", ")
		}
		p.line(tone, "%-12s %-12s %-14.14s %5s %8s %8s %10s  %s", name, m.Phase, m.Operator, signal, rate(r.Sent[name]), rate(r.Failed[name]), today, wrong)
	}
}
