package console

import (
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"slices"
	"strings"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
)

// link is a page of the navigation.
type link struct {
	Path, Name string
	May        access.Permission
}

var navigation = []link{
	{"/", "Send a code", access.Verify},
	{"/contacts", "Patient", access.ContactRead},
	{"/numbers", "Number", access.ContactRead},
	{"/messages", "Messages", access.NotifyRead},
	{"/items", "To do", access.WorkItems},
	{"/services", "Services", access.StatusRead},
	{"/health", "Health", access.StatusRead},
	{"/alarms", "Alarms", access.Operate},
	{"/audit", "Audit", access.AuditRead},
	{"/reports", "Reports", access.AuditRead},
}

// Nav is the part of the navigation that this person may use.
func (v view) Nav() (links []link) {
	for _, l := range navigation {
		if v.Who.Can(l.May) {
			links = append(links, l)
		}
	}
	return links
}

var messageStates = []outbox.State{outbox.Queued, outbox.Sending, outbox.Sent, outbox.Delivered, outbox.Undelivered,
	outbox.Unknown, outbox.Refused, outbox.Expired, outbox.Canceled}

// said is how people say a state or a kind.
var said = map[string]string{
	string(otp.Pending): "waiting for the code", string(otp.Approved): "confirmed", string(otp.MaxChecks): "too many wrong codes",
	string(otp.Failed): "could not be sent",

	string(outbox.Queued): "waiting for a modem", string(outbox.Sending): "being handed over", string(outbox.Sent): "taken by the network",
	string(outbox.Delivered): "on the phone", string(outbox.Undelivered): "did not reach the phone", string(outbox.Refused): "refused",
	string(outbox.Unknown): "not known whether it went", string(outbox.NotSent): "not sent", string(outbox.Expired): "too late",
	string(outbox.Canceled): "cancelled",

	string(consent.ItemDoubtfulStop): "Meant as STOP?", string(consent.ItemWrongNumber): "Wrong number",
	string(consent.ItemCancel): "Wants to cancel", string(consent.ItemDeclined): "Answered NO",

	otp.ChannelAuto: "as the service says", otp.ChannelSMS: "text", otp.ChannelCall: "call",
}

func say(word any) string {
	var s string
	switch w := word.(type) {
	case otp.State:
		if w == otp.Expired {
			return "expired" // of a message the same word means that it came too late
		}
		s = string(w)
	case outbox.State:
		s = string(w)
	case outbox.Channel:
		s = string(w)
	case consent.ItemKind:
		s = string(w)
	case string:
		s = w
	}
	if out, ok := said[s]; ok {
		return out
	}
	return s
}

// cause is why a message stands as it does, where that says more than how it stands.
func cause(state outbox.State, cause string) string {
	if cause == string(state) {
		return ""
	}
	return cause
}

// asks is what a start of a service has to bring.
func asks(s otp.Service) string {
	var list []string
	for what, needed := range map[string]bool{"staff": s.Staff, "reference": s.Reference, "known patient": s.Bound, "amount": s.Amount} {
		if needed {
			list = append(list, what)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

var languages = map[string]string{"en": "English", "es": "Español"}

func language(tag string) string {
	if name, ok := languages[tag]; ok {
		return name
	}
	return tag
}

// title makes a label of a name such as "prescription-pickup".
func title(name string) string {
	s := strings.NewReplacer("-", " ", ".", " ").Replace(name)
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// national is a number as the people here write it; a foreign one keeps its E.164 form.
func national(p contact.Phone) string {
	d := p.E164()
	if !strings.HasPrefix(d, "+1") || len(d) != 12 {
		return d
	}
	return "(" + d[2:5] + ") " + d[5:8] + "-" + d[8:]
}

// ago tells a duration as people do.
func ago(t time.Time) string {
	d := max(time.Since(t), 0)
	switch {
	case d < time.Minute:
		return plural(int(d.Seconds()), "second")
	case d < time.Hour:
		return plural(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		return plural(int(d.Hours()), "hour")
	}
	return plural(int(d.Hours()/24), "day")
}

// minutes tells what is left of a life: "4:59".
func minutes(d time.Duration) string {
	return time.Time{}.Add(d).Format("4:05")
}

// line is how people call a type of line.
func line(t contact.LineType) string {
	switch t {
	case contact.LineMobile:
		return "mobile"
	case contact.LineLandline:
		return "landline, takes no texts"
	}
	return "not known"
}

// lineSource tells who said what a line is, without the names of clients and engines.
func lineSource(source string) string {
	switch kind, _, _ := strings.Cut(source, ":"); kind {
	case deskSource:
		return "said at a desk"
	case "api":
		return "said by a portal"
	case "hl7":
		return "by the hospital's record"
	case contact.SourceNetwork:
		return "texts did not come, and calls were heard"
	case "plan":
		return "by the numbering plan"
	}
	return source
}

func parsePages() map[string]*template.Template {
	funcs := template.FuncMap{
		"line": line, "lineSource": lineSource,
		"clock":   func(t time.Time, zone *time.Location) string { return t.In(zone).Format("15:04:05") },
		"day":     func(t time.Time, zone *time.Location) string { return t.In(zone).Format("2006-01-02 15:04:05") },
		"visit":   func(t time.Time, zone *time.Location) string { return t.In(zone).Format("Mon 2 Jan 2006, 15:04") },
		"ago":     ago,
		"minutes": minutes, "say": say, "language": language, "title": title, "national": national,
		"cause": cause, "asks": asks,
		"verification": func(id string) bool { return strings.HasPrefix(id, "VE") },
		"states":       func() []outbox.State { return messageStates },
		"asset":        func(name string) string { return "/" + name + "?v=" + hashOf(name) },
	}
	base := template.Must(template.New("").Funcs(funcs).ParseFS(files, "pages/layout.html"))
	made := map[string]*template.Template{}
	for _, name := range []string{"login", "desk", "verification", "messages", "contacts", "number", "work", "services", "audit", "reports", "health", "alarms", "error"} {
		made[name] = template.Must(template.Must(base.Clone()).ParseFS(files, "pages/"+name+".html", "pages/sent.html"))
	}
	frame := template.Must(template.New("").Funcs(funcs).ParseFS(files, "pages/frame.html", "pages/sent.html"))
	for _, name := range []string{"status", "over"} {
		made[name] = template.Must(template.Must(frame.Clone()).ParseFS(files, "pages/"+name+".html"))
	}
	return made
}

// hashOf names a version of a file of the program.
func hashOf(name string) string {
	b, err := files.ReadFile("pages/" + name)
	if err != nil {
		panic(err) // a page names a file that is not part of the program
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:4])
}
