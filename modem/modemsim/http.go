package modemsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"time"
)

// maxRequest bounds the body of a request.
const maxRequest = 64 << 10

// Handler serves the network over HTTP, for loopback; it asks nobody who they are:
//
//	GET  /handsets                      the handsets that exist, with their state
//	PUT  /handsets/{+E164}              change the keys given of on, answers, presses, full, no_receipts, busy, rejects, voicemail,
//	                                    false_answer, answer_after, press_after, hangs_up (seconds)
//	GET  /handsets/{+E164}/messages     texts, oldest first: at, from, text, parts, pid (number),
//	                                    validity (seconds), class (0 to 3, or null), modem
//	POST /handsets/{+E164}/messages     reply {"text"}; "to" may name a modem, else the newest text's
//	GET  /handsets/{+E164}/calls        ended calls, oldest first: at, answered, seconds, wav
//	GET  /recordings/{number}.wav       what the modem sent in a call: 8 kHz, mono, 16 bit
//	POST /handsets/{+E164}/calls        call a modem {"to"}: name or number, else the newest text's
//	GET  /modems                        the modems, their state and their faults
//	PUT  /modems/{name}                 {"faults": Faults, "latency": seconds, "sim": SIM, "reboot": true}; faults replace all set
//	                                    before, sim swaps the SIM
//	GET  /faults                        what can be set: name, kind, about
//	GET  /modems/{name}/pacing          how evenly sound came in the last call: frames, gaps, p50, p99, worst, starved
//	GET  /modems/{name}/calls           ended calls to the modem, oldest first: at, from, seconds, rings, end
//	GET  /                              a page that shows it all
//
// Bodies are JSON whatever their content type says. A wrong one is answered 400
// with {"error"}, which names the place. Pages of other origins are refused.
func (n *Network) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /handsets", n.getHandsets)
	mux.HandleFunc("PUT /handsets/{number}", n.withHandset(putHandset))
	mux.HandleFunc("GET /handsets/{number}", n.withHandset(getHandset))
	mux.HandleFunc("GET /handsets/{number}/messages", n.withHandset(getMessages))
	mux.HandleFunc("POST /handsets/{number}/messages", n.withHandset(postMessage))
	mux.HandleFunc("GET /handsets/{number}/calls", n.withHandset(getCalls))
	mux.HandleFunc("POST /handsets/{number}/calls", n.withHandset(postCall))
	mux.HandleFunc("GET /modems", n.getModems)
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, FaultList()) })
	mux.HandleFunc("GET /modems/{name}/calls", n.getModemCalls)
	mux.HandleFunc("GET /modems/{name}/pacing", n.getPacing)
	mux.HandleFunc("GET /recordings/{file}", n.getRecording)
	mux.HandleFunc("PUT /modems/{name}", n.putModem)
	mux.HandleFunc("GET /{$}", n.getPage)
	mux.HandleFunc("POST /page/reply", n.withForm(formReply))
	mux.HandleFunc("POST /page/handset", n.withForm(formHandset))
	return http.NewCrossOriginProtection().Handler(mux)
}

// handsetNumber checks the number in a path: + and digits, or a short code.
func handsetNumber(s string) (string, bool) {
	digits, international := strings.CutPrefix(s, "+")
	if digits == "" || strings.Trim(digits, "0123456789") != "" || len(digits) > 15 || international && len(digits) < 7 {
		return "", false
	}
	return dialled(s), true
}

func (n *Network) withHandset(f func(http.ResponseWriter, *http.Request, *Handset)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		number, valid := handsetNumber(r.PathValue("number"))
		if !valid {
			fail(w, http.StatusBadRequest, "the number in the path must be + and 7 to 15 digits, or a short code")
			return
		}
		f(w, r, n.Handset(number))
	}
}

// handsetJSON is a handset in lists.
type handsetJSON struct {
	Number string `json:"number"`
	HandsetState
	Messages int `json:"messages"`
	Calls    int `json:"calls"`
}

func (h *Handset) describe() handsetJSON {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	return handsetJSON{h.number, h.state, len(h.messages), len(h.calls)}
}

// Handsets lists the handsets that exist, by number.
func (n *Network) Handsets() []*Handset {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]*Handset, 0, len(n.handsets))
	for _, h := range n.handsets {
		list = append(list, h)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].number < list[j].number })
	return list
}

func (n *Network) getHandsets(w http.ResponseWriter, _ *http.Request) {
	list := []handsetJSON{}
	for _, h := range n.Handsets() {
		list = append(list, h.describe())
	}
	answer(w, http.StatusOK, list)
}

func getHandset(w http.ResponseWriter, _ *http.Request, h *Handset) {
	answer(w, http.StatusOK, h.describe())
}

func putHandset(w http.ResponseWriter, r *http.Request, h *Handset) {
	var c HandsetChange
	if !decode(w, r, &c) {
		return
	}
	if err := h.Set(c); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	answer(w, http.StatusOK, h.describe())
}

func getMessages(w http.ResponseWriter, _ *http.Request, h *Handset) {
	answer(w, http.StatusOK, h.Messages())
}

func postMessage(w http.ResponseWriter, r *http.Request, h *Handset) {
	var body struct {
		Text string `json:"text"`
		To   string `json:"to"`
	}
	if !decode(w, r, &body) {
		return
	}
	if err := h.Reply(body.Text, body.To); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	accepted(w)
}

func postCall(w http.ResponseWriter, r *http.Request, h *Handset) {
	var body struct {
		To string `json:"to"`
	}
	if !decode(w, r, &body) {
		return
	}
	if err := h.Call(body.To); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	accepted(w)
}

func accepted(w http.ResponseWriter) {
	answer(w, http.StatusAccepted, struct {
		Accepted bool `json:"accepted"`
	}{true})
}

func getCalls(w http.ResponseWriter, r *http.Request, h *Handset) {
	calls := h.Calls()
	for i := range calls {
		if calls[i].WAV != "" {
			calls[i].WAV = "http://" + r.Host + calls[i].WAV
		}
	}
	answer(w, http.StatusOK, calls)
}

func (n *Network) getRecording(w http.ResponseWriter, r *http.Request) {
	b := n.Recording(r.URL.Path)
	if b == nil {
		fail(w, http.StatusNotFound, "there is no such recording, or no longer")
		return
	}
	w.Header().Set("Content-Type", "audio/wav")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(b)
}

func (n *Network) getPacing(w http.ResponseWriter, r *http.Request) {
	m := n.Modem(r.PathValue("name"))
	if m == nil {
		fail(w, http.StatusNotFound, "there is no modem of that name")
		return
	}
	answer(w, http.StatusOK, m.Pacing())
}

// ModemState is what a modem shows of itself.
type ModemState struct {
	Name    string `json:"name"`
	Profile string `json:"profile"`
	Carrier string `json:"carrier"`
	Number  string `json:"number"`
	IMEI    string `json:"imei"`
	ICCID   string `json:"iccid"`
	// Path is the terminal, Link the symbolic link to it; "" in process.
	Path string `json:"path,omitempty"`
	Link string `json:"link,omitempty"`
	// Registered tells whether it could send now, PIN what the SIM wants ("READY": nothing).
	Registered bool   `json:"registered"`
	PIN        string `json:"pin"`
	// Open tells whether a host has the port, as far as the modem can know:
	// a terminal counts as open while it exists.
	Open bool `json:"open"`
	// Forward is where the network forwards calls to; "" is nowhere.
	Forward string `json:"forward,omitempty"`
	// Stored counts the messages in each storage that holds any.
	Stored map[string]int `json:"stored,omitempty"`
	// Submitted counts the parts that the network took.
	Submitted int      `json:"submitted"`
	Latency   Duration `json:"latency"`
	Faults    Faults   `json:"faults"`
}

// State tells what the modem is and does now.
func (m *Modem) State() ModemState {
	faults := m.Faults()
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	s := ModemState{
		Name: m.opts.Name, Profile: m.opts.Profile, Carrier: m.opts.Carrier, Number: m.opts.Number,
		IMEI: m.opts.IMEI, ICCID: m.opts.ICCID,
		Registered: m.registered(), PIN: m.sim.wants(), Open: m.session != nil,
		Submitted: m.submitted, Latency: Duration(m.latency), Faults: faults,
	}
	for mem, store := range m.store {
		if n := len(store.slots); n > 0 {
			if s.Stored == nil {
				s.Stored = map[string]int{}
			}
			s.Stored[mem] = n
		}
	}
	if m.forward.active {
		s.Forward = m.forward.number
	}
	if m.tty != nil {
		s.Path, s.Link = m.tty.path, m.tty.link
	}
	return s
}

func (n *Network) getModems(w http.ResponseWriter, _ *http.Request) {
	list := []ModemState{}
	for _, m := range n.Modems() {
		list = append(list, m.State())
	}
	answer(w, http.StatusOK, list)
}

func (n *Network) getModemCalls(w http.ResponseWriter, r *http.Request) {
	m := n.Modem(r.PathValue("name"))
	if m == nil {
		fail(w, http.StatusNotFound, "there is no modem of that name")
		return
	}
	answer(w, http.StatusOK, m.IncomingCalls())
}

func (n *Network) putModem(w http.ResponseWriter, r *http.Request) {
	m := n.Modem(r.PathValue("name"))
	if m == nil {
		fail(w, http.StatusNotFound, "there is no modem of that name")
		return
	}
	var body struct {
		Faults  *Faults   `json:"faults"`
		Latency *Duration `json:"latency"`
		SIM     *SIM      `json:"sim"`
		Reboot  bool      `json:"reboot"`
	}
	if !decodeWith(w, r, &body, "; GET /faults lists the faults") {
		return
	}
	if body.Faults != nil {
		if err := m.SetFaults(*body.Faults); err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	if body.Latency != nil {
		m.SetLatency(time.Duration(*body.Latency))
	}
	if body.SIM != nil {
		if err := m.SwapSIM(*body.SIM); err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	if body.Reboot {
		m.Reboot()
	}
	answer(w, http.StatusOK, m.State())
}

// decode reads one JSON object into v, or answers 400 with the place.
func decode(w http.ResponseWriter, r *http.Request, v any) bool { return decodeWith(w, r, v, "") }

// decodeWith is decode, with a hint for who sends a field that is none.
func decodeWith(w http.ResponseWriter, r *http.Request, v any, hint string) bool {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", maxRequest))
		return false
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err = d.Decode(v)
	offset := d.InputOffset()
	if err != nil {
		if _, name, unknown := strings.Cut(err.Error(), "json: unknown field "); unknown {
			offset = int64(bytes.Index(b, []byte(name)))
			err = errors.New("unknown field " + name + hint)
		}
	}
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return true
		}
		err = errors.New("more than one value")
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset, err = syntax.Offset, errors.New("it is not JSON")
	case errors.As(err, &kind):
		offset, err = kind.Offset, fmt.Errorf("%q cannot be a %s", kind.Field, kind.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("it ends too early")
	}
	line, column := place(b, offset)
	fail(w, http.StatusBadRequest, fmt.Sprintf("body, line %d, column %d: %s", line, column, strings.TrimPrefix(err.Error(), "json: ")))
	return false
}

// place turns an offset into line and column, both from 1.
func place(b []byte, offset int64) (line, column int) {
	before := b[:min(max(offset, 0), int64(len(b)))]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The status is out: a broken connection is all that can go wrong now.
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, text string) {
	answer(w, status, struct {
		Error string `json:"error"`
	}{text})
}
