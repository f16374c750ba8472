package modemsim

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"sort"
)

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Parse(pageHTML))

// pageHandset is a handset as the page shows it, newest text first.
type pageHandset struct {
	Number   string
	State    HandsetState
	Messages []Message
	Calls    []Call
	More     int // older texts that are not shown
}

// pageModem is a modem as the page shows it, with the faults that are set, as in JSON.
type pageModem struct {
	ModemState
	Set string
}

func faultsSet(f Faults) string {
	b, err := json.Marshal(f)
	if err != nil || string(b) == "{}" {
		return "" // of flags, numbers and strings alone: it cannot fail
	}
	return string(b)
}

// maxShown is how many texts of a handset the page shows.
const maxShown = 20

// getPage shows modems and handsets, the handset with the newest text first.
func (n *Network) getPage(w http.ResponseWriter, r *http.Request) {
	var data struct {
		Modems   []pageModem
		Faults   []FaultInfo
		Handsets []pageHandset
		Notice   string
	}
	data.Notice = r.URL.Query().Get("notice")
	for _, m := range n.Modems() {
		data.Modems = append(data.Modems, pageModem{m.State(), faultsSet(m.Faults())})
	}
	data.Faults = FaultList()
	for _, h := range n.Handsets() {
		p := pageHandset{Number: h.number, State: h.State(), Messages: h.Messages(), Calls: h.Calls()}
		p.More = max(0, len(p.Messages)-maxShown)
		p.Messages = p.Messages[p.More:]
		reverse(p.Messages)
		reverse(p.Calls)
		data.Handsets = append(data.Handsets, p)
	}
	sort.SliceStable(data.Handsets, func(i, j int) bool {
		a, b := data.Handsets[i].Messages, data.Handsets[j].Messages
		return len(a) > 0 && (len(b) == 0 || a[0].At.After(b[0].At))
	})
	var b bytes.Buffer
	if err := page.Execute(&b, data); err != nil {
		n.log.Error("page cannot be made", "err", err)
		fail(w, http.StatusInternalServerError, "the page cannot be made")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(b.Bytes())
}

func reverse[T any](s []T) {
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
}

// withForm runs a form of the page and returns to the page, with what went wrong.
func (n *Network) withForm(f func(*http.Request, *Handset) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		number, valid := handsetNumber(r.PostFormValue("number"))
		if !valid {
			fail(w, http.StatusBadRequest, "the form's number is not one")
			return
		}
		back := "/"
		if err := f(r, n.Handset(number)); err != nil {
			back += "?notice=" + url.QueryEscape(err.Error())
		}
		http.Redirect(w, r, back, http.StatusSeeOther)
	}
}

func formReply(r *http.Request, h *Handset) error {
	return h.Reply(r.PostFormValue("text"), "")
}

// formHandset sets all switches: a browser sends only those that are on.
func formHandset(r *http.Request, h *Handset) error {
	on := func(name string) *bool { return new(r.PostFormValue(name) != "") }
	return h.Set(HandsetChange{
		On: on("on"), Answers: on("answers"), Full: on("full"), NoReceipts: on("no_receipts"),
		Presses: new(r.PostFormValue("presses")), Busy: on("busy"), Rejects: on("rejects"), Voicemail: on("voicemail"),
		FalseAnswer: on("false_answer"),
	})
}
